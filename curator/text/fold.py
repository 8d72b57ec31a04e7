"""Folding for comparison: NFKC, casefold, nothing that does not show; and the hash of a folded unit.

Text is folded code point by code point from `curator.text.tables`, and is expected to be NFC; what only composes
after folding (a half-width kana and its voicing mark) stays apart. Apostrophes and the Hebrew geresh fold to U+0027,
gershayim to U+0022, the Turkic İ to i (I stays i, so that `ISI` is not `ısı`), Greek letters to those without accents
and breathings, which capitals have not, and letters that are written with other code points too to these
(`SAME_LETTERS` of `curator.text.build_tables`). Points of Hebrew and Arabic, which most text has not, go (`POINTS` of
`curator.text.tables`). The hash is a multiply-xorshift chain over the folded code points, closed by the finaliser of
MurmurHash3 (Appleby 2011): equal units have equal hashes in every process and on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel
from curator.text.tables import FOLDS, IGNORABLE, tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

HASH_START = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio as a 64-bit fraction: a start that is nobody's hash."""
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
"""An odd constant with good avalanche (Pelle Evensen's rrmxmx, 2018)."""
_SHIFT = np.uint64(32)
_FINAL_A = np.uint64(0xFF51AFD7ED558CCD)
_FINAL_B = np.uint64(0xC4CEB9FE1A85EC53)
_FINAL_SHIFT = np.uint64(33)
_WORD = (1 << 64) - 1


@inline_kernel
def mix(state: np.uint64, value: np.uint64) -> np.uint64:
    """The hash state after one more value."""
    state = (state ^ value) * _MULTIPLIER
    return state ^ (state >> _SHIFT)


@inline_kernel
def finish(state: np.uint64) -> np.uint64:
    """The hash of a chain of values: the 64-bit finaliser of MurmurHash3."""
    state = (state ^ (state >> _FINAL_SHIFT)) * _FINAL_A
    state = (state ^ (state >> _FINAL_SHIFT)) * _FINAL_B
    return state ^ (state >> _FINAL_SHIFT)


def fold(text: str) -> str:
    """`text` (NFC) as it is compared: each code point by NFKC and casefold, default-ignorable code points and POINTS
    dropped."""
    return "".join(map(_fold_character, text))


@lru_cache(maxsize=1 << 12)
def _fold_character(character: str) -> str:
    # Word lists have few distinct characters, and each look into an array makes an object.
    table = tables()
    point = ord(character)
    flags = int(table.classes[point])
    if flags & IGNORABLE:
        return ""
    if not flags & FOLDS:
        return character
    target = int(table.folds[point])
    if target >= 0:
        return chr(target)
    length = int(table.expansions[-1 - target])
    return "".join(chr(value) for value in table.expansions[-target : -target + length])


def hash_unit(unit: str) -> int:
    """The 64-bit hash that `segment` gives this unit (one unit, NFC text)."""
    state, multiplier = int(HASH_START), int(_MULTIPLIER)
    for character in fold(unit):
        state = ((state ^ ord(character)) * multiplier) & _WORD
        state ^= state >> 32
    state = ((state ^ (state >> 33)) * int(_FINAL_A)) & _WORD
    state = ((state ^ (state >> 33)) * int(_FINAL_B)) & _WORD
    return state ^ (state >> 33)


def hash_terms(terms: Sequence[str]) -> list[NDArray[np.uint64]]:
    """The hashes of the units of each term, as they stand in a document: one uint64[units] a term."""
    offsets, hashes = hash_terms_flat(terms)
    return [hashes[offsets[row] : offsets[row + 1]] for row in range(len(terms))]


def hash_terms_flat(terms: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The hashes of the units of all terms, and where those of each term stand: int64[terms + 1], uint64[units]."""
    from curator.text.segment import segment

    encoded = [term.encode() for term in terms]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(term) for term in encoded], out=offsets[1:])
    units = segment(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)
    return units.offsets, units.hashes
