"""What the lines of documents look like: one kernel over the bytes of a batch.

A line is what stands between line feeds, less white space and marks without width at its ends; one with nothing else is
blank. Blank lines part paragraphs. Lines are the same if their bytes are, and so are paragraphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.hash_set import insert, table_size
from curator.text.fold import hash_unit
from curator.text.segment import read_only
from stages.quality.signs import BLANK, BULLET, CLOSER, TERMINAL, point_at, sign_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

SHORT_LINE = 30
"""A line of fewer characters is short (Penedo et al. 2024, section 3.6)."""
SHORT_LINE_IDEOGRAPHS = 15
"""The same where most units are ideographs or of syllables, half as many of which say the same."""

JAVASCRIPT = np.uint64(hash_unit("javascript"))

(
    _LINES,
    _CHARACTERS,
    _REPEATED_LINES,
    _REPEATED_LINE_CHARACTERS,
    _PARAGRAPHS,
    _REPEATED_PARAGRAPHS,
    _REPEATED_PARAGRAPH_CHARACTERS,
    _BULLETS,
    _ELLIPSES,
    _TERMINALS,
    _SHORT,
    _SHORT_IDEOGRAPHS,
    _JAVASCRIPT,
    _HASH_SIGNS,
    _ELLIPSIS_SIGNS,
    _BRACES,
) = range(16)

_TAB, _LINE_FEED, _SPACE, _FULL_STOP, _HASH_SIGN, _BRACE = 0x09, 0x0A, 0x20, 0x2E, 0x23, 0x7B
_STAR, _HYPHEN, _ELLIPSIS = 0x2A, 0x2D, 0x2026
_ELLIPSIS_BYTES = (0xE2, 0x80, 0xA6)
_ONE = np.uint64(1)
_FAR = np.int64(-8)
"""A place that is next to none."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class LineCounts:
    """Counts for each text, int64[texts] each.

    `lines` that are not blank, and `characters` (code points) in them; lines and paragraphs that occurred before in the
    text, and characters in them; lines that begin with a bullet, end with an ellipsis, end with a sign that ends a
    sentence, are short, hold the word JavaScript; hash signs, ellipses and opening braces in all lines.
    """

    lines: NDArray[np.int64]
    characters: NDArray[np.int64]
    repeated_lines: NDArray[np.int64]
    repeated_line_characters: NDArray[np.int64]
    paragraphs: NDArray[np.int64]
    repeated_paragraphs: NDArray[np.int64]
    repeated_paragraph_characters: NDArray[np.int64]
    bullets: NDArray[np.int64]
    ellipses: NDArray[np.int64]
    terminals: NDArray[np.int64]
    short: NDArray[np.int64]
    short_ideographs: NDArray[np.int64]
    javascript: NDArray[np.int64]
    hash_signs: NDArray[np.int64]
    ellipsis_signs: NDArray[np.int64]
    braces: NDArray[np.int64]


def count_lines(data: NDArray[np.uint8], offsets: NDArray[np.int64], units: Units) -> LineCounts:
    """The counts of texts `data[offsets[i]:offsets[i + 1]]` (UTF-8), whose units are given."""
    counts = np.zeros((16, len(offsets) - 1), dtype=np.int64)
    _count(
        read_only(data), read_only(offsets), units.offsets, units.hashes, units.starts, sign_table(), JAVASCRIPT, counts
    )
    return LineCounts(*counts)


@inline_kernel
def _last_place(data: NDArray[np.uint8], begin: np.int64, end: np.int64) -> np.int64:
    """Where the last code point before `end` begins."""
    place = end - 1
    while place > begin and data[place] & 0xC0 == 0x80:
        place -= 1
    return place


@inline_kernel
def _hash(data: NDArray[np.uint8], begin: np.int64, end: np.int64) -> np.uint64:
    """A hash of these bytes, eight at a time."""
    value = np.uint64(end - begin)
    place = begin
    while place + 8 <= end:
        word = np.uint64(0)
        for byte in range(8):
            word |= np.uint64(data[place + byte]) << np.uint64(8 * byte)
        value = (value ^ word) * _MULTIPLIER
        value ^= value >> np.uint64(32)
        place += 8
    word = np.uint64(0)
    while place < end:
        word = word << np.uint64(8) | np.uint64(data[place])
        place += 1
    value = (value ^ word) * _MULTIPLIER
    return value ^ value >> np.uint64(32)


@kernel
def _count(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    signs: NDArray[np.uint8],
    javascript: np.uint64,
    counts: NDArray[np.int64],
) -> None:
    texts = offsets.size - 1
    counted = np.zeros(256, dtype=np.bool_)
    for sign in (_LINE_FEED, _FULL_STOP, _HASH_SIGN, _BRACE, _ELLIPSIS_BYTES[0]):
        counted[sign] = True
    feeds = np.zeros(texts, dtype=np.int64)
    most = np.int64(0)
    for text in range(texts):
        found = np.int64(0)
        for byte in data[offsets[text] : offsets[text + 1]]:
            found += byte == _LINE_FEED
        feeds[text] = found
        most = max(most, found)
    seen_lines = np.empty(table_size(most + 1), dtype=np.uint64)
    seen_paragraphs = np.empty(table_size(most + 1), dtype=np.uint64)
    for text in range(texts):
        size = table_size(feeds[text] + 1)
        mask = np.uint64(size - 1)
        seen_lines[:size] = 0
        seen_paragraphs[:size] = 0
        unit = unit_offsets[text]
        last_unit = unit_offsets[text + 1]
        end = offsets[text + 1]
        next_begin = offsets[text]
        paragraph = np.uint64(0)
        paragraph_lines = np.int64(0)
        paragraph_characters = np.int64(0)
        hash_signs = np.int64(0)
        ellipses = np.int64(0)
        braces = np.int64(0)
        while next_begin <= end:
            line_begin = next_begin
            line_end = line_begin
            full_stops = np.int64(0)
            former_stop = _FAR
            former_ellipsis = _FAR
            while line_end < end:
                byte = data[line_end]
                if counted[byte]:
                    if byte == _LINE_FEED:
                        break
                    if byte == _FULL_STOP:
                        full_stops = full_stops + 1 if former_stop == line_end - 1 else np.int64(1)
                        former_stop = line_end
                        ellipses += full_stops == 3
                    elif byte == _HASH_SIGN:
                        hash_signs += 1
                    elif byte == _BRACE:
                        braces += 1
                    elif (
                        line_end + 2 < end
                        and data[line_end + 1] == _ELLIPSIS_BYTES[1]
                        and data[line_end + 2] == _ELLIPSIS_BYTES[2]
                    ):
                        ellipses += former_ellipsis != line_end - 3
                        former_ellipsis = line_end
                line_end += 1
            next_begin = line_end + 1
            begin = line_begin
            stop = line_end
            while begin < stop and signs[point_at(data, begin, stop)] & BLANK:
                begin += 1
                while begin < stop and data[begin] & 0xC0 == 0x80:
                    begin += 1
            while begin < stop:
                place = _last_place(data, begin, stop)
                if signs[point_at(data, place, stop)] & BLANK == 0:
                    break
                stop = place

            if begin < stop:
                value = _hash(data, begin, stop)
                characters = np.int64(0)
                for byte in data[begin:stop]:
                    characters += byte & 0xC0 != 0x80
                counts[_LINES, text] += 1
                counts[_CHARACTERS, text] += characters
                counts[_SHORT, text] += characters < SHORT_LINE
                counts[_SHORT_IDEOGRAPHS, text] += characters < SHORT_LINE_IDEOGRAPHS
                if insert(value, seen_lines, mask):
                    counts[_REPEATED_LINES, text] += 1
                    counts[_REPEATED_LINE_CHARACTERS, text] += characters
                paragraph = (paragraph + value) * _MULTIPLIER
                paragraph_lines += 1
                paragraph_characters += characters

                first = point_at(data, begin, stop)
                if signs[first] & BULLET:
                    after = np.int64(data[begin + 1]) if begin + 1 < stop else _SPACE
                    # A hyphen or star that is no bullet touches the word: `-5`, `*bold*`.
                    counts[_BULLETS, text] += first not in (_STAR, _HYPHEN) or after in (_SPACE, _TAB)
                # Behind quotation marks and brackets, which French sets apart by a space.
                last = stop
                while last > begin:
                    place = _last_place(data, begin, last)
                    point = point_at(data, place, last)
                    if signs[point] & (CLOSER | BLANK) == 0:
                        counts[_TERMINALS, text] += signs[point] & TERMINAL != 0
                        stops = (
                            last - begin >= 3
                            and data[last - 1] == _FULL_STOP
                            and data[last - 2] == _FULL_STOP
                            and data[last - 3] == _FULL_STOP
                        )
                        counts[_ELLIPSES, text] += stops or point == _ELLIPSIS
                        break
                    last = place
                while unit < last_unit and starts[unit] < stop:
                    if hashes[unit] == javascript:
                        counts[_JAVASCRIPT, text] += 1
                        while unit < last_unit and starts[unit] < stop:
                            unit += 1
                        break
                    unit += 1

            if paragraph_lines > 0 and (begin >= stop or next_begin > end):
                counts[_PARAGRAPHS, text] += 1
                if insert(paragraph, seen_paragraphs, mask):
                    counts[_REPEATED_PARAGRAPHS, text] += 1
                    counts[_REPEATED_PARAGRAPH_CHARACTERS, text] += paragraph_characters
                paragraph = np.uint64(0)
                paragraph_lines = np.int64(0)
                paragraph_characters = np.int64(0)
        counts[_HASH_SIGNS, text] = hash_signs
        counts[_ELLIPSIS_SIGNS, text] = ellipses
        counts[_BRACES, text] = braces
