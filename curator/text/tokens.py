"""How many tokens texts have: pieces of the tokenizer that a recipe names, else units."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.stage import Requirement

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.tokenize import Tokenizer

UNIT = "unit"
"""What the manifest calls a token where no tokenizer is named."""

MISSING = "file"
"""The name of a tokenizer that cannot be read, in a requirement."""


def count_tokens(batch: Batch, tokenizer: str | None) -> NDArray[np.int64]:
    """The tokens of each text of a batch, without those that stand around a document in training: int64[rows].

    UserError where the file is no tokenizer."""
    if tokenizer is None:
        return batch.units.counts
    return loaded(tokenizer).count(batch.text.to_pylist())


def token_name(tokenizer: str | None) -> str:
    """What the manifest calls a token: `unit`, or the kind and the SHA-256 of the tokenizer."""
    return UNIT if tokenizer is None else _identity(loaded(tokenizer))


def tokenizer_requirement(tokenizer: str) -> Requirement:
    """The file of a tokenizer, known by its content and not by its path."""
    from curator.errors import UserError

    try:
        kind, _, digest = _identity(loaded(tokenizer)).partition(" ")
    except UserError as error:
        return Requirement("tokenizer", MISSING, "", str(error))
    return Requirement("tokenizer", kind, digest)


@lru_cache(maxsize=4)
def loaded(path: str) -> Tokenizer:
    """The tokenizer of a file, read once in each process."""
    from curator.tokenize import load_tokenizer

    return load_tokenizer(Path(path))


def _identity(tokenizer: Tokenizer) -> str:
    return f"{'json' if tokenizer.suffix == '.json' else 'sentencepiece'} sha256:{tokenizer.sha256}"
