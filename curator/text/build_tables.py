"""Generate `data/unicode.npz`, the code point tables that `curator.text.tables` loads.

    python -m curator.text.build_tables [PATH]

Properties come from the `regex` package (Unicode 17.0: Word_Break, Script, Default_Ignorable_Code_Point) and from the
interpreter's `unicodedata` (Unicode 14.0 in Python 3.11: categories, NFKC, combining classes). Only this script needs
`regex`; users of the tables don't. A test holds the file equal to a fresh build where both versions are the stated.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.text.tables import (
    CAPITAL_FLAG,
    CODE_POINTS,
    COMBINING,
    COMPOSES,
    CONTROL,
    DATA_PATH,
    DIGIT_CLASS,
    EXTEND,
    FOLDS,
    HEBREW,
    IGNORABLE,
    LETTER_CLASS,
    LOW_LINE,
    MID_ANY,
    MID_DIGIT,
    MID_HEBREW,
    MID_LETTER,
    NOT_NFC,
    OTHER,
    POINTS,
    TAKES_LETTER,
    TAKES_MARK,
    UNSPACED_CLASS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGEX_UNICODE_VERSION = "17.0"
"""The version of the Unicode Character Database in `regex` 2026.11.15, with which the committed file was built."""

WORD_BREAK_CLASSES = {
    "ALetter": LETTER_CLASS,
    "Hebrew_Letter": HEBREW,
    "Numeric": DIGIT_CLASS,
    "ExtendNumLet": LOW_LINE,
    "Extend": EXTEND,
    "Format": EXTEND,
    "ZWJ": EXTEND,
    "MidLetter": MID_LETTER,
    "MidNum": MID_DIGIT,
    "MidNumLet": MID_ANY,
    "Single_Quote": MID_ANY,
    "Double_Quote": MID_HEBREW,
}
"""The classes of UAX #29, table 3, that the segmentation tells apart."""

COLONS = (0x3A, 0xFE13, 0xFE55, 0xFF1A)
"""MidLetter in UAX #29, for Swedish; its section 4.1 leaves them to tailoring, and the root of CLDR takes them out."""

NARROW_NO_BREAK_SPACE = 0x202F
"""ExtendNumLet in UAX #29, for Mongolian. French sets it before ';' and '!', where it would stick to the word; as
MidNumLet it joins in Mongolian words and in numbers, and nowhere else."""

UNSPACED_SCRIPTS = (
    "Ahom",
    "Balinese",
    "Han",
    "Hiragana",
    "Javanese",
    "Katakana",
    "Khitan_Small_Script",
    "Khmer",
    "Lao",
    "Myanmar",
    "New_Tai_Lue",
    "Nushu",
    "Tai_Le",
    "Tai_Tham",
    "Tai_Viet",
    "Tangut",
    "Thai",
    "Yi",
)
"""Scripts that do not set spaces between words. UAX #29 leaves most of them to dictionaries (Word_Break=Other)."""

APOSTROPHES = (0x2018, 0x2019, 0x201B, 0x02BB, 0x02BC, 0x055A, 0x05F3)
"""Written for the same sign by different keyboards; folded to U+0027. With the letter of Hawaiian and Uzbek, and the
Hebrew geresh."""

GERSHAYIM = 0x05F4
"""Usually typed as a quotation mark, to which it is folded."""
DOTTED_I = 0x0130
SAME_LETTERS = {
    0x0219: "\u015f",
    0x021B: "\u0163",
    0x0671: "\u0627",
    0x06A9: "\u0643",
    0x06CC: "\u064a",
    0x09CE: "\u09a4\u09cd",
    0x0D7A: "\u0d23\u0d4d",
    0x0D7B: "\u0d28\u0d4d",
    0x0D7C: "\u0d30\u0d4d",
    0x0D7D: "\u0d32\u0d4d",
    0x0D7E: "\u0d33\u0d4d",
    0x0D7F: "\u0d15\u0d4d",
}
"""Letters that are written with other code points too, without a difference to a reader. Romanian s and t with a comma
below: with a cedilla before Unicode 3.0. The alef that is not spoken: an alef where Arabic has no points. Kaf and yeh
of Persian and Urdu: those of Arabic on its keyboards and in Windows-1256. Bengali khanda ta and Malayalam chillus: a
consonant, virama and joiner before Unicode 4.1 and 5.1, and in much text to this day (The Unicode Standard, sections
12.2 and 12.9)."""

ARABIC_SHAPES = (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFD))

GREEK = (*range(0x0370, 0x0400), *range(0x1F00, 0x2000))
GREEK_ACCENTS = "\u0300\u0301\u0313\u0314\u0342"
"""Three accents and two breathings, which Greek in capitals does not have, and since 1982 one accent alone."""


def build() -> dict[str, NDArray[np.generic]]:
    """The arrays of the file, by name. Needs the `regex` package."""
    import regex

    everything = "".join(chr(point) for point in range(CODE_POINTS) if not 0xD800 <= point <= 0xDFFF)

    def points(pattern: str) -> NDArray[np.int64]:
        found = "".join(regex.findall(f"(?V1){pattern}", everything))
        return np.frombuffer(found.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)

    ignorable = _with_points(points(r"\p{Default_Ignorable_Code_Point}"))
    classes = _classes(points)
    # A filler that shows nothing (U+3164) is a letter by category; it must not become a unit with an empty fold.
    classes[ignorable] = np.where(classes[ignorable] == OTHER, OTHER, EXTEND)
    fold_points, fold_lengths, fold_values = _folds(set(ignorable.tolist()))
    classes[fold_points] |= FOLDS
    classes[ignorable] |= IGNORABLE
    capital = np.array([unicodedata.category(chr(point)) in {"Lu", "Lt"} for point in range(CODE_POINTS)])
    classes[capital] |= CAPITAL_FLAG
    class_starts, class_values = _runs(classes)
    combining = np.array([unicodedata.combining(chr(point)) for point in range(CODE_POINTS)], dtype=np.uint8)
    normal_starts, normal_values = _runs(_normalisation(combining))
    combining_starts, combining_values = _runs(combining)
    return {
        "versions": np.array([unicodedata.unidata_version, REGEX_UNICODE_VERSION]),
        "class_starts": class_starts,
        "class_values": class_values,
        "fold_points": fold_points.astype(np.int32),
        "fold_lengths": fold_lengths,
        "fold_values": fold_values,
        "normal_starts": normal_starts,
        "normal_values": normal_values,
        "combining_starts": combining_starts,
        "combining_values": combining_values,
    }


def _classes(points: _Points) -> NDArray[np.uint8]:
    classes = np.full(CODE_POINTS, OTHER, dtype=np.uint8)
    for name, value in WORD_BREAK_CLASSES.items():
        classes[points(rf"\p{{WB={name}}}")] = value
    classes[list(COLONS)] = OTHER
    classes[NARROW_NO_BREAK_SPACE] = MID_ANY
    classes[points(r"[\p{WB=Other}&&[\p{L}\p{Nl}]]")] = UNSPACED_CLASS
    classes[points(r"[\p{WB=Katakana}&&[\p{L}\p{So}]]")] = UNSPACED_CLASS
    for script in UNSPACED_SCRIPTS:
        classes[points(rf"[\p{{Script={script}}}&&\p{{WB=ALetter}}]")] = UNSPACED_CLASS
    return classes


def _with_points(ignorable: NDArray[np.int64]) -> NDArray[np.int64]:
    """And POINTS, with the shapes that the Arabic ones have alone: on a space or a tatweel."""
    points = {point for first, last in POINTS for point in range(first, last + 1)}
    shapes = {
        point
        for point in ARABIC_SHAPES
        if {ord(part) for part in unicodedata.normalize("NFKC", chr(point))} <= points | {0x20}
    }
    return np.union1d(ignorable, list(points | shapes))


def _folds(ignorable: set[int]) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32]]:
    changed: list[int] = []
    lengths: list[int] = []
    values: list[int] = []
    for point in range(CODE_POINTS):
        if point in ignorable or 0xD800 <= point <= 0xDFFF:
            continue
        folded = [ord(character) for character in _fold(point) if ord(character) not in ignorable]
        if folded != [point]:
            changed.append(point)
            lengths.append(len(folded))
            values.extend(folded)
    return np.array(changed, dtype=np.int64), np.array(lengths, dtype=np.uint8), np.array(values, dtype=np.int32)


def _fold(point: int) -> str:
    """NFKC and casefold, repeated until nothing changes (toNFKC_Casefold of one code point, Unicode 3.13, R5), with
    SAME_LETTERS, and Greek letters without accents and breathings. İ, which Turkic languages alone have, is their i
    (CaseFolding.txt, status T), and not i with a second dot."""
    if point in APOSTROPHES:
        return "'"
    if point == GERSHAYIM:
        return '"'
    if point == DOTTED_I:
        return "i"
    text = chr(point)
    while True:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = folded.translate(SAME_LETTERS)
        if point in GREEK and unicodedata.category(chr(point)).startswith("L"):
            bare = unicodedata.normalize("NFD", folded).translate(dict.fromkeys(map(ord, GREEK_ACCENTS)))
            folded = unicodedata.normalize("NFC", bare)
        if folded == text:
            return text
        text = folded


def _normalisation(combining: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For each code point what a scan must know to tell whether text that holds it is NFC and fit for use."""
    marks = np.zeros(CODE_POINTS, dtype=np.uint8)
    marks[combining != 0] |= COMBINING
    wholes: list[tuple[int, int]] = []
    for point in range(CODE_POINTS):
        character = chr(point)
        if not unicodedata.is_normalized("NFC", character):
            marks[point] |= NOT_NFC
            continue
        # A canonical pair that is stable in NFC: its parts compose (UAX #15, section 9: NFC_Quick_Check=Maybe).
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            first, second = int(parts[0], 16), int(parts[1], 16)
            marks[second] |= COMPOSES
            marks[first] |= TAKES_MARK if combining[second] else TAKES_LETTER
            wholes.append((point, first))
    # Before a mark a composed letter comes apart: what its parts take may have to stand before what it is made of.
    for point, first in sorted(wholes, key=lambda whole: len(unicodedata.normalize("NFD", chr(whole[0])))):
        marks[point] |= marks[first] & TAKES_MARK
    marks[0x1161:0x1176] |= COMPOSES  # Hangul vowels, trailing consonants, and what they follow (UAX #15, section 16)
    marks[0x11A8:0x11C3] |= COMPOSES
    marks[0x1100:0x1113] |= TAKES_LETTER
    marks[0xAC00:0xD7A4:28] |= TAKES_LETTER
    for point in (*range(0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)):
        if point not in (0x09, 0x0A):
            marks[point] |= CONTROL
    marks[0xFFFE::0x10000] |= CONTROL
    marks[0xFFFF::0x10000] |= CONTROL
    return marks


def _runs(values: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    return starts.astype(np.int32), values[starts]


if TYPE_CHECKING:
    from collections.abc import Callable

    _Points = Callable[[str], NDArray[np.int64]]


if __name__ == "__main__":
    np.savez_compressed(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA_PATH, allow_pickle=False, **build())
