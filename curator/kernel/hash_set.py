"""Sets of hashes inside kernels: open addressing in an array whose length is a power of two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel.function import inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)


@inline_kernel
def table_size(entries: int | np.int64) -> int:
    """A power of two that is at least twice `entries`, and 16 at least."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@inline_kernel
def insert(value: np.uint64, seen: NDArray[np.uint64], mask: np.uint64) -> bool:
    """Put a hash into the set; whether it was there. `seen` holds `mask` + 1 slots, 0 marks a free one, and one at
    least must be free. Two hashes are one with a chance of 2**-63."""
    value ^= value >> np.uint64(32)
    value *= _MULTIPLIER
    value ^= value >> np.uint64(29)
    value |= _ONE
    slot = (value >> _ONE) & mask
    while seen[slot] != 0:
        if seen[slot] == value:
            return True
        slot = (slot + _ONE) & mask
    seen[slot] = value
    return False
