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
    rows_of_a_block,
    share,
    table_at,
    whole_tiles,
    with_dense_rows,
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
    weight_table = result_table + 8 * (ends[experts - 1] + TILE_ROWS)
    weight_rows = table_at(weight_table, DEPTH)
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
            corner = weight + (expert * expert_step + begin * depth_step) * size
            if column_step == 1:
                for k in range(deep):
                    weight_rows[k] = corner + k * depth_step * size
                pack_rows(weight_table, deep, first * wide, mine, panels, wide, like)
            else:
                for number in range(until - first):
                    column = (first + number) * wide
                    pack_panel(
                        corner + column * column_step * size,
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
                deep * TILE_BYTES,
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
    into: Tensor | None = None,
) -> Tensor:
    """[R, D], [E, D, F] -> [tokens, F], in `into` if given.

    Row s is read from `gather_S[s]`, or from row s, and added to `scatter_S[s]`, or is row s.
    """
    y = x_RD.new_empty(tokens, weight_EDF.shape[2]) if into is None else into
    if y.numel() == 0:
        return y
    x = with_dense_rows(x_RD)
    parts = torch.get_num_threads()
    rows = x_RD.shape[0] if gather_S is None else gather_S.shape[0]
    depth, columns, size = weight_EDF.shape[1], weight_EDF.shape[2], x.itemsize
    space = (
        _panels_of_a_part(columns, size, parts) * min(depth, DEPTH) * TILE_BYTES
        + columns * size
        + TILE_BYTES
        + TILE_SPACE
        + 16 * (rows + TILE_ROWS)
        + 8 * DEPTH
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
    """The gradient of the weights: for each expert, x^T y over its rows. Parts share its rows, or its columns."""
    numbers = numbers_of(data)
    parts, x, x_step, gather, y, y_step, scatter, offsets = numbers[:8]
    experts, result, expert_step, row_step, all_rows, all_columns, add, by_rows = numbers[8:16]
    workspace, space = numbers[16:18]
    size = bytes_of(like)
    wide = TILE_BYTES // size
    first_row, last_row = 0, whole_tiles(all_rows) // TILE_ROWS
    first, until = 0, (all_columns + wide - 1) // wide
    if by_rows:
        first_row, last_row = share(last_row, part, parts)
    else:
        first, until = share(until, part, parts)
    first_row *= TILE_ROWS
    rows = min(last_row * TILE_ROWS, all_rows) - first_row
    columns = min(until * wide, all_columns) - first * wide
    if rows <= 0 or columns <= 0:
        return
    ends = numba.carray(pointer(offsets, np.int32(0)), experts)
    gathered = numba.carray(pointer(gather, np.int32(0)), ends[experts - 1])
    scattered = numba.carray(pointer(scatter, np.int32(0)), ends[experts - 1])
    block = rows_of_a_block(DEPTH, size)
    panels = workspace + part * space
    lefts = panels + (until - first) * DEPTH * TILE_BYTES
    unread = lefts + block * DEPTH * size
    tile_space = unread + (all_columns + wide) * size
    left_table = tile_space + TILE_SPACE
    result_table = left_table + 8 * block
    x_table = result_table + 8 * block
    y_table = x_table + 8 * DEPTH
    left, results = table_at(left_table, block), table_at(result_table, block)
    x_rows, y_rows = table_at(x_table, DEPTH), table_at(y_table, DEPTH)
    start = 0
    for expert in range(experts):
        target = result + (expert * expert_step + first_row * row_step) * size
        if ends[expert] == start and not add:
            for row in range(rows):
                numba.carray(pointer(target + row * row_step * size + first * TILE_BYTES, like), columns)[:] = 0
        for begin in range(start, ends[expert], DEPTH):
            deep = min(DEPTH, ends[expert] - begin)
            for k in range(deep):
                x_rows[k] = x + (gathered[begin + k] if gather else begin + k) * x_step * size
                y_rows[k] = y + (scattered[begin + k] if scatter else begin + k) * y_step * size
            pack_rows(y_table, deep, first * wide, columns, panels, wide, like)
            for top in range(0, rows, block):
                here = min(block, rows - top)
                pack_rows(x_table, deep, first_row + top, here, lefts, TILE_ROWS, like)
                for row in range(here):
                    left[row] = lefts + (row // TILE_ROWS * deep * TILE_ROWS + row % TILE_ROWS) * size
                    results[row] = target + (top + row) * row_step * size
                for row in range(here, whole_tiles(here)):
                    left[row] = left[row - 1] + size
                    results[row] = unread
                multiply_panels(
                    left_table,
                    0,
                    TILE_ROWS * size,
                    here,
                    deep,
                    panels,
                    deep * TILE_BYTES,
                    columns,
                    result_table,
                    first * TILE_BYTES,
                    begin > start or add != 0,
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
    add_transposed(x_RD, grad_RF, weight_grad_EDF, offsets_E, gather_S, scatter_S, add=False)
    return weight_grad_EDF


def add_transposed(
    x_RD: Tensor,
    grad_RF: Tensor,
    total_EDF: Tensor,
    offsets_E: Tensor,
    gather_S: Tensor | None = None,
    scatter_S: Tensor | None = None,
    *,
    add: bool,
) -> None:
    """Write the gradient of the weights into `total_EDF`, or add it to what is there."""
    if total_EDF.numel() == 0:
        return
    if total_EDF.stride(2) == 1:
        left, left_rows, right, right_rows, target = x_RD, gather_S, grad_RF, scatter_S, total_EDF
    else:
        left, left_rows, right, right_rows = grad_RF, scatter_S, x_RD, gather_S
        target = total_EDF.transpose(1, 2)
    left, right = with_dense_rows(left), with_dense_rows(right)
    parts = torch.get_num_threads()
    by_rows = target.shape[1] > target.shape[2]
    columns, size = target.shape[2], left.itemsize
    block = rows_of_a_block(DEPTH, size)
    panels = -(-columns * size // TILE_BYTES) if by_rows else _panels_of_a_part(columns, size, parts)
    space = (
        panels * DEPTH * TILE_BYTES
        + block * DEPTH * size
        + columns * size
        + TILE_BYTES
        + TILE_SPACE
        + 16 * (block + DEPTH)
    )
    workspace = new_workspace(parts, space)
    _SUM.run(
        left.dtype,
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
        int(add),
        int(by_rows),
        workspace.data_ptr(),
        workspace.stride(0),
    )


def _panels_of_a_part(columns: int, size: int, parts: int) -> int:
    panels = -(-columns * size // TILE_BYTES)
    return -(-panels // parts)
