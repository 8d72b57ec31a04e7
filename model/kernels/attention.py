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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect, expect_floating, expect_shape, runs_natively, uses_triton


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
class _Documents:
    """Documents of one length that follow one another: the CPU's attention takes them as a batch."""

    begin: int
    count: int
    length: int

    def batch(self, x_TNH: Tensor, part: slice) -> Tensor:
        """A part of each document, [count, N, part, H], as a view."""
        rows = x_TNH[self.begin : self.begin + self.count * self.length]
        return rows.view(self.count, self.length, *rows.shape[1:])[:, part].transpose(1, 2)


def _runs(documents: Tensor) -> Iterator[_Documents]:
    begin = 0
    for length, group in itertools.groupby(documents.diff().tolist()):
        count = len(list(group))
        if length > 0:
            yield _Documents(begin, count, length)
            begin += count * length


@dataclass(frozen=True)
class _Piece:
    """Queries of each document that one call takes together, and the keys that they may see."""

    queries: slice
    keys: slice
    mask: Tensor | None
    """None: causal, and queries and keys are the same tokens."""


def _pieces(length: int, pattern: Pattern, dtype: torch.dtype) -> list[_Piece]:
    whole = slice(0, length)
    match pattern:
        case BlockSparse():
            return [_Piece(whole, whole, _mask(whole, whole, pattern, dtype))]
        case Window(width) if length > width:
            step = max(_QUERIES, width)
            pieces = []
            for first in range(0, length, step):
                queries = slice(first, min(first + step, length))
                keys = slice(max(0, first - width + 1), queries.stop)
                pieces.append(_Piece(queries, keys, _mask(queries, keys, pattern, dtype)))
            return pieces
    return [_Piece(whole, whole, None)]


def _mask(queries: slice, keys: slice, pattern: Pattern, dtype: torch.dtype) -> Tensor:
    """Zero where a query sees a key, else minus infinity."""
    document = torch.tensor([0, queries.stop], dtype=torch.int32)
    if isinstance(pattern, Window):
        # A window is the same wherever it lies: only the keys' part of the document is laid out.
        queries = slice(queries.start - keys.start, queries.stop - keys.start)
        document = torch.tensor([0, queries.stop], dtype=torch.int32)
    seen = visible(document, queries.stop, pattern)[queries]
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)


_QUERIES: Final = 128
"""Queries of a piece under a window, at least: fewer make the calls the larger part of the time."""


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
    if runs_natively(q_TNH) and not window and not block:
        from model.kernels.native.attention import forward as forward_natively

        return forward_natively(q_TNH, k_TMH, v_TMH, documents)
    y_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
    logsumexp_TN = torch.empty(q_TNH.shape[:2], dtype=accumulation_dtype(q_TNH))
    for run in _runs(documents):
        for piece in _pieces(run.length, _pattern(window, block, local, stride), q_TNH.dtype):
            y, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                run.batch(q_TNH, piece.queries),
                run.batch(k_TMH, piece.keys),
                run.batch(v_TMH, piece.keys),
                0.0,
                piece.mask is None,
                attn_mask=piece.mask,
            )
            run.batch(y_TNH, piece.queries).copy_(y)
            run.batch(logsumexp_TN[..., None], piece.queries).copy_(logsumexp[..., None])
    return y_TNH, logsumexp_TN.T.contiguous()


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
    if runs_natively(q_TNH) and not window and not block:
        from model.kernels.native.attention import backward as backward_natively

        return backward_natively(grad_TNH, q_TNH, k_TMH, v_TMH, documents, y_TNH, logsumexp_NT)
    # Under a window pieces share keys, whose gradients are summed.
    make = torch.zeros if window else torch.empty
    q_grad_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
    k_grad_TMH, v_grad_TMH = make(k_TMH.shape, dtype=k_TMH.dtype), make(v_TMH.shape, dtype=v_TMH.dtype)
    logsumexp_TN1 = logsumexp_NT.T[..., None]
    for run in _runs(documents):
        for piece in _pieces(run.length, _pattern(window, block, local, stride), q_TNH.dtype):
            q_grad, k_grad, v_grad = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                run.batch(grad_TNH, piece.queries),
                run.batch(q_TNH, piece.queries),
                run.batch(k_TMH, piece.keys),
                run.batch(v_TMH, piece.keys),
                run.batch(y_TNH, piece.queries),
                run.batch(logsumexp_TN1, piece.queries)[..., 0],
                0.0,
                piece.mask is None,
                attn_mask=piece.mask,
            )
            run.batch(q_grad_TNH, piece.queries).copy_(q_grad)
            for total_TMH, part in ((k_grad_TMH, k_grad), (v_grad_TMH, v_grad)):
                target = run.batch(total_TMH, piece.keys)
                if window:
                    target.add_(part)
                else:
                    target.copy_(part)
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
