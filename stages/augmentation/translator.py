"""What a translator is, and how the ones that a recipe names are found.

A translator is registered by an entry point in the group `curator.translators`, which names a class. It is called with
the options that the recipe gives as keyword arguments, and raises `ValueError` (pydantic's included) for wrong ones.

Languages are list languages (`curator.language.tags`): `oc`, not `oci`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, Self, cast, runtime_checkable

from pydantic import Field, ValidationError, field_validator, model_validator

from curator.document import UNDETERMINED
from curator.errors import UserError
from curator.language.tags import list_language
from curator.registry import TRANSLATORS, load
from curator.stage import Parameters, Requirement
from curator.validation import first_problem

Pair = tuple[str, str]
"""Source and target language."""


@runtime_checkable
class Translator(Protocol):
    """An engine that translates. All that it needs is on this machine."""

    @property
    def name(self) -> str:
        """The name of the entry point."""
        ...

    @property
    def version(self) -> str:
        """The engine's version, for the record; `unknown` where the engine is missing."""
        ...

    def pairs(self) -> frozenset[Pair]:
        """The pairs that can be translated here and now."""
        ...

    def ways(self) -> Mapping[str, tuple[str, ...]]:
        """Languages that this translator is known to bring through pivots and back, with the pivots in order. A recipe
        that gives no `pivots` asks for all of them. It must not depend on what is installed."""
        ...

    def translate(self, source: str, target: str, texts: Sequence[str]) -> list[str | None]:
        """One translation for each text, None where the engine did not give a sound one. The same text gives the same
        translation whatever stands beside it. UserError for a missing pair, TransientError when the engine hangs."""
        ...

    def requirement(self, pair: Pair) -> Requirement:
        """What this pair needs; `identity` changes when its translations may."""
        ...


class TranslatorChoice(Parameters):
    """A translator as a recipe names it: `apertium`, or `{name: apertium, pivots: {oc: fr}, options: {…}}`."""

    name: str
    pivots: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Language to pivot, or to a list of pivots that it goes through in order. Empty: all that the "
        "translator is known for.",
        json_schema_extra={"additionalProperties": {"type": ["string", "array"]}},
    )
    pivot_text: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Language to the language whose documents are translated into it, or to a list: that one, and the "
        "pivots on the way.",
        json_schema_extra={"additionalProperties": {"type": ["string", "array"]}},
    )
    round_trip: bool = Field(
        default=True,
        description="Whether a translation of `pivot_text` is taken back and compared with its parent.",
    )
    options: Mapping[str, object] = Field(default_factory=dict, description="The translator's own options.")

    @property
    def goes_there_and_back(self) -> bool:
        """Whether it is named for back-translation: by `pivots`, or by its name alone."""
        return bool(self.pivots) or not self.pivot_text

    @field_validator("pivots", "pivot_text", mode="before")
    @classmethod
    def _normalise(cls, pivots: object) -> object:
        if not isinstance(pivots, Mapping):
            return pivots
        return {
            list_language(language): tuple(map(list_language, [ways] if isinstance(ways, str) else ways))
            for language, ways in pivots.items()
        }

    @field_validator("pivots")
    @classmethod
    def _leads_somewhere(cls, pivots: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for language, ways in pivots.items():
            hops = [language, *ways, language]
            if UNDETERMINED in hops:
                raise ValueError("pivots must be language tags, such as {oc: fr}")
            if not ways or any(source == target for source, target in itertools.pairwise(hops)):
                raise ValueError(f"the pivots of {language} must name at least one language other than itself")
        return pivots

    @field_validator("pivot_text")
    @classmethod
    def _comes_from_elsewhere(cls, texts: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for language, ways in texts.items():
            hops = [*ways, language]
            if UNDETERMINED in hops:
                raise ValueError("pivot_text must be language tags, such as {oc: fr}")
            if not ways or len(set(hops)) < len(hops):
                raise ValueError(f"the pivot_text of {language} must name at least one language, each once, and not it")
        return texts

    @model_validator(mode="after")
    def _round_trip_is_of_pivot_text(self) -> Self:
        if not self.round_trip and not self.pivot_text:
            raise ValueError("`round_trip` says how translations of `pivot_text` are judged, and there is none")
        return self


def create(choice: TranslatorChoice) -> Translator:
    """The translator of this choice. UserError where none has the name, or the options are not its own."""
    found = load(TRANSLATORS, choice.name)
    if not callable(found):
        raise UserError(f"the entry point {choice.name!r} in {TRANSLATORS} names no class")
    try:
        translator = cast("Callable[..., object]", found)(**choice.options)
    except (TypeError, ValueError) as error:
        problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"options of translator {choice.name!r}: {problem}") from error
    if not isinstance(translator, Translator):
        raise UserError(
            f"the entry point {choice.name!r} in {TRANSLATORS} is not a translator",
            hint="see stages.augmentation.translator.Translator",
        )
    return translator
