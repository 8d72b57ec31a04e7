"""Bank accounts (IBAN, ISO 13616) and payment cards (ISO/IEC 7812)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span, digits_of
from stages.pii.cues import CARD as CARD_CUE
from stages.pii.cues import NUMBER as NUMBER_CUE
from stages.pii.cues import PHONE as PHONE_CUE

IBAN: Final = "iban"
CARD: Final = "card"

_NAMED: Final = pattern(r"(?<![A-Za-z0-9_-])IBAN[-_]?\Z", re.IGNORECASE)
"""The name of the number, stuck to it: `IBANDE89…`, `IBAN-DE89…`."""
_CARD_DIGITS: Final = range(12, 20)
_GROUPS: Final = pattern(r"\d{4}([ .-])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5}")
_BEHIND: Final = pattern(r" (?:(?:(?:0?[1-9]|1[0-2])[/-])?20\d{2}|(?:0?[1-9]|1[0-2])[/-]\d{2}|\d{3})(?: \d{3,4})?\Z")
"""The month or year in which a card ends, and its check number, right behind its own."""
_MIN_CERTAIN: Final = 14
"""Digits of a card near a word for a telephone, or for a quantity: Maestro has cards of 12, Visa had some of 13."""

_ISSUERS: Final = pattern(
    r"(?P<visa>4(?:\d{12}|\d{15}|\d{18}))"
    r"|(?P<mastercard>(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12})"
    r"|(?P<amex>3[47]\d{13})"
    r"|(?P<diners>3(?:0[0-5]\d{11}|0[0-5]\d{13}|[689]\d{12}))"
    r"|(?P<discover>(?:6011|64[4-9]\d|65\d{2})\d{12}(?:\d{3})?)"
    r"|(?P<jcb>35\d{14}|(?:2131|1800)\d{11})"
    r"|(?P<unionpay>(?:62|81)\d{14}(?:\d{1,3})?)"
    r"|(?P<maestro>(?:5018|5020|5038|5[678]\d{2}|6304|6390|6759|676[1-3]|0604)\d{8}(?:\d{1,7})?"
    r"|(?:5[06-9]|6\d)\d{14})"
    r"|(?P<mir>220[0-4]\d{12})"
)
"""Issuer identification numbers and lengths as the networks publish them (Visa with 13 digits is retired, but texts
last)."""


def find_iban(context: Context) -> list[Span]:
    """The account number at the beginning of the body, if its length and structure are its country's and its check
    digits (ISO 7064, mod 97-10) fit. What only a country's banks check is left out: made-up examples count too."""
    previous = context.previous
    if previous.isascii() and (previous.isalnum() or previous in ("_", "-")) and not _NAMED.search(context.before[-6:]):
        return []
    body = context.body
    missing = _account_length(body[:2].upper())
    end = 0
    while missing > 0 and end < len(body):
        missing -= body[end] not in " -"
        end += 1
    following = body[end : end + 1] or context.next
    if end == 0 or missing > 0 or (following.isascii() and (following.isalnum() or following == "_")):
        return []
    return [Span(0, end, IBAN, 3)] if is_account(body[:end]) else []


def is_account(text: str) -> bool:
    """Whether a text is an IBAN by the length and structure of its country and its check digits."""
    from stdnum import iban

    return bool(iban.is_valid(text, check_country=False))


@lru_cache(maxsize=1024)
def _account_length(country: str) -> int:
    """Characters of the account numbers of a country, 0 where there are none."""
    from stdnum import numdb

    _, properties = numdb.get("iban").info(country)[0]
    structure = properties.get("bban", "")
    return 4 + sum(int(length) for length in re.findall(r"\d+", structure)) if structure else 0


def may_be_card(body: str) -> bool:
    """Whether `find_card` can find anything in a run of digits, whatever stands around it."""
    behind = _BEHIND.search(body)
    return _has_form(body) or (behind is not None and _has_form(body[: behind.start()]))


def _has_form(body: str) -> bool:
    """Whether a text is written as cards are, has as many digits as they, and fits its check digit (Luhn)."""
    digits = digits_of(body)
    if len(digits) not in _CARD_DIGITS or body[0] in "+(":
        return False
    if len(body) != len(digits) and _GROUPS.fullmatch(body) is None:
        return False
    from stdnum import luhn

    return len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def find_card(context: Context) -> list[Span]:
    """The body as a card number, perhaps with the date on which it ends: issuer and length, Luhn, and written plainly
    or in the usual groups."""
    whole = _find_whole_card(context)
    if not whole and (behind := _BEHIND.search(context.body)) is not None:
        return _find_whole_card(_before(context, behind.start()))
    return whole


def _find_whole_card(context: Context) -> list[Span]:
    digits = context.digits
    if not _has_form(context.body) or not context.stands_alone:
        return []
    if CARD_CUE not in context.cues:
        if _ISSUERS.fullmatch(digits) is None:
            return []
        if NUMBER_CUE in context.cues or (PHONE_CUE in context.cues and len(digits) < _MIN_CERTAIN):
            return []
        if len(digits) == 13 and _is_article_number(digits):
            return []
        if len(context.body) == len(digits) < _MIN_CERTAIN and context.is_counted:
            return []
    return [Span(0, len(context.body), CARD, 2)]


def _before(context: Context, end: int) -> Context:
    """The context with what stands in the body from `end` on given to what follows."""
    return Context(context.before, context.body[:end], context.body[end:] + context.after, context.language)


def _is_article_number(digits: str) -> bool:
    """Whether 13 digits carry the check digit of a GTIN-13: German and Japanese goods (40 to 45, 49) begin as the Visa
    cards with 13 digits did."""
    from stdnum import ean

    return bool(ean.is_valid(digits))
