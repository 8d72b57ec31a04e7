"""Cutting passages out of a text as Brown et al. 2020 (GPT-3), appendix C, do: with a window on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.text.points import code_points
from curator.text.segment import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOINT = "\n\n"
"""What stands between two pieces: they are no neighbours, so a paragraph ends."""


@dataclass(frozen=True)
class Cut:
    """A text with passages cut out: how many `pieces` the windows leave, of which the longest has `longest` characters;
    those that are long enough, joined, are `text` (empty where none is); `removed` (code points, half-open, ascending)
    is all that is not in it, each with at least one passage or a piece that was too short."""

    pieces: int
    longest: int
    text: str
    removed: list[tuple[int, int]]


def cut_passages(text: str, passages: Sequence[tuple[int, int]], window: int, min_piece: int) -> Cut:
    """Cut passages (code points, ascending, at least one) and `window` characters on both sides out of a text. A unit
    in which a window would end goes as a whole. Pieces of fewer than `min_piece` characters go too."""
    starts, ends = _units(text)
    windows: list[list[int]] = []
    for begin, end in passages:
        low, high = _outward(max(0, begin - window), min(len(text), end + window), starts, ends)
        if windows and low <= windows[-1][1]:
            windows[-1][1] = max(windows[-1][1], high)
        else:
            windows.append([low, high])
    bounds = [0, *(bound for pair in windows for bound in pair), len(text)]
    spans = [(low, high) for low, high in zip(bounds[::2], bounds[1::2], strict=True) if text[low:high].strip()]
    kept = [(low, high) for low, high in spans if high - low >= min_piece]
    edges = [0, *(bound for pair in kept for bound in pair), len(text)]
    removed = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]
    joined = JOINT.join(text[low:high].strip() for low, high in kept)
    return Cut(len(spans), max((high - low for low, high in spans), default=0), joined, removed)


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
