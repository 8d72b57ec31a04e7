"""Triton kernels of `model.kernels.rms_norm`: several rows a program, sums and products in float32."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.launch import (
    blocks,
    device_of,
    power_of_two,
    resident_programs,
    rows_contiguous,
    rows_per_program,
)
from model.kernels.gpu.precision import load, store


@triton.jit
def forward_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    y: tl.tensor,
    scale: tl.tensor,
    rows: int,
    width: int,
    x_stride: int,
    epsilon: float,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Normalise a block of rows and keep the factor of each."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    mask = (row < rows)[:, None] & (column < width)[None, :]
    value = load(x + row[:, None] * x_stride + column[None, :], mask)
    factor = 1.0 / tl.sqrt(tl.sum(value * value, axis=1) / width + epsilon)
    gain = load(weight + column, column < width)
    store(y + row[:, None] * width + column[None, :], value * factor[:, None] * gain[None, :], mask)
    tl.store(scale + row, factor, mask=row < rows)


@triton.jit
def backward_kernel(
    grad: tl.tensor,
    x: tl.tensor,
    weight: tl.tensor,
    scale: tl.tensor,
    x_grad: tl.tensor,
    weight_grad: tl.tensor,
    rows: int,
    width: int,
    x_stride: int,
    grad_stride: int,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Gradients of every P-th block of rows, P programs; each its own sum of the weight's."""
    column = tl.arange(0, WIDTH)
    gain = load(weight + column, column < width)
    total = tl.zeros((WIDTH,), dtype=tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = (block * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        mask = (row < rows)[:, None] & (column < width)[None, :]
        factor = load(scale + row, row < rows)
        normed = load(x + row[:, None] * x_stride + column[None, :], mask) * factor[:, None]
        upstream = load(grad + row[:, None] * grad_stride + column[None, :], mask)
        total += tl.sum(upstream * normed, axis=0)
        inner = upstream * gain[None, :]
        mean = tl.sum(inner * normed, axis=1) / width
        store(
            x_grad + row[:, None] * width + column[None, :],
            (inner - normed * mean[:, None]) * factor[:, None],
            mask,
        )
    tl.store(weight_grad + tl.program_id(0) * width + column, total, mask=column < width)


def forward(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Launch the forward kernel: y and the factor of each row, float32."""
    x_TD = rows_contiguous(x_TD)
    rows, width = x_TD.shape
    y_TD = torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device)
    scale_T = torch.empty(rows, dtype=torch.float32, device=x_TD.device)
    columns = power_of_two(width)
    per_program = rows_per_program(columns)
    with device_of(x_TD):
        forward_kernel[(blocks(rows, per_program),)](
            x_TD,
            weight_D.contiguous(),
            y_TD,
            scale_T,
            rows,
            width,
            x_TD.stride(0),
            epsilon,
            ROWS=per_program,
            WIDTH=columns,
        )
    return y_TD, scale_T


def backward(grad_TD: Tensor, x_TD: Tensor, weight_D: Tensor, scale_T: Tensor) -> tuple[Tensor, Tensor]:
    """Launch the backward kernel: each program sums the weight's gradient over its rows, torch sums the programs'."""
    x_TD, grad_TD = rows_contiguous(x_TD), rows_contiguous(grad_TD)
    rows, width = x_TD.shape
    x_grad_TD = torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device)
    columns = power_of_two(width)
    per_program = rows_per_program(columns)
    programs = resident_programs(x_TD, blocks(rows, per_program))
    weight_grad_PD = torch.empty(programs, width, dtype=torch.float32, device=x_TD.device)
    with device_of(x_TD):
        backward_kernel[(programs,)](
            grad_TD,
            x_TD,
            weight_D.contiguous(),
            scale_T,
            x_grad_TD,
            weight_grad_PD,
            rows,
            width,
            x_TD.stride(0),
            grad_TD.stride(0),
            ROWS=per_program,
            WIDTH=columns,
        )
    return x_grad_TD, weight_grad_PD.sum(0).to(weight_D.dtype)
