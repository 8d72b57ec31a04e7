"""Causal attention over documents that lie end to end, with grouped query heads and three patterns.

With i a query, j a key, both in the same document, c = H^(-1/2), m(n) = n M / N the key head of query head n:

    s_ij = c q_i . k_j    where the pattern lets i see j, else -infinity
    L_i  = log sum_j exp s_ij                              kept for the backward pass
    o_i  = sum_j exp(s_ij - L_i) v_j

    P = exp(S - L)    dV = P^T dO    dS = P * (dO V^T - rowsum(dO * O))    dQ = c dS K    dK = c dS^T Q
    (FlashAttention-2, Dao 2023, arXiv:2307.08691: blocks at a time, P never exists as a whole)

Which keys a query sees depends on its document alone, not on where the document lies: positions count from its start.

    Dense:        all j <= i
    Window:       i - width < j <= i                       (as `sliding_window` of Hugging Face's Mixtral)
    BlockSparse:  j <= i, and with a = i // block and b = j // block: a - b < local, or (a - b) % stride == 0
                  (local and strided attention of Sparse Transformers, Child et al. 2019, arXiv:1904.10509, by blocks)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect, expect_floating, expect_shape, uses_triton


@dataclass(frozen=True)
class Dense:
    """Every earlier token of the document."""


@dataclass(frozen=True)
class Window:
    """The last `width` tokens of the document, the query's own among them."""

    width: int


@dataclass(frozen=True)
class BlockSparse:
    """The last `local` blocks of `block` tokens, the query's own among them, and every `stride`-th block before."""

    block: int
    local: int
    stride: int


Pattern = Dense | Window | BlockSparse


def attention(q_TNH: Tensor, k_TMH: Tensor, v_TMH: Tensor, documents: Tensor, pattern: Pattern) -> Tensor:
    """Attend within documents: [T, N, H], [T, M, H], [T, M, H] -> [T, N, H].

    `documents` is int32 [B + 1], where the documents begin and where the last ends: 0, ..., T, not decreasing. M
    divides N. q, k and v share a dtype and may be strided views whose last dimension is contiguous. Raises UserError
    on another shape, dtype, device or pattern, and on the CPU on boundaries that are not such.
    """
    expect_floating("q_TNH", q_TNH)
    expect_shape("q_TNH", q_TNH, None, None, None)
    tokens, heads, width = q_TNH.shape
    expect_shape("k_TMH", k_TMH, tokens, None, width)
    expect_shape("v_TMH", v_TMH, *k_TMH.shape)
    expect_shape("documents", documents, None)
    expect(documents.dtype == torch.int32, f"documents has dtype {documents.dtype}", "convert it with .to(torch.int32)")
    expect(
        q_TNH.dtype == k_TMH.dtype == v_TMH.dtype,
        f"q, k and v have dtypes {q_TNH.dtype}, {k_TMH.dtype}, {v_TMH.dtype}",
        "convert them to one",
    )
    expect(
        k_TMH.shape[1] > 0 and heads % k_TMH.shape[1] == 0,
        f"{heads} query heads over {k_TMH.shape[1]} key heads",
        "the number of key heads must divide the number of query heads",
    )
    if q_TNH.device.type == "cpu":
        boundaries = documents.tolist()
        expect(
            boundaries[:1] == [0] and boundaries[-1] == tokens and boundaries == sorted(boundaries),
            f"documents does not go from 0 to {tokens} without decreasing",
            "pass cumulative lengths, the first of them 0",
        )
    y_TNH: Tensor = _forward(q_TNH, k_TMH, v_TMH, documents, *_numbers(pattern))[0]
    return y_TNH


def attention_reference(q_TNH: Tensor, k_TMH: Tensor, v_TMH: Tensor, documents: Tensor, pattern: Pattern) -> Tensor:
    """What `attention` computes, in plain torch, float32 or float64, with the whole [N, T, T] matrix."""
    dtype = accumulation_dtype(q_TNH)
    tokens, heads, width = q_TNH.shape
    visible_TT = visible(documents, tokens, pattern)
    k_TNH = k_TMH.to(dtype).repeat_interleave(heads // k_TMH.shape[1], 1)
    v_TNH = v_TMH.to(dtype).repeat_interleave(heads // k_TMH.shape[1], 1)
    scores_NTT = torch.einsum("inh,jnh->nij", q_TNH.to(dtype), k_TNH) * width**-0.5
    weights_NTT = torch.softmax(scores_NTT.masked_fill(~visible_TT, -torch.inf), -1)
    return torch.einsum("nij,jnh->inh", weights_NTT, v_TNH).to(q_TNH.dtype)


def visible(documents: Tensor, tokens: int, pattern: Pattern) -> Tensor:
    """Whether query i may see key j, as a boolean [T, T]: the definition of the patterns, written out."""
    positions_T = torch.arange(tokens, device=documents.device)
    document_T = torch.searchsorted(documents.to(torch.int64), positions_T, right=True)
    place_T = positions_T - documents.to(torch.int64)[document_T - 1]
    i, j = place_T[:, None], place_T[None, :]
    visible_TT = (document_T[:, None] == document_T[None, :]) & (j <= i)
    match pattern:
        case Dense():
            return visible_TT
        case Window(width):
            return visible_TT & (i - j < width)
        case BlockSparse(block, local, stride):
            distance = i // block - j // block
            return visible_TT & ((distance < local) | (distance % stride == 0))


def _numbers(pattern: Pattern) -> tuple[int, int, int, int]:
    """A pattern as what a custom op takes: width of the window (0: none), block (0: dense), local, stride."""
    match pattern:
        case Dense():
            return 0, 0, 0, 0
        case Window(width):
            expect(width >= 1, f"a window of {width} tokens", "a query sees at least itself: take 1 or more")
            return width, 0, 0, 0
        case BlockSparse(block, local, stride):
            expect(
                min(block, local, stride) >= 1,
                f"{pattern} has a number below 1",
                "block, local and stride are at least 1",
            )
            return 0, block, local, stride


def _pattern(window: int, block: int, local: int, stride: int) -> Pattern:
    if block:
        return BlockSparse(block, local, stride)
    return Window(window) if window else Dense()


@dataclass(frozen=True)
class _Piece:
    """Queries that one call of the CPU's attention takes together, and the keys that they may see."""

    queries: slice
    keys: slice
    mask: Tensor | None
    """None: causal, and queries and keys are the same tokens."""


def _pieces(documents: Tensor, pattern: Pattern, dtype: torch.dtype) -> list[_Piece]:
    pieces = []
    masks: dict[tuple[int, int, int], Tensor] = {}

    def mask(first: int, end: int, from_key: int) -> Tensor:
        """Additive mask of the queries first to end of a document over its keys from_key to end."""
        key = (first - from_key, end - from_key, first if isinstance(pattern, BlockSparse) else 0)
        if key not in masks:
            offset = from_key if isinstance(pattern, BlockSparse) else 0
            i = torch.arange(first, end)[:, None] - from_key + offset
            j = torch.arange(from_key, end)[None, :] - from_key + offset
            seen = j <= i
            if isinstance(pattern, Window):
                seen &= i - j < pattern.width
            elif isinstance(pattern, BlockSparse):
                distance = i // pattern.block - j // pattern.block
                seen &= (distance < pattern.local) | (distance % pattern.stride == 0)
            masks[key] = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
        return masks[key]

    for begin, stop in itertools.pairwise(documents.tolist()):
        length = stop - begin
        if length == 0:
            continue
        whole = slice(begin, stop)
        if isinstance(pattern, Dense) or (isinstance(pattern, Window) and length <= pattern.width):
            pieces.append(_Piece(whole, whole, None))
        elif isinstance(pattern, BlockSparse):
            pieces.append(_Piece(whole, whole, mask(0, length, 0)))
        else:
            step = max(_QUERIES, pattern.width)
            for first in range(0, length, step):
                end = min(first + step, length)
                from_key = max(0, first - pattern.width + 1)
                pieces.append(
                    _Piece(
                        slice(begin + first, begin + end),
                        slice(begin + from_key, begin + end),
                        mask(first, end, from_key),
                    )
                )
    return pieces


_QUERIES = 128
"""Queries of a piece under a window, at least: fewer make the calls the larger part of the time."""


def _heads_first(x_TNH: Tensor, part: slice) -> Tensor:
    return x_TNH[part].transpose(0, 1).unsqueeze(0)


@torch.library.custom_op("curator::attention", mutates_args=())
def _forward(
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    window: int,
    block: int,
    local: int,
    stride: int,
) -> tuple[Tensor, Tensor]:
    if uses_triton(q_TNH):
        from model.kernels.gpu.attention_forward import forward

        return forward(q_TNH, k_TMH, v_TMH, documents, window, block, local, stride)
    y_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
    logsumexp_NT = torch.empty(q_TNH.shape[1], q_TNH.shape[0], dtype=accumulation_dtype(q_TNH))
    for piece in _pieces(documents, _pattern(window, block, local, stride), q_TNH.dtype):
        y, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            _heads_first(q_TNH, piece.queries),
            _heads_first(k_TMH, piece.keys),
            _heads_first(v_TMH, piece.keys),
            0.0,
            piece.mask is None,
            attn_mask=piece.mask,
        )
        y_TNH[piece.queries] = y[0].transpose(0, 1)
        logsumexp_NT[:, piece.queries] = logsumexp[0]
    return y_TNH, logsumexp_NT


@_forward.register_fake
def _(
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    window: int,
    block: int,
    local: int,
    stride: int,
) -> tuple[Tensor, Tensor]:
    tokens, heads, _width = q_TNH.shape
    return torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device), q_TNH.new_empty(
        heads, tokens, dtype=accumulation_dtype(q_TNH)
    )


@torch.library.custom_op("curator::attention_backward", mutates_args=())
def _backward(
    grad_TNH: Tensor,
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    y_TNH: Tensor,
    logsumexp_NT: Tensor,
    window: int,
    block: int,
    local: int,
    stride: int,
) -> tuple[Tensor, Tensor, Tensor]:
    if uses_triton(q_TNH):
        from model.kernels.gpu.attention_backward import backward

        return backward(grad_TNH, q_TNH, k_TMH, v_TMH, documents, y_TNH, logsumexp_NT, window, block, local, stride)
    pieces = _pieces(documents, _pattern(window, block, local, stride), q_TNH.dtype)
    # Under a window pieces share keys: then their gradients are summed.
    overlapping = any(piece.keys != piece.queries for piece in pieces)
    make = torch.zeros if overlapping else torch.empty
    q_grad_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
    k_grad_TMH, v_grad_TMH = make(k_TMH.shape, dtype=k_TMH.dtype), make(v_TMH.shape, dtype=v_TMH.dtype)
    for piece in pieces:
        grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            _heads_first(grad_TNH, piece.queries),
            _heads_first(q_TNH, piece.queries),
            _heads_first(k_TMH, piece.keys),
            _heads_first(v_TMH, piece.keys),
            _heads_first(y_TNH, piece.queries),
            logsumexp_NT[None, :, piece.queries],
            0.0,
            piece.mask is None,
            attn_mask=piece.mask,
        )
        q_grad, k_grad, v_grad = (grad[0].transpose(0, 1) for grad in grads)
        q_grad_TNH[piece.queries] = q_grad
        if overlapping:
            k_grad_TMH[piece.keys] += k_grad
            v_grad_TMH[piece.keys] += v_grad
        else:
            k_grad_TMH[piece.keys] = k_grad
            v_grad_TMH[piece.keys] = v_grad
    return q_grad_TNH, k_grad_TMH, v_grad_TMH


@_backward.register_fake
def _(
    grad_TNH: Tensor,
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    y_TNH: Tensor,
    logsumexp_NT: Tensor,
    window: int,
    block: int,
    local: int,
    stride: int,
) -> tuple[Tensor, Tensor, Tensor]:
    def like(x: Tensor) -> Tensor:
        return torch.empty(x.shape, dtype=x.dtype, device=x.device)

    return like(q_TNH), like(k_TMH), like(v_TMH)


def _save(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor, int, int, int, int],
    output: tuple[Tensor, Tensor],
) -> None:
    q_TNH, k_TMH, v_TMH, documents, *numbers = inputs
    ctx.numbers = numbers  # type: ignore[attr-defined]  # torch keeps what is not a tensor as an attribute
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(q_TNH, k_TMH, v_TMH, documents, *output)


def _differentiate(
    ctx: torch.autograd.function.BackwardCFunction, grad_TNH: Tensor, _: Tensor
) -> tuple[Tensor | None, ...]:
    numbers: list[int] = ctx.numbers  # type: ignore[attr-defined]
    return (*_backward(grad_TNH, *ctx.saved_tensors, *numbers), None, None, None, None, None)


_forward.register_autograd(_differentiate, setup_context=_save)
