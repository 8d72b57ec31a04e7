"""Distribution-free bounds: how many of a sample may fall so that, surely enough, few of what comes later do.

Let the k-th lowest of N independent scores be the lowest that passes. Whatever the distribution, where no two scores
are equal, the share of fresh text that falls is a Beta(k, N - k + 1) variable: it is below q with probability
I_q(k, N - k + 1) = P(Binomial(N, q) >= k) (Wilks 1941, Determination of sample sizes for setting tolerance limits).
With equal scores less falls (Scheffe and Tukey 1945, Non-parametric estimation I).

Several thresholds: what lies between two neighbours is a block, and a region from which K blocks were cut away, in
whatever order and by whatever scores, has a share that depends on K and N alone (Tukey 1947, Non-parametric estimation
II: statistically equivalent blocks and tolerance regions). So thresholds that cut k1, k2, … blocks leave together what
one that cuts k1 + k2 + … leaves, or more, where they meet the same documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, betaincinv


def blocks_within(documents: int, share: float, confidence: float) -> int:
    """How many blocks may be cut off so that at least `share` of fresh text passes, with `confidence`; 0: not even
    one."""
    low, high = 0, documents + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _assurance(documents, middle, share) >= confidence:
            low = middle
        else:
            high = middle
    return low


def least_documents(blocks: int, share: float, confidence: float) -> int:
    """The fewest documents of which so many blocks may be cut off."""
    low, high = blocks - 1, blocks
    while _assurance(high, blocks, share) < confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if _assurance(middle, blocks, share) >= confidence:
            high = middle
        else:
            low = middle
    return high


def allot(documents: int, judged: Sequence[int], share: float, confidence: float, least: int) -> list[int]:
    """How many blocks each of several thresholds may cut off, of `documents` documents of which its rule looks at
    `judged`: int[thresholds], 0 where it cannot be fitted.

    At least `share` of the documents passes all thresholds, and of those that a rule looks at at least `share` passes
    it. What there is is divided evenly; what one cannot use goes to the others. A threshold whose rule looks at fewer
    than `least` is not fitted; none is where there are too few documents for all.
    """
    most = [blocks_within(number, share, confidence) if number >= least else 0 for number in judged]
    fitted = sorted((place for place, blocks in enumerate(most) if blocks), key=lambda place: (most[place], place))
    left = blocks_within(documents, share, confidence)
    found = [0] * len(judged)
    if left < len(fitted):
        return found
    for rank, place in enumerate(fitted):
        found[place] = min(most[place], left // (len(fitted) - rank))
        left -= found[place]
    return found


def passing_interval(passing: int, documents: int, confidence: float) -> tuple[float, float]:
    """Between which shares of fresh text pass, when `passing` of `documents` did: Clopper and Pearson (1934)."""
    tail = (1.0 - confidence) / 2.0
    low = betaincinv(passing, documents - passing + 1, tail) if passing else 0.0
    high = betaincinv(passing + 1, documents - passing, 1.0 - tail) if passing < documents else 1.0
    return float(low), float(high)


def _assurance(documents: int, blocks: int, share: float) -> float:
    """The probability that at least `share` of fresh text passes, with so many blocks cut off."""
    if blocks == 0:
        return 1.0
    return 0.0 if blocks > documents else float(betainc(blocks, documents - blocks + 1, np.float64(1.0) - share))
