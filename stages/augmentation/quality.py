"""The gate that a child must pass: alike enough to its parent to mean the same, unlike enough to be worth having.

A round trip between close languages returns nearly the parent, one between distant languages noise. Both show in the
chrF between parent and child. On the Universal Declaration of Human Rights, by Apertium, round trips of Occitan,
Afrikaans, Macedonian and Nynorsk lie between 85 and 97, those of Icelandic through Swedish, with wrong inflection in
most sentences, between 70 and 81. Of Catalan help pages a third return above 97; at 97 about 0.72 of the word 5-grams
are the parent's, at 98.5 they are 0.85, and deduplication would take the child for a copy.
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
        marks = max(len(_MARK.findall(child)) - len(_MARK.findall(parent)), 0) / max(len(child.split()), 1)
        raw = {"chrf": chrf(child, parent), "length_ratio": len(child) / max(len(parent), 1), "marks": marks}
        scores = {name: _rounded(value) for name, value in raw.items()}
        return Judgement(scores, self._refusal(parent, child, scores))

    def _refusal(self, parent: str, child: str, scores: Mapping[str, float]) -> str | None:
        if not child.strip():
            return "empty"
        if not self.min_length_ratio <= scores["length_ratio"] <= self.max_length_ratio:
            return "length"
        if scores["marks"] > self.max_marks:
            return "marks"
        if Counter(_PLACEHOLDER.findall(parent)) != Counter(_PLACEHOLDER.findall(child)):
            return "placeholders"
        if scores["chrf"] > self.max_chrf:
            return "near-copy"
        if scores["chrf"] < self.min_chrf:
            return "noise"
        return None


def _rounded(value: float) -> float:
    return float(round_score(np.array([value]))[0])
