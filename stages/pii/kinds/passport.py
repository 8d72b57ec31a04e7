"""Numbers of passports, by cue: there is no check digit outside of the machine-readable zone, so that the word must
stand near, and the shape must be one that some country prints (ICAO Doc 9303-4, section 4.2.2: up to nine letters and
digits; Russia and its neighbours: ten digits in groups)."""

from __future__ import annotations

from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import CUE_CHARACTERS, Context, Span
from stages.pii.cues import PASSPORT as PASSPORT_CUE
from stages.pii.cues import find_cues

PASSPORT: Final = "passport"

_SHAPE: Final = pattern(
    r"[A-Z]{1,3}\d{6,9}[A-Z]?|\d{8,9}|[A-Z]\d{2}[A-Z]\d{5}|[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}|\d{2}[A-Z]{2}\d{5}"
    r"|\d{2} ?\d{2} ?\d{6}|[A-Z]{1,2} \d{6,8}"
)
_DIGITS: Final = pattern(r"\d{6,9}[A-Z]?|\d{2} ?\d{2} ?\d{6}")
"""What of such a shape a run of digits and separators can be, letters before it taken off."""
_LETTERS_BEFORE: Final = pattern(r"(?<![A-Za-z0-9])[A-Z]{1,3} ?\Z")
_DATE: Final = pattern(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_DIGIT: Final = pattern(r"\d")
_MAX_LENGTH: Final = 12


def may_be(body: str) -> bool:
    """Whether `find` can find anything in a run of digits, whatever stands around it."""
    return len(body) <= _MAX_LENGTH and _DIGITS.fullmatch(body) is not None


def find(context: Context) -> list[Span]:
    """The number that the body is, with letters that stand before it."""
    if len(context.body) > _MAX_LENGTH:
        return []
    letters = _LETTERS_BEFORE.search(context.before[-5:])
    # Most numbers have no such shape; to look for the word takes longer.
    leads = [
        lead
        for lead in (letters.group() if letters is not None else "", "")
        if _SHAPE.fullmatch(lead + context.body) and not _DATE.fullmatch(lead + context.body)
    ]
    if not leads or PASSPORT_CUE not in context.cues:
        return []
    # Another number after the word is what the word is about.
    nearest = _DIGIT.split(context.before[-CUE_CHARACTERS:])[-1]
    if PASSPORT_CUE not in find_cues(nearest, "", context.language):
        return []
    for lead in leads:
        before = context.before[: len(context.before) - len(lead)]
        if Context(before, lead + context.body, context.after, context.language).stands_alone:
            # A word for the identity number of a country says more, if that number's check holds.
            certainty = 2 if any(cue.startswith("id.") for cue in context.cues) else 3
            return [Span(-len(lead), len(context.body), PASSPORT, certainty)]
    return []
