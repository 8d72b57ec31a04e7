"""Entropy of the distribution of a text's units, and the share of them that stands in what occurred before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.hash_set import insert, table_size
from curator.text.segment import UNSPACED, read_only
from stages.entropy.weights import TABULATED, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

MEASURED_UNITS = 1 << 17
"""Of a longer text, so many units from its middle are measured."""

SEQUENCE_UNITS = 5
SEQUENCE_CHARACTERS = 10

_LINE_FEED = 10
_ZERO, _ONE, _FOUR = np.uint64(0), np.uint64(1), np.uint64(4)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.uint32(0xFFFFFFFF)


def measure_units(
    units: Units, data: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each text: bits of the distribution of its units, the share of them that are characters of a script without
    spaces, and the share that stands in sequences or lines that occurred before; 0 where it has none."""
    texts = len(units.offsets) - 1
    bits, unspaced, repetition = (np.zeros(texts, dtype=np.float64) for _ in range(3))
    arrays = (units.offsets, units.hashes, units.starts, units.ends, units.kinds)
    _measure_units(read_only(data), *arrays, weights(), bits, unspaced, repetition)
    return bits, unspaced, repetition


@kernel
def _measure_units(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    table: NDArray[np.float64],
    bits: NDArray[np.float64],
    unspaced: NDArray[np.float64],
    repetition: NDArray[np.float64],
) -> None:
    texts = offsets.shape[0] - 1
    longest = 0
    for text in range(texts):
        longest = max(longest, min(offsets[text + 1] - offsets[text], MEASURED_UNITS))
    slots = np.empty(table_size(longest), dtype=np.uint32)
    seen = np.empty(table_size(longest), dtype=np.uint64)
    counts = np.empty(longest, dtype=np.uint32)
    covered = np.empty(longest, dtype=np.uint8)
    breaks = np.empty(longest, dtype=np.uint8)
    sequence_ends = np.empty(longest, dtype=np.uint32)
    line_begins = np.empty(longest, dtype=np.uint32)
    line_ends = np.empty(longest, dtype=np.uint32)
    for text in range(texts):
        total = offsets[text + 1] - offsets[text]
        if total == 0:
            continue
        # Unsigned where an array is looked into: Numba tests a signed index for being negative.
        measured = min(total, MEASURED_UNITS)
        count = np.uint64(measured)
        first = np.uint64(offsets[text] + (total - measured) // 2)
        size = table_size(measured)
        mask = np.uint64(size - 1)

        # Occurrences of each unit, kept at the place of its first. A free slot seems to be held by the unit at hand, so
        # that one comparison ends the search, whether the unit is known or new.
        for slot in range(size):
            slots[slot] = _FREE
        characters = 0
        distinct = 0
        last = count - _ONE
        for place in range(count):
            value = hashes[first + place]
            slot = value & mask
            holder = min(slots[slot], place)
            while hashes[first + holder] != value:
                slot = (slot + _ONE) & mask
                holder = min(slots[slot], place)
            slots[slot] = holder
            counts[place] = 0
            counts[holder] += 1
            distinct += 1 if holder == place else 0
            characters += 1 if kinds[first + place] & UNSPACED else 0
            byte = np.uint64(ends[first + place])
            stop = np.uint64(starts[first + place + _ONE]) if place < last else byte
            breaks[place] = place == last or _has_line_feed(data, byte, stop)

        # What has a unit that occurs once occurs once itself. Sequences and lines without one are gathered, and looked
        # up where there are two.
        length = np.uint64(SEQUENCE_CHARACTERS if 2 * characters > count else SEQUENCE_UNITS)
        weighted = 0.0
        sequences = _ZERO
        lines = _ZERO
        run = _ZERO
        begin = _ZERO
        recurs = True
        for place in range(count):
            times = counts[place]
            weighted += table[times] if times < TABULATED else times * np.log2(times)
            run = run + _ONE if times != 1 else _ZERO
            sequence_ends[sequences] = place
            sequences += np.uint64(run >= length)
            recurs = recurs & (times != 1)
            ends_line = breaks[place] != 0
            line_begins[lines] = begin
            line_ends[lines] = place + _ONE
            lines += np.uint64(recurs & ends_line)
            begin = place + _ONE if ends_line else begin
            recurs = recurs | ends_line
        correction = (distinct - 1) / (2.0 * count * np.log(2.0))
        bits[text] = np.log2(count) - weighted / count + correction if distinct > 1 else 0.0
        unspaced[text] = characters / count
        if sequences <= 1 and lines <= 1:
            continue
        for place in range(count):
            covered[place] = 0

        # Sequences that occurred before: a polynomial of the hashes, rolled along where one follows the other.
        if sequences > 1:
            size = table_size(int(sequences))
            mask = np.uint64(size - 1)
            for slot in range(size):
                seen[slot] = 0
            leading = np.uint64(1)
            for _ in range(length):
                leading *= _MULTIPLIER
            value = np.uint64(0)
            former = _ZERO
            until = _ZERO
            for index in range(sequences):
                end = np.uint64(sequence_ends[index]) + _ONE
                begin = end - length
                if end == former + _ONE:
                    value = value * _MULTIPLIER + hashes[first + former] - leading * hashes[first + begin - _ONE]
                else:
                    value = np.uint64(0)
                    for unit in range(begin, end):
                        value = value * _MULTIPLIER + hashes[first + unit]
                former = end
                if insert(value, seen, mask):
                    for unit in range(max(begin, until), end):
                        covered[unit] = 1
                    until = end

        # Lines that occurred before.
        if lines > 1:
            size = table_size(int(lines))
            mask = np.uint64(size - 1)
            for slot in range(size):
                seen[slot] = 0
            for index in range(lines):
                begin, end = np.uint64(line_begins[index]), np.uint64(line_ends[index])
                value = np.uint64(0)
                for unit in range(begin, end):
                    value = (value + hashes[first + unit]) * _MULTIPLIER
                if insert(value, seen, mask):
                    for unit in range(begin, end):
                        covered[unit] = 1
        repeated = 0
        for place in range(count):
            repeated += covered[place]
        repetition[text] = repeated / count


@inline_kernel
def _has_line_feed(data: NDArray[np.uint8], begin: np.uint64, end: np.uint64) -> bool:
    """Whether a line ends between a unit that ends at `begin` and one that begins at `end`, which no line feed does."""
    # Mostly there are up to four bytes. They are looked at without a branch: how many there are cannot be foretold.
    found = data[begin] == _LINE_FEED
    for step in range(_ONE, _FOUR):
        found = found | (data[min(begin + step, end)] == _LINE_FEED)
    for place in range(begin + _FOUR, end):
        found = found | (data[place] == _LINE_FEED)
    return bool(found)
