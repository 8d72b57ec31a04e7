"""Triton kernel of the forward pass of `model.kernels.attention` (FlashAttention-2, Dao 2023, arXiv:2307.08691)."""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.attention import (
    INTERPRETED_TILE,
    LN_2,
    LOG2_E,
    SINGLE_TILE,
    Tile,
    bounds,
    may_see,
    open_keys,
    sees,
    tile_of,
)
from model.kernels.gpu.launch import blocks, device_of, power_of_two, rows_contiguous
from model.kernels.gpu.precision import dot, dot_precision, rounded, store

TILES: Final = {
    ("ampere", 64): Tile(128, 64, 8, 3),
    ("ampere", 128): Tile(128, 32, 8, 2),
    ("hopper", 64): Tile(128, 64, 8, 3),
    ("hopper", 128): Tile(64, 64, 4, 3),
    ("blackwell", 64): Tile(128, 64, 8, 3),
    ("blackwell", 128): Tile(128, 64, 8, 3),
    ("cdna", 64): Tile(128, 64, 8, 1),
    ("cdna", 128): Tile(64, 32, 4, 1),
}
"""By architecture and greatest head width; larger ones spill (`tests/model/kernels/test_ahead_of_time.py`)."""


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
            wanted = may_see(i_low, i_low + QUERIES - 1, j_low, j_low + KEYS - 1, first_low, BLOCK, LOCAL, STRIDE)
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
    open_begin, open_stop = open_keys(i_low, first_low, first_high, stop, KEYS)
    if BLOCK > 0:
        open_begin = stop
    k += key_head * k_head_stride
    v += key_head * v_head_stride
    largest = tl.full((QUERIES,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((QUERIES,), dtype=tl.float32)
    output = tl.zeros((QUERIES, WIDTH), dtype=tl.float32)
    scale_2 = scale * LOG2_E
    largest, total, output = attend(
        queries, k, v, k_token_stride, v_token_stride, first_low, open_begin, i, first, i_low, first_low,
            tokens, width, scale_2, largest, total, output,
        True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
    )  # fmt: skip
    if BLOCK == 0:
        largest, total, output = attend(
            queries, k, v, k_token_stride, v_token_stride, open_begin, open_stop, i, first, i_low, first_low,
            tokens, width, scale_2, largest, total, output,
            False, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
        largest, total, output = attend(
            queries, k, v, k_token_stride, v_token_stride, open_stop, stop, i, first, i_low, first_low,
            tokens, width, scale_2, largest, total, output,
            True, BLOCK, LOCAL, STRIDE, PRECISION, QUERIES, KEYS, WIDTH,
        )  # fmt: skip
    total = tl.where(total == 0.0, 1.0, total)
    place = i.to(tl.int64)[:, None] * (heads * width) + head * width + column[None, :]
    store(y + place, output / total[:, None], there)
    tl.store(logsumexp + head.to(tl.int64) * tokens + i, (largest + tl.log2(total)) * LN_2, mask=i < tokens)


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
    tile = tile or tile_of(q_TNH, TILES, SINGLE_TILE, INTERPRETED_TILE)
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
            WIDTH=power_of_two(width, least=16),
            **tile.options(),
        )
    return y_TNH, logsumexp_NT
