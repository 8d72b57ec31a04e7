"""Lines (or paragraphs) of texts with their keys, and which of them are boilerplate once it is known what is frequent.

A key is a 128-bit hash of the folded units of a line, salted by the source group; a line without units is hashed by its
bytes. A line of some length counts by itself. A short one ("Home", "Yes.") is frequent in any prose, so it never does:
it counts only as a pair with the line before or behind it, and the lines that are found that way must together be as
long as one that counts by itself. A menu goes, a list of frequent words in an order of its own stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from curator.kernel import inline_kernel, kernel
from curator.text.fold import finish, mix
from curator.text.segment import UNSPACED, read_only
from curator.text.spans import space_at, space_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from curator.text.segment import Units

_BYTES = np.uint64(0xA0761D6478BD642F)
_PAIR = np.uint64(0xE7037ED1A0B428DB)
"""Constants of wyhash (Wang Yi 2019), so that keys of units, of bytes and of pairs never meet."""
_ODD = np.uint64(1)
_LINE_FEED = 0x0A


@dataclass(frozen=True)
class Measure:
    """How long a line must be to count by itself: `units` words, or `characters` units of scripts without spaces, or a
    mixture (each unit counts by its share)."""

    units: int
    characters: int

    @property
    def whole(self) -> int:
        """The mass of such a line; a word has `characters` of it, a character `units`."""
        return self.units * self.characters


@dataclass(frozen=True)
class Lines:
    """Lines that are not blank, in the order of their texts: line j of text i is `offsets[i] + j`.

    `begins` and `ends` are bytes from the beginning of the text, without white space around; `units` their number,
    `mass` by `Measure`, cut at its whole. `own` is the key of a line by itself, `pair` that of it and the next line of
    its text: uint64[lines, 2], zeros where it counts only the other way, or there is no next.
    """

    offsets: NDArray[np.int64]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    units: NDArray[np.int32]
    mass: NDArray[np.int32]
    own: NDArray[np.uint64]
    pair: NDArray[np.uint64]


def source_salts(names: Sequence[str]) -> NDArray[np.uint64]:
    """Two words a source group, from which the keys of its lines start: uint64[names, 2]."""
    digests = [blake3(name.encode("utf-8", "surrogateescape")).digest(length=16) for name in names]
    return np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)


def find_lines(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    salts: NDArray[np.uint64],
    measure: Measure,
    by: str,
) -> Lines:
    """The lines, or with `by` "paragraph" the paragraphs (lines up to a blank one), of texts with their `units`;
    `salts` is one row a text."""
    texts = len(offsets) - 1
    inside = data[offsets[0] : offsets[-1]]
    size = int(np.count_nonzero(inside == _LINE_FEED)) + texts
    line_offsets = np.zeros(texts + 1, dtype=np.int64)
    places = np.empty((size, 4), dtype=np.int32)
    keys = np.zeros((size, 4), dtype=np.uint64)
    _find_lines(
        read_only(data),
        read_only(offsets),
        units.offsets,
        units.hashes,
        units.starts,
        units.kinds,
        np.ascontiguousarray(salts),
        measure.units,
        measure.characters,
        by == "paragraph",
        line_offsets,
        places,
        keys,
    )
    count = int(line_offsets[-1])
    begins, ends, counts, mass = (np.ascontiguousarray(places[:count, column]) for column in range(4))
    own, pair = (np.ascontiguousarray(keys[:count, column : column + 2]) for column in (0, 2))
    return Lines(line_offsets, begins, ends, counts, mass, own, pair)


def mark_boilerplate(
    offsets: NDArray[np.int64],
    mass: NDArray[np.int32],
    own_counts: NDArray[np.int64],
    pair_counts: NDArray[np.int64],
    needed: NDArray[np.int64],
    measure: Measure,
) -> NDArray[np.int64]:
    """Runs of neighbouring lines that are boilerplate: (first line, line behind the last, least count) int64[runs, 3].

    The counts say in how many documents a line, or a pair, stands (0: does not count); `needed` how many that must be,
    one a text.
    """
    runs = np.empty((len(mass), 3), dtype=np.int64)
    count = _mark(offsets, mass, own_counts, pair_counts, needed, measure.whole, runs)
    return runs[:count]


@inline_kernel
def _key_word(state: np.uint64) -> np.uint64:
    """The first word of a key: odd, so that it is never that of a number of documents, nor that of no key."""
    return finish(state) | _ODD


@kernel
def _find_lines(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    salts: NDArray[np.uint64],
    min_units: int,
    min_characters: int,
    by_paragraph: bool,
    line_offsets: NDArray[np.int64],
    places: NDArray[np.int32],
    keys: NDArray[np.uint64],
) -> None:
    whole = min_units * min_characters
    line = 0
    for text in range(offsets.size - 1):
        low, high = offsets[text], offsets[text + 1]
        unit = unit_offsets[text]
        first_line = line
        place = low
        before_a, before_b, before_short = np.uint64(0), np.uint64(0), False
        while place < high:
            # The content of the next line or paragraph: [begin, end) without white space around it.
            while True:
                width = space_at(data, place, high)
                if width == 0:
                    break
                place += width
            if place >= high:
                break
            begin = place
            while True:
                while place < high and data[place] != _LINE_FEED:
                    place += 1
                if not by_paragraph:
                    break
                following = place + 1
                while following < high and data[following] != _LINE_FEED:
                    width = space_at(data, following, high)
                    if width == 0:
                        break
                    following += width
                if following >= high or data[following] == _LINE_FEED:
                    break
                place = following
            end = place
            while True:
                width = space_before(data, end, begin)
                if width == 0:
                    break
                end -= width
            state_a, state_b = salts[text, 0], salts[text, 1]
            first_unit = unit
            mass = 0
            while unit < unit_offsets[text + 1] and starts[unit] < end:
                state_a = mix(state_a, hashes[unit])
                state_b = mix(state_b, hashes[unit])
                mass += min_units if kinds[unit] & UNSPACED else min_characters
                unit += 1
            if unit == first_unit:
                state_a ^= _BYTES
                state_b ^= _BYTES
                for byte in range(begin, end):
                    state_a = mix(state_a, np.uint64(data[byte]))
                    state_b = mix(state_b, np.uint64(data[byte]))
            is_short = mass < whole
            places[line, 0] = begin - low
            places[line, 1] = end - low
            places[line, 2] = unit - first_unit
            places[line, 3] = min(mass, whole)
            if not is_short:
                keys[line, 0] = _key_word(state_a)
                keys[line, 1] = finish(state_b)
            if line > first_line and (is_short or before_short):
                keys[line - 1, 2] = _key_word(mix(mix(_PAIR, before_a), state_a))
                keys[line - 1, 3] = finish(mix(mix(_PAIR, before_b), state_b))
            before_a, before_b, before_short = state_a, state_b, is_short
            line += 1
        line_offsets[text + 1] = line


@kernel
def _mark(
    offsets: NDArray[np.int64],
    mass: NDArray[np.int32],
    own_counts: NDArray[np.int64],
    pair_counts: NDArray[np.int64],
    needed: NDArray[np.int64],
    whole: int,
    runs: NDArray[np.int64],
) -> int:
    count = 0
    for text in range(offsets.size - 1):
        need = max(needed[text], 1)
        first = np.int64(-1)
        total = np.int64(0)
        least = np.int64(0)
        for line in range(offsets[text], offsets[text + 1] + 1):
            found = np.int64(0)
            if line < offsets[text + 1]:
                found = own_counts[line]
                if pair_counts[line] >= need:
                    found = max(found, pair_counts[line])
                if line > offsets[text] and pair_counts[line - 1] >= need:
                    found = max(found, pair_counts[line - 1])
            if found >= need:
                if first < 0:
                    first = np.int64(line)
                    total = np.int64(0)
                    least = found
                total += mass[line]
                least = min(least, found)
            elif first >= 0:
                if total >= whole:
                    runs[count, 0] = first
                    runs[count, 1] = line
                    runs[count, 2] = least
                    count += 1
                first = np.int64(-1)
    return count
