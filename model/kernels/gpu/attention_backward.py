"""Triton kernels of the backward pass of `model.kernels.attention` (FlashAttention-2, Dao 2023, arXiv:2307.08691).

One kernel for the queries and one for keys and values: each block of a gradient is one program's, and nothing is added
by several, so that results repeat exactly.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.attention import (
    INTERPRETED_TILE,
    LOG2_E,
    SINGLE_TILE,
    Tile,
    bounds,
    may_see,
    open_keys,
    sees,
    tile_of,
)
from model.kernels.gpu.launch import blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import dot, dot_precision, load, rounded, store

TILES: Final = {
    ("ampere", 64): (Tile(32, 64, 4, 2), Tile(32, 64, 4, 2)),
    ("ampere", 128): (Tile(64, 64, 8, 1), Tile(64, 64, 8, 1)),
    ("hopper", 64): (Tile(64, 64, 4, 3), Tile(32, 64, 4, 3)),
    ("hopper", 128): (Tile(64, 64, 4, 2), Tile(32, 64, 4, 3)),
    ("blackwell", 64): (Tile(64, 64, 4, 2), Tile(64, 64, 4, 2)),
    ("blackwell", 128): (Tile(64, 32, 8, 2), Tile(32, 64, 4, 2)),
    ("cdna", 64): (Tile(32, 64, 4, 1), Tile(32, 64, 4, 1)),
    ("cdna", 128): (Tile(32, 32, 4, 1), Tile(32, 32, 4, 1)),
}
"""Of the queries' and of the keys' kernel, by architecture and greatest head width; larger ones spill
(`tests/model/kernels/test_ahead_of_time.py`). Those of Hopper were the fastest of nine on an H100."""


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
def query_grad_range(
    queries: tl.tensor,
    upstream: tl.tensor,
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
    tokens: int,
    width: int,
    scale: float,
    normal: tl.tensor,
    product: tl.tensor,
    total: tl.tensor,
    MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> tl.tensor:
    """Add what the keys from `begin` to `stop` give to the gradient of a block of queries."""
    column = tl.arange(0, WIDTH)
    for j_low in range(begin, stop, KEYS):
        wanted = True
        if BLOCK > 0:
            wanted = may_see(i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, BLOCK, LOCAL, STRIDE)
        if wanted:
            j = j_low + tl.arange(0, KEYS)
            inside = (j < tokens)[:, None] & (column < width)[None, :]
            keys = tl.load(k + j.to(tl.int64)[:, None] * k_stride + column[None, :], mask=inside, other=0.0)
            values = tl.load(v + j.to(tl.int64)[:, None] * v_stride + column[None, :], mask=inside, other=0.0)
            zero = tl.zeros((QUERIES, KEYS), dtype=tl.float32)
            weights = tl.exp2(dot(queries, tl.trans(keys), zero, PRECISION) * scale - normal[:, None])
            if MASKED:
                seen = sees(i[:, None], j[None, :], first[:, None], BLOCK, LOCAL, STRIDE)
                weights = tl.where(seen, weights, 0.0)
            inner = weights * (dot(upstream, tl.trans(values), zero, PRECISION) - product[:, None])
            total = dot(rounded(inner, k.dtype.element_ty), keys, total, PRECISION)
    return total


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
    normal = load(logsumexp + head.to(tl.int64) * tokens + i, i < tokens) * LOG2_E
    product = load(products + head.to(tl.int64) * tokens + i, i < tokens)
    stop = tl.minimum(i_low + QUERIES, tokens)
    open_begin, open_stop = open_keys(i_low, first_low, first_high, stop, KEYS)
    k += key_head * k_head_stride
    v += key_head * v_head_stride
    total = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
    scale_2 = scale * LOG2_E
    if BLOCK > 0:
        total = query_grad_range(
            queries, upstream, k, v, k_token_stride, v_token_stride, first_low, stop, i, first, i_low, first_low,
            tokens, width, scale_2, normal, product, total,
            True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
    else:
        total = query_grad_range(
            queries, upstream, k, v, k_token_stride, v_token_stride, first_low, open_begin, i, first, i_low, first_low,
            tokens, width, scale_2, normal, product, total,
            True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
        total = query_grad_range(
            queries, upstream, k, v, k_token_stride, v_token_stride, open_begin, open_stop, i, first, i_low, first_low,
            tokens, width, scale_2, normal, product, total,
            False, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
        total = query_grad_range(
            queries, upstream, k, v, k_token_stride, v_token_stride, open_stop, stop, i, first, i_low, first_low,
            tokens, width, scale_2, normal, product, total,
            True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
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
    scale_2 = scale * LOG2_E
    # The query heads that share the key head follow one another: nothing is added by several programs. One loop over
    # heads and blocks, since of two within each other, or of one for each kind of mask, the registers overflow.
    query_blocks = tl.cdiv(stop - j_low, QUERIES)
    for step in range(heads_per_key * query_blocks):
        head = key_head * heads_per_key + step // query_blocks
        i_low = j_low + step % query_blocks * QUERIES
        wanted = True
        if BLOCK > 0:
            first_low = tl.load(first_keys + i_low)
            wanted = may_see(i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, BLOCK, LOCAL, STRIDE)
        if wanted:
            i = i_low + tl.arange(0, QUERIES)
            inside = (i < tokens)[:, None] & (column < width)[None, :]
            row = i.to(tl.int64)[:, None]
            queries = tl.load(q + row * q_token_stride + head * q_head_stride + column[None, :], mask=inside, other=0.0)
            upstream = tl.load(grad + row * (heads * width) + head * width + column[None, :], mask=inside, other=0.0)
            normal = load(logsumexp + head * tokens + i, i < tokens) * LOG2_E
            product = load(products + head * tokens + i, i < tokens)
            first = tl.load(first_keys + i, mask=i < tokens, other=tokens)
            zero = tl.zeros((KEYS, QUERIES), dtype=tl.float32)
            weights = tl.exp2(dot(keys, tl.trans(queries), zero, PRECISION) * scale_2 - normal[None, :])
            seen = sees(i[None, :], j[:, None], first[None, :], BLOCK, LOCAL, STRIDE)
            weights = tl.where(seen, weights, 0.0)
            v_total = dot(rounded(weights, grad.dtype.element_ty), upstream, v_total, PRECISION)
            inner = weights * (dot(values, tl.trans(upstream), zero, PRECISION) - product[None, :])
            k_total = dot(rounded(inner, q.dtype.element_ty), queries, k_total, PRECISION)
    place = j.to(tl.int64)[:, None] * (tl.num_programs(1) * width) + key_head * width + column[None, :]
    store(k_grad + place, k_total * scale, there)
    store(v_grad + place, v_total, there)


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
    tiles: tuple[Tile, Tile] | None = None,
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
    query_tile, key_tile = tiles or tile_of(
        q_TNH, TILES, (SINGLE_TILE, SINGLE_TILE), (INTERPRETED_TILE, INTERPRETED_TILE)
    )
    rows = rows_per_program(columns)
    strides = (*q_TNH.stride()[:2], *k_TMH.stride()[:2], *v_TMH.stride()[:2])
    numbers = (tokens, heads, heads // key_heads, width, width**-0.5, *strides)
    constants = {
        "BLOCK": block,
        "LOCAL": local,
        "STRIDE": stride,
        "PRECISION": dot_precision(q_TNH),
        "WIDTH": columns,
    }
    with device_of(q_TNH):
        products_kernel[(blocks(tokens * heads, rows),)](
            grad_TNH, y_TNH, products_NT, tokens * heads, tokens, heads, width, ROWS=rows, WIDTH=columns
        )
        query_grad_kernel[(blocks(tokens, query_tile.queries), heads)](
            grad_TNH, q_TNH, k_TMH, v_TMH, first_T, logsumexp_NT, products_NT, q_grad_TNH,
            *numbers, **constants, **query_tile.options(),
        )  # fmt: skip
        key_grad_kernel[(blocks(tokens, key_tile.keys), key_heads)](
            grad_TNH, q_TNH, k_TMH, v_TMH, first_T, last_T, logsumexp_NT, products_NT, k_grad_TMH, v_grad_TMH,
            *numbers, **constants, **key_tile.options(),
        )  # fmt: skip
    return q_grad_TNH, k_grad_TMH, v_grad_TMH
