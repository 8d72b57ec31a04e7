"""Unicode NFC as rules of SentencePiece, so that the file of a model composes text by itself.

SentencePiece replaces the longest left side that stands at a place. That composes every character with the marks of its
own decomposition in their order; marks in another order, which full NFC (UAX #15) sorts first, are left as they are.
Curator's own loader applies full NFC before, and the rules then find nothing to do.
"""

from __future__ import annotations

import unicodedata
from functools import cache

LAST_POINT = 0x2FFFF
"""No character above has a canonical decomposition: the last are the compatibility ideographs of plane 2."""


@cache
def nfc_rules() -> str:
    """The rules as SentencePiece's TSV: code points in hexadecimal, what is replaced, a tab, by what."""
    rules: dict[str, str] = {}
    for point in range(LAST_POINT + 1):
        character = chr(point)
        composed = unicodedata.normalize("NFC", character)
        if composed != character:
            rules[character] = composed
            continue
        for spelling in _spellings(character):
            rules[spelling] = character
    return "".join(f"{_hexadecimal(left)}\t{_hexadecimal(right)}\n" for left, right in sorted(rules.items()))


def _spellings(character: str) -> list[str]:
    """The ways to write a composed character with its last marks apart: `ệ` as `ê` or `ẹ` or `e` and marks."""
    whole = unicodedata.normalize("NFD", character)
    if len(whole) < 2:
        return []
    found = {whole}
    for length in range(2, len(whole)):
        head = unicodedata.normalize("NFC", whole[:length])
        if len(head) == 1:
            found.add(head + whole[length:])
    return sorted(found)


def _hexadecimal(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)
