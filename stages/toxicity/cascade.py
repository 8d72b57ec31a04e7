"""The cascade: windows of which the linear classifier is unsure are judged anew by sentence embeddings and a head.

Embedding a window of 50 units takes some 200 ms, so only windows in the band are embedded, those that look worst first,
and a few of a document at most. Of a language that the linear classifier does not know, but the embedder does, windows
at even distances are embedded, and the head judges alone: it has not seen the language either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, model_validator

from curator.embeddings import LANGUAGES, embed_sentences, embedder_requirement
from curator.errors import UserError
from curator.stage import Parameters, Requirement
from stages.toxicity.classifier import (
    NOT_JUDGED,
    Judgement,
    Model,
    model_language,
    probabilities_of,
    score_windows,
    summarise,
)
from stages.toxicity.features import WINDOW_UNITS
from stages.toxicity.head import HEAD_PATH, Head, load_head, mismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units
    from stages.toxicity.classifier import Windows


_TWO_SCRIPTS = frozenset({"sr"})
"""Languages that are written in Latin letters, too. Others in Latin letters are not what the embedder knows: heads that
had not seen Hindi in Latin script reached an AUC of 0.58 on it, and 0.85 on the other languages."""


class CascadeParameters(Parameters):
    """What sentence embeddings judge."""

    low: float = Field(
        default=0.2, ge=0, le=1, description="Windows from this probability by the linear classifier on are embedded."
    )
    high: float = Field(default=0.95, ge=0, le=1, description="From this probability on they are not.")
    windows: int = Field(default=4, ge=1, description="Windows of a document that are embedded, at most.")
    unseen: bool = Field(
        default=True, description="Whether languages are judged that training has not seen, but the embedder knows."
    )
    unseen_threshold: float = Field(
        default=0.8, gt=0, le=1, description="Probability from which a document in such a language falls."
    )
    head: Path | None = Field(default=None, description="Another head, as `stages.toxicity.train` writes it.")

    @model_validator(mode="after")
    def _band(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high}): nothing would be embedded")
        return self

    def knows(self, tag: str) -> bool:
        """Whether documents of a tag are judged that the linear classifier does not know."""
        primary, _, script = model_language(tag).partition("-")
        romanised = script == "Latn" and model_language(primary) != f"{primary}-Latn" and primary not in _TWO_SCRIPTS
        return self.unseen and primary in LANGUAGES and not romanised

    @property
    def head_path(self) -> Path:
        """The file of the head."""
        return self.head or HEAD_PATH

    def requirements(self) -> list[Requirement]:
        """The package of embeddings, and a head that was fitted on it."""
        from blake3 import blake3

        embedder = embedder_requirement()
        name = self.head_path.name
        try:
            head = load_head(self.head_path)
        except UserError as error:
            return [embedder, Requirement("head", name, "", error.message)]
        problem = None if embedder.problem is not None else mismatch(head, embedder.identity)
        return [embedder, Requirement("head", name, blake3(self.head_path.read_bytes()).hexdigest(), problem)]


Embed = Callable[[Sequence[str]], "NDArray[np.float32]"]


@dataclass(frozen=True)
class CascadeJudgement:
    """The judgement of texts, and how many windows of each were embedded (int32[texts])."""

    judgement: Judgement
    embedded: NDArray[np.int32]


class Cascade:
    """The linear classifier and the head, one after the other. `embed` makes the embeddings: it may know some."""

    def __init__(self, parameters: CascadeParameters, model: Model, embed: Embed = embed_sentences) -> None:
        self._parameters = parameters
        self._model = model
        self._embed = embed

    @cached_property
    def _head(self) -> Head:
        return load_head(self._parameters.head_path)

    def judge(
        self,
        data: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        units: Units,
        codes: NDArray[np.int32],
        tags: list[str],
    ) -> CascadeJudgement:
        """Judge texts. `data`, `offsets` and `units` as `classifier.judge` has them, `codes` (int32[texts]) the places
        in the model's languages or NOT_JUDGED, `tags` the language tag of each text."""
        seen = codes != NOT_JUDGED
        known = {tag: self._parameters.knows(tag) for tag in set(tags)}
        unseen = ~seen & np.array([known[tag] for tag in tags], dtype=np.bool_)
        windows = score_windows(self._model, data, offsets, units, seen | unseen)
        probabilities = probabilities_of(self._model, windows, codes)
        chosen = self._choose(windows, probabilities, unseen)
        if len(chosen):
            texts = window_texts(data, offsets, units, windows.offsets, chosen)
            languages = [model_language(tags[text]) for text in windows.texts[chosen].tolist()]
            with np.errstate(divide="ignore"):
                linear = np.log(probabilities[chosen]) - np.log1p(-probabilities[chosen])
            probabilities[chosen] = self._head.probabilities(self._embed(texts), linear, languages)
        embedded = np.bincount(windows.texts[chosen], minlength=len(tags)).astype(np.int32)
        return CascadeJudgement(summarise(windows, probabilities), embedded)

    def _choose(
        self, windows: Windows, probabilities: NDArray[np.float64], unseen: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """The windows that are embedded, ascending."""
        most = self._parameters.windows
        in_band = np.flatnonzero((probabilities >= self._parameters.low) & (probabilities < self._parameters.high))
        order = in_band[np.lexsort([in_band, -probabilities[in_band], windows.texts[in_band]])]
        texts = windows.texts[order]
        rank = np.arange(len(order)) - np.searchsorted(texts, texts)
        found = [order[rank < most]]
        for text in np.flatnonzero(unseen).tolist():
            first, count = windows.offsets[text], int(windows.offsets[text + 1] - windows.offsets[text])
            taken = min(count, most)
            found.append(first + (2 * np.arange(taken) + 1) * count // (2 * max(taken, 1)))
        return np.sort(np.concatenate(found)).astype(np.int64)


def window_texts(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    units: Units,
    window_offsets: NDArray[np.int64],
    chosen: NDArray[np.int64],
) -> list[str]:
    """The text of the `chosen` windows with what stands around their units, up to the next window. The windows of text
    i are those from `window_offsets[i]` on (int64[texts + 1])."""
    found = []
    texts = np.searchsorted(window_offsets, chosen, side="right") - 1
    for window, text in zip(chosen.tolist(), texts.tolist(), strict=True):
        place = window - int(window_offsets[text])
        last = window + 1 == int(window_offsets[text + 1])
        first_unit = int(units.offsets[text]) + place * WINDOW_UNITS
        begin = offsets[text] if place == 0 else units.starts[first_unit]
        end = offsets[text + 1] if last else units.starts[first_unit + WINDOW_UNITS]
        found.append(bytes(data[begin:end]).decode())
    return found
