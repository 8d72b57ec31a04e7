"""SwiGLU and its gradient on CPUs, one pass each; threads share the rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from curator.kernel import numba
from model.kernels.dispatch import rows_apart
from model.kernels.native.gemm import share
from model.kernels.native.mathematics import exponential
from model.kernels.native.regions import Region, address, compiled, next_part, numbers_of
from model.kernels.native.vectors import bytes_of, number, pointer


@compiled
def _forward_part(data: int, part: int, like: Any) -> None:
    parts, packed, scale, y, rows, width = numbers_of(data)[:6]
    size = bytes_of(like)
    first, until = share(rows, part, parts)
    scales = numba.carray(pointer(scale, like), rows)
    one = number(1, like)
    for row in range(first, until):
        gate = numba.carray(pointer(packed + 2 * row * width * size, like), width)
        up = numba.carray(pointer(packed + (2 * row + 1) * width * size, like), width)
        target = numba.carray(pointer(y + row * width * size, like), width)
        factor = scales[row] if scale else one
        for column in range(width):
            target[column] = factor * up[column] * gate[column] / (one + exponential(-gate[column]))


@compiled
def _backward_part(data: int, part: int, like: Any) -> None:
    parts, grad, packed, scale, packed_grad, packed_step, scale_grad, rows, width = numbers_of(data)[:9]
    size = bytes_of(like)
    first, until = share(rows, part, parts)
    scales = numba.carray(pointer(scale, like), rows)
    one = number(1, like)
    scale_grads = numba.carray(pointer(scale_grad, like), rows)
    for row in range(first, until):
        gate = numba.carray(pointer(packed + 2 * row * width * size, like), width)
        up = numba.carray(pointer(packed + (2 * row + 1) * width * size, like), width)
        gate_grad = numba.carray(pointer(packed_grad + row * packed_step * size, like), width)
        up_grad = numba.carray(pointer(packed_grad + (row * packed_step + width) * size, like), width)
        upstream = numba.carray(pointer(grad + row * width * size, like), width)
        factor = scales[row] if scale else one
        total = like
        for column in range(width):
            sigmoid = one / (one + exponential(-gate[column]))
            silu = gate[column] * sigmoid
            inner = upstream[column] * factor
            total += upstream[column] * silu * up[column]
            up_grad[column] = inner * silu
            gate_grad[column] = inner * up[column] * sigmoid * (one + gate[column] * (one - sigmoid))
        if scale:
            scale_grads[row] = total


def _forward_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _forward_part(data, part, np.float32(0))
        part = next_part(data)


def _forward_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _forward_part(data, part, np.float64(0))
        part = next_part(data)


def _backward_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _backward_part(data, part, np.float32(0))
        part = next_part(data)


def _backward_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _backward_part(data, part, np.float64(0))
        part = next_part(data)


_FORWARD: Final = Region(_forward_single, _forward_double)
_BACKWARD: Final = Region(_backward_single, _backward_double)


def forward(packed_SG: Tensor, scale_S: Tensor | None) -> Tensor:
    """[S, 2F], [S] -> [S, F]."""
    packed = packed_SG.contiguous()
    scale = None if scale_S is None else scale_S.contiguous()
    rows, width = packed.shape[0], packed.shape[1] // 2
    y_SF = packed.new_empty(rows, width)
    parts = torch.get_num_threads()
    _FORWARD.run(packed.dtype, parts, parts, packed.data_ptr(), address(scale), y_SF.data_ptr(), rows, width)
    return y_SF


def backward(grad_SF: Tensor, packed_SG: Tensor, scale_S: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradients of the packed input [S, 2F] and of the scale [S], which is empty where there is none."""
    grad, packed = grad_SF.contiguous(), packed_SG.contiguous()
    scale = None if scale_S is None else scale_S.contiguous()
    rows, width = grad.shape
    packed_grad_SG = rows_apart(packed, rows, 2 * width)
    scale_grad_S = packed.new_empty(0 if scale is None else rows)
    parts = torch.get_num_threads()
    _BACKWARD.run(
        packed.dtype,
        parts,
        parts,
        grad.data_ptr(),
        packed.data_ptr(),
        address(scale),
        packed_grad_SG.data_ptr(),
        packed_grad_SG.stride(0),
        scale_grad_S.data_ptr(),
        rows,
        width,
    )
    return packed_grad_SG, scale_grad_S
