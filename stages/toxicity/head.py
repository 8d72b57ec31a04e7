"""The head of the cascade: the probability of abuse from a sentence embedding and the linear classifier's log odds.

The head's log odds are `embedding @ weights + intercept`, plus `mix` times the log odds of the linear classifier in a
language that both know; a slope and an intercept for each language (Platt 1999) make that a probability. A language
that training has not seen has the slope and intercept that fitted languages left out one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.embeddings import DIMENSIONS, PACKAGE
from stages.toxicity.archive import ModelFile, write_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD_PATH = Path(__file__).parent / "data" / "head.npz"
_FILE = ModelFile(
    "the head",
    "make one with `python -m stages.toxicity.train`, or leave the parameter out for the one that is included",
)
_ARRAYS = {"weights", "intercept", "mix", "languages", "slopes", "intercepts", "unseen", "embedder", "training"}


@dataclass(frozen=True)
class Head:
    """`weights` are float64[384]; `languages` (language and script) have `slopes` and `intercepts` (float64);
    `unseen` (float64[2]) is the slope and intercept of all others. `embedder` is the identity of the package with which
    it was fitted, `training` JSON about its data."""

    weights: NDArray[np.float64]
    intercept: float
    mix: float
    languages: tuple[str, ...]
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    unseen: NDArray[np.float64]
    embedder: str
    training: str

    def scores(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """The log odds of embeddings (float32[texts, 384]) before calibration: float64[texts]."""
        # Row by row, so that a score does not depend on the rows beside it, as it may in a product of matrices.
        return np.asarray((embeddings.astype(np.float64) * self.weights).sum(axis=1) + self.intercept)

    def probabilities(
        self, embeddings: NDArray[np.float32], linear: NDArray[np.float64], languages: list[str]
    ) -> NDArray[np.float64]:
        """The probability of each text: float64[texts]. `linear` are the log odds by the linear classifier
        (float64[texts]); they count in languages that both models know."""
        places = {name: place for place, name in enumerate(self.languages)}
        code = np.array([places.get(name, -1) for name in languages], dtype=np.int64)
        known = code >= 0
        odds = self.scores(embeddings)
        odds[known] += self.mix * linear[known]
        slopes = np.where(known, self.slopes[code], self.unseen[0])
        intercepts = np.where(known, self.intercepts[code], self.unseen[1])
        return np.asarray(1 / (1 + np.exp(-(slopes * odds + intercepts))))


@cache
def load_head(path: Path = HEAD_PATH) -> Head:
    """Read a head, once a process. UserError if the file is missing, damaged, altered, unsafe (pickle), or holds
    something else."""
    arrays = _FILE.read(path, _ARRAYS)
    _FILE.check_digest(path, arrays)
    count = len(arrays["languages"])
    shapes: dict[str, tuple[int, ...]] = {"weights": (DIMENSIONS,), "unseen": (2,), "intercept": (), "mix": ()}
    shapes |= {"slopes": (count,), "intercepts": (count,)}
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
            raise _FILE.unusable(path, f"has {name} of another shape or type, or that are no numbers")
    return Head(
        weights=arrays["weights"].astype(np.float64),
        intercept=float(arrays["intercept"].item()),
        mix=float(arrays["mix"].item()),
        languages=tuple(arrays["languages"].tolist()),
        slopes=arrays["slopes"].astype(np.float64),
        intercepts=arrays["intercepts"].astype(np.float64),
        unseen=arrays["unseen"].astype(np.float64),
        embedder=str(arrays["embedder"].tolist()),
        training=str(arrays["training"].tolist()),
    )


def save_head(head: Head, path: Path) -> None:
    """Write a head. The same head gives the same bytes."""
    arrays: dict[str, NDArray[np.generic]] = {
        "weights": head.weights,
        "intercept": np.array(head.intercept),
        "mix": np.array(head.mix),
        "languages": np.array(head.languages),
        "slopes": head.slopes,
        "intercepts": head.intercepts,
        "unseen": head.unseen,
        "embedder": np.array(head.embedder),
        "training": np.array(head.training),
    }
    write_archive(path, arrays)


def mismatch(head: Head, embedder: str) -> str | None:
    """Why a head cannot work with an embedder (its identity), None when it can."""
    if head.embedder == embedder:
        return None
    return f"was fitted on {PACKAGE} {head.embedder}, and {embedder} is installed"
