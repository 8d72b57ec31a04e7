"""Triton kernels of `model.kernels.swiglu`: a program takes whole rows, in blocks of columns."""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.launch import blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import load, store

_COLUMNS: Final = 1024
"""Columns of a block at most: backward holds six blocks in registers at once."""


@triton.jit
def forward_kernel(
    packed: tl.tensor,
    scale: tl.tensor,
    y: tl.tensor,
    rows: int,
    width: int,
    packed_stride: int,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Gate a block of rows and columns."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    mask = (row < rows)[:, None] & (column < width)[None, :]
    source = packed + row[:, None] * packed_stride + column[None, :]
    gate = load(source, mask)
    up = load(source + width, mask)
    value = gate * tl.sigmoid(gate) * up
    if SCALED:
        value *= load(scale + row, row < rows)[:, None]
    store(y + row[:, None] * width + column[None, :], value, mask)


@triton.jit
def backward_kernel(
    grad: tl.tensor,
    packed: tl.tensor,
    scale: tl.tensor,
    packed_grad: tl.tensor,
    scale_grad: tl.tensor,
    rows: int,
    width: int,
    packed_stride: int,
    grad_stride: int,
    SCALED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Gradients of a block of rows, over all of their columns."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    factor = tl.full((ROWS,), 1.0, dtype=tl.float32)
    if SCALED:
        factor = load(scale + row, row < rows)
    total = tl.zeros((ROWS,), dtype=tl.float32)
    for first in range(0, width, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        mask = (row < rows)[:, None] & (column < width)[None, :]
        source = packed + row[:, None] * packed_stride + column[None, :]
        gate = load(source, mask)
        up = load(source + width, mask)
        upstream = load(grad + row[:, None] * grad_stride + column[None, :], mask)
        sigmoid = tl.sigmoid(gate)
        silu = gate * sigmoid
        if SCALED:
            total += tl.sum(upstream * silu * up, axis=1)
        upstream *= factor[:, None]
        target = packed_grad + row[:, None] * (2 * width) + column[None, :]
        store(target, upstream * up * sigmoid * (1.0 + gate * (1.0 - sigmoid)), mask)
        store(target + width, upstream * silu, mask)
    if SCALED:
        tl.store(scale_grad + row, total, mask=row < rows)


def forward(packed_SG: Tensor, scale_S: Tensor | None) -> Tensor:
    """Launch the forward kernel."""
    packed_SG = rows_contiguous(packed_SG)
    rows, width = packed_SG.shape[0], packed_SG.shape[1] // 2
    y_SF = torch.empty(rows, width, dtype=packed_SG.dtype, device=packed_SG.device)
    columns = min(_COLUMNS, power_of_two(width))
    per_program = rows_per_program(columns)
    with device_of(packed_SG):
        forward_kernel[(blocks(rows, per_program), blocks(width, columns))](
            packed_SG,
            y_SF if scale_S is None else scale_S.contiguous(),
            y_SF,
            rows,
            width,
            packed_SG.stride(0),
            SCALED=scale_S is not None,
            ROWS=per_program,
            COLUMNS=columns,
        )
    return y_SF


def backward(grad_SF: Tensor, packed_SG: Tensor, scale_S: Tensor | None) -> tuple[Tensor, Tensor]:
    """Launch the backward kernel: gradients of the packed input, and of the scale (empty where there is none)."""
    packed_SG, grad_SF = rows_contiguous(packed_SG), rows_contiguous(grad_SF)
    rows, width = grad_SF.shape
    packed_grad_SG = torch.empty(packed_SG.shape, dtype=packed_SG.dtype, device=packed_SG.device)
    scale_grad_S = torch.empty(0 if scale_S is None else rows, dtype=torch.float32, device=packed_SG.device)
    columns = min(_COLUMNS, power_of_two(width))
    per_program = max(1, rows_per_program(columns) // 2)
    with device_of(packed_SG):
        backward_kernel[(blocks(rows, per_program),)](
            grad_SF,
            packed_SG,
            scale_grad_S if scale_S is None else scale_S.contiguous(),
            packed_grad_SG,
            scale_grad_S,
            rows,
            width,
            packed_SG.stride(0),
            grad_SF.stride(0),
            SCALED=scale_S is not None,
            ROWS=per_program,
            COLUMNS=columns,
        )
    return packed_grad_SG, scale_grad_S
