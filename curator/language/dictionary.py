"""The dictionary of a fastText model: which word stands at some bytes, by fastText's own hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curator.kernel import inline_kernel, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

FNV_BASIS = np.uint32(2166136261)
_FNV_PRIME = np.uint32(16777619)

_SPREAD = np.uint64(0x9E3779B1)
"""The golden ratio as a 32-bit fraction (Knuth, The Art of Computer Programming, volume 3, 6.4)."""

_ONE, _IN_CELL = np.uint64(1), np.uint64(63)


class Words(NamedTuple):
    """The dictionary: `known` uint64[2**k] has a bit for each word, and by chance for one hash of 16 or more; `slots`
    int32[2**k] is an open-addressing table from a word's hash to its number (-1: empty); word w is
    `data[offsets[w]:offsets[w + 1]]`; `sums` float32[words, dimension] and `inputs` int32[words] are the sum and number
    of its rows; `end` is the number of the word that ends a line, -1 for none."""

    known: NDArray[np.uint64]
    slots: NDArray[np.int32]
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sums: NDArray[np.float32]
    inputs: NDArray[np.int32]
    end: int


@inline_kernel
def extend(value: np.uint32, byte: np.uint32) -> np.uint32:
    """The hash with a byte more, sign-extended."""
    return np.uint32(np.uint32(value ^ np.uint32(np.int32(np.int8(byte)))) * _FNV_PRIME)


@kernel
def fill_slots(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], known: NDArray[np.uint64], slots: NDArray[np.int32]
) -> None:
    """Enter the words `data[offsets[w]:offsets[w + 1]]`."""
    mask = np.uint64(slots.shape[0] - 1)
    for number in range(offsets.shape[0] - 1):
        value = FNV_BASIS
        for place in range(offsets[number], offsets[number + 1]):
            value = extend(value, np.uint32(data[place]))
        slot = np.uint64(value) & mask
        while slots[slot] >= 0:
            slot = (slot + _ONE) & mask
        slots[slot] = number
        cell, bit = _known_bit(value, known)
        known[cell] |= _ONE << bit


@inline_kernel
def _known_bit(value: np.uint32, known: NDArray[np.uint64]) -> tuple[np.uint64, np.uint64]:
    """Where the bit of a hash is: its cell, and its place in that."""
    mixed = np.uint64(value) * _SPREAD
    return (mixed >> np.uint64(32)) & np.uint64(known.shape[0] - 1), (mixed >> np.uint64(26)) & _IN_CELL


@inline_kernel
def find_word(data: NDArray[np.uint8], begin: np.uint64, end: np.uint64, value: np.uint32, words: Words) -> int:
    """The number of the word `data[begin:end]`, -1 where the dictionary has none."""
    cell, bit = _known_bit(value, words.known)
    if (words.known[cell] >> bit) & _ONE == 0:
        return -1
    mask = np.uint64(words.slots.shape[0] - 1)
    slot = np.uint64(value) & mask
    while words.slots[slot] >= 0:
        number = np.uint64(words.slots[slot])
        first = np.uint64(words.offsets[number])
        if np.uint64(words.offsets[number + _ONE]) - first == end - begin:
            place = begin
            while place < end and data[place] == words.data[first + (place - begin)]:
                place += _ONE
            if place == end:
                return int(number)
        slot = (slot + _ONE) & mask
    return -1
