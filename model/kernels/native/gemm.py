"""Matrix products by tiles: the right factor packed into panels, the left one read where it stands.

    c_mn (+)= sum_k a_mk b_kn

A panel holds the columns that a tile is wide, one row of them behind the other. A tile reads its rows of `a` by their
addresses: rows may be gathered, and what comes out scattered or summed, at no cost. Blocks of rows stay in the second
cache while the panels pass by, a panel in the first while the rows do (Goto & van de Geijn 2008,
https://doi.org/10.1145/1356052.1356053). Every sum runs over k in order, whoever computes it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from curator.kernel import numba
from model.kernels.native.regions import compiled
from model.kernels.native.vectors import (
    TILE_BYTES,
    TILE_ROWS,
    TILE_VECTORS,
    VECTOR_BYTES,
    bytes_of,
    copy_panel_row,
    copy_tile_column,
    multiply_tile,
    pointer,
    transpose_square,
)

DEPTH: Final = 512
"""Largest depth of a panel."""
TILE_SPACE: Final = TILE_ROWS * (TILE_BYTES + 8)
_BLOCK_BYTES: Final = 160 * 1024
"""Rows of the left factor that are multiplied with all panels before the next: less than half of a second cache."""
_ROWS_AT_ONCE: Final = 32


@compiled
def table_at(address: int, length: int) -> Any:
    """int64 numbers at an address."""
    return numba.carray(pointer(address, np.int64(0)), length)


@compiled
def pack_panel(source: int, row_step: int, column_step: int, depth: int, columns: int, panel: int, like: Any) -> None:
    """Copy `columns` columns of `depth` rows into a panel; steps in numbers. What is left of the panel becomes 0."""
    size = bytes_of(like)
    wide = TILE_BYTES // size
    target = numba.carray(pointer(panel, like), depth * wide)
    if column_step == 1 and columns == wide:
        for k in range(depth):
            row = numba.carray(pointer(source + k * row_step * size, like), wide)
            for j in range(wide):
                target[k * wide + j] = row[j]
        return
    first = 0
    if row_step == 1 and columns == wide:
        lanes = VECTOR_BYTES // size
        first = depth // lanes * lanes
        for k in range(0, first, lanes):
            for part in range(TILE_VECTORS):
                transpose_square(
                    source + (k + part * lanes * column_step) * size,
                    column_step * size,
                    panel + k * TILE_BYTES + part * VECTOR_BYTES,
                    TILE_BYTES,
                    like,
                )
    for k in range(first, depth):
        for j in range(wide):
            target[k * wide + j] = (
                numba.carray(pointer(source + (k * row_step + j * column_step) * size, like), 1)[0]
                if j < columns
                else like
            )


@compiled
def pack_rows(table: int, depth: int, column: int, columns: int, panels: int, width: int, like: Any) -> None:
    """Copy `columns` columns from `column` on, of the `depth` rows whose addresses are in a table, into panels that are
    `width` numbers wide. What is left of the last panel becomes 0."""
    size = bytes_of(like)
    rows = table_at(table, depth)
    whole = columns // width
    rest = columns - whole * width
    # Few rows at a time: they are read along, and often lie so far apart that each is on a page of its own.
    for first in range(0, depth, _ROWS_AT_ONCE):
        until = min(first + _ROWS_AT_ONCE, depth)
        for number in range(whole):
            target = panels + number * depth * width * size
            source = (column + number * width) * size
            if width == TILE_ROWS:
                for k in range(first, until):
                    copy_tile_column(rows[k] + source, target + k * width * size, like)
            else:
                for k in range(first, until):
                    copy_panel_row(rows[k] + source, target + k * width * size, like)
        if rest:
            last = numba.carray(pointer(panels + whole * depth * width * size, like), depth * width)
            for k in range(first, until):
                few = numba.carray(pointer(rows[k] + (column + whole * width) * size, like), rest)
                for j in range(width):
                    last[k * width + j] = few[j] if j < rest else like


@compiled
def rows_of_a_block(depth: int, size: int) -> int:
    """How many rows of so many numbers of `size` bytes are multiplied together: a multiple of TILE_ROWS."""
    return max(1, _BLOCK_BYTES // (depth * size * TILE_ROWS)) * TILE_ROWS


@compiled
def multiply_panels(
    left: int,
    left_offset: int,
    left_step: int,
    rows: int,
    depth: int,
    panels: int,
    panel_step: int,
    columns: int,
    results: int,
    offset: int,
    accumulate: bool,
    tile: int,
    like: Any,
) -> None:
    """Multiply `rows` rows with all panels that cover `columns` columns.

    `left` and `results` are tables of addresses, filled up to a multiple of TILE_ROWS (`results` with that of a row
    that nobody reads). Panels follow each other at `panel_step`. Offsets, steps and addresses count bytes. `tile` is
    the address of TILE_SPACE bytes.
    """
    size = bytes_of(like)
    wide = TILE_BYTES // size
    whole = columns // wide
    rest = columns - whole * wide
    block = rows_of_a_block(depth, size)
    values = numba.carray(pointer(tile, like), TILE_ROWS * wide)
    tile_table = tile + TILE_ROWS * TILE_BYTES
    tile_rows = table_at(tile_table, TILE_ROWS)
    for i in range(TILE_ROWS):
        tile_rows[i] = tile + i * TILE_BYTES
    for first in range(0, rows, block):
        until = min(first + block, rows)
        for number in range(whole):
            panel = panels + number * panel_step
            place = offset + number * TILE_BYTES
            for row in range(first, until, TILE_ROWS):
                multiply_tile(
                    left + 8 * row,
                    left_offset,
                    left_step,
                    panel,
                    results + 8 * row,
                    place,
                    depth,
                    accumulate,
                    like,
                )
        if rest:
            panel = panels + whole * panel_step
            for row in range(first, until, TILE_ROWS):
                multiply_tile(
                    left + 8 * row,
                    left_offset,
                    left_step,
                    panel,
                    tile_table,
                    0,
                    depth,
                    False,
                    like,
                )
                rows_here = table_at(results + 8 * row, TILE_ROWS)
                for i in range(min(TILE_ROWS, until - row)):
                    target = numba.carray(pointer(rows_here[i] + offset + whole * TILE_BYTES, like), rest)
                    for j in range(rest):
                        value = values[i * wide + j]
                        target[j] = target[j] + value if accumulate else value


@compiled
def fill_up(table: Any, rows: int, address: int) -> None:
    """Fill a table of addresses up to a multiple of TILE_ROWS."""
    for row in range(rows, len(table)):
        table[row] = address


@compiled
def share(count: int, part: int, parts: int) -> tuple[int, int]:
    """Where a part of `count` things begins and ends."""
    return count * part // parts, count * (part + 1) // parts


@compiled
def whole_tiles(rows: int) -> int:
    """Rows, filled up to a multiple of TILE_ROWS."""
    return (rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS


def new_workspace(parts: int, space: int) -> Tensor:
    """A row of memory for each part, as many bytes and a few, so that rows begin where a vector may: uint8."""
    return torch.empty(parts, -(-space // 64) * 64, dtype=torch.uint8)


def with_dense_rows(tensor: Tensor) -> Tensor:
    """The tensor, or a copy where the numbers of a row, its last dimension, do not lie end to end."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
