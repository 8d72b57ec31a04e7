"""Telephone numbers, checked with libphonenumber.

The international form (`+49 30 …`) counts wherever it is valid. A national form counts in a region of the document's
language, and only with a second sign: a cue word near it, or a shape that hardly anything else has (a trunk prefix, an
area code in brackets, the grouping in which the region writes its numbers). Years, dates, amounts, versions, ISBNs and
enumerations have none of these.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span
from stages.pii.cues import CONTACT as CONTACT_CUE
from stages.pii.cues import NUMBER as NUMBER_CUE
from stages.pii.cues import PHONE as PHONE_CUE
from stages.pii.cues import VERSION as VERSION_CUE
from stages.pii.cues import find_cues

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

PHONE: Final = "phone"

REGIONS: Final[dict[str, tuple[str, ...]]] = {
    "af": ("ZA", "NA"),
    "am": ("ET",),
    "ar": ("EG", "SA", "AE", "DZ", "MA", "JO", "IQ", "SY", "TN", "LB", "PS", "KW", "QA", "OM", "YE", "LY", "BH", "SD"),
    "as": ("IN",),
    "az": ("AZ",),
    "be": ("BY",),
    "bg": ("BG",),
    "bn": ("BD", "IN"),
    "br": ("FR",),
    "bs": ("BA",),
    "ca": ("ES", "AD"),
    "cs": ("CZ",),
    "cy": ("GB",),
    "da": ("DK",),
    "de": ("DE", "AT", "CH", "LI", "LU"),
    "el": ("GR", "CY"),
    "en": ("US", "GB", "AU", "IN", "IE", "NZ", "ZA", "SG", "NG", "KE", "PH", "PK"),
    "es": ("ES", "MX", "AR", "CO", "CL", "PE", "VE", "EC", "GT", "UY", "BO", "PY", "CR", "DO", "PA", "HN", "SV", "CU"),
    "et": ("EE",),
    "eu": ("ES",),
    "fa": ("IR", "AF"),
    "fi": ("FI",),
    "fil": ("PH",),
    "fo": ("FO",),
    "fr": ("FR", "BE", "CH", "CA", "LU", "DZ", "MA", "TN", "SN", "CI"),
    "ga": ("IE",),
    "gl": ("ES",),
    "gu": ("IN",),
    "ha": ("NG", "NE"),
    "he": ("IL",),
    "hi": ("IN",),
    "hr": ("HR", "BA"),
    "hu": ("HU",),
    "hy": ("AM",),
    "id": ("ID",),
    "ig": ("NG",),
    "is": ("IS",),
    "it": ("IT", "CH"),
    "ja": ("JP",),
    "ka": ("GE",),
    "kk": ("KZ",),
    "km": ("KH",),
    "kn": ("IN",),
    "ko": ("KR",),
    "ky": ("KG",),
    "lb": ("LU",),
    "lo": ("LA",),
    "lt": ("LT",),
    "lv": ("LV",),
    "mk": ("MK",),
    "ml": ("IN",),
    "mn": ("MN",),
    "mr": ("IN",),
    "ms": ("MY", "SG", "BN"),
    "mt": ("MT",),
    "my": ("MM",),
    "ne": ("NP",),
    "nl": ("NL", "BE", "SR"),
    "nn": ("NO",),
    "no": ("NO",),
    "or": ("IN",),
    "pa": ("IN", "PK"),
    "pl": ("PL",),
    "ps": ("AF", "PK"),
    "pt": ("BR", "PT", "AO", "MZ"),
    "ro": ("RO", "MD"),
    "ru": ("RU", "BY", "KZ", "UA", "KG"),
    "si": ("LK",),
    "sk": ("SK",),
    "sl": ("SI",),
    "sq": ("AL", "XK"),
    "sr": ("RS", "BA", "ME"),
    "sv": ("SE", "FI"),
    "sw": ("TZ", "KE", "UG"),
    "ta": ("IN", "LK", "SG", "MY"),
    "te": ("IN",),
    "tg": ("TJ",),
    "th": ("TH",),
    "tk": ("TM",),
    "tr": ("TR", "CY"),
    "uk": ("UA",),
    "ur": ("PK", "IN"),
    "uz": ("UZ",),
    "vi": ("VN",),
    "yo": ("NG",),
    "zh": ("CN", "TW", "HK", "SG", "MO"),
    "zu": ("ZA",),
}
"""Regions (ISO 3166) whose national numbers are looked for in a language, the most populous first. A number is matched
against each in turn, so the order changes nothing but speed."""

_INSIDE: Final = (
    r"(?:x|ext(?:n|ension)?\b\.?|доб\b\.?|внутр?\b\.?|Durchwahl|Nebenstelle|poste|anexo|ramal|interno|wewn?\b\.?|dahili|#"
    r"|内線|內線|分机|分機|转|轉):? ?\d{1,6}"
)
_EXTENSION: Final = pattern(rf"(?:,? ?{_INSIDE}(?!\w)| ?\({_INSIDE}\))", re.IGNORECASE)
"""The number of a telephone inside a house, behind that of the house."""
_RUSSIA_AND_KAZAKHSTAN: Final = 7
_MIN_NATIONAL, _MAX_NATIONAL = 7, 13
_MIN_INTERNATIONAL, _MAX_INTERNATIONAL = 8, 16  # E.164 allows 15 digits; `(0)` adds one

_DATE: Final = pattern(
    r"(?:[12]\d{3}([-./ ])\d{1,2}\1\d{1,2}|\d{1,2}([-./ ])\d{1,2}\2[12]\d{3})(?:[ /-]+\d{1,4})?"
    r"|(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[ -]?\d{4,6})?"
    r"|\d{1,2}[./-]\d{1,2}[./-]\d{2}(?: \d{1,4})?"
)
_YEARS: Final = pattern(r"(?:1[0-9]|20)\d{2}(?: ?[-/] ?(?:1[0-9]|20)\d{2})+|(?:1[0-9]|20)\d{2}(?: (?:1[0-9]|20)\d{2})+")
_THOUSANDS: Final = pattern(r"[1-9]\d{0,2}(?:([ .])\d{3}(?:\1\d{3})*)|[1-9]\d{0,2}(?: \d{2})*? \d{3}")
_SIGNED_AMOUNT: Final = pattern(r"\+\d{1,3}(?: \d{3}){5,}")
_FRACTION: Final = pattern(r"[.,]\d")
_DECIMAL: Final = pattern(r"\d+\.\d+")
_MAY_COUNT: Final = pattern(r"[1-9]\d{0,15}(?:[ .]\d{1,15}){0,8}")
_FOUR_DOTTED: Final = pattern(r"(?!0\d)\d{1,3}(?:\.\d{1,3}){3}")
_ISBN: Final = pattern(r"97[89][- ]?\d[\d -]{8,13}|\d{1,5}[- ]\d{1,7}[- ]\d{1,6}[- ][\dX]")
_DIGIT_GROUPS: Final = pattern(r"\d+")
_FROM_AMERICA: Final = pattern(r"011[ -][1-9]")
_POSTAL_CODE: Final = pattern(r"\d{5}-\d{4}")
_LONG_REPEAT: Final = pattern(r"(\d)\1{7}")
_PAIRS: Final = pattern(r"[1-9]\d(?:[ .-]\d\d)+")
_JOINTS: Final = frozenset((" ", "-", ".", "/", ")", ") ", ")-", ").", ")/", "(", " (", "-(", ".(", " - ", " / ", "- "))
_MIN_WITHOUT_SIGN: Final = 9
"""Digits of a national number that is accepted for its grouping alone, or near a word such as `call`."""
_EIGHT_DIGITS: Final = frozenset(("da", "et", "hy", "lv", "mt", "nn", "no", "sl"))
"""Languages of countries whose numbers have eight digits, area code included."""
_ENUMERATIONS: Final = ("0123456789", "1234567890", "12345678", "9876543210", "98765432")
_POWERS_OF_TWO: Final = frozenset(str(2**power + less) for power in range(24, 65) for less in (-1, 0, 1))
"""Limits of machine integers: 2147483647 would be a valid number in Dallas."""
_BARE_MOBILE: Final = {
    "zh": pattern(r"1[3-9]\d{9}"),
    "ru": pattern(r"[78][3489]\d{9}"),
    "kk": pattern(r"[78]7\d{9}"),
    "it": pattern(r"3[2-9]\d{8}"),
}
"""Numbers that are usually written without any separator, by language: mobile ones; in Russia with the trunk prefix."""
_TRUNK_EIGHT: Final = pattern(r"8[ -]?\(?\d{3}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}")
"""The Russian and Kazakh trunk prefix, an area code of three digits, and the rest in the usual groups."""


def may_be(body: str) -> bool:
    """Whether anything can be found in a run of digits, whatever stands around it."""
    if "+" in body[:2] or _may_be_national(body):
        return True
    groups = _DIGIT_GROUPS.findall(body)
    inside = sum(map(len, groups)) - min(len(groups[0]), len(groups[-1]))
    return (" " in body or "/" in body) and inside >= _MIN_NATIONAL


@lru_cache(maxsize=1 << 13)
def _may_be_national(text: str) -> bool:
    digits = "".join(_DIGIT_GROUPS.findall(text))
    right = _MIN_NATIONAL <= len(digits) <= _MAX_INTERNATIONAL and not text[-1].isalpha()
    return right and not _is_something_else(text, digits)


@lru_cache(maxsize=1 << 13)
def _needs_cue(body: str) -> bool:
    """Whether a run of digits without `+` is no number unless a word near it says so, in any region."""
    if not _may_be_national(body) or _may_be_something_else(body):
        return True
    digits = "".join(_DIGIT_GROUPS.findall(body))
    bare = len(body) == len(digits)
    if digits.startswith("00"):
        return bare
    if _FROM_AMERICA.match(body):
        return False
    if len(digits) > _MAX_NATIONAL:
        return True
    if bare:
        return not _is_trunk_and_area(digits) and not any(map(_is_bare_mobile, itertools.repeat(digits), _BARE_MOBILE))
    return not _is_grouped(body) or not _may_look_written(body, digits)


def find(context: Context) -> list[Span]:
    """The telephone numbers in a run of digits: what `find_by_rules` finds, after a look at what stands in the way."""
    needs_cue = "+" not in context.body[:2] and _needs_cue(context.body)
    if needs_cue and context.cues.isdisjoint((PHONE_CUE, CONTACT_CUE)):
        return []
    return find_by_rules(context)


def find_labelled(context: Context) -> list[Span]:
    """The telephone numbers in a run of digits right behind a word for a telephone: `TEL03-1234-5678`."""
    label = context.before[len(context.before.rstrip(string.ascii_letters)) :]
    if PHONE_CUE not in find_cues(label, "", context.language):
        return []
    return find(Context(f"{context.before} ", context.body, context.after, context.language))


def find_by_rules(context: Context) -> list[Span]:
    """The telephone numbers in a run of digits."""
    body = context.body
    if "+" in body[:2]:
        return _international(context)
    whole = _try(context, body)
    if whole is not None:
        return [whole]
    if (" " not in body and "/" not in body) or context.cues.isdisjoint((PHONE_CUE, CONTACT_CUE)):
        return []
    if _THOUSANDS.fullmatch(body) is not None and context.is_counted:
        return []
    return _parts(context)


def is_telephone_number(text: str, language: str) -> bool:
    """Whether a text in plain characters is a valid number by itself or in a region of the language."""
    regions = (None,) if text.startswith(("+", "(+")) else REGIONS.get(language, ())
    numbers = [_valid_number(text, region) for region in regions]
    if text.startswith("00"):
        numbers.append(_with_plus(text))
    return any(number is not None for number in numbers)


def _international(context: Context) -> list[Span]:
    """The longest valid number at the beginning of a run that begins with `+`; the rest is looked at by itself."""
    body = context.body
    previous = context.previous
    if previous and previous.isascii() and (previous.isalnum() or previous in "_+^*"):
        return []
    if _SIGNED_AMOUNT.fullmatch(body) or (_THOUSANDS.fullmatch(body[1:]) and _FRACTION.match(context.after)):
        return []
    for end in _ends(body):
        digits = sum(character.isdigit() for character in body[:end])
        if not _MIN_INTERNATIONAL <= digits <= _MAX_INTERNATIONAL:
            continue
        if _valid_number(body[:end], None) is not None:
            if end == len(body):
                if (
                    context.next.isascii()
                    and (context.next.isalnum() or context.next == "_")
                    and not _extension(context)
                ):
                    return []
                return [Span(0, end + _extension(context), PHONE, 3)]
            return [Span(0, end, PHONE, 3)]
    return []


def _ends(body: str) -> list[int]:
    """Where groups of digits end, the last first."""
    return [match.end() for match in _DIGIT_GROUPS.finditer(body)][:-7:-1]


def _parts(context: Context) -> list[Span]:
    """Numbers inside a run that is no number as a whole (two numbers in a row, a number and a year): at each group the
    longest valid form, at most six groups long."""
    groups = [(match.start(), match.end()) for match in _DIGIT_GROUPS.finditer(context.body)]
    found: list[Span] = []
    first = 0
    while first < len(groups):
        start = groups[first][0]
        if start > 0 and context.body[start - 1] == "(":
            start -= 1
        step = 1
        for last in range(min(first + 6, len(groups)) - 1, first - 1, -1):
            end = groups[last][1]
            after = context.body[end : end + 1]
            if after not in ("", " ", "/", ")") or (start > 0 and context.body[start - 1] not in " /("):
                continue
            span = _try(context, context.body[start:end], start)
            if span is not None:
                found.append(span)
                step = last + 1 - first
                break
        first += step
    return found


def _try(context: Context, text: str, offset: int = 0) -> Span | None:
    """`text` (all of the body, or the part of it at `offset`) as one number in national form, or with 00."""
    if not _may_be_national(text):
        return None
    digits = "".join(_DIGIT_GROUPS.findall(text))
    whole = len(text) == len(context.body)
    extension = _extension(context) if whole else 0
    if not extension and not context.stands_alone:
        return None
    cue = PHONE_CUE in context.cues or (
        CONTACT_CUE in context.cues
        and NUMBER_CUE not in context.cues
        and len(digits) >= (8 if context.language in _EIGHT_DIGITS else _MIN_WITHOUT_SIGN)
    )
    if not cue and (not whole or _may_be_something_else(text)):
        return None
    if _MAY_COUNT.fullmatch(text) is not None and context.is_counted:
        return None
    if digits.startswith("00") or (context.language == "en" and _FROM_AMERICA.match(text)):
        separated = len(text) > len(digits) and context.cues.isdisjoint((NUMBER_CUE, VERSION_CUE))
        if not (cue or separated) or _with_plus(text) is None:
            return None
        return Span(offset, offset + len(text) + extension, PHONE, 2)
    if not (_MIN_NATIONAL <= len(digits) <= _MAX_NATIONAL):
        return None
    if not cue and (NUMBER_CUE in context.cues or VERSION_CUE in context.cues):
        return None
    bare = len(text) == len(digits)
    if (
        bare
        and not cue
        and not _is_bare_mobile(digits, context.language)
        and not _is_bare_trunk(digits, context.language)
    ):
        return None
    if not (cue or bare or (_is_grouped(text) and _may_look_written(text, digits))):
        return None
    for region in REGIONS.get(context.language, ()):
        number = _valid_number(text, region)
        if number is not None and (cue or bare or _looks_written(text, digits, number)):
            return Span(offset, offset + len(text) + extension, PHONE, 2 if cue else 1)
    return None


def _extension(context: Context) -> int:
    match = _EXTENSION.match(context.after)
    return match.end() if match is not None else 0


def _is_something_else(text: str, digits: str) -> bool:
    """Whether the text is a date, a version, an ISBN, an enumeration, whatever word stands near."""
    if _DATE.fullmatch(text) or _YEARS.fullmatch(text) or _FOUR_DOTTED.fullmatch(text):
        return True
    if digits in _POWERS_OF_TWO or len(set(digits)) <= 2 or digits in _ENUMERATIONS[0] or digits in _ENUMERATIONS[1]:
        return True
    if any(digits.startswith(enumeration) for enumeration in _ENUMERATIONS):
        return True
    if _is_ascending(text) or _LONG_REPEAT.search(digits):
        return True
    if _ISBN.fullmatch(text) and _has_isbn_check(digits):
        return True
    # `030.1234567` may be one.
    return (digits[0] != "0" or text.startswith("0.")) and _DECIMAL.fullmatch(text) is not None


def _may_be_something_else(text: str) -> bool:
    """Whether the text has the shape of an amount, a fraction, a list of pairs, a postal code."""
    return any(shape.fullmatch(text) for shape in (_THOUSANDS, _DECIMAL, _PAIRS, _POSTAL_CODE))


def _is_ascending(text: str) -> bool:
    """Whether the groups count up or down by one step (`01 02 03 04 05`, `10 20 30 40`)."""
    groups = [int(group) for group in _DIGIT_GROUPS.findall(text)]
    if len(groups) < 4:
        return False
    steps = {after - before for before, after in itertools.pairwise(groups)}
    return len(steps) == 1


def _has_isbn_check(digits: str) -> bool:
    from stdnum import ean, isbn

    return bool(ean.is_valid(digits)) if len(digits) == 13 else bool(isbn.is_valid(digits))


def _is_bare_mobile(digits: str, language: str) -> bool:
    pattern = _BARE_MOBILE.get(language)
    return pattern is not None and pattern.fullmatch(digits) is not None


def _is_bare_trunk(digits: str, language: str) -> bool:
    return language in REGIONS and _is_trunk_and_area(digits)


def _is_trunk_and_area(digits: str) -> bool:
    """Whether unseparated digits begin with one trunk prefix 0 and have the length of a number with area code."""
    return digits[0] == "0" and digits[1] != "0" and 10 <= len(digits) <= 12


def _with_plus(text: str) -> PhoneNumber | None:
    """The number that `00` (or North America's 011) in front of a country code introduces, if it is valid."""
    bare = text[3:] if _FROM_AMERICA.match(text) else text.lstrip("(0")
    return _valid_number("+" + bare.lstrip(" )-./"), None)


@lru_cache(maxsize=1 << 12)
def _valid_number(text: str, region: str | None) -> PhoneNumber | None:
    """The number that a text is in a region, None where there is none or it is not valid. Texts repeat their numbers,
    and each takes the library 50 microseconds for each region."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _is_grouped(text: str) -> bool:
    """Whether digits are put into groups as those of telephone numbers are, whatever the region."""
    groups = _DIGIT_GROUPS.findall(text)
    joints = _DIGIT_GROUPS.split(text)[1:-1]
    if len(groups) > 6 or any(len(group) == 1 for group in groups[1:]) or not _JOINTS.issuperset(joints):
        return False
    return len({joint for joint in joints[1:] if ")" not in joint and "(" not in joint}) <= 1


def _looks_written(text: str, digits: str, number: PhoneNumber) -> bool:
    """Whether a national number in groups is written as people write numbers: trunk prefix 0 or brackets, then at least
    one more group, or exactly the groups in which the region prints it."""
    import phonenumbers

    if _TRUNK_EIGHT.fullmatch(text) and number.country_code == _RUSSIA_AND_KAZAKHSTAN:
        return True
    groups = _DIGIT_GROUPS.findall(text)
    if _has_trunk_or_brackets(text, digits, groups):
        return "." not in text or len(groups) >= 3
    if len(digits) < _MIN_WITHOUT_SIGN:
        return False
    length = len(phonenumbers.national_significant_number(number))
    wanted = (
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL),
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL),
    )
    cuts = _cuts(text, length)
    return len(cuts) >= 2 and any(_cuts(form, length) == cuts for form in wanted)


def _may_look_written(text: str, digits: str) -> bool:
    """Whether `_looks_written` can be true, whatever the number's country and however its regions print it."""
    groups = _DIGIT_GROUPS.findall(text)
    if _has_trunk_or_brackets(text, digits, groups):
        return "." not in text or len(groups) >= 3
    # Two cuts make three groups.
    return len(digits) >= _MIN_WITHOUT_SIGN and (len(groups) >= 3 or _TRUNK_EIGHT.fullmatch(text) is not None)


def _has_trunk_or_brackets(text: str, digits: str, groups: Sequence[str]) -> bool:
    trunk = digits[0] == "0" and digits[1] != "0"
    return (trunk or text[0] == "(") and len(groups) >= 2 and 2 <= len(groups[0]) <= 6 and len(digits) >= 8


def _cuts(text: str, length: int) -> frozenset[int]:
    """Where groups are cut, counted in digits from the end, inside the last `length` digits."""
    cuts = set()
    count = 0
    for group in reversed(_DIGIT_GROUPS.findall(text)):
        count += len(group)
        if count < length:
            cuts.add(count)
    return frozenset(cuts)
