"""The gate that a child must pass: alike enough to its parent to mean the same, unlike enough to be worth having.

A round trip between close languages returns nearly the parent, one between distant languages noise. Both show in the
chrF between parent and child. On the Universal Declaration of Human Rights, by Apertium, round trips of Occitan,
Afrikaans, Macedonian and Nynorsk lie between 85 and 97, those of Icelandic through Swedish, with wrong inflection in
most sentences, between 70 and 81. Of Catalan help pages a third return above 97; at 97 about 0.72 of the word 5-grams
are the parent's, at 98.5 they are 0.85, and deduplication would take the child for a copy.

A translation of a document of another language is judged by its way back: what returns must be as alike to the parent
as a round trip's, and may be equal to it. That the child itself is nearly its parent means that nothing was translated.
On the Declaration, articles of French through Occitan come back at 83 to 100, of Bulgarian through Macedonian at 87 to
100, of Dutch through Afrikaans at 82 to 100; the children are at 28 to 83 to their parents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curator.verdict import round_score
from stages.augmentation.chrf import chrf

_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*\]")
_MARK = re.compile(r"(?<!\w)[*@#](?=\w)")


@dataclass(frozen=True)
class Judgement:
    """The scores of a child against its parent, and why it was refused; None when it passed."""

    scores: Mapping[str, float]
    refused: str | None


@dataclass(frozen=True)
class Gate:
    """Bounds, all inclusive. `max_marks` is the share of words that begin with a mark of a translator (`*@#`) which the
    parent does not have."""

    min_chrf: float
    max_chrf: float
    min_length_ratio: float = 2 / 3
    max_length_ratio: float = 3 / 2
    max_marks: float = 0.0

    def judge(self, parent: str, child: str) -> Judgement:
        """The scores (`chrf` 0 to 100, `length_ratio` in characters, `marks`) and the first bound that is not kept."""
        scores = _scores(parent, child, 1.0)
        refused = self._malformed(parent, child, scores)
        if refused is None and scores["chrf"] > self.max_chrf:
            refused = "near-copy"
        if refused is None and scores["chrf"] < self.min_chrf:
            refused = "noise"
        return Judgement(scores, refused)

    def judge_translation(self, parent: str, child: str, returned: str | None, expected_ratio: float) -> Judgement:
        """The same of a child in another language: `length_ratio` is against `expected_ratio`, the one that texts of
        the two languages have; `round_trip_chrf` is of what `returned`, where it was taken back."""
        scores = _scores(parent, child, expected_ratio)
        if returned is not None:
            scores["round_trip_chrf"] = _rounded(chrf(returned, parent))
        refused = self._malformed(parent, child, scores)
        if refused is None and scores["chrf"] > self.max_chrf:
            refused = "near-copy"
        if refused is None and scores.get("round_trip_chrf", 100.0) < self.min_chrf:
            refused = "noise"
        return Judgement(scores, refused)

    def _malformed(self, parent: str, child: str, scores: Mapping[str, float]) -> str | None:
        if not child.strip():
            return "empty"
        if not self.min_length_ratio <= scores["length_ratio"] <= self.max_length_ratio:
            return "length"
        if scores["marks"] > self.max_marks:
            return "marks"
        if Counter(_PLACEHOLDER.findall(parent)) != Counter(_PLACEHOLDER.findall(child)):
            return "placeholders"
        return None


def _scores(parent: str, child: str, expected_ratio: float) -> dict[str, float]:
    marks = max(len(_MARK.findall(child)) - len(_MARK.findall(parent)), 0) / max(len(child.split()), 1)
    ratio = len(child) / max(len(parent), 1) / expected_ratio
    raw = {"chrf": chrf(child, parent), "length_ratio": ratio, "marks": marks}
    return {name: _rounded(value) for name, value in raw.items()}


def _rounded(value: float) -> float:
    return float(round_score(np.array([value]))[0])
