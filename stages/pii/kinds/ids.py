"""National identity, social insurance and personal tax numbers, by shape, then by their check digits.

The table of what is known is `data/ids.tsv`. The rarer a valid number is among numbers of its shape, the less else it
needs (`benchmarks/pii.py --ids` measures it). In any language, at most one in fifty is valid by chance (a codice
fiscale). In a language of the country, where nothing near says that it is something else, one in nine (nine digits in
Dutch text), or its shape is one that other numbers do not have (`123-45-6789`). All else needs a cue (ten digits of the
British health service).
"""

from __future__ import annotations

import importlib
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import CUE_CHARACTERS, Context, Span, shape_of
from stages.pii.cues import CARD as CARD_CUE
from stages.pii.cues import ID as ID_CUE
from stages.pii.cues import NUMBER as NUMBER_CUE
from stages.pii.cues import PHONE as PHONE_CUE
from stages.pii.cues import VERSION as VERSION_CUE
from stages.pii.cues import find_cues
from stages.pii.kinds import check_digits

ID: Final = "id"

_SEPARATORS: Final = pattern(r"[ ./+-]")
_LETTERS_BEFORE: Final = pattern(r"(?<![A-Za-z0-9])[A-Z]{1,2}[ -]?\Z")
_LETTERS_BEFORE_CHARACTERS: Final = 4
"""What `_LETTERS_BEFORE` can match, and the character before it."""
_TAILS: Final = tuple(
    pattern(tail + "(?![A-Za-z0-9])") for tail in (r" ?[A-Z]{2}\d", r"-[A-Z]", r" [A-Z] ?\d{3}", r" \d{3}")
)
"""What may follow the digits and belong to the number: `12345678 9 ZZ1`, `X1234567-L`, `15 070649 C 103`."""
_LABEL: Final = pattern(r"[A-Za-z]{2,}(?=\d)")
_LABEL_BEFORE: Final = pattern(r"(?:[A-Za-z]{2,24}|[A-Za-z](?:\.[A-Za-z]){1,4})(?:\.?-|\.)\Z")
"""A label that a hyphen or full stop joins to the number: `DNI-`, `T.C.`, `D.N.I.`, `D.N.I.-`."""
_LABEL_CHARACTERS: Final = 26
_LONG_LABEL: Final = 4
"""Letters of a label that is hardly anything else: `PESEL`, `CUIT`. `RUN`, `SIN` and `CF` begin other codes, too."""
_NUMBER_WORDS: Final = frozenset(("no", "nr", "num"))
"""Labels that say no more than `number`: what number it is stands before them."""
_SHORT_NAMES: Final = {
    "es": pattern(r"(?<![\w.-])(?i:D\.N\.I|N\.I\.[EF])\.?:?[ \t]{0,2}\Z"),
    "tr": pattern(r"(?<![\w.-])(?:TC|T\.C\.)(?: ?N[Oo]\.?)?[ \t]?:?[ \t]{0,2}\Z"),
}
"""By country, names that are too short to count near a number in a language of another one, or have full stops: right
before it, with a blank or colon between, they do. `TC10000000146` may be any code."""
_SHORT_NAME_CHARACTERS: Final = 14
"""What one of `_SHORT_NAMES` can match, and the character before it."""
_SMALL_LETTER: Final = pattern(r"\d{8,17}[a-z]")
_SMALL_BEFORE: Final = pattern(r"(?<![A-Za-z0-9])[xyz]-?\Z")
_SMALL_BEHIND: Final = pattern(r"-?[a-z](?![A-Za-z0-9])")
_SPANISH: Final = pattern(r"(?:[XYZ]-?\d{7}|\d{8}|\d\d\.\d{3}\.\d{3})-?[A-Z]")
"""A Spanish DNI or NIE, whose last letter is the check digit of what stands before it."""
_OTHER_NUMBERS: Final = frozenset({NUMBER_CUE, VERSION_CUE, PHONE_CUE, CARD_CUE})
_BETWEEN_BLANKS: Final = pattern(r"[^ ]+")
_LEAD: Final = pattern(r"A*[ -]?")
"""The shape of letters that may stand before the digits and belong to the number, be they a label's or its own."""
NEEDS: Final = ("anywhere", "language", "cue")
_ANYWHERE, _LANGUAGE, _CUE = range(3)


@dataclass(frozen=True)
class IdNumber:
    """One kind of number: what it is called, where it belongs, how it is checked."""

    name: str
    country: str
    languages: frozenset[str]
    validator: str

    def is_valid(self, number: str) -> bool:
        """Whether the number, written with separators or without, passes its check."""
        return _validator(self.validator)(number)


@lru_cache(maxsize=1)
def id_numbers() -> tuple[IdNumber, ...]:
    """All kinds of numbers that are looked for."""
    return tuple(dict.fromkeys(number for entries in _shapes().values() for number, _ in entries))


@lru_cache(maxsize=1)
def id_languages() -> frozenset[str]:
    """Languages of the countries whose numbers are looked for."""
    return frozenset(language for number in id_numbers() for language in number.languages)


def shapes_of(number: IdNumber, need: str | None = None) -> frozenset[str]:
    """The shapes in which a number is looked for (9 a digit, A a capital): all, or those that need no more than
    `anywhere`, `language`, or `cue` says (the columns of the table)."""
    wanted = range(len(NEEDS)) if need is None else (NEEDS.index(need),)
    return frozenset(
        shape for shape, entries in _shapes().items() if any((number, place) in entries for place in wanted)
    )


@lru_cache(maxsize=1)
def _shapes() -> dict[str, list[tuple[IdNumber, int]]]:
    """For each shape the numbers that it can be, and what each of them needs."""
    shapes: dict[str, list[tuple[IdNumber, int]]] = {}
    text = resources.files("stages.pii").joinpath("data", "ids.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, country, languages, validator, *needs = line.split("\t")
        number = IdNumber(name, country, frozenset(languages.split(",")), validator)
        for need, listed in enumerate(needs):
            for shape in filter(None, listed.split(";")):
                shapes.setdefault(shape, []).append((number, need))
    return shapes


def is_identity_number(text: str) -> bool:
    """Whether a text in plain characters is a valid number of any kind that is written in its shape."""
    return any(number.is_valid(text) for number, _ in _shapes().get(shape_of(text), ()))


@lru_cache(maxsize=256)
def _validator(name: str) -> Callable[[str], bool]:
    if name.startswith("own:"):
        own: Callable[[str], bool] = getattr(check_digits, name.removeprefix("own:"))
        return lambda number: own(_SEPARATORS.sub("", number))
    module = importlib.import_module(f"stdnum.{name}")

    def is_valid(number: str) -> bool:
        try:
            # Not every module knows every separator: `54.362.315-K`.
            return bool(module.is_valid(number) or module.is_valid(_SEPARATORS.sub("", number)))
        except (KeyError, IndexError, ValueError):
            # Its tables have gaps (2.2: Chinese places of birth without a county), and it raises what the gap raises.
            return False

    return is_valid


@lru_cache(maxsize=1 << 12)
def may_be(shape: str) -> bool:
    """Whether `find` or `find_labelled` can find anything in digits of this shape, whatever stands around them: the
    shape, or a part of it between blanks, is one of the table, or becomes one with what may stand before and after."""
    shapes = _shapes()
    if shape in shapes or any(part in shapes for part in shape.split(" ")):
        return True
    for known in shapes:
        place = known.find(shape)
        while place >= 0:
            rest = known[place + len(shape) :]
            tailed = not rest or any(tail.fullmatch(rest) is not None for tail in _TAILS)
            if tailed and _LEAD.fullmatch(known[:place]) is not None:
                return True
            place = known.find(shape, place + 1)
    return False


def find(context: Context) -> list[Span]:
    """The identity number that the body is, perhaps with letters of it before or after; in a run of several numbers
    each one between blanks."""
    return _find(context) or _find_in_small_letters(context)


def _find(context: Context) -> list[Span]:
    letters = _LETTERS_BEFORE.search(context.before[-_LETTERS_BEFORE_CHARACTERS:])
    if letters is not None:
        # `AB 12 34 56 C`, `X-1234567-L`.
        lead = letters.group()
        whole = Context(context.before[: -len(lead)], lead + context.body, context.after, context.language)
        span = _find_at(whole, 0, len(whole.body)) if whole.stands_alone else None
        found = [span] if span is not None else _find_behind_joint(whole)
        if found:
            return [span._replace(begin=span.begin - len(lead), end=span.end - len(lead)) for span in found]
    body = context.body
    if _SMALL_LETTER.fullmatch(body) is not None:
        return _find(Context(context.before, body.upper(), context.after, context.language))
    span = _find_at(context, 0, len(body)) if context.stands_alone else None
    if span is None:
        span = _with_tail(context)
    if span is not None:
        return [span]
    if context.previous in ("-", ".") and (context.before.endswith(".-") or not context.stands_alone):
        return _find_behind_joint(context)
    if body[0].isalpha():
        return _find_behind_label(context)
    if not context.stands_alone or " " not in body:
        return []
    parts = (_find_at(context, match.start(), match.end()) for match in _BETWEEN_BLANKS.finditer(body))
    return [part for part in parts if part is not None]


def find_labelled(context: Context) -> list[Span]:
    """The identity number that the body is behind the letters right before it: `CPF123.456.789-09`."""
    return _find_labelled(context) or _find_in_small_letters(context)


def _find_in_small_letters(context: Context) -> list[Span]:
    """A Spanish number in small letters, where it is named: `nie-x-1234567-l`, `dni 54.362.315-k`. Without a name, it
    may be any code."""
    lead, tail = _SMALL_BEFORE.search(context.before), _SMALL_BEHIND.match(context.after)
    if tail is None and not context.body[-1].islower():
        return []
    begin = 0 if lead is None else lead.start() - lead.end()
    end = 0 if tail is None else tail.end()
    before = context.before[:begin] if begin else context.before
    body = f"{context.before[len(before) :]}{context.body}{context.after[:end]}".upper()
    # In no language, so that a name alone will do.
    found = _find(Context(before, body, context.after[end:], "und"))
    whole = before + body
    return [
        span._replace(begin=span.begin + begin, end=span.end + begin)
        for span in found
        if _SPANISH.fullmatch(whole.upper(), span.begin + len(before), span.end + len(before)) is not None
    ]


def _find_labelled(context: Context) -> list[Span]:
    letters = len(context.before) - len(context.before.rstrip(string.ascii_letters))
    label = context.before[-letters:]
    whole = Context(context.before[:-letters], label + context.body, context.after, context.language)
    return [span._replace(begin=span.begin - letters, end=span.end - letters) for span in _find_behind_label(whole)]


def _find_behind_label(context: Context) -> list[Span]:
    """The number in a body that begins with the name of this sort of number, in letters of any case: `DNI54362315K`."""
    letters = _LABEL.match(context.body)
    # The number may begin with letters of its own: `NIEX1234567L`.
    return [] if letters is None else _find_named(context, range(letters.end(), 1, -1))


def _find_behind_joint(context: Context) -> list[Span]:
    """The number that the body is behind its name and a hyphen or full stop: `DNI-54362315K`, `T.C.10000000146`."""
    label = _LABEL_BEFORE.search(context.before[-_LABEL_CHARACTERS:])
    if label is None:
        return []
    lead = label.group()
    whole = Context(context.before[: -len(lead)], lead + context.body, context.after, context.language)
    # The number may begin with a letter of its own: `NIEX-1234567-L`.
    found = _find_named(whole, (len(lead), len(lead) - 2))
    return [span._replace(begin=span.begin - len(lead), end=span.end - len(lead)) for span in found]


def _find_named(context: Context, begins: Sequence[int]) -> list[Span]:
    """The number that begins at one of these places in the body, behind the name of this sort of number. In a language
    of another country the name must be long, or the number have a letter."""
    tails = (tail.match(context.after) for tail in _TAILS)
    for tail in (0, *(match.end() for match in tails if match is not None)):
        body = context.body + context.after[:tail]
        if not Context(context.before, body, context.after[tail:], context.language).stands_alone:
            continue
        for begin in begins:
            label, number = body[:begin].replace(".", "").rstrip("-"), body[begin:].upper()
            name = f"{context.before[-CUE_CHARACTERS:]}{label}" if label.lower() in _NUMBER_WORDS else label
            if any(
                (at_home or len(label) >= _LONG_LABEL or any(map(str.isalpha, number))) and known.is_valid(number)
                for known, at_home in _named(name, number, context.language)
            ):
                return [Span(begin, len(body), ID, 3)]
    return []


def _named(name: str, number: str, language: str) -> Iterator[tuple[IdNumber, bool]]:
    """The numbers of a shape which are of a country that a name is of, and whether the language is one of it."""
    entries = _shapes().get(shape_of(number))
    if entries is None or len(set(filter(str.isdigit, number))) <= 2:
        return
    cues = find_cues(name, "", language)
    for known, _ in entries:
        if f"id.{known.country}" in cues:
            yield known, language in known.languages


def _is_named(before: str, country: str) -> bool:
    """Whether a short name of a country's number stands right before it."""
    name = _SHORT_NAMES.get(country)
    return name is not None and name.search(before[-_SHORT_NAME_CHARACTERS:]) is not None


def _with_tail(context: Context) -> Span | None:
    for tail in _TAILS:
        match = tail.match(context.after)
        if match is not None:
            end = match.end()
            whole = Context(context.before, context.body + context.after[:end], context.after[end:], context.language)
            span = _find_at(whole, 0, len(whole.body)) if whole.stands_alone else None
            if span is not None:
                return span
    return None


def _find_at(context: Context, begin: int, end: int) -> Span | None:
    body = context.body
    text = body[begin:end]
    shape = context.shape if (begin, end) == (0, len(body)) else shape_of(text)
    entries = _shapes().get(shape)
    if entries is None or len(set(context.digits)) <= 2:
        return None
    for number, need in entries:
        own_cue = f"id.{number.country}" in context.cues or (begin == 0 and _is_named(context.before, number.country))
        at_home = context.language in number.languages
        cue = own_cue or (at_home and ID_CUE in context.cues)
        if not (cue or need == _ANYWHERE or (need == _LANGUAGE and at_home)):
            continue
        if not cue and need != _ANYWHERE and context.cues & _OTHER_NUMBERS:
            continue
        if not own_cue and text.isdigit() and context.is_counted:
            continue
        if number.is_valid(text):
            return Span(begin, end, ID, 3 if cue or need == _ANYWHERE else 1)
    return None
