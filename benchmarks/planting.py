"""Planted duplicates and noise, with the truth about them: what was changed, how much, and what similarity is left.

Everything is drawn from the `random.Random` that the caller seeds, so the same call gives the same text.
"""

from __future__ import annotations

import base64
import random
import re
import string
import unicodedata
from collections.abc import Sequence

UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Myanmar, Khmer, kana and Han: a character of them counts as a word."""

MARKS = "".join(chr(code) for code in range(0x300, 0xFFFF) if unicodedata.category(chr(code))[0] == "M")
TOKEN = re.compile(rf"[{UNSPACED}][{MARKS}]*|[^\W{UNSPACED}][^\W{UNSPACED}]*(?:[{MARKS}]+[^\W{UNSPACED}]*)*")
"""A word with its combining marks, or a character of a script without spaces with its own."""

SHINGLE = 5
"""Units in a shingle (DESIGN.md: word 5-grams, character 5-grams in scripts without spaces)."""


def units(text: str) -> list[str]:
    """The words of a text; in scripts without spaces its characters."""
    return TOKEN.findall(text)


def folded(text: str) -> list[str]:
    """The units of a text as they are compared: NFKC, casefold."""
    return units(unicodedata.normalize("NFKC", text).casefold())


def jaccard(first: str, second: str) -> float:
    """The true Jaccard similarity of the 5-gram sets of two texts, 4 decimals; a shorter text is one shingle."""
    sets = []
    for text in (first, second):
        words = folded(text)
        sets.append({tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))})
    return round(len(sets[0] & sets[1]) / len(sets[0] | sets[1]), 4)


def edit_units(text: str, rate: float, vocabulary: Sequence[str], rng: random.Random) -> tuple[str, int]:
    """The text with `rate` of its units (at least one) replaced, left out or followed by another, and how many were.

    Replacements come from `vocabulary`, units of the same language. White space and punctuation stay.
    """
    spans = [match.span() for match in TOKEN.finditer(text)]
    count = max(1, round(rate * len(spans)))
    pieces: list[str] = []
    end = 0
    for begin, stop in (spans[place] for place in sorted(rng.sample(range(len(spans)), count))):
        old = text[begin:stop]
        new = rng.choice(vocabulary)
        while new == old:
            new = rng.choice(vocabulary)
        # A unit that is put in stands apart from the one before it, save in scripts without spaces.
        added = old + ("" if len(old) == 1 and ord(old) > 0xE00 else " ") + new
        choice = rng.random()
        pieces += [text[end:begin], new if choice < 0.7 else "" if choice < 0.85 else added]
        end = stop
    return "".join([*pieces, text[end:]]), count


def respell(text: str, change: str) -> str:
    """The text with a change that comparison ignores: `none`, `case` (upper case), `spacing`, `punctuation`."""
    if change == "case":
        return text.upper()
    if change == "spacing":
        return "\n\n".join(line.replace(" ", "  ") for line in text.split("\n")) + "\n"
    if change == "punctuation":
        return "".join("" if unicodedata.category(character) in ("Po", "Pd") else character for character in text)
    return text


def same_when_folded(first: str, second: str) -> bool:
    """Whether two texts have the same folded units."""
    return folded(first) == folded(second)


def random_letters(rng: random.Random) -> str:
    """Words of random letters: no language at all."""
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 11))) for _ in range(rng.randint(60, 300))]
    return " ".join(words)


def repeated_line(lines: Sequence[str], rng: random.Random) -> str:
    """One line of real text, 20 to 80 times."""
    return "\n".join([rng.choice(lines)] * rng.randint(20, 80))


def base64_block(rng: random.Random) -> str:
    """Random bytes in base64, as an attachment pasted into a page."""
    raw = base64.b64encode(rng.randbytes(rng.randint(600, 2400))).decode("ascii")
    return "\n".join(raw[place : place + 76] for place in range(0, len(raw), 76))


def digits_table(rng: random.Random) -> str:
    """A table of numbers."""
    columns = rng.randint(4, 9)
    rows = [[f"{rng.randint(0, 99999) / 10:.1f}" for _ in range(columns)] for _ in range(rng.randint(20, 60))]
    return "\n".join("\t".join(row) for row in rows)


def mojibake(text: str) -> str | None:
    """The text as it looks when its UTF-8 was read as Windows-1252; None where that cannot be undone byte for byte."""
    import ftfy

    try:
        damaged = text.encode("utf-8").decode("windows-1252")
    except UnicodeDecodeError:
        return None
    return damaged if damaged != text and ftfy.fix_encoding(damaged) == text else None
