"""Dates of birth: a whole date, day, month and year, right behind a word for it.

A year alone stays, and so do dates before 1900, whose people are dead. The month is a number or any word: with a word
for birth before it and a year behind it, it is one. Years are counted as the language does: in Thai also the Buddhist
way, in Persian the Solar Hijri way, in Arabic in Hijri years where the mark of that era follows, in Japanese and
Chinese by eras.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Span

BIRTHDATE: Final = "birthdate"

_LEAD: Final = pattern(r"[^\d\n;!?]{0,40}+")
_NEXT_SENTENCE: Final = pattern(r"[.。] [^\W\d_a-z]")
_YEAR: Final = r"(?P<year>(?:19|20)\d{2})"
_YEARS: Final = {"fa": r"(?P<year>1[34]\d{2}|(?:19|20)\d{2})", "th": r"(?P<year>2(?:4[4-9]|5\d)\d|(?:19|20)\d{2})"}
"""Solar Hijri years from 1300 (1921) on, Buddhist ones from 2440 (1897) on."""
_SHORT_YEAR: Final = r"(?P<year>\d{2})"
_DAY: Final = r"(?P<day>\d{1,2})"
_MONTH: Final = r"(?P<month>\d{1,2})"
_WORD: Final = r"(?P<word>[^\d\s,.;:()/-]{2,14}+)"
_END: Final = r"(?!\d|[.,/-]\d)"
_DATES: Final = (
    rf"{_DAY}(?P<joint>[./-]) ?{_MONTH}(?P=joint) ?{_YEAR}",
    rf"{_YEAR}(?P<joint>[./-]) ?{_MONTH}(?P=joint) ?{_DAY}",
    rf"{_DAY}(?P<joint>[./-]){_MONTH}(?P=joint){_SHORT_YEAR}",
    (
        rf"{_DAY}(?! ቀን)(?:st|nd|rd|th|er|\.|º|ª|-го)? (?:de |of |d['’])?{_WORD}\.?,? "
        rf"(?:de |del |[พค]\.ศ\. ?|ឆ្នាំ ?)?{_YEAR}"
    ),
    rf"{_YEAR}\. {_WORD} {_DAY}",
    rf"{_YEAR} ?[年년] ?{_MONTH} ?[月월] ?{_DAY} ?[日일]",
)
_OTHER_DATES: Final = {
    "ar": (rf"{_DAY}(?P<joint>[./-]) ?{_MONTH}(?P=joint) ?(?P<year>1[34]\d{{2}}) ?هـ",),
    "ka": (rf"{_YEAR} წლის {_DAY} {_WORD}",),
    "my": (rf"{_YEAR} ?(?:ခုနှစ်|ပြည့်နှစ်)[၊,]? ?{_WORD} {_DAY}",),
    "ta": (rf"{_YEAR} {_WORD} {_DAY}",),
}
"""Ways to write a date that would be something else in other languages."""
_MONTH_FIRST: Final = pattern(rf"{_WORD}\.? {_DAY}(?:st|nd|rd|th| ቀን)?,? {_YEAR}{_END}")
_LAST_WORD: Final = pattern(r"[^\d\s,.;:()/-]{2,14}\.? \Z")
_ERA: Final = pattern(rf"(?:大正|昭和|平成|令和|民[國国]) ?(?:\d{{1,3}}|元) ?年 ?{_MONTH} ?月 ?{_DAY} ?日")
"""Eras of Japan from 1912 on, and years of the Republic of China."""
_ERA_LANGUAGES: Final = ("ja", "zh")


def find(after: str, offset: int, language: str) -> list[Span]:
    """The date in the text behind a word for birth (plain characters), which begins at `offset`."""
    lead = _LEAD.match(after)
    at = lead.end() if lead is not None else 0
    if _NEXT_SENTENCE.search(after, 0, at) is not None:
        return []
    match = next((found for date in _dates(language) if (found := date.match(after, at)) is not None), None)
    if match is None and (word := _LAST_WORD.search(after[max(0, at - 16) : at])) is not None:
        match = _MONTH_FIRST.match(after, at - len(word.group()))
    if match is None and language in _ERA_LANGUAGES:
        era = _ERA.search(after)
        match = era if era is not None and era.start() <= at else None
    if match is None or not _is_date(match):
        return []
    return [Span(offset + match.start(), offset + match.end(), BIRTHDATE, 3)]


@lru_cache(maxsize=256)
def _dates(language: str) -> tuple[re.Pattern[str], ...]:
    """How dates are written in text of a language."""
    year = _YEARS.get(language, _YEAR)
    return tuple(re.compile(date.replace(_YEAR, year) + _END) for date in (*_DATES, *_OTHER_DATES.get(language, ())))


def _is_date(match: re.Match[str]) -> bool:
    numbers = match.groupdict()
    day, month = int(numbers["day"]), int(numbers.get("month") or 1)
    # 05/12/1970 is May in one country and December in another.
    return 1 <= min(day, month) <= 12 and 1 <= max(day, month) <= 31
