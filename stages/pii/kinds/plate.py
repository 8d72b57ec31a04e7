"""Registration plates of cars, right behind a word for them: groups of capitals and digits, both of them, five to nine
in all, as the countries of the languages in `data/anchors.tsv` print them."""

from __future__ import annotations

from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Span

PLATE: Final = "plate"

_LEAD: Final = pattern(
    r"(?:[^\dA-Z\u0410-\u042f\u4e00-\u9fff\uac00-\ud7a3\n.;!?]|(?<=[ Nn][orº])\.|N(?=[or]\.? )){0,28}+"
)
_LATIN: Final = pattern(r"(?:[A-ZÄÖÜ]{1,3}|\d{1,4}+)(?:[ ·-]?(?:[A-ZÄÖÜ]{1,4}+|\d{1,5}+)){1,4}+(?![A-Za-z0-9ÄÖÜ])")
_RUSSIAN: Final = "АВЕКМНОРСТУХІABEKMHOPCTYX"  # the letters of both alphabets that look alike
_CYRILLIC: Final = pattern(
    rf"(?:[{_RUSSIAN}]{{1,2}} ?\d{{3,4}} ?[{_RUSSIAN}]{{2}}|\d{{4}} ?[{_RUSSIAN}]{{2}})(?: ?\d{{2,3}})?(?!\w)"
)
_CHINESE: Final = pattern(r"[\u4e00-\u9fff][A-Z][-·・ ]?[A-Z0-9]{5,6}+(?![A-Za-z0-9])")
_KOREAN: Final = pattern(r"\d{2,3}[가-힣] ?\d{4}(?!\d)")
_JAPANESE: Final = pattern(
    r"[\u4e00-\u9fff]{1,4} ?\d{2,3} ?[\u3041-\u3096] ?(?:\d{2}[-‐]?\d{2}|[・.]{1,3}\d{1,3})(?!\d)"
)
_GROUP: Final = pattern(r"[A-ZÄÖÜ]+|\d+")


def find(after: str, offset: int) -> list[Span]:
    """The plate in the text behind a word for one (plain characters), which begins at `offset`."""
    lead = _LEAD.match(after)
    at = lead.end() if lead is not None else 0
    for start in (at, max(0, at - 1)):
        for shape in (_CYRILLIC, _CHINESE, _KOREAN, _JAPANESE, _LATIN):
            match = shape.match(after, start)
            if match is None or (start and after[start - 1].isalnum() and after[start - 1].isascii()):
                continue
            if shape is _LATIN and not _is_plate(match.group()):
                continue
            return [Span(offset + match.start(), offset + match.end(), PLATE, 2)]
    return []


def _is_plate(text: str) -> bool:
    groups = _GROUP.findall(text)
    letters = sum(len(group) for group in groups if group.isalpha())
    digits = sum(len(group) for group in groups if group.isdigit())
    # `B-A 7`: with a hyphen one digit will do.
    least = (1, 3) if "-" in text else (2, 5)
    return 1 <= letters <= 6 and least[0] <= digits <= 6 and least[1] <= letters + digits <= 10
