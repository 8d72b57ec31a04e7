"""What puts similar noun phrases into a text, and the languages in which there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from curator.stage import Requirement
from stages.augmentation.substitution.english import EnglishSubstitution
from stages.augmentation.substitution.phrases import PhraseSubstitution
from stages.augmentation.substitution.tagger import Tagger

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


SUBSTITUTORS: Mapping[str, Callable[[], Substitutor]] = {
    "en": EnglishSubstitution,
    "br": lambda: PhraseSubstitution("br", Tagger("br-fr", "apertium apertium-br-fr"), "before"),
    "es": lambda: PhraseSubstitution("es", Tagger("spa-arg", "apertium apertium-spa-arg"), "before"),
    "is": lambda: PhraseSubstitution("is", Tagger("isl-swe", "apertium apertium-isl-swe"), "within"),
    "mk": lambda: PhraseSubstitution("mk", Tagger("mkd-bul", "apertium apertium-mkd-bul"), "within"),
    "oc": lambda: PhraseSubstitution("oc", Tagger("oci-fra", "apertium apertium-oci-fra"), "before"),
}
"""By list language. The pairs are those of Debian 12 that were tried; what a pair translates into does not matter."""
