"""Segmentation of text into units, in one native pass that every stage shares.

A unit is a word by Unicode segmentation (UAX #29); in scripts that are written without spaces it is one character (with
its combining marks). Punctuation and space are no units.

Where this differs from UAX #29, on purpose:

- a letter of a script without spaces (`curator.text.build_tables.UNSPACED_SCRIPTS`, among them Katakana) is a unit by
  itself; UAX #29 leaves these scripts to dictionaries, and joins Katakana;
- connector punctuation (`_`) joins within a unit and is never at its edge, so that `_word_` is `word`; a run of it
  alone is no unit;
- a colon joins nothing (as in the root locale of CLDR); U+202F joins like a full stop (see `build_tables`);
- a quotation mark after a Hebrew letter belongs to the word only between two Hebrew letters (no WB7a);
- emoji and flags are no units, with or without a joiner before them (no WB3c, WB15, WB16).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from curator.kernel import at, kernel
from curator.text.fold import HASH_START, finish, mix
from curator.text.tables import (
    CAPITAL_FLAG,
    CLASS_MASK,
    DIGIT_CLASS,
    EXTEND,
    FOLDS,
    HEBREW,
    IGNORABLE,
    LETTER_CLASS,
    LOW_LINE,
    MID_ANY,
    MID_DIGIT,
    MID_HEBREW,
    OTHER,
    UNSPACED_CLASS,
    tables,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

LETTER = 1
"""The unit has a letter."""
DIGIT = 2
"""The unit has a digit."""
CAPITAL = 4
"""The unit begins with an uppercase or titlecase letter."""
UNSPACED = 8
"""The unit is a character of a script without spaces."""

_REPLACEMENT = 0xFFFD

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Units:
    """The units of several texts. Unit j of text i stands at place `offsets[i] + j` of the other arrays.

    `hashes` is a 64-bit hash of the folded unit (NFKC, casefold), `starts` and `ends` its bytes in the text buffer
    (half-open, indexes into the whole buffer), `kinds` a sum of LETTER, DIGIT, CAPITAL, UNSPACED.
    """

    offsets: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Units in each text: int64[texts]."""
        return np.diff(self.offsets)


def segment(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Units:
    """The units of texts `data[offsets[i]:offsets[i + 1]]`, each NFC in UTF-8.

    Bytes that are not UTF-8 belong to no unit. Memory: 25 bytes a unit.
    """
    data = read_only(data)
    offsets = read_only(offsets)
    table = tables()
    total = int(offsets[-1] - offsets[0])
    texts = len(offsets) - 1
    # Pages that are never written take no memory, so the guess may be high, and the rest is not given back (which took
    # a tenth of the time); two bytes a unit is the most there can be.
    for size in (total // 3 + texts, (total + texts) // 2):
        unit_offsets = np.zeros(texts + 1, dtype=np.int64)
        hashes = np.empty(size, dtype=np.uint64)
        starts = np.empty(size, dtype=np.int64)
        ends = np.empty(size, dtype=np.int64)
        kinds = np.empty(size, dtype=np.uint8)
        outputs = (unit_offsets, hashes, starts, ends, kinds)
        if _segment(data, offsets, table.classes, table.folds, table.expansions, table.ascii_folds, *outputs):
            break
    count = int(unit_offsets[-1])
    return Units(unit_offsets, hashes[:count], starts[:count], ends[:count], kinds[:count])


def read_only(values: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """A contiguous read-only view, as Arrow's buffers are: a kernel compiles once more for an array that isn't."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


@kernel
def _segment(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    folds: NDArray[np.int32],
    expansions: NDArray[np.int32],
    ascii_folds: NDArray[np.uint8],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
) -> bool:
    # False if the outputs are too small: growing them here would assign arrays in the loop, and Numba then counts
    # references with atomic instructions at every step (6 times slower). One state machine in one function: `former` is
    # the class of the last letter or digit of the open unit, 0 outside of one. After a joiner the unit ends at
    # `saved_end` with `saved_state` unless it goes on.
    texts = offsets.size - 1
    size = hashes.size
    count = 0
    start = np.int64(0)
    kind = 0
    state = HASH_START
    saved_end = np.int64(0)
    saved_state = HASH_START
    for text in range(texts):
        place = offsets[text]
        end = offsets[text + 1]
        former = np.int64(0)
        joiner = np.int64(0)
        while True:
            # Most letters by themselves: those of ASCII, and those of two bytes that do not fold.
            if former == 0:
                while place < end:
                    byte = at(data, place)
                    if byte >= 128:
                        break
                    folded = ascii_folds[byte]
                    if folded != 0:
                        start = place
                        former = np.int64(DIGIT_CLASS if folded < 58 else LETTER_CLASS)
                        kind = DIGIT if folded < 58 else LETTER | (CAPITAL if folded != byte else 0)
                        state = mix(HASH_START, np.uint64(folded))
                        place += 1
                        break
                    place += 1
            if former > UNSPACED_CLASS and joiner == 0:
                while place < end:
                    byte = at(data, place)
                    if byte < 128:
                        folded = ascii_folds[byte]
                        if folded == 0:
                            break
                        former = np.int64(DIGIT_CLASS if folded < 58 else LETTER_CLASS)
                        kind |= DIGIT if folded < 58 else LETTER
                        state = mix(state, np.uint64(folded))
                        place += 1
                        continue
                    if byte < 0xC2 or byte >= 0xE0 or place + 1 >= end:
                        break
                    second = np.int64(at(data, place + 1)) ^ 0x80
                    letter = (np.int64(byte) & 0x1F) << 6 | second
                    if second >= 0x40 or at(classes, letter) & ~CAPITAL_FLAG != LETTER_CLASS:
                        break
                    former = np.int64(LETTER_CLASS)
                    kind |= LETTER
                    state = mix(state, np.uint64(letter))
                    place += 2
            # Past the end, and where bytes are no UTF-8, stands a replacement character.
            point = np.int64(_REPLACEMENT)
            width = 1
            if place < end:
                first = np.int64(at(data, place))
                if first < 0x80:
                    point = first
                elif first < 0xE0:
                    if first >= 0xC2 and place + 1 < end:
                        second = np.int64(at(data, place + 1)) ^ 0x80
                        if second < 0x40:
                            point = (first & 0x1F) << 6 | second
                            width = 2
                elif first < 0xF0:
                    if place + 2 < end:
                        second = np.int64(at(data, place + 1)) ^ 0x80
                        third = np.int64(at(data, place + 2)) ^ 0x80
                        value = (first & 0x0F) << 12 | second << 6 | third
                        if (second | third) < 0x40 and value >= 0x800 and (value & 0xF800) != 0xD800:
                            point = value
                            width = 3
                elif first < 0xF5 and place + 3 < end:
                    second = np.int64(at(data, place + 1)) ^ 0x80
                    third = np.int64(at(data, place + 2)) ^ 0x80
                    fourth = np.int64(at(data, place + 3)) ^ 0x80
                    value = (first & 0x07) << 18 | second << 12 | third << 6 | fourth
                    if (second | third | fourth) < 0x40 and 0x10000 <= value < 0x110000:
                        point = value
                        width = 4
            flags = np.int64(at(classes, point))
            found = flags & CLASS_MASK

            goes_on = False
            if former != 0:
                if found == EXTEND:
                    goes_on = True
                elif former == UNSPACED_CLASS or found in (UNSPACED_CLASS, OTHER):
                    goes_on = False
                elif found > UNSPACED_CLASS:
                    if joiner == 0 or joiner == LOW_LINE:
                        goes_on = True
                    elif found == DIGIT_CLASS or former == DIGIT_CLASS:
                        goes_on = found == former and joiner in (MID_ANY, MID_DIGIT)
                    elif joiner == MID_HEBREW:
                        goes_on = found == HEBREW and former == HEBREW
                    else:
                        goes_on = joiner != MID_DIGIT
                    if goes_on:
                        joiner = np.int64(0)
                elif joiner == 0:
                    goes_on = True
                    saved_end = place
                    saved_state = state
                    joiner = found
                else:
                    goes_on = joiner == LOW_LINE and found == LOW_LINE
                if not goes_on:
                    if count == size:
                        return False
                    slot = np.uint64(count)
                    hashes[slot] = finish(state if joiner == 0 else saved_state)
                    starts[slot] = start
                    ends[slot] = place if joiner == 0 else saved_end
                    kinds[slot] = kind
                    count += 1
                    former = np.int64(0)
                    joiner = np.int64(0)
            if place >= end:
                break
            if found >= UNSPACED_CLASS:
                if not goes_on:
                    goes_on = True
                    start = place
                    state = HASH_START
                    kind = CAPITAL if flags & CAPITAL_FLAG else 0
                former = found
                if found == DIGIT_CLASS:
                    kind |= DIGIT
                elif found == UNSPACED_CLASS:
                    kind |= UNSPACED | LETTER
                else:
                    kind |= LETTER
            if goes_on:
                if flags & (FOLDS | IGNORABLE) == 0:
                    state = mix(state, np.uint64(point))
                elif flags & IGNORABLE == 0:
                    target = np.int64(at(folds, point))
                    if target >= 0:
                        state = mix(state, np.uint64(target))
                    else:
                        for item in range(-target, -target + np.int64(expansions[-target - 1])):
                            state = mix(state, np.uint64(expansions[item]))
            place += width
        unit_offsets[text + 1] = count
    return True
