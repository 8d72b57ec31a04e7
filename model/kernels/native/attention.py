"""Dense causal attention within documents on CPUs, forward and backward.

Threads share the key heads of the documents. Queries are taken in blocks, with all keys that the block may see: the
scores of a block are a matrix that stays in the cache, so its softmax is the plain one, and what lies ahead of a block
is never computed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from curator.kernel import numba
from model.kernels.native.gemm import (
    TILE_SPACE,
    multiply_panels,
    new_workspace,
    pack_panel,
    pack_rows,
    table_at,
    whole_tiles,
)
from model.kernels.native.mathematics import exponential, largest
from model.kernels.native.regions import Region, address, compiled, new_slot, next_part, numbers_of
from model.kernels.native.vectors import TILE_BYTES, TILE_ROWS, bytes_of, number, pointer

_QUERIES: Final = 48
"""Queries of a block: a multiple of the rows of a tile."""


@compiled
def _pack_transposed(source: int, row_step: int, rows: int, width: int, panels: int, like: Any) -> None:
    """Rows of `width` numbers become the columns of panels that are `width` deep."""
    wide = TILE_BYTES // bytes_of(like)
    for panel in range((rows + wide - 1) // wide):
        pack_panel(
            source + panel * wide * row_step * bytes_of(like),
            1,
            row_step,
            width,
            min(wide, rows - panel * wide),
            panels + panel * width * TILE_BYTES,
            like,
        )


@compiled
def _point(table: int, start: int, step: int, rows: int, rest: int) -> None:
    """Fill a table with the addresses of rows, and up to a multiple of TILE_ROWS `rest`, or the last row if it is 0."""
    found = table_at(table, whole_tiles(rows))
    for row in range(rows):
        found[row] = start + row * step
    for row in range(rows, whole_tiles(rows)):
        found[row] = rest or found[rows - 1]


@compiled
def _point_packed(table: int, panels: int, depth: int, rows: int, like: Any) -> None:
    """Fill a table with the addresses of rows that `pack_rows` packed for tiles."""
    found = table_at(table, whole_tiles(rows))
    for row in range(whole_tiles(rows)):
        found[row] = panels + (row // TILE_ROWS * TILE_ROWS * depth + row % TILE_ROWS) * bytes_of(like)


@compiled
def _forward_part(data: int, slot: int, part: int, like: Any) -> None:
    numbers = numbers_of(data)
    q, q_step, k, k_step, v, v_step, documents, y = numbers[:8]
    logsumexp, tokens, heads, key_heads, width, longest, workspace, space = numbers[8:16]
    size = bytes_of(like)
    wide = TILE_BYTES // size
    boundaries = numba.carray(pointer(documents, np.int32(0)), part // key_heads + 2)
    begin, end = boundaries[part // key_heads], boundaries[part // key_heads + 1]
    length = end - begin
    if length == 0:
        return
    key_head, group = part % key_heads, heads // key_heads
    padded = (longest + wide - 1) // wide * wide
    deep = (width + wide - 1) // wide
    k_panels = workspace + slot * space
    v_panels = k_panels + padded * width * size
    scores = v_panels + deep * longest * TILE_BYTES
    tile = scores + _QUERIES * padded * size
    left, results = tile + TILE_SPACE, tile + TILE_SPACE + 8 * _QUERIES
    rows_table = results + 8 * _QUERIES
    unread = rows_table + 8 * longest
    key_start, value_start = (
        k + (begin * k_step + key_head * width) * size,
        v + (begin * v_step + key_head * width) * size,
    )
    _pack_transposed(key_start, k_step, length, width, k_panels, like)
    _point(rows_table, value_start, v_step * size, length, 0)
    pack_rows(rows_table, length, 0, width, v_panels, wide, like)
    scale = number(1 / np.sqrt(float(width)), like)
    for head in range(key_head * group, (key_head + 1) * group):
        sums = numba.carray(pointer(logsumexp + (head * tokens + begin) * size, like), length)
        for first in range(0, length, _QUERIES):
            rows = min(_QUERIES, length - first)
            seen = first + rows
            _point(left, q + ((begin + first) * q_step + head * width) * size, q_step * size, rows, 0)
            _point(results, scores, padded * size, rows, unread)
            multiply_panels(
                left, 0, size, rows, width, k_panels, width * TILE_BYTES, seen, results, 0, False, tile, like
            )
            for row in range(rows):
                score = numba.carray(pointer(scores + row * padded * size, like), seen)
                visible = first + row + 1
                most = largest(scores + row * padded * size, visible, like)
                total = like
                for column in range(visible):
                    score[column] = exponential((score[column] - most) * scale)
                    total += score[column]
                for column in range(visible, seen):
                    score[column] = 0
                sums[first + row] = most * scale + np.log(total)
            _point(left, scores, padded * size, rows, 0)
            target = y + ((begin + first) * heads + head) * width * size
            _point(results, target, heads * width * size, rows, unread)
            multiply_panels(
                left, 0, size, rows, seen, v_panels, length * TILE_BYTES, width, results, 0, False, tile, like
            )
            for row in range(rows):
                score = numba.carray(pointer(scores + row * padded * size, like), seen)
                total = like
                for column in range(seen):
                    total += score[column]
                found = numba.carray(pointer(target + row * heads * width * size, like), width)
                for column in range(width):
                    found[column] /= total


@compiled
def _backward_part(data: int, slot: int, part: int, like: Any) -> None:
    numbers = numbers_of(data)
    q, q_step, k, k_step, v, v_step, documents, y = numbers[:8]
    logsumexp, tokens, heads, key_heads, width, longest, workspace, space = numbers[8:16]
    grad, q_grad, k_grad, v_grad = numbers[16:20]
    size = bytes_of(like)
    wide = TILE_BYTES // size
    boundaries = numba.carray(pointer(documents, np.int32(0)), part // key_heads + 2)
    begin, end = boundaries[part // key_heads], boundaries[part // key_heads + 1]
    length = end - begin
    if length == 0:
        return
    key_head, group = part % key_heads, heads // key_heads
    padded = (longest + wide - 1) // wide * wide
    deep = (width + wide - 1) // wide
    k_columns = workspace + slot * space
    v_columns = k_columns + padded * width * size
    k_panels = v_columns + padded * width * size
    q_panels = k_panels + deep * longest * TILE_BYTES
    grad_panels = q_panels + deep * _QUERIES * TILE_BYTES
    weights = grad_panels + deep * _QUERIES * TILE_BYTES
    scores = weights + _QUERIES * padded * size
    packed = scores + _QUERIES * padded * size
    tile = packed + _QUERIES * whole_tiles(longest) * size
    left, results = tile + TILE_SPACE, tile + TILE_SPACE + 8 * whole_tiles(longest)
    rows_table = results + 8 * whole_tiles(longest)
    unread = rows_table + 8 * whole_tiles(longest)
    key_start, value_start = (
        k + (begin * k_step + key_head * width) * size,
        v + (begin * v_step + key_head * width) * size,
    )
    _pack_transposed(key_start, k_step, length, width, k_columns, like)
    _pack_transposed(value_start, v_step, length, width, v_columns, like)
    _point(rows_table, key_start, k_step * size, length, 0)
    pack_rows(rows_table, length, 0, width, k_panels, wide, like)
    scale = number(1 / np.sqrt(float(width)), like)
    key_grad = k_grad + (begin * key_heads + key_head) * width * size
    value_grad = v_grad + (begin * key_heads + key_head) * width * size
    for row in range(length):
        place = row * key_heads * width * size
        numba.carray(pointer(key_grad + place, like), width)[:] = 0
        numba.carray(pointer(value_grad + place, like), width)[:] = 0
    for head in range(key_head * group, (key_head + 1) * group):
        sums = numba.carray(pointer(logsumexp + (head * tokens + begin) * size, like), length)
        for first in range(0, length, _QUERIES):
            rows = min(_QUERIES, length - first)
            seen = first + rows
            query_start = q + ((begin + first) * q_step + head * width) * size
            place = ((begin + first) * heads + head) * width * size
            step = heads * width * size
            _point(left, query_start, q_step * size, rows, 0)
            _point(results, weights, padded * size, rows, unread)
            multiply_panels(
                left, 0, size, rows, width, k_columns, width * TILE_BYTES, seen, results, 0, False, tile, like
            )
            pack_rows(left, rows, 0, width, q_panels, wide, like)
            _point(left, grad + place, step, rows, 0)
            _point(results, scores, padded * size, rows, unread)
            multiply_panels(
                left, 0, size, rows, width, v_columns, width * TILE_BYTES, seen, results, 0, False, tile, like
            )
            pack_rows(left, rows, 0, width, grad_panels, wide, like)
            for row in range(rows):
                weight = numba.carray(pointer(weights + row * padded * size, like), seen)
                score = numba.carray(pointer(scores + row * padded * size, like), seen)
                upstream = numba.carray(pointer(grad + place + row * step, like), width)
                found = numba.carray(pointer(y + place + row * step, like), width)
                mean = like
                for column in range(width):
                    mean += upstream[column] * found[column]
                visible = first + row + 1
                total = sums[first + row]
                for column in range(visible):
                    weight[column] = exponential(weight[column] * scale - total)
                    score[column] = weight[column] * (score[column] - mean) * scale
                for column in range(visible, seen):
                    weight[column] = 0
                    score[column] = 0
            _point(left, scores, padded * size, rows, 0)
            _point(results, q_grad + place, step, rows, unread)
            multiply_panels(
                left, 0, size, rows, seen, k_panels, length * TILE_BYTES, width, results, 0, False, tile, like
            )
            for source, panels, target in ((scores, q_panels, key_grad), (weights, grad_panels, value_grad)):
                _point(rows_table, source, padded * size, rows, 0)
                pack_rows(rows_table, rows, 0, seen, packed, TILE_ROWS, like)
                _point_packed(left, packed, rows, seen, like)
                _point(results, target, key_heads * width * size, seen, unread)
                multiply_panels(
                    left,
                    0,
                    TILE_ROWS * size,
                    seen,
                    rows,
                    panels,
                    rows * TILE_BYTES,
                    width,
                    results,
                    0,
                    True,
                    tile,
                    like,
                )


def _forward_single(data: int) -> None:
    slot, part = new_slot(data), next_part(data)
    while part >= 0:
        _forward_part(data, slot, part, np.float32(0))
        part = next_part(data)


def _forward_double(data: int) -> None:
    slot, part = new_slot(data), next_part(data)
    while part >= 0:
        _forward_part(data, slot, part, np.float64(0))
        part = next_part(data)


def _backward_single(data: int) -> None:
    slot, part = new_slot(data), next_part(data)
    while part >= 0:
        _backward_part(data, slot, part, np.float32(0))
        part = next_part(data)


def _backward_double(data: int) -> None:
    slot, part = new_slot(data), next_part(data)
    while part >= 0:
        _backward_part(data, slot, part, np.float64(0))
        part = next_part(data)


_FORWARD: Final = Region(_forward_single, _forward_double)
_BACKWARD: Final = Region(_backward_single, _backward_double)


def forward(q_TNH: Tensor, k_TMH: Tensor, v_TMH: Tensor, documents: Tensor) -> tuple[Tensor, Tensor]:
    """[T, N, H], [T, M, H], [T, M, H] -> [T, N, H] and the log of the sums of exponentials [N, T]."""
    y_TNH = torch.empty(q_TNH.shape, dtype=q_TNH.dtype)
    logsumexp_NT = q_TNH.new_empty(q_TNH.shape[1], q_TNH.shape[0])
    _run(_FORWARD, q_TNH, k_TMH, v_TMH, documents, y_TNH, logsumexp_NT)
    return y_TNH, logsumexp_NT


def backward(
    grad_TNH: Tensor,
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    y_TNH: Tensor,
    logsumexp_NT: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v."""
    grads = tuple(torch.empty(x.shape, dtype=x.dtype) for x in (q_TNH, k_TMH, v_TMH))
    _run(
        _BACKWARD,
        q_TNH,
        k_TMH,
        v_TMH,
        documents,
        y_TNH.contiguous(),
        logsumexp_NT.contiguous(),
        grad_TNH.contiguous(),
        *grads,
    )
    return grads[0], grads[1], grads[2]


def _run(
    region: Region,
    q_TNH: Tensor,
    k_TMH: Tensor,
    v_TMH: Tensor,
    documents: Tensor,
    y_TNH: Tensor,
    logsumexp_NT: Tensor,
    *others: Tensor,
) -> None:
    tokens, heads, width = q_TNH.shape
    key_heads = k_TMH.shape[1]
    if q_TNH.numel() == 0:
        return
    q, k, v = (_with_dense_heads(x) for x in (q_TNH, k_TMH, v_TMH))
    boundaries = documents.contiguous()
    longest, size = int(documents.diff().max()), q.itemsize
    wide = TILE_BYTES // size
    padded, deep = -(-longest // wide) * wide, -(-width // wide)
    filled = whole_tiles(longest)
    # Enough for the backward pass, which holds more.
    space = (
        2 * padded * width * size
        + deep * (longest + 2 * _QUERIES) * TILE_BYTES
        + 2 * _QUERIES * padded * size
        + _QUERIES * filled * size
        + TILE_SPACE
        + 8 * (3 * filled + 3 * _QUERIES)
        + (padded + width) * size
        + 2 * TILE_BYTES
    )
    workspace = new_workspace(torch.get_num_threads(), space)
    region.run(
        q.dtype,
        (len(documents) - 1) * key_heads,
        q.data_ptr(),
        q.stride(0),
        k.data_ptr(),
        k.stride(0),
        v.data_ptr(),
        v.stride(0),
        boundaries.data_ptr(),
        y_TNH.data_ptr(),
        logsumexp_NT.data_ptr(),
        tokens,
        heads,
        key_heads,
        width,
        longest,
        workspace.data_ptr(),
        workspace.stride(0),
        *(address(tensor) for tensor in others),
    )


def _with_dense_heads(x_TNH: Tensor) -> Tensor:
    """The tensor, or a copy where the heads of a token do not lie end to end."""
    return x_TNH if x_TNH.stride(2) == 1 and x_TNH.stride(1) == x_TNH.shape[2] else x_TNH.contiguous()
