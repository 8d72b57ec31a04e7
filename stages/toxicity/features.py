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
_LEFT_EDGE = np.uint64(ord("<"))
_RIGHT_EDGE = np.uint64(ord(">"))
_QUOTE = 0x22
_MEMO_BITS = 14
_MEMO_SHIFT = np.uint64(64 - _MEMO_BITS)
_SEEN_BITS = 10
_SEEN_SHIFT = np.uint64(64 - _SEEN_BITS)
_SEEN_SLOTS = 1 << _SEEN_BITS
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
def bucket_of(value: np.uint64) -> np.int64:
    """The place of a feature: the high bits of a product (multiplicative hashing)."""
    return np.int64((value * SPREAD) >> _SHIFT)


@inline_kernel
def note(value: np.uint64, slots: NDArray[np.uint64], stamps: NDArray[np.int64], stamp: np.int64) -> bool:
    """Put a value into the set of the window `stamp`; False if it is there already. `stamps[-1]` counts its values.

    Open addressing with linear probing; a slot is taken if it bears the stamp of this window."""
    if stamps[_SEEN_SLOTS] >= _MOST_SEEN:
        return False
    slot = np.int64((value * SPREAD) >> _SEEN_SHIFT)
    while stamps[slot] == stamp:
        if slots[slot] == value:
            return False
        slot = (slot + 1) & (_SEEN_SLOTS - 1)
    slots[slot] = value
    stamps[slot] = stamp
    stamps[_SEEN_SLOTS] += 1
    return True


@inline_kernel
def is_blank(point: np.int64) -> bool:
    """Whether a code point shows nothing by itself: spaces and controls (White_Space and Cc of Unicode)."""
    return bool(
        point <= 0x20
        or 0x7F <= point <= 0xA0
        or 0x2000 <= point <= 0x200F
        or 0x2028 <= point <= 0x202F
        or point in (0x1680, 0x205F, 0x3000, 0xFEFF, 0xFFFD)
    )


@inline_kernel
def unify_quote(point: np.int64) -> np.int64:
    """U+0022 for every quotation mark (Quotation_Mark of Unicode, without the apostrophe), else the code point."""
    if (
        point in (0xAB, 0xBB, 0x2039, 0x203A, 0x2E42)
        or 0x2018 <= point <= 0x201F
        or 0x300C <= point <= 0x300F
        or 0x301D <= point <= 0x301F
    ):
        return np.int64(_QUOTE)
    return point


@inline_kernel
def decode(data: NDArray[np.uint8], place: np.int64, end: np.int64) -> tuple[np.int64, np.int64]:
    """The code point at `place` and its width in bytes; U+FFFD and 1 where there is no whole UTF-8 sequence."""
    first = np.int64(data[place])
    if first < 0x80:
        return first, np.int64(1)
    if 0xC2 <= first < 0xE0 and place + 1 < end:
        return (first & 0x1F) << 6 | (np.int64(data[place + 1]) & 0x3F), np.int64(2)
    if 0xE0 <= first < 0xF0 and place + 2 < end:
        middle = (np.int64(data[place + 1]) & 0x3F) << 6
        return (first & 0x0F) << 12 | middle | (np.int64(data[place + 2]) & 0x3F), np.int64(3)
    if 0xF0 <= first < 0xF5 and place + 3 < end:
        middle = (np.int64(data[place + 1]) & 0x3F) << 12 | (np.int64(data[place + 2]) & 0x3F) << 6
        point = (first & 0x07) << 18 | middle | (np.int64(data[place + 3]) & 0x3F)
        if point < CODE_POINTS:
            return point, np.int64(4)
    return np.int64(0xFFFD), np.int64(1)


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
    # depend on its folded form alone, as its hash does: their sum is remembered by hash.
    record = buckets.size > 0
    memo_hashes = np.zeros(1 << _MEMO_BITS, dtype=np.uint64)
    memo_sums = np.zeros(1 << _MEMO_BITS, dtype=np.int32)
    memo_counts = np.zeros(1 << _MEMO_BITS, dtype=np.int32)
    folded = np.zeros(LONGEST_UNIT + 2, dtype=np.uint64)
    seen = np.zeros(_SEEN_SLOTS, dtype=np.uint64)
    stamps = np.zeros(_SEEN_SLOTS + 1, dtype=np.int64)
    stamp = np.int64(0)
    at = np.int64(0)
    for text in range(offsets.size - 1):
        windows = window_offsets[text + 1] - window_offsets[text]
        if windows == 0:
            continue
        begin = unit_offsets[text]
        units = unit_offsets[text + 1] - begin
        place = offsets[text]
        token = START_TOKEN
        total = np.int64(0)
        count = np.int64(0)
        window = np.int64(0)
        stamp += 1
        stamps[_SEEN_SLOTS] = 0
        for unit in range(units + 1):
            if unit == (window + 1) * window_units and window + 1 < windows:
                sums[window_offsets[text] + window] = total
                counts[window_offsets[text] + window] = count
                total = np.int64(0)
                count = np.int64(0)
                window += 1
                stamp += 1
                stamps[_SEEN_SLOTS] = 0
            # What stands before the unit, or after the last one.
            last = unit == units
            gap_end = offsets[text + 1] if last else starts[begin + unit]
            beside = unit == 0 or last
            former = np.int64(-1)
            while place < gap_end:
                point = np.int64(data[place])
                if point < 0x80:
                    place += 1
                else:
                    point, width = decode(data, place, gap_end)
                    place += width
                if is_blank(point) or classes[point] & IGNORABLE:
                    continue
                target = np.int64(folds[point])
                if target < 0:
                    target = np.int64(expansions[-target]) if expansions[-target - 1] > 0 else point
                point = unify_quote(target)
                if point == former:
                    continue
                former = point
                beside = True
                mark = np.uint64(point + 3)
                for item in range(2):
                    value = (mark if item == 0 else token * PAIR + mark) + PUNCTUATION_SALT
                    if note(value, seen, stamps, stamp):
                        bucket = bucket_of(value)
                        total += PUNCTUATION_VALUE * np.int64(weights[bucket])
                        if record:
                            buckets[at] = bucket
                            values[at] = PUNCTUATION_VALUE
                        at += 1
                        count += 1
                token = mark
            this = END_TOKEN if last else hashes[begin + unit]
            if beside:
                value = token * PAIR + this + PUNCTUATION_SALT
                if note(value, seen, stamps, stamp):
                    bucket = bucket_of(value)
                    total += PUNCTUATION_VALUE * np.int64(weights[bucket])
                    if record:
                        buckets[at] = bucket
                        values[at] = PUNCTUATION_VALUE
                    at += 1
                    count += 1
            if last:
                break
            token = this
            place = ends[begin + unit]

            sequences = 1 if unit == 0 else 2
            unspaced = kinds[begin + unit] & UNSPACED != 0
            if unspaced and unit > 1 and kinds[begin + unit - 1] & kinds[begin + unit - 2] & UNSPACED != 0:
                sequences = 3
            value = this + WORD_SALT
            power = PAIR
            fresh = False
            for item in range(sequences):
                if item > 0:
                    value += hashes[begin + unit - item] * power
                    power *= PAIR
                if note(value, seen, stamps, stamp):
                    if item == 0:
                        fresh = True
                    bucket = bucket_of(value)
                    total += WORD_VALUE * np.int64(weights[bucket])
                    if record:
                        buckets[at] = bucket
                        values[at] = WORD_VALUE
                    at += 1
                    count += 1
            if unspaced or not fresh:
                continue

            slot = np.int64(this >> _MEMO_SHIFT)
            if not record and memo_counts[slot] > 0 and memo_hashes[slot] == this:
                total += np.int64(memo_sums[slot])
                count += np.int64(memo_counts[slot])
                at += np.int64(memo_counts[slot])
                continue
            folded[0] = _LEFT_EDGE
            size = 1
            inside = starts[begin + unit]
            while inside < place and size <= LONGEST_UNIT:
                point, width = decode(data, inside, place)
                inside += width
                if classes[point] & IGNORABLE:
                    continue
                target = np.int64(folds[point])
                if target >= 0:
                    folded[size] = np.uint64(target)
                    size += 1
                else:
                    for item in range(-target, -target + np.int64(expansions[-target - 1])):
                        if size <= LONGEST_UNIT:
                            folded[size] = np.uint64(expansions[item])
                            size += 1
            folded[size] = _RIGHT_EDGE
            size += 1
            unit_total = np.int64(0)
            unit_count = np.int64(0)
            for first in range(size - SHORTEST_SEQUENCE + 1):
                value = np.uint64(0)
                for item in range(first, min(first + LONGEST_SEQUENCE, size)):
                    value = value * PAIR + folded[item]
                    if item - first >= SHORTEST_SEQUENCE - 1:
                        bucket = bucket_of(value + CHARACTER_SALT)
                        unit_total += CHARACTER_VALUE * np.int64(weights[bucket])
                        if record:
                            buckets[at] = bucket
                            values[at] = CHARACTER_VALUE
                        at += 1
                        unit_count += 1
            total += unit_total
            count += unit_count
            memo_hashes[slot] = this
            memo_sums[slot] = unit_total
            memo_counts[slot] = unit_count
        sums[window_offsets[text] + window] = total
        counts[window_offsets[text] + window] = count
