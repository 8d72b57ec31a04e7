"""The exponential and the largest of many numbers, in vectors. The exponential has no branch, no call, no table:

    exp x = 2^n exp r    n = round(x / log 2),  r = x - n log 2, in two parts (Cody & Waite 1980, chapter 6)

exp r is its Taylor polynomial where |r| <= log(2) / 2: to the 7th power in float32, whose rest is below 6e-9, to the
13th in float64, whose rest is below 5e-18.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from curator.kernel import numba
from model.kernels.native.regions import compiled
from model.kernels.native.vectors import (
    GROUP_BYTES,
    bytes_of,
    double_of_bits,
    float_of_bits,
    largest_of_groups,
    pointer,
)

_LOG2_E: Final = 1.4426950408889634
_SINGLE_HIGH: Final = 0.693359375
"""log 2 to 10 bits: its product with n is exact."""
_SINGLE_LOW: Final = -2.12194440054690583e-4
_DOUBLE_HIGH: Final = 6.93145751953125e-1
_DOUBLE_LOW: Final = 1.42860682030941723212e-6


@compiled
def largest(address: int, count: int, like: Any) -> Any:
    """The largest of `count` numbers at an address, one at least. NaN may be passed over."""
    size = bytes_of(like)
    row = numba.carray(pointer(address, like), count)
    groups = count * size // GROUP_BYTES
    found = largest_of_groups(address, groups, like) if groups else row[0]
    for place in range(groups * (GROUP_BYTES // size), count):
        found = max(found, row[place])
    return found


def _exponential_single(x: Any) -> Any:
    # Beyond these the result is 0 or infinite in float32.
    bounded = min(max(x, np.float32(-87.3)), np.float32(88.7))
    n = np.floor(bounded * np.float32(_LOG2_E) + np.float32(0.5))
    r = bounded - n * np.float32(_SINGLE_HIGH)
    r = r - n * np.float32(_SINGLE_LOW)
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    # 2^128 has no bits of its own in float32, so the exponent is put in by halves.
    half = np.int32(n) >> np.int32(1)
    rest = np.int32(n) - half
    return (
        p
        * float_of_bits((half + np.int32(127)) << np.int32(23))
        * float_of_bits((rest + np.int32(127)) << np.int32(23))
    )


def _exponential_double(x: Any) -> Any:
    bounded = min(max(x, -708.3), 709.7)
    n = np.floor(bounded * _LOG2_E + 0.5)
    r = bounded - n * _DOUBLE_HIGH
    r = r - n * _DOUBLE_LOW
    p = 1 / 6227020800
    p = p * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = p * r + 1.0
    p = p * r + 1.0
    half = np.int64(n) >> 1
    rest = np.int64(n) - half
    return p * double_of_bits((half + 1023) << 52) * double_of_bits((rest + 1023) << 52)


def exponential(x: Any) -> Any:
    """exp x; below the smallest normal number it stays that number, and NaN stays NaN. In kernels only."""
    return np.exp(x)


def _choose(x: Any) -> Any:
    return _exponential_single if x == numba.core.types.float32 else _exponential_double


numba.core.extending.overload(exponential, jit_options={"fastmath": {"contract"}})(_choose)
