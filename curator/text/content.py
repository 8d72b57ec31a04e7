"""A hash of what a text says: of its units in their order, so that case, punctuation and compatibility forms do not
count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel
from curator.text.fold import HASH_START, finish, mix
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

BYTES_START = np.uint64(0xA0761D6478BD642F)
SECOND_START = np.uint64(0xE7037ED1A0B428DB)
"""Starts of other chains (constants of wyhash, Wang Yi 2019), so that bytes, units and further chains never meet."""

_ROTATION = np.uint64(32)


def content_hashes(units: Units, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 128-bit hash of each document's units in their order; of its bytes where it has none: uint64[documents, 2]."""
    hashes = np.empty((len(units.offsets) - 1, 2), dtype=np.uint64)
    _hash(units.offsets, units.hashes, read_only(data), read_only(offsets), hashes)
    return hashes


@kernel
def _hash(
    unit_offsets: NDArray[np.int64],
    unit_hashes: NDArray[np.uint64],
    data: NDArray[np.uint8],
    text_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
) -> None:
    # Two chains of different start; the second takes the values with their halves swapped.
    for row in range(hashes.shape[0]):
        first = HASH_START
        second = SECOND_START
        begin = unit_offsets[row]
        end = unit_offsets[row + 1]
        if begin < end:
            for place in range(begin, end):
                value = unit_hashes[place]
                first = mix(first, value)
                second = mix(second, value >> _ROTATION | value << _ROTATION)
        else:
            first = BYTES_START
            for place in range(text_offsets[row], text_offsets[row + 1]):
                value = np.uint64(data[place])
                first = mix(first, value)
                second = mix(second, value << _ROTATION)
        hashes[row, 0] = finish(first)
        hashes[row, 1] = finish(second)
