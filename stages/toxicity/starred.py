"""Listed terms with stars for letters: `w*rd`, `w**d`, `w*o*r*d`.

A word of letters and stars begins and ends with a letter; a star is one letter, any, or stands between any two. The
kernel of `stages.toxicity.disguises` finds such words, which are few, and they are looked up here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel
from curator.text.fold import fold
from stages.toxicity.terms import TERMS_PATH, listed_terms

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from curator.document import Codes

LEAST_LETTERS = 4
"""Letters of a term that is looked for: shorter ones are too often something else (`a*s`)."""
LONGEST = 160
"""Bytes of a word that is looked up. A longer one is no term."""
_PIECES = re.compile(r"[^*]+")
_STAR = 0x2A
_LINE = 0x5F
CASE = np.uint8(0x20)
"""In what small letters of ASCII differ from capitals."""


def count_starred(
    words: NDArray[np.int64],
    data: NDArray[np.uint8],
    languages: Codes,
    lowest_tier: int,
    path: Path = TERMS_PATH,
) -> NDArray[np.int64]:
    """Of each text the terms of tier 1 to `lowest_tier` of its language that are written with stars, the units in them,
    and the sum of their severities: int64[3, texts]. `words` (int64[words, 3]) are text, first byte and byte after the
    last of each word with stars."""
    found = np.zeros((3, len(languages.codes)), dtype=np.int64)
    listed = starred_terms(lowest_tier, path)
    for text, begin, end in words.tolist():
        word = fold(bytes(data[begin:end]).decode())
        severity = listed[languages.names[languages.codes[text]]].severity(word)
        if severity > 0:
            found[:, text] += (1, len(_PIECES.findall(word)), severity)
    return found


class StarredTerms:
    """The terms of a language that are one word of letters, with their severities."""

    def __init__(self, terms: dict[str, int]) -> None:
        self._terms = terms
        self._alike: dict[tuple[int, str], list[str]] = defaultdict(list)
        for term in terms:
            self._alike[len(term), term[0]].append(term)

    def severity(self, word: str) -> int:
        """The severity of a term, the least of those that a folded word with stars may be; 0 for no term."""
        alike = self._alike.get((len(word), word[0]), ())
        fits = (term for term in alike if all(sign in (letter, "*") for sign, letter in zip(word, term, strict=True)))
        between = self._terms.get(word[::2], 0) if set(word[1::2]) == {"*"} and len(word) % 2 else 0
        return between or min((self._terms[term] for term in fits), default=0)


@cache
def starred_terms(lowest_tier: int, path: Path = TERMS_PATH) -> dict[str, StarredTerms]:
    """The terms of tier 1 to `lowest_tier` by language, made once a process."""
    terms: dict[str, dict[str, int]] = defaultdict(dict)
    for language, term, severity in zip(*listed_terms(lowest_tier, path), strict=True):
        folded, own = fold(term), terms[language]
        if folded.isalpha() and len(folded) >= LEAST_LETTERS:
            own[folded] = max(severity, own.get(folded, 0))
    return {language: StarredTerms(own) for language, own in terms.items()}


@inline_kernel
def starred_word(data: NDArray[np.uint8], place: np.int64, low: np.int64, high: np.int64) -> tuple[np.int64, np.int64]:
    """The word of letters and stars around the star at `place` of a text from `low` to `high`; where it is none, or too
    long, -1 and where it ends."""
    begin, end = place, place + 1
    plain = True
    while begin > low and _is_in_word(data[begin - 1]):
        begin -= 1
        plain = plain and not _is_digit_or_line(data[begin])
    while end < high and _is_in_word(data[end]):
        plain = plain and not _is_digit_or_line(data[end])
        end += 1
    if not plain or data[begin] == _STAR or data[end - 1] == _STAR or end - begin > LONGEST:
        return np.int64(-1), end
    return begin, end


@inline_kernel
def is_ascii_letter(byte: np.uint8) -> bool:
    """Whether a byte is a letter of ASCII. There is no branch in it, so that it is asked of many bytes at once."""
    return bool(((byte | CASE) >= 0x61) & ((byte | CASE) <= 0x7A))


@inline_kernel
def _is_digit_or_line(byte: np.uint8) -> bool:
    return bool(0x30 <= byte <= 0x39 or byte == _LINE)


@inline_kernel
def _is_in_word(byte: np.uint8) -> bool:
    """Whether a byte is a letter, a digit, an underscore, a star, or one of a character beyond ASCII."""
    return bool(is_ascii_letter(byte) or byte >= 0x80 or byte == _STAR or _is_digit_or_line(byte))
