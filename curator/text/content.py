"""A hash of what a text says: of its units in their order, so that case, punctuation, symbols and compatibility forms
do not count. Drawings of characters, rows of emoji and Braille with a number in it say it by their marks: with fewer
units than FEW_UNITS, and less than half of its characters in them, a text is what its bytes are, as one without units
is."""

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

FEW_UNITS = 32
"""A text of fewer is no near-duplicate of one with another word in its middle, so that little is lost where it is
compared by its bytes; tables drawn with lines have more."""

_SPACE = 32
_ROTATION = np.uint64(32)


def content_hashes(units: Units, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A 128-bit hash of each document's units in their order; of its bytes where they do not tell what it says:
    uint64[documents, 2]."""
    hashes = np.empty((len(units.offsets) - 1, 2), dtype=np.uint64)
    telling = telling_units(units, data, offsets)
    _hash(units.offsets, telling, units.hashes, read_only(data), read_only(offsets), hashes)
    return hashes


def telling_units(units: Units, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many units tell what each document says: all, or none where it says it by its marks: int64[documents]."""
    telling = units.counts
    _tell(units.offsets, units.starts, units.ends, read_only(data), read_only(offsets), telling)
    return telling


@kernel
def _tell(
    unit_offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    data: NDArray[np.uint8],
    text_offsets: NDArray[np.int64],
    telling: NDArray[np.int64],
) -> None:
    for row in range(telling.size):
        if 0 < telling[row] < FEW_UNITS:
            # Characters are counted by their first bytes.
            inside = 0
            for unit in range(unit_offsets[row], unit_offsets[row + 1]):
                for place in range(starts[unit], ends[unit]):
                    inside += (data[place] & 0xC0) != 0x80
            seen = 0
            for place in range(text_offsets[row], text_offsets[row + 1]):
                seen += (data[place] & 0xC0) != 0x80 and data[place] > _SPACE
            if 2 * inside < seen:
                telling[row] = 0


@kernel
def _hash(
    unit_offsets: NDArray[np.int64],
    telling: NDArray[np.int64],
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
        end = begin + telling[row]
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
