"""Rotary position embedding on CPUs: each head is read and written once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from torch import Tensor

from curator.kernel import numba
from model.kernels.native.gemm import with_dense_rows
from model.kernels.native.regions import Region, compiled, next_part, numbers_of
from model.kernels.native.vectors import bytes_of, pointer

_TOKENS: Final = 64
"""Tokens of a part."""


@compiled
def _rotate_part(data: int, part: int, like: Any) -> None:
    x, token_step, head_step, cosine, sine, y, tokens, heads, half, inverse = numbers_of(data)[:10]
    size = bytes_of(like)
    for token in range(part * _TOKENS, min((part + 1) * _TOKENS, tokens)):
        cosines = numba.carray(pointer(cosine + token * half * size, like), half)
        sines = numba.carray(pointer(sine + token * half * size, like), half)
        for head in range(heads):
            source = x + (token * token_step + head * head_step) * size
            target = y + (token * heads + head) * 2 * half * size
            a = numba.carray(pointer(source, like), half)
            b = numba.carray(pointer(source + half * size, like), half)
            y_a = numba.carray(pointer(target, like), half)
            y_b = numba.carray(pointer(target + half * size, like), half)
            if inverse:
                for column in range(half):
                    y_a[column] = a[column] * cosines[column] + b[column] * sines[column]
                    y_b[column] = b[column] * cosines[column] - a[column] * sines[column]
            else:
                for column in range(half):
                    y_a[column] = a[column] * cosines[column] - b[column] * sines[column]
                    y_b[column] = b[column] * cosines[column] + a[column] * sines[column]


def _rotate_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _rotate_part(data, part, np.float32(0))
        part = next_part(data)


def _rotate_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _rotate_part(data, part, np.float64(0))
        part = next_part(data)


_ROTATE: Final = Region(_rotate_single, _rotate_double)


def rotate(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor, inverse: bool) -> Tensor:
    """[T, N, H], [T, R], [T, R] -> [T, N, H], by the opposite angles if `inverse`."""
    x = with_dense_rows(x_TNH)
    tokens, heads, width = x.shape
    y_TNH = x.new_empty(tokens, heads, width)
    cosine, sine = cosine_TR.contiguous(), sine_TR.contiguous()
    _ROTATE.run(
        x.dtype,
        -(-tokens // _TOKENS),
        x.data_ptr(),
        x.stride(0),
        x.stride(1),
        cosine.data_ptr(),
        sine.data_ptr(),
        y_TNH.data_ptr(),
        tokens,
        heads,
        width // 2,
        int(inverse),
    )
    return y_TNH
