"""The signs at which lines begin and end, by code point."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel
from curator.text.tables import CODE_POINTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNS_PATH = Path(__file__).parent / "data" / "signs.tsv"

TERMINAL = 1
"""Ends a sentence (Unicode Sentence_Terminal), in whatever script."""
CLOSER = 2
"""A quotation mark or bracket, which may stand after the sign that ends a sentence."""
BULLET = 4
"""Stands before an item of a list."""
BLANK = 8
"""White space (Unicode White_Space), or a mark without width: Bidi_Control, which stands behind the full stop of many
lines in Arabic and Hebrew, zero width space, word joiner, byte order mark."""
KINDS = {"terminal": TERMINAL, "closer": CLOSER, "bullet": BULLET, "blank": BLANK}


@cache
def sign_table() -> NDArray[np.uint8]:
    """A sum of TERMINAL, CLOSER, BULLET, BLANK for each code point: uint8[0x110000]. Read once a process."""
    table = np.zeros(CODE_POINTS, dtype=np.uint8)
    for line in SIGNS_PATH.read_text(encoding="utf-8").splitlines():
        kind, point, _ = line.split("\t")
        table[int(point, 16)] |= KINDS[kind]
    return table


@inline_kernel
def point_at(data: NDArray[np.uint8], place: int | np.int64, end: int | np.int64) -> np.int64:
    """The code point of valid UTF-8 that begins at `place`; no sign where it is cut off at `end`."""
    lead = np.int64(data[place])
    if lead < 0x80:
        return lead
    size = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    if place + size > end:
        return np.int64(0)
    point = lead & (0x7F >> size)
    for byte in range(place + 1, place + size):
        point = point << 6 | (np.int64(data[byte]) & 0x3F)
    return point if point < CODE_POINTS else np.int64(0)
