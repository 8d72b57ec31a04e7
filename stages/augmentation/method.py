"""How children are made, each for one language: by translation there and back, by translation of documents of a pivot
language, or by substitution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stages.augmentation.lengths import expected_ratio
from stages.augmentation.quality import Gate, Judgement
from stages.augmentation.substitution.substitutor import Substitutor
from stages.augmentation.translator import Pair, Translator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACK_TRANSLATION = "back-translation"
TRANSLATION = "translation"
SUBSTITUTION = "substitution"


@dataclass(frozen=True)
class Made:
    """A text that was made of a document; `returned` is its translation back, where it is judged by that."""

    text: str
    returned: str | None = None


class Method(Protocol):
    """A way to new texts in one language."""

    @property
    def name(self) -> str:
        """As recipes name it, and as the record holds it."""
        ...

    @property
    def engine(self) -> str:
        """For the record: what makes the texts, and its version."""
        ...

    @property
    def way(self) -> str:
        """For the plan: the languages on the way, or the name of the method."""
        ...

    @property
    def parents(self) -> str:
        """The language of the documents that it makes texts of."""
        ...

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[Made | None]:
        """A new text of each, None where none could be made; `keys` are those of the documents, uint64[texts, 2]."""
        ...

    def judge(self, gate: Gate, parent: str, made: Made) -> Judgement:
        """What the gate says of a text that this method made of its parent."""
        ...


@dataclass(frozen=True)
class _Way:
    """The languages through which a translator takes documents of the first of `hops`."""

    translator: Translator
    hops: tuple[str, ...]

    @property
    def engine(self) -> str:
        """The translator, its version and the languages on the way."""
        return f"{self.translator.name} {self.translator.version} {self.way}"

    @property
    def way(self) -> str:
        """The languages on the way."""
        return "-".join(self.hops)

    @property
    def parents(self) -> str:
        """The language in which a document begins its way."""
        return self.hops[0]


@dataclass(frozen=True)
class Route(_Way):
    """How a language is translated there and back: `hops` begins and ends with it."""

    name: str = BACK_TRANSLATION

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[Made | None]:
        """Each text through all hops."""
        return [None if text is None else Made(text) for text in _through(self.translator, self.hops, texts)]

    def judge(self, gate: Gate, parent: str, made: Made) -> Judgement:
        """By the likeness of the texts."""
        return gate.judge(parent, made.text)


@dataclass(frozen=True)
class Translation(_Way):
    """How documents of a pivot language are brought into a language: `hops` begins with the one and ends with the
    other. With `round_trip` each text is taken back the same way, for its parent to be compared with."""

    round_trip: bool
    name: str = TRANSLATION

    @property
    def pairs(self) -> list[Pair]:
        """The pairs on the way, and those back where a text is taken back."""
        there = list(itertools.pairwise(self.hops))
        return there + (list(itertools.pairwise(self.hops[::-1])) if self.round_trip else [])

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[Made | None]:
        """Each text through all hops; None too where it does not come back."""
        there = _through(self.translator, self.hops, texts)
        if not self.round_trip:
            return [None if text is None else Made(text) for text in there]
        back = _through(self.translator, self.hops[::-1], there)
        return [
            None if text is None or returned is None else Made(text, returned)
            for text, returned in zip(there, back, strict=True)
        ]

    def judge(self, gate: Gate, parent: str, made: Made) -> Judgement:
        """By the likeness of what came back, and by the lengths that texts of the two languages have."""
        ratio = expected_ratio(self.hops[0], self.hops[-1])
        return gate.judge_translation(parent, made.text, made.returned, ratio)


@dataclass(frozen=True)
class Substitution:
    """Noun phrases replaced by similar ones, in documents of the language `parents`."""

    substitutor: Substitutor
    parents: str
    name: str = SUBSTITUTION
    way: str = SUBSTITUTION

    @property
    def engine(self) -> str:
        """The parser and its version."""
        return self.substitutor.engine

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[Made | None]:
        """Each text with noun phrases replaced."""
        made = self.substitutor.substitute(texts, keys, seed)
        return [None if text is None else Made(text) for text in made]

    def judge(self, gate: Gate, parent: str, made: Made) -> Judgement:
        """By the likeness of the texts."""
        return gate.judge(parent, made.text)


def _through(translator: Translator, hops: Sequence[str], texts: Sequence[str | None]) -> list[str | None]:
    """Each text through all hops; None where it was, or where a hop gave none."""
    trips = list(texts)
    for source, target in itertools.pairwise(hops):
        there = [place for place, text in enumerate(trips) if text is not None]
        translated = translator.translate(source, target, [text for text in trips if text is not None])
        for place, text in zip(there, translated, strict=True):
            trips[place] = text
    return trips
