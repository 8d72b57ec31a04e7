"""Which parts of a text are read: windows from its start to its end, and blocks of lines of a text that is mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_BYTES = 768
"""Bytes of a window. On UDHR documents (median 9 KB) four windows of 768 name as many right as the whole text does;
benchmarks/language.py shows other sizes."""

GLANCE_BYTES = 128
"""Bytes of a window at the first look, which is enough for most texts."""

WINDOWS = 4
"""An even number, so that a text whose halves are in two languages has two windows in each."""

PART_BYTES = 192
"""A text that is read whole is looked at in four parts when each has this many bytes, else in two when each has;
smaller parts are too noisy."""

BLOCK_BYTES = 192
LONGEST_BLOCK_BYTES = 768
BLOCKS = 64
"""A block is whole lines of at least `BLOCK_BYTES` together, and at most `LONGEST_BLOCK_BYTES` of them; of a text, at
most so many blocks are read, so that a mixed text costs at most 48 KB."""

_BOUNDARY_BYTES = 64
"""How far a cut moves to fall between words."""


def cut_windows(
    data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64], window_bytes: int = WINDOW_BYTES
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The windows of each text `data[begins[i]:ends[i]]`, `WINDOWS` to a text: (int64[texts * 4], int64[texts * 4]),
    begin and end.

    A text of at most four windows is covered by its parts without gaps, one of under four times `PART_BYTES` by its
    halves, one of under two times by the first alone (the others are empty). Windows never overlap and hold whole
    characters.
    """
    window_begins = np.zeros(WINDOWS * len(begins), dtype=np.int64)
    window_ends = np.zeros_like(window_begins)
    _cut_windows(
        read_only(data), read_only(begins), read_only(ends), window_bytes, PART_BYTES, window_begins, window_ends
    )
    return window_begins, window_ends


def cut_blocks(
    data: NDArray[np.uint8], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The blocks of each text `data[begins[i]:ends[i]]`, `BLOCKS` to a text, the last ones empty where it has fewer:
    (int64[texts * 64], int64[texts * 64]), begin and end.

    Blocks are in order, never overlap and hold whole characters. They cover a text of at most `BLOCKS * BLOCK_BYTES`;
    of a longer one, block i begins with the first line after i / `BLOCKS` of it.
    """
    block_begins = np.zeros(BLOCKS * len(begins), dtype=np.int64)
    block_ends = np.zeros_like(block_begins)
    _cut_blocks(read_only(data), begins, ends, block_begins, block_ends)
    return block_begins, block_ends


@inline_kernel
def _boundary(data: NDArray[np.uint8], place: int, end: int) -> int:
    """The next place at or after `place` where a word ends; failing one nearby, where a character begins."""
    for near in range(place, min(place + _BOUNDARY_BYTES, end)):
        if data[near] == 32 or 9 <= data[near] <= 13:
            return near
    while place < end and data[place] & 0xC0 == 0x80:
        place += 1
    return place


@inline_kernel
def _line_start(data: NDArray[np.uint8], place: int, begin: int, end: int) -> int:
    """The first start of a line at or after `place`, within a block's length; failing one, a boundary."""
    for near in range(place, min(place + LONGEST_BLOCK_BYTES, end)):
        if near == begin or data[near - 1] == 10:
            return near
    return _boundary(data, place, end)


@kernel
def _cut_windows(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    window_bytes: int,
    part_bytes: int,
    window_begins: NDArray[np.int64],
    window_ends: NDArray[np.int64],
) -> None:
    for text in range(begins.shape[0]):
        begin, end = begins[text], ends[text]
        size = end - begin
        first = WINDOWS * text
        if size < WINDOWS * part_bytes:
            window_begins[first : first + WINDOWS] = end
            window_ends[first : first + WINDOWS] = end
            window_begins[first] = begin
            if size >= 2 * part_bytes:
                middle = _boundary(data, begin + size // 2, end)
                window_ends[first] = middle
                window_begins[first + 1] = middle
            continue
        sampled = size > WINDOWS * window_bytes
        for window in range(WINDOWS):
            if sampled:
                start = begin + (size - window_bytes) * window // (WINDOWS - 1)
                stop = start + window_bytes
            else:
                start = begin + size * window // WINDOWS
                stop = begin + size * (window + 1) // WINDOWS
            window_begins[first + window] = begin if window == 0 else _boundary(data, start, end)
            window_ends[first + window] = end if window == WINDOWS - 1 else _boundary(data, stop, end)


@kernel
def _cut_blocks(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    block_begins: NDArray[np.int64],
    block_ends: NDArray[np.int64],
) -> None:
    for text in range(begins.shape[0]):
        begin, end = begins[text], ends[text]
        size = end - begin
        sampled = size > BLOCKS * BLOCK_BYTES
        place = begin
        for block in range(BLOCKS):
            row = BLOCKS * text + block
            if sampled and block > 0:
                place = max(place, _line_start(data, begin + size * block // BLOCKS, begin, end))
            block_begins[row] = place
            stop = min(place + LONGEST_BLOCK_BYTES, end)
            near = min(place + BLOCK_BYTES, end)
            while near < stop and data[near - 1] != 10:
                near += 1
            if near < end and data[near - 1] != 10:
                near = min(_boundary(data, near, end), end)
            place = near
            block_ends[row] = place
