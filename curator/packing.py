"""Several numbers in one 64-bit word, for rows that go through an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WORD_BITS = 64


class Packing:
    """Numbers by name, each with so many bits of a word; the first has the highest, so that words sort by it first."""

    def __init__(self, **bits: int) -> None:
        if sum(bits.values()) != WORD_BITS:
            raise ValueError(f"{bits} are not {WORD_BITS} bits")
        self._limits = {name: 1 << count for name, count in bits.items()}
        self._shifts: dict[str, np.uint64] = {}
        shift = WORD_BITS
        for name, count in bits.items():
            shift -= count
            self._shifts[name] = np.uint64(shift)

    def limit(self, name: str) -> int:
        """The first number that is too large."""
        return self._limits[name]

    def pack(self, **numbers: ArrayLike) -> NDArray[np.uint64]:
        """Words with these numbers, none of which may reach its limit; the others are 0."""
        words: NDArray[np.uint64] = np.zeros((), dtype=np.uint64)
        for name, values in numbers.items():
            words = words | np.asarray(values).astype(np.uint64) << self._shifts[name]
        return words

    def unpack(self, words: NDArray[np.uint64], name: str) -> NDArray[np.int64]:
        """The numbers of this name: int64[n]."""
        return (words >> self._shifts[name] & np.uint64(self._limits[name] - 1)).astype(np.int64)
