"""Triton kernel of `model.kernels.rope`: a row is one head of one token."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.launch import blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import load, store


@triton.jit
def rotate_kernel(
    x: tl.tensor,
    cosine: tl.tensor,
    sine: tl.tensor,
    y: tl.tensor,
    rows: int,
    heads: int,
    half: int,
    token_stride: int,
    head_stride: int,
    INVERSE: tl.constexpr,
    ROWS: tl.constexpr,
    HALF: tl.constexpr,
) -> None:
    """Rotate a block of heads."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, HALF)
    mask = (row < rows)[:, None] & (column < half)[None, :]
    token = row // heads
    source = x + (token * token_stride + (row % heads) * head_stride)[:, None] + column[None, :]
    a = load(source, mask)
    b = load(source + half, mask)
    angle = token[:, None] * half + column[None, :]
    c = load(cosine + angle, mask)
    s = load(sine + angle, mask)
    if INVERSE:
        s = -s
    target = y + row[:, None] * (2 * half) + column[None, :]
    store(target, a * c - b * s, mask)
    store(target + half, b * c + a * s, mask)


def rotate(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor, inverse: bool) -> Tensor:
    """Launch the kernel; `inverse` rotates by the opposite angle."""
    x_TNH = rows_contiguous(x_TNH)
    tokens, heads, width = x_TNH.shape
    y_TNH = torch.empty(x_TNH.shape, dtype=x_TNH.dtype, device=x_TNH.device)
    columns = power_of_two(width // 2)
    per_program = rows_per_program(columns)
    with device_of(x_TNH):
        rotate_kernel[(blocks(tokens * heads, per_program),)](
            x_TNH,
            cosine_TR.contiguous(),
            sine_TR.contiguous(),
            y_TNH,
            tokens * heads,
            heads,
            width // 2,
            x_TNH.stride(0),
            x_TNH.stride(1),
            INVERSE=inverse,
            ROWS=per_program,
            HALF=columns,
        )
    return y_TNH
