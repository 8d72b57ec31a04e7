"""Cutting spans out of many texts at once: which white space goes with them, and where they are in code points.

Texts lie in one buffer of UTF-8 (see `curator.document.string_buffer`); a span is bytes [begin, end) of that buffer.
Spans are sorted, and between two of one text stands something that is no white space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.kernel import inline_kernel, kernel
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE_FEED = 0x0A


def settle_spans(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    texts: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bytes that go when spans of texts `texts` are cut: the span, and the white space on one side of it.

    The side with more line feeds stays, that before the span where they are equal, so that lines and paragraphs neither
    join nor drift apart. A line that is left keeps its indentation, and a text its first and last line feeds as far as
    something stands between them.
    """
    starts, stops = np.empty_like(begins), np.empty_like(ends)
    _settle(read_only(data), offsets[texts], offsets[texts + 1], begins, ends, starts, stops)
    return starts, stops


def span_points(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    texts: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of spans of texts `texts` in code points from the beginning of their text. Spans are sorted by
    text and begin; they may overlap."""
    firsts, lasts = np.empty_like(begins), np.empty_like(ends)
    _count_code_points(read_only(data), offsets[texts], begins, ends, firsts, lasts)
    return firsts, lasts


def cut_spans(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    texts: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    spaced: NDArray[np.bool_],
) -> pa.StringArray:
    """All texts without their spans (of texts `texts`, sorted, disjoint); where `spaced`, a space stands instead."""
    counts = np.bincount(texts, minlength=len(offsets) - 1)
    span_offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    left = int(offsets[-1] - offsets[0] - (ends - begins).sum() + spaced.sum())
    cut = np.empty(left, dtype=np.uint8)
    cut_offsets = np.zeros(len(offsets), dtype=np.int64)
    _cut(read_only(data), read_only(offsets), span_offsets, begins, ends, spaced, cut, cut_offsets)
    buffers = [None, pa.py_buffer(cut_offsets), pa.py_buffer(cut)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers).cast(pa.string())


@inline_kernel
def space_at(data: NDArray[np.uint8], place: np.int64, end: np.int64) -> np.int64:
    """Bytes of the white space character at `place`, 0 where there is none: ASCII, U+00A0, U+3000."""
    if place >= end:
        return np.int64(0)
    byte = data[place]
    if byte == 0x20 or byte == 0x0A or byte == 0x09 or byte == 0x0D:
        return np.int64(1)
    if byte == 0xC2 and place + 1 < end and data[place + 1] == 0xA0:
        return np.int64(2)
    if byte == 0xE3 and place + 2 < end and data[place + 1] == 0x80 and data[place + 2] == 0x80:
        return np.int64(3)
    return np.int64(0)


@inline_kernel
def space_before(data: NDArray[np.uint8], place: np.int64, begin: np.int64) -> np.int64:
    """Bytes of the white space character that ends at `place`, 0 where there is none."""
    for width in (1, 2, 3):
        if place - width >= begin and space_at(data, place - width, place) == width:
            return np.int64(width)
    return np.int64(0)


@kernel
def _settle(
    data: NDArray[np.uint8],
    lows: NDArray[np.int64],
    highs: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> None:
    for span in range(begins.size):
        low, high, begin, end = lows[span], highs[span], begins[span], ends[span]
        left, first_feed, line_start, feeds_before = begin, begin, begin, 0
        while True:
            width = space_before(data, left, low)
            if width == 0:
                break
            left -= width
            if data[left] == _LINE_FEED:
                if feeds_before == 0:
                    line_start = left + 1
                first_feed = left
                feeds_before += 1
        right, after_feeds, feeds_after = end, end, 0
        while True:
            width = space_at(data, right, high)
            if width == 0:
                break
            if data[right] == _LINE_FEED:
                after_feeds = right + 1
                feeds_after += 1
            right += width
        before = first_feed if feeds_before else left
        behind = after_feeds if feeds_after else right
        if right == high:
            starts[span] = low if left == low else before
            stops[span] = high if left == low else end
        elif left == low:
            starts[span] = low
            stops[span] = behind
        elif feeds_after > feeds_before:
            starts[span] = before
            stops[span] = end
        else:
            starts[span] = line_start if feeds_after else begin
            stops[span] = behind


@kernel
def _count_code_points(
    data: NDArray[np.uint8],
    lows: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    firsts: NDArray[np.int64],
    lasts: NDArray[np.int64],
) -> None:
    place = np.int64(0)
    count = np.int64(0)
    for span in range(begins.size):
        if span == 0 or lows[span] != lows[span - 1]:
            place, count = lows[span], np.int64(0)
        while place < begins[span]:
            count += (data[place] & 0xC0) != 0x80
            place += 1
        firsts[span] = count
        inside = count
        for byte in range(begins[span], ends[span]):
            inside += (data[byte] & 0xC0) != 0x80
        lasts[span] = inside


@kernel
def _cut(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    span_offsets: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    spaced: NDArray[np.bool_],
    cut: NDArray[np.uint8],
    cut_offsets: NDArray[np.int64],
) -> None:
    written = np.int64(0)
    for text in range(offsets.size - 1):
        place = offsets[text]
        for span in range(span_offsets[text], span_offsets[text + 1] + 1):
            last = span == span_offsets[text + 1]
            stop = offsets[text + 1] if last else begins[span]
            for byte in range(place, stop):
                cut[written] = data[byte]
                written += 1
            if not last:
                if spaced[span]:
                    cut[written] = 0x20
                    written += 1
                place = ends[span]
        cut_offsets[text + 1] = written
