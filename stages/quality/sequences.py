"""Sequences of units that occur again in a text: one kernel for all lengths of a table.

A sequence of n units occurs again if all their hashes do (so up to case), and it can only if both sequences of n - 1
units in it do. So each length looks at what the one before left over, which in running text is little from three words
on; and a sequence is known exactly by the two of the length before, told by where each occurred first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel
from curator.kernel.hash_set import table_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_LENGTHS = (2, 3, 4)
"""Words in the sequences of which the most frequent is measured (Rae et al. 2021, table A1)."""
REPEATED_LENGTHS = (5, 6, 7, 8, 9, 10)
"""Words in the sequences of which all that occurred before are measured (the same table)."""

_HALF = np.uint64(32)
_ONE = np.uint64(1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.int32(-1)


@inline_kernel
def _slot_of(value: np.uint64, mask: np.uint64) -> np.uint64:
    value = (value ^ value >> _HALF) * _MULTIPLIER
    return (value >> _HALF) & mask


@inline_kernel
def find_sequences(
    hashes: NDArray[np.uint64],
    first_unit: np.int64,
    count: np.int64,
    factor: int,
    until: NDArray[np.int64],
    keys: NDArray[np.uint64],
    firsts: NDArray[np.int32],
    same: NDArray[np.int32],
    times: NDArray[np.int32],
    left: NDArray[np.int32],
    sequences: NDArray[np.int64],
    text: int,
) -> None:
    """Fill `sequences[text]` (int64[9]) from `count` units, `factor` of which make a word: characters in the most
    frequent sequence of each of TOP_LENGTHS (of two as frequent, the longer; 0 if none occurs twice; each occurrence
    counts in full, up to all characters), then characters in sequences of each of REPEATED_LENGTHS that occurred before
    (each once).

    `until[i]` are the characters before unit i. Scratch: `keys` and `firsts` have a power of two of at least twice
    `count` entries, the others `count`. At place i, `same[i]` is where the sequence that begins there occurred first,
    and `times` at first places is how often; `left` lists the places whose sequence occurs again.
    """
    candidates = np.int64(count)
    for length in range(1, REPEATED_LENGTHS[-1] * factor + 1):
        size = table_size(candidates)
        mask = np.uint64(size - 1)
        firsts[:size] = _NONE
        found = np.int64(0)
        for candidate in range(candidates):
            if length == 1:
                place = np.int64(candidate)
                key = hashes[first_unit + place]
            else:
                place = np.int64(left[candidate])
                if candidate + 1 == candidates or left[candidate + 1] != place + 1:
                    continue
                key = np.uint64(same[place]) << _HALF | np.uint64(same[place + 1])
            left[found] = place
            found += 1
            slot = _slot_of(key, mask)
            while firsts[slot] >= 0 and keys[slot] != key:
                slot = (slot + _ONE) & mask
            if firsts[slot] < 0:
                keys[slot] = key
                firsts[slot] = place
                times[place] = 1
            else:
                times[firsts[slot]] += 1
            same[place] = firsts[slot]
        candidates = np.int64(0)
        for candidate in range(found):
            place = np.int64(left[candidate])
            if times[same[place]] > 1:
                left[candidates] = place
                candidates += 1
        if candidates == 0:
            break
        if length % factor != 0:
            continue
        words = length // factor
        if TOP_LENGTHS[0] <= words <= TOP_LENGTHS[-1]:
            most = np.int64(0)
            covered = np.int64(0)
            for candidate in range(candidates):
                place = np.int64(left[candidate])
                if same[place] == place and times[place] >= most:
                    characters = times[place] * (until[place + length] - until[place])
                    if times[place] > most or characters > covered:
                        covered = characters
                    most = np.int64(times[place])
            sequences[text, words - TOP_LENGTHS[0]] = min(covered, until[count] - until[0])
        elif words >= REPEATED_LENGTHS[0]:
            covered = np.int64(0)
            reached = np.int64(0)
            for candidate in range(candidates):
                place = np.int64(left[candidate])
                if same[place] != place:
                    covered += until[place + length] - until[max(place, reached)]
                    reached = place + length
            sequences[text, len(TOP_LENGTHS) + words - REPEATED_LENGTHS[0]] = covered
