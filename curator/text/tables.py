"""Properties of code points as flat arrays that kernels index: class for segmentation, folding, normalisation.

The arrays are kept compressed in `data/unicode.npz` (see `curator.text.build_tables`), so that segmentation, hashes and
with them every decision of a run are the same under every Python version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CODE_POINTS = 0x110000
DATA_PATH = Path(__file__).parent / "data" / "unicode.npz"

CLASS_MASK = 0x0F
"""The low bits of an entry of `Tables.classes` are one of the classes that follow, the high bits are flags."""
OTHER = 0
EXTEND = 1
"""Extend, Format and ZWJ of UAX #29: belongs to what stands before it."""
LOW_LINE = 2
"""ExtendNumLet of UAX #29: joins letters and digits, any number of them."""
MID_LETTER = 3
MID_DIGIT = 4
MID_ANY = 5
"""MidNumLet and Single_Quote of UAX #29: joins two letters or two digits."""
MID_HEBREW = 6
"""Double_Quote of UAX #29: joins two Hebrew letters."""
UNSPACED_CLASS = 8
"""A letter of a script without spaces: a unit by itself. Classes from here on begin a unit."""
LETTER_CLASS = 9
HEBREW = 10
DIGIT_CLASS = 11

FOLDS = 0x10
"""The code point folds to something else: look into `Tables.folds`."""
CAPITAL_FLAG = 0x20
"""Uppercase or titlecase letter."""
IGNORABLE = 0x40
"""Default_Ignorable_Code_Point, which shows nothing, or one of POINTS: does not count in comparison."""

POINTS = (
    (0x0591, 0x05BD),
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0xFB1E, 0xFB1E),
    (0x0610, 0x061A),
    (0x0640, 0x0640),
    (0x064B, 0x0652),
    (0x0656, 0x0658),
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E8),
    (0x06EA, 0x06ED),
)
"""Points and signs of recitation of Hebrew and Arabic, first and last of each range, and the tatweel, which stretches a
word. Scripture, verse and books for children have them, most text has few or none. Madda and hamza (U+0653 to U+0655)
are parts of letters, and the vowels of Kashmiri and Pashto (U+0659 to U+065F) are no points."""

NOT_NFC = 0x01
"""NFC_Quick_Check=No: never part of NFC text."""
COMPOSES = 0x02
"""NFC_Quick_Check=Maybe: composes with some of the characters before it."""
TAKES_MARK = 0x04
"""It, or what it is composed from, composes with a combining mark (Canonical_Combining_Class over 0) that follows."""
TAKES_LETTER = 0x08
"""Composes with a character of Canonical_Combining_Class 0 that follows at once."""
COMBINING = 0x10
"""Canonical_Combining_Class is not 0: look into `Tables.combining`."""
CONTROL = 0x20
"""A control character or noncharacter that has no place in text."""


@dataclass(frozen=True)
class Tables:
    """Arrays by code point.

    `classes`: uint8[0x110000], a class and flags. `folds`: int32[0x110000], what the code point folds to; where that is
    not exactly one code point, -1 - i with `expansions[i]` the number of code points and those after it (int32).
    `normalisation`: uint8[0x110000], flags from NOT_NFC to CONTROL. `combining`: uint8[0x110000], the
    Canonical_Combining_Class.
    `ascii_folds`: uint8[128], the folded letter or digit, 0 for every other character.
    """

    classes: NDArray[np.uint8]
    folds: NDArray[np.int32]
    expansions: NDArray[np.int32]
    normalisation: NDArray[np.uint8]
    combining: NDArray[np.uint8]
    ascii_folds: NDArray[np.uint8]
    versions: tuple[str, str]


@cache
def tables() -> Tables:
    """The tables, read once a process."""
    with np.load(DATA_PATH, allow_pickle=False) as stored:
        data = {name: stored[name] for name in stored.files}
    folds, expansions = _fold_tables(data["fold_points"], data["fold_lengths"], data["fold_values"])
    classes = _spread(data["class_starts"], data["class_values"])
    points = np.arange(128)
    alphanumeric = (classes[:128] & CLASS_MASK) >= UNSPACED_CLASS
    return Tables(
        classes=classes,
        folds=folds,
        expansions=expansions,
        normalisation=_spread(data["normal_starts"], data["normal_values"]),
        combining=_spread(data["combining_starts"], data["combining_values"]),
        ascii_folds=np.where(alphanumeric, folds[points], 0).astype(np.uint8),
        versions=(str(data["versions"][0]), str(data["versions"][1])),
    )


def _spread(starts: NDArray[np.int32], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values, np.diff(starts, append=CODE_POINTS))


def _fold_tables(
    points: NDArray[np.int32], lengths: NDArray[np.uint8], values: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    folds = np.arange(CODE_POINTS, dtype=np.int32)
    first = np.cumsum(lengths, dtype=np.int64) - lengths
    single = lengths == 1
    folds[points[single]] = values[first[single]]
    several = np.flatnonzero(~single)
    widths = lengths[several].astype(np.int64)
    # Each expansion takes its length and its code points.
    places = np.cumsum(widths + 1) - (widths + 1)
    expansions = np.zeros(int((widths + 1).sum()), dtype=np.int32)
    expansions[places] = widths
    within = np.arange(int(widths.sum())) - np.repeat(np.cumsum(widths) - widths, widths)
    expansions[np.repeat(places + 1, widths) + within] = values[np.repeat(first[several], widths) + within]
    folds[points[several]] = (-1 - places).astype(np.int32)
    return folds, expansions
