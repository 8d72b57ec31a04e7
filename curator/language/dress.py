"""Text in another dress than the model has seen: capitals, compatibility forms, no-break spaces, points.

A model that learned from small letters knows next to nothing of capitals, and takes Belarusian, Bulgarian or Mongolian
ones for Ukrainian or Russian; full-width letters and the shapes of Arabic letters that PDF files hold are signs of no
language to it, and words between no-break spaces are one word. `wears` tells such texts, `undress` makes them plain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.kernel import kernel
from curator.language.scripts import decode
from curator.language.windows import GLANCE_BYTES, WINDOWS, cut_windows
from curator.text.segment import read_only
from curator.text.tables import CLASS_MASK, FOLDS, HEBREW, POINTS, UNSPACED_CLASS, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTED_SCRIPT = "Arab"
_POINTS = "[" + "".join(rf"\x{{{first:04X}}}-\x{{{last:04X}}}" for first, last in POINTS) + "]+"
"""The model has hardly seen them."""
_ALEF_WASLA, _ALEF = "\u0671", "\u0627"
"""The alef that is not spoken, which pointed text alone tells apart."""

TURNED_SCRIPT = "Latn"
_TURNED = "([OoGg])(?:'|`|\u2018|\u2019|\u02bc)([A-Za-z])"
"""Uzbek `oʻ` and `gʻ` as most keyboards have them. The model knows U+02BB alone there, and no Uzbek without it."""
_TURNED_BYTES = 200
_HEAD_BYTES = 1024
"""Uzbek has one in some 80 bytes. By one in so many of the first ones, hardly any other text is read twice."""

_PART = 2
"""A text is read plain where one in so many of its letters folds, or of its spaces is a no-break space. Of running text
3 to 15% of the letters do, 18% where each word begins with a capital. At a third, three times as many pages are read
twice, mostly tables, and few more are named."""

_ONE = np.uint64(1)


def wears(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which texts `data[offsets[i]:offsets[i + 1]]` are in capitals, compatibility forms or between no-break spaces, by
    what a glance sees of them: bool[texts]."""
    worn = np.zeros(len(offsets) - 1, dtype=np.bool_)
    begins, ends = cut_windows(data, offsets[:-1], offsets[1:], GLANCE_BYTES)
    _wears(read_only(data), begins, ends, tables().classes, worn)
    return worn


def undress(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Texts in NFKC, in small letters and without points."""
    plain = pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))
    return pc.replace_substring(pc.replace_substring_regex(plain, _POINTS, ""), _ALEF_WASLA, _ALEF)


def turns(texts: pa.LargeStringArray) -> pa.BooleanArray:
    """Which texts have as many apostrophes behind o and g as Uzbek has, some behind g, as Hawaiian and Maya have none:
    bool[texts]."""
    heads = pc.binary_slice(texts.cast(pa.large_binary()), 0, _HEAD_BYTES)
    found = pc.count_substring_regex(heads, _TURNED)
    behind_g = pc.match_substring_regex(heads, _TURNED.replace("Oo", ""))
    return pc.and_(behind_g, pc.greater_equal(pc.multiply(found, _TURNED_BYTES), pc.binary_length(heads)))


def turn(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Texts with U+02BB for the apostrophes behind o and g, where `turns` finds so many."""
    return pc.if_else(turns(texts), pc.replace_substring_regex(texts, _TURNED, "\\1\u02bb\\2"), texts)


@kernel
def _wears(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    classes: NDArray[np.uint8],
    worn: NDArray[np.bool_],
) -> None:
    for row in range(worn.shape[0]):
        small = folding = spaces = no_break = np.int64(0)
        for window in range(WINDOWS * row, WINDOWS * (row + 1)):
            place, end = np.uint64(begins[window]), np.uint64(ends[window])
            # ASCII as a loop of vector code.
            ascii_only = np.uint8(0)
            for byte in data[place:end]:
                small += np.uint8(byte - np.uint8(0x61)) < 26
                folding += np.uint8(byte - np.uint8(0x41)) < 26
                ascii_only |= byte
            while ascii_only >= 0x80 and place < end:
                lead = data[place]
                if lead < 0x80:
                    spaces += lead == 0x20
                    place += _ONE
                    continue
                size = np.uint64(2 if lead < 0xE0 else (3 if lead < 0xF0 else 4))
                code = decode(data, place, size)
                place += size
                entry = classes[code]
                kind = entry & CLASS_MASK
                if UNSPACED_CLASS <= kind <= HEBREW:
                    folds = (entry & FOLDS) != 0
                    folding += folds
                    small += not folds
                no_break += code in (0xA0, 0x202F)
        worn[row] = (folding > 0 and folding * _PART >= folding + small) or (
            no_break > 0 and no_break * _PART >= spaces + no_break
        )
