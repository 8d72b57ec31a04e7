"""Cutting passages out of a text as Brown et al. 2020 (GPT-3), appendix C, do: with a window on both sides.

Their 200 characters are letters: some 33 words of English. A character that is no letter counts for as many as it
stands for (`LETTERS`), so that a window has as much text in it in any script.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curator.language.scripts import script_table
from curator.text.points import code_points
from curator.text.segment import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINT = "\n\n"
"""What stands between two pieces: they are no neighbours, so a paragraph ends."""


LETTERS = {"Hani": 4, "Hira": 2, "Kana": 2, "Hang": 2}
"""Letters that a character of a script stands for; 1 in all others. The Universal Declaration of Human Rights has 8,394
characters in the median of all languages, 2,037 in Chinese, 3,723 in Korean, and 3,056 in Japanese, which mixes Han and
kana (benchmarks/quality.py)."""


@dataclass(frozen=True)
class Cut:
    """A text with passages cut out: how many `pieces` the windows leave, of which the longest has `longest` letters;
    those that are long enough, joined, are `text` (empty where none is); `removed` (code points, half-open, ascending)
    is all that is not in it, each with at least one passage or a piece that was too short."""

    pieces: int
    longest: int
    text: str
    removed: list[tuple[int, int]]


def cut_passages(text: str, passages: Sequence[tuple[int, int]], window: int, min_piece: int) -> Cut:
    """Cut passages (code points, ascending, at least one) and `window` letters on both sides out of a text. A unit in
    which a window would end goes as a whole. Pieces of fewer than `min_piece` letters go too."""
    starts, ends = _units(text)
    until = _letters_until(text)
    windows: list[list[int]] = []
    for begin, end in passages:
        low = max(0, int(np.searchsorted(until, until[begin] - window, side="right")) - 1)
        high = min(len(text), int(np.searchsorted(until, until[end] + window)))
        low, high = _outward(low, high, starts, ends)
        if windows and low <= windows[-1][1]:
            windows[-1][1] = max(windows[-1][1], high)
        else:
            windows.append([low, high])
    bounds = [0, *(bound for pair in windows for bound in pair), len(text)]
    spans = [(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True) if text[low:high].strip()]
    sizes = [int(until[high] - until[low]) for low, high in spans]
    kept = [span for span, size in zip(spans, sizes, strict=True) if size >= min_piece]
    edges = [0, *(bound for pair in kept for bound in pair), len(text)]
    removed = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]
    joined = JOINT.join(text[low:high].strip() for low, high in kept)
    return Cut(len(spans), max(sizes, default=0), joined, removed)


@lru_cache(maxsize=1)
def _letters_of_scripts() -> NDArray[np.uint8]:
    """The letters that a character of each script of the table stands for."""
    return np.array([LETTERS.get(name, 1) for name in script_table().names], dtype=np.uint8)


def _letters_until(text: str) -> NDArray[np.int64]:
    """The letters before each code point of a text, and in all of it: int64[code points + 1]."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    table = script_table()
    scripts = table.cells[table.blocks[points >> 8].astype(np.uint32) << 8 | points & 255]
    until = np.zeros(len(points) + 1, dtype=np.int64)
    np.cumsum(_letters_of_scripts()[scripts], out=until[1:])
    return until


def _units(text: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where the units of a text begin and end, in code points."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    offsets = np.array([0, len(data)], dtype=np.int64)
    units = segment(data, offsets)
    places = np.stack([units.starts, units.ends], axis=1).reshape(-1)
    points = code_points(data, offsets, np.zeros(len(places), dtype=np.int32), places).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _outward(low: int, high: int, starts: NDArray[np.int32], ends: NDArray[np.int32]) -> tuple[int, int]:
    """The window, wide enough that no unit has one part inside and one outside."""
    before = int(np.searchsorted(starts, low, side="right")) - 1
    if before >= 0 and ends[before] > low:
        low = int(starts[before])
    after = int(np.searchsorted(starts, high, side="left")) - 1
    if after >= 0 and ends[after] > high:
        high = int(ends[after])
    return low, high
