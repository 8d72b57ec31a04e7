"""Arms side by side: bits per byte of the held-out documents, and the difference to the raw arm, with intervals.

Every arm is asked about the same documents, so differences are taken document by document: a draw of documents (with
replacement) and of seeds gives one difference, and an interval holds 95% of a thousand draws. With one seed it says
nothing of what another seed would give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.ablation.arms import ArmScores
from model.ablation.held_out import RAW
from model.evaluate import ALL, INTERVAL

DRAWS = 1000
WHOLE, FILTERED = "whole", "filtered"
"""All held-out documents; and those that every recipe would keep, so that no recipe chooses its own test."""


@dataclass(frozen=True)
class Comparison:
    """An arm on a part of the held-out documents, in one language or all. Differences are to the raw arm: below 0 is
    better. `bought` is the difference to the arm before, None for the first."""

    arm: str
    part: str
    language: str
    documents: int
    bits_per_byte: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    bought: float | None


def compare(
    scores: Sequence[ArmScores], sizes: NDArray[np.float64], languages: Sequence[str], kept: NDArray[np.bool_]
) -> list[Comparison]:
    """All arms in order, on the whole and the filtered documents, over all and for each language of the documents.

    `sizes` float64[documents] in bytes, `kept` bool[documents] whether every recipe keeps it.
    """
    names = list(dict.fromkeys(score.arm for score in scores))
    nats = {name: np.stack([score.nats for score in scores if score.arm == name]) for name in names}
    tags = np.array(languages)
    found = []
    for part, chosen in ((WHOLE, np.ones(len(sizes), bool)), (FILTERED, kept)):
        for language in [ALL, *sorted(set(languages))]:
            rows = np.flatnonzero(chosen & ((tags == language) | (language == ALL)))
            if len(rows):
                of_rows = {name: matrix[:, rows] for name, matrix in nats.items()}
                found.extend(_compare(of_rows, sizes[rows], part, language))
    return found


def _compare(
    nats: Mapping[str, NDArray[np.float64]], sizes: NDArray[np.float64], part: str, language: str
) -> list[Comparison]:
    documents = len(sizes)
    random = np.random.default_rng(0)
    counts = random.multinomial(documents, np.full(documents, 1 / documents), size=DRAWS).astype(np.float64)
    drawn_sizes = counts @ sizes
    seeds = len(nats[RAW])
    # Models of one seed begin with the same parameters, so arms are compared seed by seed, too.
    drawn_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS) / seeds
    drawn = {
        name: (drawn_seeds * (counts @ matrix.T)).sum(1) / drawn_sizes / math.log(2) for name, matrix in nats.items()
    }
    mean = {name: float(matrix.mean(0).sum() / sizes.sum() / math.log(2)) for name, matrix in nats.items()}
    found: list[Comparison] = []
    for name in nats:
        low, high = np.percentile(drawn[name], INTERVAL)
        difference_low, difference_high = np.percentile(drawn[name] - drawn[RAW], INTERVAL)
        if name == RAW:
            difference_low = difference_high = 0.0
        found.append(
            Comparison(
                arm=name,
                part=part,
                language=language,
                documents=documents,
                bits_per_byte=mean[name],
                low=float(low),
                high=float(high),
                difference=mean[name] - mean[RAW],
                difference_low=float(difference_low),
                difference_high=float(difference_high),
                bought=mean[name] - mean[found[-1].arm] if found else None,
            )
        )
    return found
