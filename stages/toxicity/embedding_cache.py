"""A folder of sentence embeddings that were made, for training and benchmarks. Not used in a run.

Embedding is slow (a text of 30 tokens takes 35 ms), and training is tried again and again. The folder holds .npz
files of plain arrays: `digests` (of texts) and `vectors`. It belongs to one embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from curator.embeddings import DIMENSIONS, embed_sentences, embedder_identity
from curator.errors import UserError
from stages.toxicity.training_data import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIECE_TEXTS = 100
"""Texts that are embedded before a file is written: what is lost when a run ends early."""


class EmbeddingCache:
    """Embeddings by text, kept in `folder`, which is made if it is missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._identity = embedder_identity()
        self._known: dict[str, NDArray[np.float32]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.npz")):
            with np.load(path, allow_pickle=False) as stored:
                if str(stored["embedder"]) != self._identity:
                    raise UserError(
                        "the embeddings were made by another version of the embedder",
                        file=str(path),
                        hint="name an empty folder",
                    )
                self._known |= dict(zip(stored["digests"].tolist(), stored["vectors"], strict=True))

    def vectors(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """The embedding of each text: float32[texts, 384]. Makes and keeps those that are missing."""
        missing = list({text.digest: text for text in texts if text.digest not in self._known}.values())
        for first in range(0, len(missing), PIECE_TEXTS):
            self._add(missing[first : first + PIECE_TEXTS])
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return np.stack([self._known[text.digest] for text in texts])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What `embed_sentences` gives, from what is kept where it is kept."""
        return self.vectors([Text(text, "") for text in texts])

    def _add(self, texts: list[Text]) -> None:
        vectors = embed_sentences([text.text for text in texts])
        digests = [text.digest for text in texts]
        # By content, so that two processes may fill a folder.
        path = self._folder / f"{blake3(''.join(digests).encode()).hexdigest(length=16)}.npz"
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                digests=np.array(digests),
                vectors=vectors,
                embedder=np.array(self._identity),
            )
        beside.replace(path)
        self._known |= dict(zip(digests, vectors, strict=True))
