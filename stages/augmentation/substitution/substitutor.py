"""What puts similar noun phrases into a text, and the languages in which there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from curator.stage import Requirement
from stages.augmentation.substitution.english import EnglishSubstitution

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


SUBSTITUTORS: Mapping[str, Callable[[], Substitutor]] = {"en": EnglishSubstitution}
"""By list language."""
