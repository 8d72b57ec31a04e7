"""Disguised words the plain way: what the kernel of `stages.toxicity.disguises` is held against."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

from curator.text.fold import fold
from stages.toxicity.disguises import ALIKE, LEAST_WRITTEN, LONGEST, SIGNS, skeleton

ZERO_WIDTH_SPACE = "\u200b"
ENCLOSED = {
    chr(first + place): chr(ord("a") + place) for first in (0x249C, 0x1F110, 0x1F150, 0x1F170) for place in range(26)
}
LIGHT = "".join(map(chr, range(0x1F130, 0x1F14A)))
"""Enclosed letters that folding replaces."""
ODD = re.compile(
    r"[0-9@$!|](?=[a-z]|[^\x00-\x7f])|(?<=[a-z])[0-9@$!|]|(?<=[^\x00-\x7f])[0-9@$!|]"  # a sign beside a letter
    r"|[a-z](?=[\u0340-\u053f])|(?<=[\u0340-\u053f])[a-z]"  # letters of two scripts
    r"|([a-z])\1\1"
    r"|[\u200b€\U00010000-\U0001efff\U0001f100-\U0001f1bf\U00020000-\U0010ffff]" + f"|[{''.join(ENCLOSED)}]",
    re.IGNORECASE | re.ASCII,
)
STRETCHED = re.compile(r"([\u00c0-\uffff])\1\1")


def words(text: str) -> Iterator[str]:
    """The words of a text, disguised ones in one piece."""
    letter = rf"(?:[^\W_]|[@$!|€{ZERO_WIDTH_SPACE}{LIGHT}{''.join(ENCLOSED)}])"
    return (found.group() for found in re.finditer(rf"{letter}(?:{letter}|[\u00ad\u0300-\u036f])*", text))


def forms(word: str) -> list[str]:
    """The skeletons by which a word may be on the list; none of a word that is not disguised."""
    if not (ODD.search(word) or STRETCHED.search(word)):
        return []
    hidden = ZERO_WIDTH_SPACE in word.strip(ZERO_WIDTH_SPACE) or (
        ZERO_WIDTH_SPACE in word.lstrip("!|" + ZERO_WIDTH_SPACE)
    )
    shown = "".join(ENCLOSED.get(sign, fold(sign)) for sign in word)
    folded = shown.strip("!|")
    written = list(folded)
    if len(shown.lstrip("!|")) > LONGEST or any(sign.isdecimal() and sign not in SIGNS for sign in written):
        return []
    if not len(written) >= LEAST_WRITTEN:
        return []
    signs = sum(sign in SIGNS for sign in written)
    scripts = {unicodedata.name(sign).split()[0] for sign in written if sign.isalpha()} & {"LATIN", "CYRILLIC", "GREEK"}
    runs = [found.group() for found in re.finditer(r"(.)\1*", folded)]
    stretched = any(len(run) > 2 for run in runs)
    if 2 * signs > len(written) or not (signs or len(scripts) > 1 or stretched or hidden or encloses(word)):
        return []
    shapes = []
    for times in (1, 2) if stretched else (1,):
        kept = "".join(run if len(run) < 3 else run[0] * times for run in runs)
        shapes.append("".join(SIGNS.get(sign, ALIKE.get(sign, sign)) for sign in kept))
    return shapes


def encloses(word: str) -> bool:
    """Whether a letter of a word is enclosed in a way that folding does not undo."""
    return not ENCLOSED.keys().isdisjoint(word)


def count_disguises(text: str, terms: Collection[str]) -> int:
    """The disguised words of a text that are among these terms, all of one word."""
    listed = {skeleton(term) for term in terms} - {None}
    plain = {fold(term) for term in terms}
    found = 0
    for word in words(text):
        cut = ZERO_WIDTH_SPACE in word.lstrip("!|" + ZERO_WIDTH_SPACE)
        if any(form in listed for form in forms(word)) and (
            cut or encloses(word) or fold(word).strip("!|") not in plain
        ):
            found += 1
    return found
