"""Cutting repeats, which are whole units, out of texts: what between the units goes with them, and what stays.

In scripts without spaces a unit is no word: there a repeat is cut from a mark or white space on, and up to one, where
these are near its ends.

A mark that touches the repeat goes with it where it belongs to it: all marks up to white space or the end of the text
(`(the repeat).`), and where a unit follows without white space, as in Chinese, what does not open (`。` goes, `「`
stays). The same holds before it, the other way round. A no-break space ties a mark to its word
(`« the repeat ? »`, as French is set). White space is settled by `curator.text.spans`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.kernel import inline_kernel, kernel
from curator.text.segment import UNSPACED, read_only
from curator.text.spans import cut_spans, settle_spans, space_at, space_before

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

CHANCE_UNITS = 8
"""So far from its end a mark or white space is looked for inside of a repeat."""

_OPENING = "([{¡«¿‘‚“„‹〈《「『【〔〖〘〝（［｛｢"
"""Marks that belong to what follows: Unicode's Ps and Pi as they are used beside units without white space, and the
inverted marks of Spanish."""
_NO_BREAK = 2
"""Bytes of U+00A0, the one white space of that length."""
_POINTS = np.array(sorted(map(ord, _OPENING)), dtype=np.int64)


def join_spans(
    rows: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Spans of each row that overlap or touch, as one; sorted by row and begin, as they come."""
    if len(rows) == 0:
        return rows, begins, ends
    joined = np.empty((len(rows), 3), dtype=np.int64)
    count = _join(rows, begins, ends, joined)
    row, begin, end = np.ascontiguousarray(joined[:count].T)
    return row, begin, end


def unit_bytes(
    texts: Batch, rows: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bytes of units [begin, end) of texts: from the first byte of the first to the last byte of the last."""
    units = texts.units
    first = units.offsets[rows]
    return units.starts[first + begins], units.ends[first + ends - 1]


def trim_to_phrases(
    texts: Batch, rows: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spans without up to CHANCE_UNITS units at an end where a script without spaces goes on, so that it comes to a
    mark or white space. Half of the repeats end within a word else: one character more is easily the same."""
    moved_begins, moved_ends = _moved(texts, rows, begins, 1), _moved(texts, rows, ends, -1)
    left = moved_begins < moved_ends
    return np.where(left, moved_begins, begins), np.where(left, moved_ends, ends)


def _moved(texts: Batch, rows: NDArray[np.int64], places: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Each place, or the first one in this direction where the text does not go on; the same if that is too far."""
    targets = places.copy()
    for _ in range(CHANCE_UNITS):
        targets[_goes_on(texts, rows, targets)] += step
    return np.where(_goes_on(texts, rows, targets), places, targets)


def _goes_on(texts: Batch, rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether two characters of scripts without spaces touch before unit `places` of a text: bool[places]."""
    units = texts.units
    found = np.zeros(len(places), dtype=np.bool_)
    inner = np.flatnonzero((places > 0) & (places < units.counts[rows]))
    after = units.offsets[rows[inner]] + places[inner]
    unspaced = units.kinds[after - 1] & units.kinds[after] & UNSPACED > 0
    found[inner] = unspaced & (units.ends[after - 1] == units.starts[after])
    return found


def cut_units(
    texts: Batch, rows: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> pa.StringArray:
    """All texts without units [begin, end) (disjoint, not touching, sorted) and what belongs to them."""
    data, offsets = texts.text_buffer
    units = texts.units
    first, behind = units.offsets[rows] + begins, units.offsets[rows] + ends
    lows, highs = offsets[rows].copy(), offsets[rows + 1].copy()
    has_before, has_behind = begins > 0, behind < units.offsets[rows + 1]
    lows[has_before] = units.ends[first[has_before] - 1]
    highs[has_behind] = units.starts[behind[has_behind]]
    starts, stops = units.starts[first], units.ends[behind - 1]
    _take_marks(read_only(data), lows, highs, has_before, has_behind, _POINTS, starts, stops)
    starts, stops = settle_spans(data, offsets, rows, starts, stops)
    # Two words that could become one, or a number, are kept apart.
    between = np.flatnonzero(has_before & has_behind)
    unspaced = (units.kinds[first[between] - 1] | units.kinds[behind[between]]) & UNSPACED
    words = np.zeros(len(rows), dtype=np.bool_)
    words[between[unspaced == 0]] = True
    _keep_apart(read_only(data), lows, starts, stops, highs, words)
    return cut_spans(data, offsets, rows, starts, stops, words)


@kernel
def _join(
    rows: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64], joined: NDArray[np.int64]
) -> int:
    count = 0
    for span in range(rows.size):
        if count and joined[count - 1, 0] == rows[span] and begins[span] <= joined[count - 1, 2]:
            joined[count - 1, 2] = max(joined[count - 1, 2], ends[span])
        else:
            joined[count, 0] = rows[span]
            joined[count, 1] = begins[span]
            joined[count, 2] = ends[span]
            count += 1
    return count


@inline_kernel
def _opens(data: NDArray[np.uint8], place: np.int64, end: np.int64, points: NDArray[np.int64]) -> bool:
    """Whether the code point at `place` is a mark that opens."""
    first = np.int64(data[place])
    point = first
    if first >= 0xE0 and place + 2 < end:
        point = (first & 0x0F) << 12 | (np.int64(data[place + 1]) & 0x3F) << 6 | np.int64(data[place + 2]) & 0x3F
    elif first >= 0xC0 and place + 1 < end:
        point = (first & 0x1F) << 6 | np.int64(data[place + 1]) & 0x3F
    found = False
    for known in points:
        found |= known == point
    return found


@kernel
def _take_marks(
    data: NDArray[np.uint8],
    lows: NDArray[np.int64],
    highs: NDArray[np.int64],
    has_before: NDArray[np.bool_],
    has_behind: NDArray[np.bool_],
    points: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> None:
    for span in range(starts.size):
        low, high = lows[span], highs[span]
        place = stops[span]
        opening = np.int64(-1)
        while place < high and space_at(data, place, high) in (0, _NO_BREAK):
            if opening < 0 and _opens(data, place, high, points):
                opening = place
            place += 1
            while place < high and (data[place] & 0xC0) == 0x80:
                place += 1
        touches = place == high and has_behind[span]
        stops[span] = opening if touches and opening >= 0 else place
        place = starts[span]
        opening = place
        open_so_far = True
        while place > low and space_before(data, place, low) in (0, _NO_BREAK):
            place -= 1
            while place > low and (data[place] & 0xC0) == 0x80:
                place -= 1
            open_so_far = open_so_far and _opens(data, place, starts[span], points)
            if open_so_far:
                opening = place
        touches = place == low and has_before[span]
        starts[span] = opening if touches else place


@kernel
def _keep_apart(
    data: NDArray[np.uint8],
    lows: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    highs: NDArray[np.int64],
    words: NDArray[np.bool_],
) -> None:
    # Leaves `words` set where what stays between the units before and behind a cut has no white space.
    for span in range(starts.size):
        for place in range(lows[span], starts[span]):
            if space_at(data, np.int64(place), starts[span]):
                words[span] = False
        for place in range(stops[span], highs[span]):
            if space_at(data, np.int64(place), highs[span]):
                words[span] = False
