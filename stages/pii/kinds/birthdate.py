"""Dates of birth: a whole date, day, month and year, right behind a word for it.

A year alone stays, and so do dates before 1900, whose people are dead. The month is a number or any word: with a word
for birth before it and a year behind it, it is one.
"""

from __future__ import annotations

import re
from typing import Final

from stages.pii.context import Span

BIRTHDATE: Final = "birthdate"

_LEAD: Final = re.compile(r"[^\d\n;!?]{0,40}+")
_NEXT_SENTENCE: Final = re.compile(r"[.。] [^\W\d_a-z]")
_YEAR: Final = r"(?P<year>(?:19|20)\d{2})"
_SHORT_YEAR: Final = r"(?P<year>\d{2})"
_DAY: Final = r"(?P<day>\d{1,2})"
_MONTH: Final = r"(?P<month>\d{1,2})"
_WORD: Final = r"(?P<word>[^\d\s,.;:()/-]{2,14}+)"
_END: Final = r"(?!\d|[.,/-]\d)"
_DATES: Final = tuple(
    re.compile(pattern + _END)
    for pattern in (
        rf"{_DAY}(?P<joint>[./-]) ?{_MONTH}(?P=joint) ?{_YEAR}",
        rf"{_YEAR}(?P<joint>[./-]) ?{_MONTH}(?P=joint) ?{_DAY}",
        rf"{_DAY}(?P<joint>[./-]){_MONTH}(?P=joint){_SHORT_YEAR}",
        rf"{_DAY}(?:st|nd|rd|th|er|\.|º|ª|-го)? (?:de |of |d['’])?{_WORD}\.?,? (?:de |del )?{_YEAR}",
        rf"{_YEAR}\. {_WORD} {_DAY}",
        rf"{_YEAR} ?[年년] ?{_MONTH} ?[月월] ?{_DAY} ?[日일]",
    )
)
_MONTH_FIRST: Final = re.compile(rf"{_WORD}\.? {_DAY}(?:st|nd|rd|th)?,? {_YEAR}{_END}")
_LAST_WORD: Final = re.compile(r"[^\d\s,.;:()/-]{2,14}\.? \Z")


def find(after: str, offset: int) -> list[Span]:
    """The date in the text behind a word for birth (plain characters), which begins at `offset`."""
    lead = _LEAD.match(after)
    at = lead.end() if lead is not None else 0
    if _NEXT_SENTENCE.search(after, 0, at) is not None:
        return []
    match = next((found for found in (date.match(after, at) for date in _DATES) if found is not None), None)
    if match is None and (word := _LAST_WORD.search(after[max(0, at - 16) : at])) is not None:
        match = _MONTH_FIRST.match(after, at - len(word.group()))
    if match is None or not _is_date(match):
        return []
    return [Span(offset + match.start(), offset + match.end(), BIRTHDATE, 3)]


def _is_date(match: re.Match[str]) -> bool:
    numbers = match.groupdict()
    day, month = int(numbers["day"]), int(numbers.get("month") or 1)
    # 05/12/1970 is May in one country and December in another.
    return 1 <= min(day, month) <= 12 and 1 <= max(day, month) <= 31
