"""A candidate with the text around it, in the form that the validators read."""

from __future__ import annotations

import string
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from curator.text.pattern import pattern
from stages.pii.cues import CARD, ID, PHONE, find_cues, is_counted

BEFORE_BYTES: Final = 144
"""How far before a candidate a cue may stand, in bytes; `CUE_CHARACTERS` cuts it further."""
AFTER_BYTES: Final = 64
CUE_CHARACTERS: Final = 48
CUE_CHARACTERS_AFTER: Final = 16
_COUNT_CHARACTERS: Final = 24
_AMOUNT: Final = pattern(r"\s?[$€£¥₹₽₩₪₺₴฿₫%°]")
_CURRENCY: Final = pattern(r"[$€£¥₹₽₩₪₺₴฿₫]\s?\Z")
_KEY: Final = pattern(r"([A-Za-z_]{2,24})=\Z")


class Span(NamedTuple):
    """Personal data found in a context: code points from the beginning of its body (negative: before it)."""

    begin: int
    end: int
    kind: str
    certainty: int
    """0 to 3; higher wins where spans of different kinds overlap."""


def _plain_characters() -> dict[int, str]:
    table = {}
    for zero in (0x660, 0x6F0, *range(0x966, 0xD67, 0x80), 0xE50, 0xED0, 0xF20, 0x1040, 0x17E0, 0xFF10):
        for value in range(10):
            table[zero + value] = chr(48 + unicodedata.digit(chr(zero + value)))
    table |= {0xFEE0 + point: chr(point) for point in map(ord, string.ascii_letters)}
    table |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000), " ")
    table |= dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFF0D), "-")
    return table | {0xFF08: "(", 0xFF09: ")", 0xFF1A: ":", 0xFF20: "@", 0xFF0B: "+"}


_PLAIN = _plain_characters()
_SHAPE = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "9" * 10 + "A" * 26)
_NOT_DIGITS = pattern(r"[^0-9]+")
_NOT_PLAIN = pattern("[" + "".join(map(chr, _PLAIN)) + "]")


def plain(text: str) -> str:
    """The text with digits of other scripts, exotic blanks and dashes made ASCII, character by character."""
    # The search costs a tenth of the translation, and most text has nothing to translate.
    return text if text.isascii() or _NOT_PLAIN.search(text) is None else text.translate(_PLAIN)


def plain_number(text: str) -> str:
    """The same of a run of digits and separators, where the Japanese mark of long vowels stands for a hyphen."""
    return plain(text).replace("\u30fc", "-")


def shape_of(text: str) -> str:
    """The text with each ASCII digit as 9 and each ASCII capital as A."""
    return text.translate(_SHAPE)


def digits_of(text: str) -> str:
    """The ASCII digits of a text."""
    return _NOT_DIGITS.sub("", text)


@dataclass(frozen=True)
class Context:
    """A candidate: its characters, made plain, and what stands before and after it in the document; the language by
    which lists are chosen."""

    before: str
    body: str
    after: str
    language: str

    @cached_property
    def digits(self) -> str:
        """The digits of the body."""
        return digits_of(self.body)

    @cached_property
    def shape(self) -> str:
        """The body with each digit as 9 and each capital as A."""
        return shape_of(self.body)

    @cached_property
    def cues(self) -> frozenset[str]:
        """Kinds of cue words (see `stages.pii.cues`) before the body, or in brackets after it (`… (mobile)`)."""
        after = self.after.lstrip(" ")
        bracketed = after[:CUE_CHARACTERS_AFTER].partition(")")[0] if after.startswith("(") else ""
        return find_cues(self.before[-CUE_CHARACTERS:], bracketed, self.language)

    @cached_property
    def previous(self) -> str:
        """The character before the body, '' at the beginning of the document."""
        return self.before[-1:]

    @cached_property
    def next(self) -> str:
        """The character after the body, '' at the end of the document."""
        return self.after[:1]

    @cached_property
    def stands_alone(self) -> bool:
        """Whether the body is no piece of a longer word, number, amount, path or code."""
        before, after = self.before[-2:], self.after[:2]
        if before.endswith("=") and self._is_value:
            before, after = "", "" if after.startswith("&") else after
        if before and (_is_ascii_word(before[-1]) or before[-1] in "$€£¥₹₽¢#%^=&~*\\<"):
            return False
        if before and before[-1] in "-./,:" and len(before) == 2 and _is_ascii_word(before[0]):
            # `tel:030…` and `call:030…` are joined by a colon; `x-030…`, `1,030…`, `a/030…` are pieces of something.
            return before[-1] == ":" and not before[0].isdigit()
        if after and (_is_ascii_word(after[0]) or after[0] in "$€£¥₹₽¢%^=&~*\\°"):
            return False
        return not (len(after) == 2 and after[0] in "-./,:@" and _is_ascii_word(after[1]))

    @cached_property
    def is_counted(self) -> bool:
        """Whether a word or sign beside the body says that it is a count or an amount."""
        after = self.after[:_COUNT_CHARACTERS]
        if _AMOUNT.match(after) is not None or _CURRENCY.search(self.before[-3:]) is not None:
            return True
        return is_counted(self.before[-_COUNT_CHARACTERS:], after, self.language)

    @cached_property
    def _is_value(self) -> bool:
        """Whether a name such as `phone` and an equals sign stand before the body."""
        key = _KEY.search(self.before[-_COUNT_CHARACTERS - 2 :])
        return key is not None and not find_cues(key.group(1), "", self.language).isdisjoint((PHONE, CARD, ID))


def _is_ascii_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())
