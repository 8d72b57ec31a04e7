"""How children are made: by translation there and back, or by substitution; each for one language."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stages.augmentation.substitution.substitutor import Substitutor
from stages.augmentation.translator import Translator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BACK_TRANSLATION = "back-translation"
SUBSTITUTION = "substitution"


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

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """A new text of each, None where none could be made; `keys` are those of the documents, uint64[texts, 2]."""
        ...


@dataclass(frozen=True)
class Route:
    """How a language is translated there and back: `hops` begins and ends with it."""

    translator: Translator
    hops: tuple[str, ...]
    name: str = BACK_TRANSLATION

    @property
    def engine(self) -> str:
        """The translator, its version and the languages on the way."""
        return f"{self.translator.name} {self.translator.version} {self.way}"

    @property
    def way(self) -> str:
        """The languages on the way."""
        return "-".join(self.hops)

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """Each text through all hops."""
        trips: list[str | None] = list(texts)
        for source, target in itertools.pairwise(self.hops):
            there = [place for place, text in enumerate(trips) if text is not None]
            translated = self.translator.translate(source, target, [text for text in trips if text is not None])
            for place, text in zip(there, translated, strict=True):
                trips[place] = text
        return trips


@dataclass(frozen=True)
class Substitution:
    """Noun phrases replaced by similar ones."""

    substitutor: Substitutor
    name: str = SUBSTITUTION
    way: str = SUBSTITUTION

    @property
    def engine(self) -> str:
        """The parser and its version."""
        return self.substitutor.engine

    def make(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """Each text with noun phrases replaced."""
        return self.substitutor.substitute(texts, keys, seed)
