"""What a recogniser is, and how the ones that a recipe names are found.

A recogniser finds personal data beside the rules of this stage, in the languages for which the recipe names it. It is
registered by an entry point in the group `curator.recognisers`, which names a class of this protocol, or an
`EntityRecognizer` of Presidio, which is put into `stages.pii.presidio.Presidio`. A class of the protocol is called with
`languages`, `kinds` and the options of the recipe as keyword arguments, and raises `ValueError` (pydantic's included)
for wrong ones.

Priority: what a rule of this stage has a check or a cue for stands before all that overlaps with it. Findings of
recognisers are as certain as names by rules; among them the kind that is first in `KINDS` stands, then the longer one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, cast

from pydantic import Field, ValidationError, field_validator

from curator.errors import UserError
from curator.language.tags import checked_list_languages
from curator.registry import RECOGNISERS, distribution, load
from curator.stage import Parameters, Requirement, Resources
from curator.validation import first_problem
from stages.pii.kind import Kind

EXTRA: Final = "recognisers"
"""The extra that has the packages of the recognisers that come with this stage."""


class Finding(NamedTuple):
    """Personal data in a text: `begin` and `end` in code points (half-open), and its kind."""

    begin: int
    end: int
    kind: str


class Recogniser(Protocol):
    """Something that finds personal data. All that it needs is on this machine."""

    @property
    def languages(self) -> frozenset[str]:
        """The list languages whose documents it reads."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that it may find. Asked only when `requirement` has no problem."""
        ...

    @property
    def packages(self) -> Sequence[str]:
        """The distributions whose versions decide what it finds."""
        ...

    @property
    def resources(self) -> Resources:
        """What a process that holds it needs."""
        ...

    def requirement(self) -> Requirement:
        """What it needs; `identity` changes when what it finds may."""
        ...

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """For each text what is in it, in any order; overlaps are resolved by the stage. The same texts give the same
        findings on every machine."""
        ...


class RecogniserChoice(Parameters):
    """A recogniser as a recipe names it: `{name: spacy, languages: [en], options: {model: en_core_web_sm}}`."""

    name: str
    languages: tuple[str, ...] = Field(min_length=1, description="Languages whose documents it reads.")
    kinds: dict[str, Kind] = Field(
        default_factory=dict, description="Label of the recogniser to kind of personal data, beside those it knows."
    )
    options: Mapping[str, object] = Field(default_factory=dict, description="The recogniser's own options.")

    @field_validator("languages")
    @classmethod
    def _list_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return checked_list_languages(languages)

    def package(self) -> str | None:
        """The distribution that registered it."""
        found = distribution(RECOGNISERS, self.name)
        return None if found is None else found[0]


def create(choice: RecogniserChoice) -> Recogniser:
    """The recogniser of this choice. UserError where none has the name, or the options are not its own."""
    found = load(RECOGNISERS, choice.name)
    if not isinstance(found, type):
        raise UserError(f"the entry point {choice.name!r} in {RECOGNISERS} names no class")
    given: dict[str, object] = {**choice.options, "languages": choice.languages, "kinds": choice.kinds}
    if any(base.__module__.partition(".")[0] == "presidio_analyzer" for base in found.__mro__):
        from stages.pii.presidio import Presidio

        found, given = Presidio, {**given, "recogniser": found}
    try:
        recogniser = cast("Callable[..., object]", found)(**given)
    except (TypeError, ValueError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"options of recogniser {choice.name!r}: {problem}") from error
    # Not `isinstance`: it would ask for `kinds`, for which a model must be read.
    if not all(callable(getattr(recogniser, method, None)) for method in ("find", "requirement")):
        raise UserError(
            f"the entry point {choice.name!r} in {RECOGNISERS} is not a recogniser",
            hint="see stages.pii.recogniser.Recogniser",
        )
    return cast("Recogniser", recogniser)


def pieces(text: str, most: int) -> Iterator[tuple[int, str]]:
    """A text cut into pieces of at most `most` code points, each with its place: at the last end of a line in the
    second half of a piece, else at the last blank, else where it is full."""
    begin = 0
    while begin < len(text):
        end = min(begin + most, len(text))
        if end < len(text):
            half = begin + most // 2
            cut = max(text.rfind("\n", half, end), -1)
            cut = text.rfind(" ", half, end) if cut < 0 else cut
            end = end if cut < 0 else cut + 1
        yield begin, text[begin:end]
        begin = end


def finding(text: str, begin: int, end: int, kind: str, offset: int = 0) -> Finding | None:
    """What a recogniser found in a text, or in a piece of one that begins at `offset`: a name without what is no letter
    at its ends, anything else without blanks there. None where nothing is left."""
    span = trimmed(text, begin, end) if kind == "name" else _without_blanks(text, begin, end)
    return None if span is None else Finding(offset + span[0], offset + span[1], kind)


def trimmed(text: str, begin: int, end: int) -> tuple[int, int] | None:
    """The span of a name without what is no letter at its ends: words of some tokenizers have blanks and commas. None
    where nothing is left."""
    while begin < end and not text[begin].isalpha():
        begin += 1
    while end > begin and not (text[end - 1].isalpha() or text[end - 1].isdigit() or _is_mark(text[end - 1])):
        end -= 1
    return (begin, end) if end > begin >= 0 else None


def _without_blanks(text: str, begin: int, end: int) -> tuple[int, int] | None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    return (begin, end) if end > begin >= 0 else None


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
