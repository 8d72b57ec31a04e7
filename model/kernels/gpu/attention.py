"""Triton kernels of `model.kernels.attention`, after FlashAttention-2 (Dao 2023, arXiv:2307.08691).

Two tables make documents and windows one thing: `first_T`, the first key that a query sees, and `last_T`, the last
query that sees a key. Neither decreases, so a block's bounds are those of its first and last token; a block may span
documents. Keys and queries between the bounds that do not see each other are masked; where a whole block sees a whole
block the mask is left out; where the block-sparse pattern leaves nothing of a block, the block is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.launch import architecture, blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import dot, dot_precision, load, rounded, store

_LOG2_E: Final = tl.constexpr(1.4426950408889634)
_LN_2: Final = tl.constexpr(0.6931471805599453)


class Tile(NamedTuple):
    """Tokens of a block of queries and of a block of keys."""

    queries: int
    keys: int
    warps: int
    stages: int


INTERPRETED_TILE: Final = Tile(32, 16, 1, 1)
SINGLE_TILE: Final = Tile(32, 32, 4, 1)
"""For float32, whose exact products run on no tensor core, and for heads wider than 128."""

FORWARD_TILES: Final = {
    ("ampere", 64): Tile(128, 64, 8, 3),
    ("ampere", 128): Tile(128, 32, 8, 2),
    ("hopper", 64): Tile(128, 64, 8, 3),
    ("hopper", 128): Tile(128, 64, 8, 3),
    ("blackwell", 64): Tile(128, 64, 8, 3),
    ("blackwell", 128): Tile(128, 64, 8, 3),
    ("cdna", 64): Tile(128, 64, 8, 1),
    ("cdna", 128): Tile(64, 32, 4, 1),
}
BACKWARD_TILES: Final = {
    ("ampere", 64): Tile(32, 64, 4, 2),
    ("ampere", 128): Tile(64, 64, 8, 1),
    ("hopper", 64): Tile(64, 64, 4, 2),
    ("hopper", 128): Tile(64, 64, 8, 2),
    ("blackwell", 64): Tile(64, 64, 4, 2),
    ("blackwell", 128): Tile(64, 32, 8, 2),
    ("cdna", 64): Tile(32, 64, 4, 1),
    ("cdna", 128): Tile(32, 32, 4, 1),
}
"""By architecture and greatest head width; larger ones spill (`tests/model/kernels/test_ahead_of_time.py`)."""


def tile_of(tensor: Tensor, tiles: dict[tuple[str, int], Tile]) -> Tile:
    """The blocks for the dtype and the head width of a tensor, on the GPU at hand."""
    if INTERPRETED:
        return INTERPRETED_TILE
    width = tensor.shape[2]
    if tensor.dtype == torch.float32 or width > 128:
        return SINGLE_TILE
    return tiles[architecture(), 64 if width <= 64 else 128]


@triton.jit
def sees(
    i: tl.tensor,
    j: tl.tensor,
    first: tl.tensor,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
) -> tl.tensor:
    """Whether query i sees key j; the three broadcast. `first` of a query that does not exist lies past all keys."""
    seen = (j <= i) & (j >= first)
    if BLOCK > 0:
        distance = (i - first) // BLOCK - (j - first) // BLOCK
        seen = seen & ((distance < LOCAL) | (distance % STRIDE == 0))
    return seen


@triton.jit
def may_see(
    i_low: tl.tensor,
    i_high: tl.tensor,
    j_low: tl.tensor,
    j_high: tl.tensor,
    first_low: tl.tensor,
    first_high: tl.tensor,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
) -> tl.tensor:
    """False only where the block-sparse pattern lets no query of a block see a key of another."""
    nearest = (i_low - first_low) // BLOCK - (tl.maximum(j_high - first_low, 0)) // BLOCK
    farthest = (i_high - first_low) // BLOCK - (tl.maximum(j_low - first_low, 0)) // BLOCK
    # Where the queries are of several documents nothing is known.
    return (first_low != first_high) | (nearest < LOCAL) | (farthest // STRIDE * STRIDE >= nearest)


@triton.jit
def attend(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    k_stride: int,
    v_stride: int,
    begin: tl.tensor,
    stop: tl.tensor,
    i: tl.tensor,
    first: tl.tensor,
    i_low: tl.tensor,
    first_low: tl.tensor,
    first_high: tl.tensor,
    tokens: int,
    width: int,
    scale: float,
    largest: tl.tensor,
    total: tl.tensor,
    output: tl.tensor,
    MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Add the keys from `begin` to `stop` to the running softmax of a block of queries."""
    column = tl.arange(0, WIDTH)
    for j_low in range(begin, stop, KEYS):
        wanted = True
        if BLOCK > 0:
            wanted = may_see(
                i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, first_high, BLOCK, LOCAL, STRIDE
            )
        if wanted:
            j = j_low + tl.arange(0, KEYS)
            there = (j < tokens)[:, None] & (column < width)[None, :]
            keys = tl.load(k + j.to(tl.int64)[:, None] * k_stride + column[None, :], mask=there, other=0.0)
            scores = dot(q, tl.trans(keys), tl.zeros((QUERIES, KEYS), dtype=tl.float32), PRECISION) * scale
            if MASKED:
                seen = sees(i[:, None], j[None, :], first[:, None], BLOCK, LOCAL, STRIDE)
                scores = tl.where(seen, scores, float("-inf"))
            larger = tl.maximum(largest, tl.max(scores, axis=1))
            # A query that has seen nothing yet: zero keeps minus infinity less itself from becoming NaN.
            shift = tl.where(larger == float("-inf"), 0.0, larger)
            weights = tl.exp2(scores - shift[:, None])
            shrink = tl.exp2(largest - shift)
            total = total * shrink + tl.sum(weights, axis=1)
            values = tl.load(v + j.to(tl.int64)[:, None] * v_stride + column[None, :], mask=there, other=0.0)
            output = dot(rounded(weights, v.dtype.element_ty), values, output * shrink[:, None], PRECISION)
            largest = larger
    return largest, total, output


@triton.jit
def forward_kernel(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    first_keys: tl.tensor,
    y: tl.tensor,
    logsumexp: tl.tensor,
    tokens: int,
    heads: int,
    heads_per_key: int,
    width: int,
    scale: float,
    q_token_stride: int,
    q_head_stride: int,
    k_token_stride: int,
    k_head_stride: int,
    v_token_stride: int,
    v_head_stride: int,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Outputs and log-sum-exps of a block of queries of one head."""
    # The last queries have the most keys: they start first.
    i_low = (tl.num_programs(0) - 1 - tl.program_id(0)) * QUERIES
    head = tl.program_id(1)
    key_head = head // heads_per_key
    i = i_low + tl.arange(0, QUERIES)
    column = tl.arange(0, WIDTH)
    there = (i < tokens)[:, None] & (column < width)[None, :]
    queries = tl.load(
        q + i.to(tl.int64)[:, None] * q_token_stride + head * q_head_stride + column[None, :], mask=there, other=0.0
    )
    first = tl.load(first_keys + i, mask=i < tokens, other=tokens)
    first_low = tl.load(first_keys + i_low)
    first_high = tl.load(first_keys + tl.minimum(i_low + QUERIES, tokens) - 1)
    stop = tl.minimum(i_low + QUERIES, tokens)
    # Between these no mask is needed: the keys that all queries of the block see.
    open_begin = tl.minimum(first_low + tl.cdiv(first_high - first_low, KEYS) * KEYS, stop)
    open_stop = tl.maximum(first_low + (i_low + 1 - first_low) // KEYS * KEYS, open_begin)
    if BLOCK > 0:
        open_begin = stop
        open_stop = stop
    k += key_head * k_head_stride
    v += key_head * v_head_stride
    largest = tl.full((QUERIES,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((QUERIES,), dtype=tl.float32)
    output = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
    scale_2 = scale * _LOG2_E
    largest, total, output = attend(
        queries, k, v, k_token_stride, v_token_stride, first_low, open_begin, i, first, i_low, first_low, first_high,
        tokens, width, scale_2, largest, total, output,
        True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
    )  # fmt: skip
    if BLOCK == 0:
        largest, total, output = attend(
            queries, k, v, k_token_stride, v_token_stride, open_begin, open_stop, i, first, i_low, first_low,
            first_high, tokens, width, scale_2, largest, total, output,
            False, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
        largest, total, output = attend(
            queries, k, v, k_token_stride, v_token_stride, open_stop, stop, i, first, i_low, first_low, first_high,
            tokens, width, scale_2, largest, total, output,
            True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
    total = tl.where(total == 0.0, 1.0, total)
    place = i.to(tl.int64)[:, None] * (heads * width) + head * width + column[None, :]
    store(y + place, output / total[:, None], there)
    tl.store(logsumexp + head.to(tl.int64) * tokens + i, (largest + tl.log2(total)) * _LN_2, mask=i < tokens)


@triton.jit
def products_kernel(
    grad: tl.tensor,
    y: tl.tensor,
    products: tl.tensor,
    rows: int,
    tokens: int,
    heads: int,
    width: int,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """rowsum(dO * O), of all heads of all tokens, stored heads first."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    mask = (row < rows)[:, None] & (column < width)[None, :]
    place = row[:, None] * width + column[None, :]
    product = tl.sum(load(grad + place, mask) * load(y + place, mask), axis=1)
    tl.store(products + (row % heads) * tokens + row // heads, product, mask=row < rows)


@triton.jit
def query_grad_kernel(
    grad: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    first_keys: tl.tensor,
    logsumexp: tl.tensor,
    products: tl.tensor,
    q_grad: tl.tensor,
    tokens: int,
    heads: int,
    heads_per_key: int,
    width: int,
    scale: float,
    q_token_stride: int,
    q_head_stride: int,
    k_token_stride: int,
    k_head_stride: int,
    v_token_stride: int,
    v_head_stride: int,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Gradient of a block of queries of one head."""
    i_low = (tl.num_programs(0) - 1 - tl.program_id(0)) * QUERIES
    head = tl.program_id(1)
    key_head = head // heads_per_key
    i = i_low + tl.arange(0, QUERIES)
    column = tl.arange(0, WIDTH)
    there = (i < tokens)[:, None] & (column < width)[None, :]
    place = i.to(tl.int64)[:, None] * (heads * width) + head * width + column[None, :]
    queries = tl.load(
        q + i.to(tl.int64)[:, None] * q_token_stride + head * q_head_stride + column[None, :], mask=there, other=0.0
    )
    upstream = tl.load(grad + place, mask=there, other=0.0)
    first = tl.load(first_keys + i, mask=i < tokens, other=tokens)
    first_low = tl.load(first_keys + i_low)
    first_high = tl.load(first_keys + tl.minimum(i_low + QUERIES, tokens) - 1)
    normal = load(logsumexp + head.to(tl.int64) * tokens + i, i < tokens) * _LOG2_E
    product = load(products + head.to(tl.int64) * tokens + i, i < tokens)
    k += key_head * k_head_stride
    v += key_head * v_head_stride
    total = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
    for j_low in range(first_low, tl.minimum(i_low + QUERIES, tokens), KEYS):
        wanted = True
        if BLOCK > 0:
            wanted = may_see(
                i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, first_high, BLOCK, LOCAL, STRIDE
            )
        if wanted:
            j = j_low + tl.arange(0, KEYS)
            inside = (j < tokens)[:, None] & (column < width)[None, :]
            keys = tl.load(k + j.to(tl.int64)[:, None] * k_token_stride + column[None, :], mask=inside, other=0.0)
            values = tl.load(v + j.to(tl.int64)[:, None] * v_token_stride + column[None, :], mask=inside, other=0.0)
            zero = tl.zeros((QUERIES, KEYS), dtype=tl.float32)
            scores = dot(queries, tl.trans(keys), zero, PRECISION) * (scale * _LOG2_E)
            seen = sees(i[:, None], j[None, :], first[:, None], BLOCK, LOCAL, STRIDE)
            weights = tl.where(seen, tl.exp2(scores - normal[:, None]), 0.0)
            inner = weights * (dot(upstream, tl.trans(values), zero, PRECISION) - product[:, None])
            total = dot(rounded(inner, k.dtype.element_ty), keys, total, PRECISION)
    store(q_grad + place, total * scale, there)


@triton.jit
def key_grad_kernel(
    grad: tl.tensor,
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    first_keys: tl.tensor,
    last_queries: tl.tensor,
    logsumexp: tl.tensor,
    products: tl.tensor,
    k_grad: tl.tensor,
    v_grad: tl.tensor,
    tokens: int,
    heads: int,
    heads_per_key: int,
    width: int,
    scale: float,
    q_token_stride: int,
    q_head_stride: int,
    k_token_stride: int,
    k_head_stride: int,
    v_token_stride: int,
    v_head_stride: int,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Gradients of a block of keys and values of one key head."""
    j_low = tl.program_id(0) * KEYS
    key_head = tl.program_id(1)
    j = j_low + tl.arange(0, KEYS)
    column = tl.arange(0, WIDTH)
    there = (j < tokens)[:, None] & (column < width)[None, :]
    keys = tl.load(
        k + j.to(tl.int64)[:, None] * k_token_stride + key_head * k_head_stride + column[None, :], mask=there, other=0.0
    )
    values = tl.load(
        v + j.to(tl.int64)[:, None] * v_token_stride + key_head * v_head_stride + column[None, :], mask=there, other=0.0
    )
    stop = tl.load(last_queries + tl.minimum(j_low + KEYS, tokens) - 1) + 1
    k_total = tl.zeros((KEYS, WIDTH), dtype=tl.float32)
    v_total = tl.zeros((KEYS, WIDTH), dtype=tl.float32)
    # The query heads that share the key head follow one another: nothing is added by several programs.
    for head in range(key_head * heads_per_key, (key_head + 1) * heads_per_key):
        for i_low in range(j_low, stop, QUERIES):
            wanted = True
            if BLOCK > 0:
                first_low = tl.load(first_keys + i_low)
                first_high = tl.load(first_keys + tl.minimum(i_low + QUERIES, tokens) - 1)
                wanted = may_see(
                    i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, first_high, BLOCK, LOCAL, STRIDE
                )
            if wanted:
                i = i_low + tl.arange(0, QUERIES)
                inside = (i < tokens)[:, None] & (column < width)[None, :]
                i_long = i.to(tl.int64)
                queries = tl.load(
                    q + i_long[:, None] * q_token_stride + head * q_head_stride + column[None, :],
                    mask=inside,
                    other=0.0,
                )
                upstream = tl.load(
                    grad + i_long[:, None] * (heads * width) + head * width + column[None, :], mask=inside, other=0.0
                )
                first = tl.load(first_keys + i, mask=i < tokens, other=tokens)
                row = head * tokens + i
                normal = load(logsumexp + row, i < tokens) * _LOG2_E
                product = load(products + row, i < tokens)
                zero = tl.zeros((KEYS, QUERIES), dtype=tl.float32)
                scores = dot(keys, tl.trans(queries), zero, PRECISION) * (scale * _LOG2_E)
                seen = sees(i[None, :], j[:, None], first[None, :], BLOCK, LOCAL, STRIDE)
                weights = tl.where(seen, tl.exp2(scores - normal[None, :]), 0.0)
                v_total = dot(rounded(weights, v.dtype.element_ty), upstream, v_total, PRECISION)
                inner = weights * (dot(values, tl.trans(upstream), zero, PRECISION) - product[None, :])
                k_total = dot(rounded(inner, k.dtype.element_ty), queries, k_total, PRECISION)
    place = j.to(tl.int64)[:, None] * (tl.num_programs(1) * width) + key_head * width + column[None, :]
    store(k_grad + place, k_total * scale, there)
    store(v_grad + place, v_total, there)


def bounds(documents: Tensor, tokens: int, window: int) -> tuple[Tensor, Tensor]:
    """The first key that each query sees, and the last query that sees each key: int32 [T], [T]."""
    place_T = torch.arange(tokens, dtype=torch.int32, device=documents.device)
    documents = documents.to(torch.int32)
    document_T = torch.searchsorted(documents, place_T, right=True)
    first_T, last_T = documents[document_T - 1], documents[document_T] - 1
    if window:
        first_T = torch.maximum(first_T, place_T - (window - 1))
        last_T = torch.minimum(last_T, place_T + (window - 1))
    return first_T, last_T


def forward(
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    window: int,
    block: int,
    local: int,
    stride: int,
    tile: Tile | None = None,
) -> tuple[Tensor, Tensor]:
    """Launch the forward kernel: [T, N, H] and the log-sum-exp of each query, float32 [N, T]."""
    q_TNH, k_TMH, v_TMH = rows_contiguous(q_TNH), rows_contiguous(k_TMH), rows_contiguous(v_TMH)
    tokens, heads, width = q_TNH.shape
    y_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype, device=q_TNH.device)
    logsumexp_NT = torch.empty(heads, tokens, dtype=torch.float32, device=q_TNH.device)
    first_T, _ = bounds(documents, tokens, window)
    tile = tile or tile_of(q_TNH, FORWARD_TILES)
    with device_of(q_TNH):
        forward_kernel[(blocks(tokens, tile.queries), heads)](
            q_TNH,
            k_TMH,
            v_TMH,
            first_T,
            y_TNH,
            logsumexp_NT,
            tokens,
            heads,
            heads // k_TMH.shape[1],
            width,
            width**-0.5,
            *q_TNH.stride()[:2],
            *k_TMH.stride()[:2],
            *v_TMH.stride()[:2],
            BLOCK=block,
            LOCAL=local,
            STRIDE=stride,
            PRECISION=dot_precision(q_TNH),
            QUERIES=tile.queries,
            KEYS=tile.keys,
            WIDTH=power_of_two(width, least=16),
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return y_TNH, logsumexp_NT


def backward(
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
    tile: Tile | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the backward kernels: the gradients of q, k and v."""
    grad_TNH, y_TNH = grad_TNH.contiguous(), y_TNH.contiguous()
    q_TNH, k_TMH, v_TMH = rows_contiguous(q_TNH), rows_contiguous(k_TMH), rows_contiguous(v_TMH)
    tokens, heads, width = q_TNH.shape
    key_heads = k_TMH.shape[1]
    columns = power_of_two(width, least=16)
    q_grad_TNH, k_grad_TMH, v_grad_TMH = (
        torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q_TNH, k_TMH, v_TMH)
    )
    products_NT = torch.empty(heads, tokens, dtype=torch.float32, device=q_TNH.device)
    first_T, last_T = bounds(documents, tokens, window)
    tile = tile or tile_of(q_TNH, BACKWARD_TILES)
    rows = rows_per_program(columns)
    strides = (*q_TNH.stride()[:2], *k_TMH.stride()[:2], *v_TMH.stride()[:2])
    numbers = (tokens, heads, heads // key_heads, width, width**-0.5, *strides)
    constants = {
        "BLOCK": block,
        "LOCAL": local,
        "STRIDE": stride,
        "PRECISION": dot_precision(q_TNH),
        "QUERIES": tile.queries,
        "KEYS": tile.keys,
        "WIDTH": columns,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
    }
    with device_of(q_TNH):
        products_kernel[(blocks(tokens * heads, rows),)](
            grad_TNH, y_TNH, products_NT, tokens * heads, tokens, heads, width, ROWS=rows, WIDTH=columns
        )
        query_grad_kernel[(blocks(tokens, tile.queries), heads)](
            grad_TNH, q_TNH, k_TMH, v_TMH, first_T, logsumexp_NT, products_NT, q_grad_TNH, *numbers, **constants
        )
        key_grad_kernel[(blocks(tokens, tile.keys), key_heads)](
            grad_TNH, q_TNH, k_TMH, v_TMH, first_T, last_T, logsumexp_NT, products_NT, k_grad_TMH, v_grad_TMH,
            *numbers, **constants,
        )  # fmt: skip
    return q_grad_TNH, k_grad_TMH, v_grad_TMH
