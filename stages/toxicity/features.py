"""What the classifier sees of a text: hashed words, characters within words, and punctuation; and their weighted sum.

A window is a run of units. Its features, each hashed to one of `BUCKETS` places:

- words: each unit, each pair of neighbours, and each three neighbours in a script without spaces;
- characters: the sequences of 3 to 5 folded code points of a unit between its edge marks (not in scripts without
  spaces, where a unit is one character);
- punctuation: each visible character between units (a run of the same one counts once, all quotation marks are the
  same), and each pair of neighbours among units, such characters and the two ends of the text of which one is no unit.

A feature belongs to the unit that it ends at, so that windows need no overlap. Each feature counts once in a window
(the characters of a unit once for each different unit), so that a table or a repeated line cannot add up. Words count
`WORD_VALUE`, characters `CHARACTER_VALUE`, punctuation `PUNCTUATION_VALUE`; the sum is divided by the root of the
number of features. All sums are of integers: a score does not depend on the order or the batch.

Training reads the features from the same kernel that scores (`feature_rows`), so the two cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.text.segment import UNSPACED, read_only
from curator.text.tables import CODE_POINTS, IGNORABLE, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

BUCKET_BITS = 17
BUCKETS = 1 << BUCKET_BITS
SHORTEST_SEQUENCE = 3
LONGEST_SEQUENCE = 5
LONGEST_UNIT = 40
"""Code points of a unit that are looked at."""
WORD_VALUE = 2
CHARACTER_VALUE = 1
PUNCTUATION_VALUE = 4
"""Relative weights of the three kinds, by cross-validation (see docs/toxicity-model-card.md)."""
WINDOW_UNITS = 50
"""Units of a window. The last window of a text has less than one and a half times as many, and half as many at least
unless it is the only one."""

FEATURES_VERSION = 1
"""Goes up with every change of what a feature is or where it is hashed: weights are of one version."""

PAIR = np.uint64(0xD1342543DE82EF95)
"""Multiplier of a 64-bit congruential generator (Steele and Vigna 2021): joins the hashes of neighbours."""
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio as a 64-bit fraction (Knuth, vol. 3, 6.4): multiplicative hashing to the high bits."""
WORD_SALT = np.uint64(0x2545F4914F6CDD1D)
CHARACTER_SALT = np.uint64(0x5851F42D4C957F2D)
PUNCTUATION_SALT = np.uint64(0x14057B7EF767814F)
START_TOKEN = np.uint64(1)
END_TOKEN = np.uint64(2)
_SHIFT = np.uint64(64 - BUCKET_BITS)
_SHORTEST_SEQUENCE, _LONGEST_SEQUENCE = np.uint64(SHORTEST_SEQUENCE), np.uint64(LONGEST_SEQUENCE)
_LEFT_EDGE = np.uint64(ord("<"))
_RIGHT_EDGE = np.uint64(ord(">"))
_QUOTE = np.uint64(0x22)
_UNREADABLE = np.uint64(0xFFFD)
_NO_POINT = np.uint64(CODE_POINTS)
_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_SIX, _TWELVE, _EIGHTEEN = np.uint64(6), np.uint64(12), np.uint64(18)
_LOW_3, _LOW_4, _LOW_5, _LOW_6 = np.uint64(0x07), np.uint64(0x0F), np.uint64(0x1F), np.uint64(0x3F)
_MEMO_BITS = 14
_MEMO_SHIFT = np.uint64(64 - _MEMO_BITS)
_SEEN_BITS = 10
_SEEN_SHIFT = np.uint64(64 - _SEEN_BITS)
_SEEN_SLOTS = 1 << _SEEN_BITS
_LAST_SEEN_SLOT = np.uint64(_SEEN_SLOTS - 1)
_MOST_SEEN = _SEEN_SLOTS // 2
"""Different features (those of characters apart) that a window counts. More than a thousand marks between 50 units are
no text; what comes after is ignored."""


_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class WindowSums:
    """Windows of several texts: those of text i stand at `offsets[i]` to `offsets[i + 1]` (int64[texts + 1]).

    `sums` (int64[windows]) are the weighted sums of features, `counts` (int64[windows]) the numbers of features.
    """

    offsets: NDArray[np.int64]
    sums: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class FeatureRows:
    """Features of windows as rows of a sparse matrix: those of window i stand at `offsets[i]` to `offsets[i + 1]`.

    `texts` (int64[windows]) says which text a window is of; `buckets` (int32) and `values` (int8) may repeat a place.
    """

    texts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    buckets: NDArray[np.int32]
    values: NDArray[np.int8]


def count_windows(unit_counts: NDArray[np.int64], window_units: int = WINDOW_UNITS) -> NDArray[np.int64]:
    """Windows of texts with so many units: int64[texts]. A text without units has none."""
    nearest = (unit_counts + window_units // 2) // window_units
    return np.where(unit_counts > 0, np.maximum(nearest, 1), 0).astype(np.int64)


def sum_windows(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    chosen: NDArray[np.bool_],
    weights: NDArray[np.int8],
    window_units: int = WINDOW_UNITS,
) -> WindowSums:
    """The weighted sum of each window of the `chosen` texts; the others have no windows.

    `data` and `offsets` are the text buffer, `units` its segmentation, `weights` int8[BUCKETS].
    """
    nothing = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int8)
    return _walk_texts(data, offsets, units, chosen, weights, window_units, *nothing)


def feature_rows(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    window_units: int = WINDOW_UNITS,
) -> FeatureRows:
    """The features of all windows of all texts."""
    chosen = np.ones(len(offsets) - 1, dtype=np.bool_)
    weights = np.zeros(BUCKETS, dtype=np.int8)
    counted = sum_windows(data, offsets, units, chosen, weights, window_units)
    row_offsets = np.zeros(len(counted.counts) + 1, dtype=np.int64)
    np.cumsum(counted.counts, out=row_offsets[1:])
    # One place more than there are features: an empty array would say that nothing is to be recorded.
    buckets = np.zeros(int(row_offsets[-1]) + 1, dtype=np.int32)
    values = np.zeros(len(buckets), dtype=np.int8)
    _walk_texts(data, offsets, units, chosen, weights, window_units, buckets, values)
    texts = np.repeat(np.arange(len(chosen)), np.diff(counted.offsets))
    return FeatureRows(texts, row_offsets, buckets[:-1], values[:-1])


def _walk_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    chosen: NDArray[np.bool_],
    weights: NDArray[np.int8],
    window_units: int,
    buckets: NDArray[np.int32],
    values: NDArray[np.int8],
) -> WindowSums:
    window_offsets = np.zeros(len(offsets), dtype=np.int64)
    np.cumsum(np.where(chosen, count_windows(units.counts, window_units), 0), out=window_offsets[1:])
    sums = np.zeros(int(window_offsets[-1]), dtype=np.int64)
    counts = np.zeros(len(sums), dtype=np.int64)
    table = tables()
    _walk(
        read_only(data),
        read_only(offsets),
        units.offsets,
        units.hashes,
        units.starts,
        units.ends,
        units.kinds,
        table.classes,
        table.folds,
        table.expansions,
        weights,
        window_units,
        window_offsets,
        sums,
        counts,
        buckets,
        values,
    )
    return WindowSums(window_offsets, sums, counts)


@inline_kernel
def bucket_of(value: np.uint64) -> np.uint64:
    """The place of a feature: the high bits of a product (multiplicative hashing)."""
    return (value * SPREAD) >> _SHIFT


@inline_kernel
def note(value: np.uint64, slots: NDArray[np.uint64], stamps: NDArray[np.uint32], stamp: np.uint32) -> bool:
    """Put a value into the set of the window `stamp`; False if it is there already.

    Open addressing with linear probing; a slot is taken if it bears the stamp of this window."""
    slot = (value * SPREAD) >> _SEEN_SHIFT
    while stamps[slot] == stamp:
        if slots[slot] == value:
            return False
        slot = (slot + _ONE) & _LAST_SEEN_SLOT
    slots[slot] = value
    stamps[slot] = stamp
    return True


@inline_kernel
def is_blank(point: np.uint64) -> bool:
    """Whether a code point shows nothing by itself: spaces and controls (White_Space and Cc of Unicode)."""
    if 0x20 < point < 0x7F:
        return False
    return bool(
        point <= 0x20
        or 0x7F <= point <= 0xA0
        or 0x2000 <= point <= 0x200F
        or 0x2028 <= point <= 0x202F
        or point in (0x1680, 0x205F, 0x3000, 0xFEFF, 0xFFFD)
    )


@inline_kernel
def unify_quote(point: np.uint64) -> np.uint64:
    """U+0022 for every quotation mark (Quotation_Mark of Unicode, without the apostrophe), else the code point."""
    if point < 0xAB:
        return point
    if (
        point in (0xAB, 0xBB, 0x2039, 0x203A, 0x2E42)
        or 0x2018 <= point <= 0x201F
        or 0x300C <= point <= 0x300F
        or 0x301D <= point <= 0x301F
    ):
        return _QUOTE
    return point


@inline_kernel
def decode(data: NDArray[np.uint8], place: np.uint64, end: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The code point at `place` and its width in bytes; U+FFFD and 1 where there is no whole UTF-8 sequence."""
    first = np.uint64(data[place])
    if first < 0x80:
        return first, _ONE
    if 0xC2 <= first < 0xE0 and place + _ONE < end:
        return (first & _LOW_5) << _SIX | (np.uint64(data[place + _ONE]) & _LOW_6), _TWO
    if 0xE0 <= first < 0xF0 and place + _TWO < end:
        middle = (np.uint64(data[place + _ONE]) & _LOW_6) << _SIX
        return (first & _LOW_4) << _TWELVE | middle | (np.uint64(data[place + _TWO]) & _LOW_6), _THREE
    if 0xF0 <= first < 0xF5 and place + _THREE < end:
        middle = (np.uint64(data[place + _ONE]) & _LOW_6) << _SIX | (np.uint64(data[place + _TWO]) & _LOW_6)
        point = (first & _LOW_3) << _EIGHTEEN | middle << _SIX | (np.uint64(data[place + _THREE]) & _LOW_6)
        if point < CODE_POINTS:
            return point, _FOUR
    return _UNREADABLE, _ONE


@kernel
def _walk(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    folds: NDArray[np.int32],
    expansions: NDArray[np.int32],
    weights: NDArray[np.int8],
    window_units: int,
    window_offsets: NDArray[np.int64],
    sums: NDArray[np.int64],
    counts: NDArray[np.int64],
    buckets: NDArray[np.int32],
    values: NDArray[np.int8],
) -> None:
    # Fills `sums` and `counts`; and `buckets` and `values` if they have room at all. The character features of a unit
    # depend on its folded form alone, as its hash does: their sum and number are remembered beside the hash.
    #
    # Unsigned where an array is looked into: Numba tests a signed index for being negative.
    record = buckets.size > 0
    memo = np.zeros((1 << _MEMO_BITS, 2), dtype=np.int64)
    folded = np.zeros(LONGEST_UNIT + 2, dtype=np.uint64)
    seen = np.zeros(_SEEN_SLOTS, dtype=np.uint64)
    stamps = np.zeros(_SEEN_SLOTS, dtype=np.uint32)
    stamp = np.uint32(0)
    at = np.uint64(0)
    for text in range(offsets.size - 1):
        window = np.uint64(window_offsets[text])
        last_window = np.uint64(window_offsets[text + 1]) - _ONE
        if window_offsets[text] == window_offsets[text + 1]:
            continue
        begin = np.uint64(unit_offsets[text])
        units = np.uint64(unit_offsets[text + 1]) - begin
        place = np.uint64(offsets[text])
        token = START_TOKEN
        total = np.int64(0)
        count = np.int64(0)
        stamp += np.uint32(1)
        noted = 0
        border = np.uint64(window_units)
        for unit in range(units + _ONE):
            if unit == border and window < last_window:
                sums[window] = total
                counts[window] = count
                total = np.int64(0)
                count = np.int64(0)
                window += _ONE
                stamp += np.uint32(1)
                noted = 0
                border += np.uint64(window_units)
            # What stands before the unit, or after the last one.
            here = begin + unit
            last = unit == units
            gap_end = np.uint64(offsets[text + 1] if last else starts[here])
            beside = unit == 0 or last
            former = _NO_POINT
            while place < gap_end:
                point, width = decode(data, place, gap_end)
                place += width
                if is_blank(point) or classes[point] & IGNORABLE:
                    continue
                target = folds[point]
                if target >= 0:
                    point = np.uint64(target)
                elif expansions[np.uint64(-target - 1)] > 0:
                    point = np.uint64(expansions[np.uint64(-target)])
                point = unify_quote(point)
                if point == former:
                    continue
                former = point
                beside = True
                mark = point + _THREE
                for item in range(2):
                    value = (mark if item == 0 else token * PAIR + mark) + PUNCTUATION_SALT
                    if noted < _MOST_SEEN and note(value, seen, stamps, stamp):
                        noted += 1
                        bucket = bucket_of(value)
                        total += PUNCTUATION_VALUE * np.int64(weights[bucket])
                        if record:
                            buckets[at] = bucket
                            values[at] = PUNCTUATION_VALUE
                            at += _ONE
                        count += 1
                token = mark
            this = END_TOKEN if last else hashes[here]
            if beside:
                value = token * PAIR + this + PUNCTUATION_SALT
                if noted < _MOST_SEEN and note(value, seen, stamps, stamp):
                    noted += 1
                    bucket = bucket_of(value)
                    total += PUNCTUATION_VALUE * np.int64(weights[bucket])
                    if record:
                        buckets[at] = bucket
                        values[at] = PUNCTUATION_VALUE
                        at += _ONE
                    count += 1
            if last:
                break
            token = this
            place = np.uint64(ends[here])

            sequences = np.uint64(1 if unit == 0 else 2)
            unspaced = kinds[here] & UNSPACED != 0
            if unspaced and unit > 1 and kinds[here - _ONE] & kinds[here - _TWO] & UNSPACED != 0:
                sequences = _THREE
            value = this + WORD_SALT
            power = PAIR
            fresh = False
            for item in range(sequences):
                if item > 0:
                    value += hashes[here - item] * power
                    power *= PAIR
                if noted < _MOST_SEEN and note(value, seen, stamps, stamp):
                    noted += 1
                    if item == 0:
                        fresh = True
                    bucket = bucket_of(value)
                    total += WORD_VALUE * np.int64(weights[bucket])
                    if record:
                        buckets[at] = bucket
                        values[at] = WORD_VALUE
                        at += _ONE
                    count += 1
            if unspaced or not fresh:
                continue

            slot = this >> _MEMO_SHIFT
            if not record and np.uint64(memo[slot, 0]) == this and memo[slot, 1] != 0:
                total += memo[slot, 1] >> 8
                count += memo[slot, 1] & 0xFF
                continue
            folded[0] = _LEFT_EDGE
            size = _ONE
            inside = np.uint64(starts[here])
            while inside < place and size <= LONGEST_UNIT:
                point, width = decode(data, inside, place)
                inside += width
                if classes[point] & IGNORABLE:
                    continue
                target = folds[point]
                if target >= 0:
                    folded[size] = np.uint64(target)
                    size += _ONE
                else:
                    many = np.uint64(expansions[np.uint64(-target - 1)])
                    for item in range(np.uint64(-target), np.uint64(-target) + many):
                        if size <= LONGEST_UNIT:
                            folded[size] = np.uint64(expansions[item])
                            size += _ONE
            folded[size] = _RIGHT_EDGE
            size += _ONE
            unit_total = np.int64(0)
            unit_count = np.int64(0)
            for first in range(size - _TWO):
                value = np.uint64(0)
                for item in range(first, min(first + _LONGEST_SEQUENCE, size)):
                    value = value * PAIR + folded[item]
                    if item - first >= _SHORTEST_SEQUENCE - _ONE:
                        bucket = bucket_of(value + CHARACTER_SALT)
                        unit_total += CHARACTER_VALUE * np.int64(weights[bucket])
                        if record:
                            buckets[at] = bucket
                            values[at] = CHARACTER_VALUE
                            at += _ONE
                        unit_count += 1
            total += unit_total
            count += unit_count
            memo[slot, 0] = np.int64(this)
            memo[slot, 1] = unit_total << 8 | unit_count
        sums[window] = total
        counts[window] = count
