"""What puts similar noun phrases into a text, and the languages in which there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curator.stage import Requirement
    from stages.augmentation.substitution.phrases import Articles


class Substitutor(Protocol):
    """A parser of one language, with what it takes similar phrases from."""

    @property
    def engine(self) -> str:
        """Programs and versions, for the record."""
        ...

    def requirement(self) -> Requirement:
        """What must be installed; `identity` changes when its substitutions may."""
        ...

    def substitute(self, texts: Sequence[str], keys: NDArray[np.uint64], seed: int) -> list[str | None]:
        """Each text with noun phrases replaced, None where there is none to replace. A text's result depends on the
        seed, its key (uint64[texts, 2]) and itself alone. TransientError when the engine hangs."""
        ...


def _english() -> Substitutor:
    from stages.augmentation.substitution.english import EnglishSubstitution

    return EnglishSubstitution()


def _tagged(language: str, pair: str, articles: Articles) -> Callable[[], Substitutor]:
    def make() -> Substitutor:
        from stages.augmentation.substitution.phrases import PhraseSubstitution
        from stages.augmentation.substitution.tagger import Tagger

        return PhraseSubstitution(language, Tagger(pair, f"apertium apertium-{pair}"), articles)

    return make


SUBSTITUTORS: Mapping[str, Callable[[], Substitutor]] = {
    "en": _english,
    "br": _tagged("br", "br-fr", "before"),
    "es": _tagged("es", "spa-arg", "before"),
    "is": _tagged("is", "isl-swe", "within"),
    "mk": _tagged("mk", "mkd-bul", "within"),
    "oc": _tagged("oc", "oci-fra", "before"),
}
"""By list language. The pairs are those of Debian 12 that were tried; what a pair translates into does not matter."""
