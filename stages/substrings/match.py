"""From anchors that meet to maximal repeats: compared unit by unit, extended to both sides, chosen for the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACTIVE = 64
"""Repeats of a document that are remembered at a time, so that the next anchor of the same one costs nothing."""


@dataclass(frozen=True)
class Texts:
    """Units of some documents: document i has row `rows[i]` of the corpus (sorted), and the units
    `values[offsets[i]:offsets[i + 1]]` (see `anchors.unit_values`)."""

    rows: NDArray[np.int64]
    offsets: NDArray[np.int64]
    values: NDArray[np.uint64]

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The places of these rows, all of which must be there: int64[n]."""
        found = np.searchsorted(self.rows, rows)
        if not np.array_equal(self.rows[np.minimum(found, len(self.rows) - 1)], rows):
            raise ValueError("a document that shares an anchor has no units here")
        return found


def extend_matches(
    later: Texts,
    mass: NDArray[np.int64],
    earlier: Texts,
    pairs: NDArray[np.int64],
    gram: int,
    whole: int,
) -> NDArray[np.int64]:
    """Repeats of at least `whole` mass that pairs of anchors lead to.

    `pairs` are (document of `later`, unit, document of `earlier`, unit): int64[n, 4], sorted by the first two; `mass`
    is that of `later` (see `anchors.mass_of`). In a pair of one document with itself the earlier anchor must be at
    least `whole` mass before the later one, so that a repeat never overlaps with what it repeats. Returns (document of
    `later`, begin, end, document of `earlier`): int64[repeats, 4]. Of repeats that lie inside of another one some are
    left out, and one may be there twice: neither changes what `choose_repeats` makes of them.
    """
    repeats = np.empty((len(pairs), 4), dtype=np.int64)
    same = later.rows[pairs[:, 0]] == earlier.rows[pairs[:, 2]]
    count = _extend(
        later.offsets, later.values, mass, earlier.offsets, earlier.values, pairs, same, gram, whole, repeats
    )
    return repeats[:count]


def choose_repeats(repeats: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of repeats (document, begin, end, row of the earlier document), as few as cover the same units: int64[n, 4],
    sorted by document and begin. Of two that reach equally far the longer one is taken, then that of the earlier
    document."""
    order = np.lexsort((repeats[:, 3], -repeats[:, 2], repeats[:, 1], repeats[:, 0]))
    ordered = np.ascontiguousarray(repeats[order])
    chosen = np.empty_like(ordered)
    return chosen[: _choose(ordered, chosen)]


@kernel
def _extend(
    offsets: NDArray[np.int64],
    values: NDArray[np.uint64],
    mass: NDArray[np.int64],
    other_offsets: NDArray[np.int64],
    other_values: NDArray[np.uint64],
    pairs: NDArray[np.int64],
    same: NDArray[np.bool_],
    gram: int,
    whole: int,
    repeats: NDArray[np.int64],
) -> int:
    count = 0
    text = np.int64(-1)
    # Repeats of the text that have not ended before the anchor: the other document, how far apart, and the end.
    active = np.empty((_ACTIVE, 3), dtype=np.int64)
    actives = 0
    # The one that reaches farthest; of equals the longest, then that of the earliest document.
    best_begin, best_end, best_other = np.int64(0), np.int64(0), np.int64(0)
    for pair in range(pairs.shape[0]):
        if pairs[pair, 0] != text:
            text = pairs[pair, 0]
            actives = 0
            best_begin, best_end, best_other = np.int64(0), np.int64(0), np.int64(0)
        low, high = offsets[text], offsets[text + 1]
        other = pairs[pair, 2]
        other_low, other_high = other_offsets[other], other_offsets[other + 1]
        here = low + pairs[pair, 1]
        there = other_low + pairs[pair, 3]
        if same[pair] and mass[here] - mass[low + pairs[pair, 3]] < whole:
            continue
        shift = there - here
        known = False
        entry = 0
        while entry < actives:
            if active[entry, 2] <= here:
                actives -= 1
                active[entry] = active[actives]
                continue
            known |= active[entry, 0] == other and active[entry, 1] == shift
            entry += 1
        if known:
            continue
        if best_begin <= here and here + gram <= best_end and best_other <= other:
            # Only a repeat that reaches out of the one that is known tells anything new: one unit a side says so.
            out = (
                best_end < high and best_end + shift < other_high and values[best_end] == other_values[best_end + shift]
            )
            before = best_begin - 1
            if not out and before >= low and before + shift >= other_low:
                out = values[before] == other_values[before + shift]
            if not out:
                continue
        begin, end = here, here
        while end < high and end + shift < other_high and values[end] == other_values[end + shift]:
            end += 1
        while begin > low and begin + shift > other_low and values[begin - 1] == other_values[begin + shift - 1]:
            begin -= 1
        if mass[end] - mass[begin] < whole:
            continue
        repeats[count, 0] = text
        repeats[count, 1] = begin - low
        repeats[count, 2] = end - low
        repeats[count, 3] = other
        count += 1
        if end > best_end or (end == best_end and (begin < best_begin or (begin == best_begin and other < best_other))):
            best_begin, best_end, best_other = begin, end, other
        # A forgotten one is found again: that costs time and changes nothing.
        place = actives if actives < _ACTIVE else count % _ACTIVE
        actives = min(actives + 1, _ACTIVE)
        active[place, 0] = other
        active[place, 1] = shift
        active[place, 2] = end
    return count


@kernel
def _choose(repeats: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    count = 0
    place = 0
    size = repeats.shape[0]
    while place < size:
        text = repeats[place, 0]
        # Repeats of a text by begin: of those that begin no later than what is covered ends, the one that reaches
        # farthest goes on.
        until = np.int64(-1)
        while place < size and repeats[place, 0] == text:
            best = place
            if repeats[place, 1] > until:
                until = repeats[place, 1]
            while place < size and repeats[place, 0] == text and repeats[place, 1] <= until:
                if repeats[place, 2] > repeats[best, 2]:
                    best = place
                place += 1
            if repeats[best, 2] > until:
                chosen[count] = repeats[best]
                count += 1
                until = repeats[best, 2]
    return count
