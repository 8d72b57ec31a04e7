"""Triton kernels of `model.kernels.grouped_gemm`.

A grid is as large as the worst case of ragged groups; each program finds its expert in the offsets, so that nothing
waits for the device to tell how many rows an expert has.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.launch import architecture, blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import dot, dot_precision, load, store


class Tile(NamedTuple):
    """Sizes of a block of the product: rows and columns of the result, length of a step of the sum."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


TILES: Final = {
    "ampere": Tile(128, 128, 64, 8, 3),
    "hopper": Tile(128, 256, 64, 8, 3),
    "blackwell": Tile(128, 128, 64, 8, 3),
    "cdna": Tile(128, 128, 64, 8, 3),
}
"""For 16-bit products, by architecture; that of Hopper was the fastest of ten on an H100."""
TRANSPOSED_TILE: Final = Tile(128, 128, 64, 8, 3)
"""For the gradient of the weights, on all of them: larger blocks were slower on an H100."""
UNEVEN_TILE: Final = Tile(64, 64, 32, 4, 2)
"""Where sizes are no multiple of a block: masks take registers."""
SINGLE_TILE: Final = Tile(64, 32, 32, 4, 2)
"""For float32: exact products run on no tensor core, and of larger blocks the registers overflow."""
INTERPRETED_TILE: Final = Tile(32, 32, 32, 1, 1)
_GROUP: Final = 8
"""Blocks of rows whose programs run together, so that they find the weights in the cache of the GPU."""


def tile_of(tensor: Tensor, depth: int, width: int) -> Tile:
    """The block of `multiply` for the dtype of a tensor and the sizes of an expert's weights."""
    if INTERPRETED:
        return INTERPRETED_TILE
    if tensor.dtype == torch.float32:
        return SINGLE_TILE
    for tile in (TILES[architecture()], TRANSPOSED_TILE):
        if depth % tile.depth == 0 and width % tile.columns == 0:
            return tile
    return UNEVEN_TILE


def transposed_tile_of(tensor: Tensor, depth: int, width: int) -> Tile:
    """The block of `multiply_transposed`."""
    if INTERPRETED:
        return INTERPRETED_TILE
    if tensor.dtype == torch.float32:
        return SINGLE_TILE
    even = depth % TRANSPOSED_TILE.rows == 0 and width % TRANSPOSED_TILE.columns == 0
    return TRANSPOSED_TILE if even else UNEVEN_TILE


@triton.jit
def multiply_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    y: tl.tensor,
    offsets: tl.tensor,
    tokens: tl.tensor,
    depth: int,
    width: int,
    experts: int,
    x_stride: int,
    expert_stride: int,
    weight_stride: int,
    TRANSPOSED: tl.constexpr,
    GATHER: tl.constexpr,
    EVEN: tl.constexpr,
    PRECISION: tl.constexpr,
    EXPERTS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
) -> None:
    """A block of y = x W, of the rows of one expert."""
    column_blocks = tl.cdiv(width, COLUMNS)
    row_blocks = tl.num_programs(0) // column_blocks
    program = tl.program_id(0)
    group = program // (GROUP * column_blocks)
    group_rows = tl.minimum(row_blocks - group * GROUP, GROUP)
    within = program % (GROUP * column_blocks)
    row_block = group * GROUP + within % group_rows
    column_block = within // group_rows

    place = tl.arange(0, EXPERTS)
    end = tl.load(offsets + place, mask=place < experts, other=0)
    start = tl.load(offsets + place - 1, mask=(place > 0) & (place < experts), other=0)
    expert_blocks = tl.where(place < experts, tl.cdiv(end - start, ROWS), 0)
    last_blocks = tl.cumsum(expert_blocks, axis=0)
    expert = tl.sum((last_blocks <= row_block).to(tl.int32), axis=0)
    if expert >= experts:
        return
    mine = place == expert
    expert_end = tl.sum(tl.where(mine, end, 0), axis=0)
    first_block = tl.sum(tl.where(mine, last_blocks - expert_blocks, 0), axis=0)
    first_row = tl.sum(tl.where(mine, start, 0), axis=0) + (row_block - first_block) * ROWS

    row = first_row + tl.arange(0, ROWS)
    in_group = row < expert_end
    # Rows past the group are read from its last row, and not stored: a load without a mask is one instruction.
    source = tl.minimum(row, expert_end - 1)
    if GATHER:
        source = tl.load(tokens + source)
    column = column_block * COLUMNS + tl.arange(0, COLUMNS)
    step = tl.arange(0, DEPTH)
    x_block = x + source.to(tl.int64)[:, None] * x_stride + step[None, :]
    weight_block = weight + expert.to(tl.int64) * expert_stride
    # The stride of one is no argument: only what the compiler knows it loads 16 bytes at a time.
    if TRANSPOSED:
        weight_block = weight_block + column.to(tl.int64)[None, :] * weight_stride + step[:, None]
    else:
        weight_block = weight_block + step.to(tl.int64)[:, None] * weight_stride + column[None, :]
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for first in range(0, depth, DEPTH):
        if EVEN:
            a = tl.load(x_block)
            b = tl.load(weight_block)
        else:
            inside = first + step < depth
            a = tl.load(x_block, mask=inside[None, :], other=0.0)
            b = tl.load(weight_block, mask=inside[:, None] & (column < width)[None, :], other=0.0)
        total = dot(a, b, total, PRECISION)
        x_block += DEPTH
        if TRANSPOSED:
            weight_block += DEPTH
        else:
            weight_block += DEPTH * weight_stride
    target = y + row.to(tl.int64)[:, None] * width + column[None, :]
    store(target, total, in_group[:, None] & (column < width)[None, :])


@triton.jit
def transposed_kernel(
    x: tl.tensor,
    grad: tl.tensor,
    weight_grad: tl.tensor,
    offsets: tl.tensor,
    x_tokens: tl.tensor,
    grad_tokens: tl.tensor,
    depth: int,
    width: int,
    x_stride: int,
    grad_stride: int,
    expert_stride: int,
    weight_stride: int,
    TRANSPOSED: tl.constexpr,
    GATHER_X: tl.constexpr,
    GATHER_GRAD: tl.constexpr,
    EVEN: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
) -> None:
    """A block of dW = x^T dy of one expert."""
    column_blocks = tl.cdiv(width, COLUMNS)
    row_block = tl.program_id(0) // column_blocks
    column_block = tl.program_id(0) % column_blocks
    expert = tl.program_id(1)
    end = tl.load(offsets + expert)
    start = tl.load(offsets + expert - 1, mask=expert > 0, other=0)
    row = row_block * ROWS + tl.arange(0, ROWS)
    column = column_block * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for first in range(start, end, DEPTH):
        place = first + tl.arange(0, DEPTH)
        inside = place < end
        # Past the group the last row again, and nothing of the gradient for it: one mask instead of two.
        x_row = tl.minimum(place, end - 1)
        grad_row = x_row
        if GATHER_X:
            x_row = tl.load(x_tokens + x_row)
        if GATHER_GRAD:
            grad_row = tl.load(grad_tokens + grad_row)
        x_block = x + x_row.to(tl.int64)[:, None] * x_stride + row[None, :]
        grad_block = grad + grad_row.to(tl.int64)[:, None] * grad_stride + column[None, :]
        if EVEN:
            a = tl.load(x_block)
            b = tl.load(grad_block, mask=inside[:, None], other=0.0)
        else:
            a = tl.load(x_block, mask=(row < depth)[None, :], other=0.0)
            b = tl.load(grad_block, mask=inside[:, None] & (column < width)[None, :], other=0.0)
        total = dot(tl.trans(a), b, total, PRECISION)
    target = weight_grad + expert.to(tl.int64) * expert_stride
    if TRANSPOSED:
        target = target + column.to(tl.int64)[None, :] * weight_stride + row[:, None]
    else:
        target = target + row.to(tl.int64)[:, None] * weight_stride + column[None, :]
    store(target, total, (row < depth)[:, None] & (column < width)[None, :])


@triton.jit
def combine_kernel(
    x: tl.tensor,
    positions: tl.tensor,
    y: tl.tensor,
    rows: int,
    width: int,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Sum the K rows of each token of a block."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = (row < rows)[:, None] & (column < width)[None, :]
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for k in tl.static_range(K):
        source = tl.load(positions + row * K + k, mask=row < rows, other=0)
        total += load(x + source.to(tl.int64)[:, None] * width + column[None, :], mask)
    store(y + row[:, None] * width + column[None, :], total, mask)


def transposed(weight_EDF: Tensor) -> bool:
    """Whether the weights lie in memory as [E, F, D]."""
    return weight_EDF.shape[2] > 1 and weight_EDF.stride(2) != 1


def multiply(
    x: Tensor, weight_EDF: Tensor, offsets_E: Tensor, tokens_S: Tensor | None, tile: Tile | None = None
) -> Tensor:
    """Launch the product of rows with their experts' weights: [S, F] in sorted order."""
    x = rows_contiguous(x)
    experts, depth, width = weight_EDF.shape
    tile = tile or tile_of(x, depth, width)
    rows = x.shape[0] if tokens_S is None else tokens_S.shape[0]
    y_SF = torch.empty(rows, width, dtype=x.dtype, device=x.device)
    if rows == 0:
        return y_SF
    # Every group may end with a block that is not full.
    row_blocks = min(rows, blocks(rows, tile.rows) + experts - 1)
    with device_of(x):
        multiply_kernel[(row_blocks * blocks(width, tile.columns),)](
            x,
            weight_EDF,
            y_SF,
            offsets_E,
            offsets_E if tokens_S is None else tokens_S,
            depth,
            width,
            experts,
            x.stride(0),
            weight_EDF.stride(0),
            weight_EDF.stride(2 if transposed(weight_EDF) else 1),
            TRANSPOSED=transposed(weight_EDF),
            GATHER=tokens_S is not None,
            EVEN=depth % tile.depth == 0 and width % tile.columns == 0,
            PRECISION=dot_precision(x),
            EXPERTS=power_of_two(experts),
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            DEPTH=tile.depth,
            GROUP=_GROUP,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return y_SF


def multiply_transposed(
    x: Tensor,
    grad: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    x_tokens_S: Tensor | None,
    grad_tokens_S: Tensor | None,
    tile: Tile | None = None,
) -> Tensor:
    """Launch the gradient of the weights, laid out as they are; zero for an expert without rows."""
    x, grad = rows_contiguous(x), rows_contiguous(grad)
    experts, depth, width = weight_EDF.shape
    tile = tile or transposed_tile_of(x, depth, width)
    weight_grad_EDF = torch.empty_like(weight_EDF)
    with device_of(x):
        transposed_kernel[(blocks(depth, tile.rows) * blocks(width, tile.columns), experts)](
            x,
            grad,
            weight_grad_EDF,
            offsets_E,
            offsets_E if x_tokens_S is None else x_tokens_S,
            offsets_E if grad_tokens_S is None else grad_tokens_S,
            depth,
            width,
            x.stride(0),
            grad.stride(0),
            weight_grad_EDF.stride(0),
            weight_grad_EDF.stride(2 if transposed(weight_grad_EDF) else 1),
            TRANSPOSED=transposed(weight_grad_EDF),
            GATHER_X=x_tokens_S is not None,
            GATHER_GRAD=grad_tokens_S is not None,
            EVEN=depth % tile.rows == 0 and width % tile.columns == 0,
            PRECISION=dot_precision(x),
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            DEPTH=tile.depth,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return weight_grad_EDF


def combine(x_SF: Tensor, positions_TK: Tensor) -> Tensor:
    """Launch the sum of the sorted rows of each token: [T, F]."""
    tokens, per_token = positions_TK.shape
    width = x_SF.shape[1]
    y_TF = torch.empty(tokens, width, dtype=x_SF.dtype, device=x_SF.device)
    columns = min(1024, power_of_two(width))
    per_program = rows_per_program(columns)
    with device_of(x_SF):
        combine_kernel[(blocks(tokens, per_program), blocks(width, columns))](
            x_SF,
            positions_TK.contiguous(),
            y_TF,
            tokens,
            width,
            K=per_token,
            ROWS=per_program,
            COLUMNS=columns,
        )
    return y_TF
