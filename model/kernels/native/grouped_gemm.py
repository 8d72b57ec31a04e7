"""The grouped matrix product and its gradients on CPUs: threads share the columns, so that each packs only its own."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from curator.kernel import numba
from model.kernels.native.gemm import (
    DEPTH,
    TILE_SPACE,
    fill_up,
    multiply_panels,
    new_workspace,
    pack_panel,
    pack_rows,
    share,
    table_at,
    whole_tiles,
)
from model.kernels.native.regions import Region, address, compiled, next_part, numbers_of
from model.kernels.native.vectors import TILE_BYTES, TILE_ROWS, bytes_of, pointer

@compiled
def _multiply_part(data: int, part: int, like: Any) -> None:
    numbers = numbers_of(data)
    parts, x, x_step, gather, weight, expert_step, depth_step, column_step = numbers[:8]
    offsets, experts, y, y_step, scatter, y_rows, depth, columns = numbers[8:16]
    workspace, space = numbers[16:18]
    size = bytes_of(like)
    wide = TILE_BYTES // size
    first, until = share((columns + wide - 1) // wide, part, parts)
    if first == until:
        return
    mine = min(until * wide, columns) - first * wide
    ends = numba.carray(pointer(offsets, np.int32(0)), experts)
    gathered = numba.carray(pointer(gather, np.int32(0)), ends[experts - 1])
    scattered = numba.carray(pointer(scatter, np.int32(0)), ends[experts - 1])
    panels = workspace + part * space
    unread = panels + (until - first) * min(depth, DEPTH) * TILE_BYTES
    tile = unread + (columns + wide) * size
    left_table = tile + TILE_SPACE
    result_table = left_table + 8 * (ends[experts - 1] + TILE_ROWS)
    if scatter:
        for row in range(y_rows):
            target = numba.carray(pointer(y + (row * y_step + first * wide) * size, like), mine)
            target[:] = 0
    start = 0
    for expert in range(experts):
        rows = ends[expert] - start
        if rows == 0:
            continue
        left = table_at(left_table, whole_tiles(rows))
        results = table_at(result_table, whole_tiles(rows))
        for row in range(rows):
            left[row] = x + (gathered[start + row] if gather else start + row) * x_step * size
            results[row] = y + (scattered[start + row] if scatter else start + row) * y_step * size
        fill_up(left, rows, left[rows - 1])
        fill_up(results, rows, unread)
        for begin in range(0, depth, DEPTH):
            deep = min(DEPTH, depth - begin)
            for number in range(until - first):
                column = (first + number) * wide
                pack_panel(
                    weight + (expert * expert_step + begin * depth_step + column * column_step) * size,
                    depth_step,
                    column_step,
                    deep,
                    min(wide, columns - column),
                    panels + number * deep * TILE_BYTES,
                    like,
                )
            multiply_panels(
                left_table,
                begin * size,
                size,
                rows,
                deep,
                panels,
                mine,
                result_table,
                first * TILE_BYTES,
                begin > 0 or scatter != 0,
                tile,
                like,
            )
        start = ends[expert]


def _multiply_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _multiply_part(data, part, np.float32(0))
        part = next_part(data)


def _multiply_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _multiply_part(data, part, np.float64(0))
        part = next_part(data)


_MULTIPLY: Final = Region(_multiply_single, _multiply_double)


def multiply(
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    gather_S: Tensor | None,
    scatter_S: Tensor | None,
    tokens: int,
) -> Tensor:
    """[R, D], [E, D, F] -> [tokens, F]: row s is read from `gather_S[s]` and added to `scatter_S[s]`, or has its own."""
    y = x_RD.new_empty(tokens, weight_EDF.shape[2])
    if y.numel() == 0:
        return y
    x = x_RD if x_RD.stride(1) == 1 else x_RD.contiguous()
    parts = torch.get_num_threads()
    rows = x_RD.shape[0] if gather_S is None else gather_S.shape[0]
    depth, columns, size = weight_EDF.shape[1], weight_EDF.shape[2], x.itemsize
    space = (
        _panels_of_a_part(columns, size, parts) * min(depth, DEPTH) * TILE_BYTES
        + columns * size
        + TILE_BYTES
        + TILE_SPACE
        + 16 * (rows + TILE_ROWS)
    )
    workspace = new_workspace(parts, space)
    _MULTIPLY.run(
        x.dtype,
        parts,
        parts,
        x.data_ptr(),
        x.stride(0),
        address(gather_S),
        weight_EDF.data_ptr(),
        *weight_EDF.stride(),
        offsets_E.data_ptr(),
        offsets_E.shape[0],
        y.data_ptr(),
        y.stride(0),
        address(scatter_S),
        tokens,
        depth,
        columns,
        workspace.data_ptr(),
        workspace.stride(0),
    )
    return y


@compiled
def _sum_part(data: int, part: int, like: Any) -> None:
    """The gradient of the weights: for each expert, x^T y over its rows."""
    numbers = numbers_of(data)
    parts, x, x_step, gather, y, y_step, scatter, offsets = numbers[:8]
    experts, result, expert_step, row_step, rows, columns = numbers[8:14]
    workspace, space = numbers[14:16]
    size = bytes_of(like)
    wide = TILE_BYTES // size
    first, until = share((columns + wide - 1) // wide, part, parts)
    if first == until:
        return
    mine = min(until * wide, columns) - first * wide
    ends = numba.carray(pointer(offsets, np.int32(0)), experts)
    gathered = numba.carray(pointer(gather, np.int32(0)), ends[experts - 1])
    scattered = numba.carray(pointer(scatter, np.int32(0)), ends[experts - 1])
    filled = whole_tiles(rows)
    tiles = filled // TILE_ROWS
    panels = workspace + part * space
    lefts = panels + (until - first) * DEPTH * TILE_BYTES
    unread = lefts + filled * DEPTH * size
    tile_space = unread + (columns + wide) * size
    left_table = tile_space + TILE_SPACE
    result_table = left_table + 8 * filled
    left, results = table_at(left_table, filled), table_at(result_table, filled)
    x_table = result_table + 8 * filled
    y_table = x_table + 8 * DEPTH
    x_rows, y_rows = table_at(x_table, DEPTH), table_at(y_table, DEPTH)
    start = 0
    for expert in range(experts):
        for row in range(rows):
            results[row] = result + (expert * expert_step + row * row_step) * size
        fill_up(results, rows, unread)
        if ends[expert] == start:
            for row in range(rows):
                target = numba.carray(pointer(results[row] + first * TILE_BYTES, like), mine)
                target[:] = 0
        for begin in range(start, ends[expert], DEPTH):
            deep = min(DEPTH, ends[expert] - begin)
            for k in range(deep):
                x_rows[k] = x + (gathered[begin + k] if gather else begin + k) * x_step * size
                y_rows[k] = y + (scattered[begin + k] if scatter else begin + k) * y_step * size
            pack_rows(y_table, deep, first * wide, mine, panels, wide, like)
            pack_rows(x_table, deep, 0, rows, lefts, TILE_ROWS, like)
            for tile in range(tiles):
                for i in range(TILE_ROWS):
                    left[tile * TILE_ROWS + i] = lefts + (tile * deep * TILE_ROWS + i) * size
            multiply_panels(
                left_table,
                0,
                TILE_ROWS * size,
                rows,
                deep,
                panels,
                mine,
                result_table,
                first * TILE_BYTES,
                begin > start,
                tile_space,
                like,
            )
        start = ends[expert]


def _sum_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _sum_part(data, part, np.float32(0))
        part = next_part(data)


def _sum_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _sum_part(data, part, np.float64(0))
        part = next_part(data)


_SUM: Final = Region(_sum_single, _sum_double)


def multiply_transposed(
    x_RD: Tensor,
    grad_RF: Tensor,
    like_EDF: Tensor,
    offsets_E: Tensor,
    gather_S: Tensor | None,
    scatter_S: Tensor | None,
) -> Tensor:
    """The gradient of the weights [E, D, F], laid out as they are."""
    weight_grad_EDF = torch.empty_like(like_EDF)
    if weight_grad_EDF.numel() == 0:
        return weight_grad_EDF
    if weight_grad_EDF.stride(2) == 1:
        left, left_rows, right, right_rows, target = x_RD, gather_S, grad_RF, scatter_S, weight_grad_EDF
    else:
        left, left_rows, right, right_rows = grad_RF, scatter_S, x_RD, gather_S
        target = weight_grad_EDF.transpose(1, 2)
    left, right = (rows if rows.stride(1) == 1 else rows.contiguous() for rows in (left, right))
    parts = torch.get_num_threads()
    filled, columns, size = whole_tiles(target.shape[1]), target.shape[2], x_RD.itemsize
    space = (
        _panels_of_a_part(columns, size, parts) * DEPTH * TILE_BYTES
        + filled * DEPTH * size
        + columns * size
        + TILE_BYTES
        + TILE_SPACE
        + 16 * (filled + DEPTH)
    )
    workspace = new_workspace(parts, space)
    _SUM.run(
        x_RD.dtype,
        parts,
        parts,
        left.data_ptr(),
        left.stride(0),
        address(left_rows),
        right.data_ptr(),
        right.stride(0),
        address(right_rows),
        offsets_E.data_ptr(),
        offsets_E.shape[0],
        target.data_ptr(),
        target.stride(0),
        target.stride(1),
        target.shape[1],
        columns,
        workspace.data_ptr(),
        workspace.stride(0),
    )
    return weight_grad_EDF


def _panels_of_a_part(columns: int, size: int, parts: int) -> int:
    panels = -(-columns * size // TILE_BYTES)
    return -(-panels // parts)

