"""The recogniser `presidio`: one recogniser of Presidio, of those that come with it or of a user's own package.

A user's own is a subclass of `presidio_analyzer.EntityRecognizer` that an entry point in the group
`curator.recognisers` names; the recipe names that entry point, and nothing else can be imported by a recipe. Of those
that come with Presidio, the ones made of patterns are taken by name. What Presidio's engine does around a recogniser is
not done: no NLP artefacts are handed over, and words of context raise no score.

Presidio stops a pattern after 60 seconds and leaves its matches out; a text is read in pieces of at most `PIECE` code
points, so that a pattern must be very bad to come to that.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3
from pydantic import Field

from curator.code import files_below
from curator.errors import UserError
from curator.registry import nearest
from curator.stage import Parameters, Requirement, Resources
from stages.pii.recogniser import EXTRA, Finding, finding, pieces

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

PIECE: Final = 20_000
ENTITIES: Final = {
    "PERSON": "name",
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "IP_ADDRESS": "ip",
    "MAC_ADDRESS": "mac",
}
"""What those entities of Presidio are here that stand for one kind (https://microsoft.github.io/presidio/supported_entities/);
of the others the recipe says it."""
_ON_THE_NETWORK: Final = frozenset(("EmailRecognizer",))
"""Asks for the list of top-level domains; the kind `email` is found without it."""


class OwnOptions(Parameters):
    """Options of a recogniser of Presidio from a user's own package."""

    min_score: float = Field(
        0.5, ge=0, le=1, description="Score from which a match counts; one whose check holds has 1."
    )


class PresidioOptions(OwnOptions):
    """Options of the recogniser `presidio`."""

    recogniser: str = Field(min_length=1, description="Name of a class that comes with Presidio: UkNinoRecognizer.")


class Presidio:
    """Finds what one recogniser of Presidio finds."""

    packages: Sequence[str] = ("presidio-analyzer",)
    resources = Resources(holds_model=True)

    def __init__(
        self,
        languages: Sequence[str],
        kinds: Mapping[str, str] | None = None,
        recogniser: str | type[object] | None = None,
        **options: object,
    ) -> None:
        self.languages = frozenset(languages)
        self._kind_of = {**ENTITIES, **(kinds or {})}
        self._class = recogniser if isinstance(recogniser, type) else None
        if self._class is None:
            named = PresidioOptions.model_validate({**options, "recogniser": recogniser})
            self._name, self._min_score = named.recogniser, named.min_score
        else:
            self._name, self._min_score = self._class.__name__, OwnOptions.model_validate(options).min_score

    @property
    def kinds(self) -> frozenset[str]:
        """Those of its entities."""
        return frozenset(kind for kind in map(self._kind_of.get, self._loaded.supported_entities) if kind is not None)

    def requirement(self) -> Requirement:
        """Presidio and the recogniser; for a user's own, the BLAKE3 of the source that defines it."""
        if importlib.util.find_spec("presidio_analyzer") is None:
            return Requirement("recogniser", self._name, "", f"needs Presidio: install the extra {EXTRA}")
        try:
            entities = list(self._loaded.supported_entities)
        except UserError as error:
            return Requirement("recogniser", self._name, "", error.message)
        unknown = sorted(entity for entity in entities if entity not in self._kind_of)
        problem = f"finds {', '.join(unknown)}: say in `kinds` what that is" if unknown else None
        return Requirement("recogniser", self._name, "" if problem else self._identity(), problem)

    def find(self, texts: Sequence[str]) -> list[list[Finding]]:
        """What it finds in each text, from the least score on."""
        entities = list(self._loaded.supported_entities)
        found: list[list[Finding]] = [[] for _ in texts]
        for row, text in enumerate(texts):
            for begin, piece in pieces(text, PIECE):
                # The library says `None` in its own signature's default, and not in its type.
                results = self._loaded.analyze(piece, entities, None)  # type: ignore[arg-type]
                for result in results or ():
                    kind = self._kind_of.get(result.entity_type)
                    if kind is None or result.score < self._min_score:
                        continue
                    low, high = max(0, result.start), min(len(piece), result.end)
                    own = finding(piece, low, high, kind, offset=begin)
                    if own is not None:
                        found[row].append(own)
        return found

    def _identity(self) -> str:
        """Of one's own class: its package is in the fingerprint by version, its source by this."""
        if self._class is None:
            return self._name
        found = importlib.util.find_spec(self._class.__module__.partition(".")[0])
        digest = blake3(f"{self._class.__module__}:{self._class.__qualname__}".encode())
        if found is not None and found.origin is not None and found.origin != "built-in":
            source = Path(found.origin)
            for file in files_below(source.parent) if found.submodule_search_locations else [source]:
                digest.update(f"{file.name} {blake3(file.read_bytes()).hexdigest()}\n".encode())
        return str(digest.hexdigest())

    @cached_property
    def _loaded(self) -> EntityRecognizer:
        found = self._class if self._class is not None else _shipped(self._name)
        try:
            made: EntityRecognizer = found()  # type: ignore[assignment]  # the registry told that it is one
        except (TypeError, ValueError, ImportError, OSError) as error:
            raise UserError(f"cannot be made without arguments: {error}", stage="pii") from error
        return made


def _shipped(name: str) -> type[object]:
    """The class of this name that comes with Presidio. UserError where there is none, or it is not made of patterns."""
    from presidio_analyzer import PatternRecognizer, predefined_recognizers

    known = {
        key: value
        for key, value in vars(predefined_recognizers).items()
        if isinstance(value, type) and issubclass(value, PatternRecognizer) and key not in _ON_THE_NETWORK
    }
    if name in _ON_THE_NETWORK:
        raise UserError(
            "asks the network for the list of top-level domains; the kind `email` needs nothing", stage="pii"
        )
    if name not in known:
        near = nearest(name, known)
        raise UserError(
            f"is none of Presidio's {len(known)} recognisers made of patterns{'' if near is None else f'; {near}'}",
            stage="pii",
        )
    return known[name]
