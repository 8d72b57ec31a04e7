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
    """An arm on a part of the held-out documents, in one language or all, of models that were given the same of
    `budget`. Differences are to the raw arm: below 0 is better. `bought` is what the stage or the recipe of this row
    bought, None for the raw arm; below 0 it is worth having."""

    arm: str
    budget: str
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
    bought_low: float | None
    bought_high: float | None


@dataclass(frozen=True)
class _Bits:
    """Bits per byte of an arm, and of the same in each draw."""

    mean: float
    drawn: NDArray[np.float64]

    def interval(self) -> tuple[float, float]:
        low, high = np.percentile(self.drawn, INTERVAL)
        return float(low), float(high)

    def __sub__(self, other: _Bits) -> _Bits:
        return _Bits(self.mean - other.mean, self.drawn - other.drawn)


def compare(
    scores: Sequence[ArmScores],
    sizes: NDArray[np.float64],
    languages: Sequence[str],
    kept: NDArray[np.bool_],
    bought: Mapping[str, tuple[str, str]],
) -> list[Comparison]:
    """All arms in order, for each budget, on the whole and the filtered documents, over all and for each language.

    `sizes` float64[documents] in bytes, `kept` bool[documents] whether every recipe keeps it, `bought` by arm the two
    arms whose difference it is.
    """
    tags = np.array(languages)
    found = []
    for budget in dict.fromkeys(score.budget for score in scores):
        of_budget = [score for score in scores if score.budget == budget]
        names = list(dict.fromkeys(score.arm for score in of_budget))
        nats = {name: np.stack([score.nats for score in of_budget if score.arm == name]) for name in names}
        for part, chosen in ((WHOLE, np.ones(len(sizes), bool)), (FILTERED, kept)):
            for language in [ALL, *sorted(set(languages))]:
                rows = np.flatnonzero(chosen & ((tags == language) | (language == ALL)))
                if len(rows):
                    bits = _bits({name: matrix[:, rows] for name, matrix in nats.items()}, sizes[rows])
                    found += [
                        _compare(bits, name, budget, part, language, len(rows), bought.get(name)) for name in names
                    ]
    return found


def _bits(nats: Mapping[str, NDArray[np.float64]], sizes: NDArray[np.float64]) -> dict[str, _Bits]:
    documents = len(sizes)
    random = np.random.default_rng(0)
    counts = random.multinomial(documents, np.full(documents, 1 / documents), size=DRAWS).astype(np.float64)
    drawn_sizes = counts @ sizes
    seeds = len(nats[RAW])
    # Models of one seed begin with the same parameters, so arms are compared seed by seed, too.
    drawn_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=DRAWS) / seeds
    return {
        name: _Bits(
            float(matrix.mean(0).sum() / sizes.sum() / math.log(2)),
            (drawn_seeds * (counts @ matrix.T)).sum(1) / drawn_sizes / math.log(2),
        )
        for name, matrix in nats.items()
    }


def _compare(
    bits: Mapping[str, _Bits],
    arm: str,
    budget: str,
    part: str,
    language: str,
    documents: int,
    bought: tuple[str, str] | None,
) -> Comparison:
    low, high = bits[arm].interval()
    to_raw = bits[arm] - bits[RAW]
    difference_low, difference_high = to_raw.interval()
    gain = None if bought is None else bits[bought[0]] - bits[bought[1]]
    gain_low, gain_high = (None, None) if gain is None else gain.interval()
    return Comparison(
        arm=arm,
        budget=budget,
        part=part,
        language=language,
        documents=documents,
        bits_per_byte=bits[arm].mean,
        low=low,
        high=high,
        difference=to_raw.mean,
        difference_low=difference_low,
        difference_high=difference_high,
        bought=None if gain is None else gain.mean,
        bought_low=gain_low,
        bought_high=gain_high,
    )
