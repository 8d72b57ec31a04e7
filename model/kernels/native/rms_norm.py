"""Root-mean-square normalisation on CPUs: each row is read once, forward and backward."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from torch import Tensor

from curator.kernel import numba
from model.kernels.native.gemm import with_dense_rows
from model.kernels.native.regions import Region, compiled, next_part, numbers_of
from model.kernels.native.vectors import bytes_of, number, pointer

_ROWS: Final = 64
"""Rows of a part. The gradient of the weight is summed by parts, so it does not hang on the number of threads."""


@compiled
def _forward_part(data: int, part: int, like: Any) -> None:
    x, x_step, weight, epsilon, y, scale, rows, width = numbers_of(data)[:8]
    size = bytes_of(like)
    first, until = part * _ROWS, min((part + 1) * _ROWS, rows)
    weights = numba.carray(pointer(weight, like), width)
    scales = numba.carray(pointer(scale, like), rows)
    small = numba.carray(pointer(epsilon, np.float64(0)), 1)[0]
    for row in range(first, until):
        source = numba.carray(pointer(x + row * x_step * size, like), width)
        target = numba.carray(pointer(y + row * width * size, like), width)
        total = like
        for column in range(width):
            total += source[column] * source[column]
        factor = number(1 / np.sqrt(total / width + small), like)
        scales[row] = factor
        for column in range(width):
            target[column] = source[column] * factor * weights[column]


@compiled
def _backward_part(data: int, part: int, like: Any) -> None:
    grad, grad_step, x, x_step, weight, scale, x_grad, sums, rows, width = numbers_of(data)[:10]
    size = bytes_of(like)
    first, until = part * _ROWS, min((part + 1) * _ROWS, rows)
    weights = numba.carray(pointer(weight, like), width)
    scales = numba.carray(pointer(scale, like), rows)
    weight_grad = numba.carray(pointer(sums + part * width * size, like), width)
    weight_grad[:] = like
    for row in range(first, until):
        source = numba.carray(pointer(x + row * x_step * size, like), width)
        upstream = numba.carray(pointer(grad + row * grad_step * size, like), width)
        target = numba.carray(pointer(x_grad + row * width * size, like), width)
        factor = scales[row]
        total = like
        for column in range(width):
            product = upstream[column] * source[column]
            total += product * weights[column]
            weight_grad[column] += product * factor
        mean = number(total * factor * factor / width, like)
        for column in range(width):
            target[column] = factor * (upstream[column] * weights[column] - source[column] * mean)


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


def forward(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The normalised rows [T, D], and what each was multiplied by [T]."""
    x, weight = with_dense_rows(x_TD), weight_D.contiguous()
    rows, width = x.shape
    y_TD, scale_T = x.new_empty(rows, width), x.new_empty(rows)
    small = np.array([epsilon])
    _FORWARD.run(
        x.dtype,
        _parts(rows),
        x.data_ptr(),
        x.stride(0),
        weight.data_ptr(),
        small.ctypes.data,
        y_TD.data_ptr(),
        scale_T.data_ptr(),
        rows,
        width,
    )
    return y_TD, scale_T


def backward(grad_TD: Tensor, x_TD: Tensor, weight_D: Tensor, scale_T: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the rows [T, D] and of the weight [D]."""
    grad, x = with_dense_rows(grad_TD), with_dense_rows(x_TD)
    weight, scale = weight_D.contiguous(), scale_T.contiguous()
    rows, width = x.shape
    x_grad_TD, sums_PD = x.new_empty(rows, width), x.new_empty(_parts(rows), width)
    _BACKWARD.run(
        x.dtype,
        _parts(rows),
        grad.data_ptr(),
        grad.stride(0),
        x.data_ptr(),
        x.stride(0),
        weight.data_ptr(),
        scale.data_ptr(),
        x_grad_TD.data_ptr(),
        sums_PD.data_ptr(),
        rows,
        width,
    )
    return x_grad_TD, sums_PD.sum(0)


def _parts(rows: int) -> int:
    return -(-rows // _ROWS)
