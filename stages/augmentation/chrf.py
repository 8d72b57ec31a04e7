"""chrF: how alike two texts are by their character n-grams.

Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", section 2: with chrP the share of the
hypothesis's n-grams that the reference has, and chrR the share of the reference's that the hypothesis has (each n-gram
counts as often as it stands in both), both averaged over n = 1 to 6 without weights, and space left out,

    chrF = (1 + beta ** 2) * chrP * chrR / (beta ** 2 * chrP + chrR)

beta = 2 weighs recall twice as much (Popović 2016, "chrF deconstructed"). Orders for which one of the texts is too
short are left out of the averages, as sacreBLEU does (Post 2018); texts of which one is empty score 0, two empty ones
100. The scale is 0 to 100.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ORDER = 6
BETA = 2.0


def chrf(hypothesis: str, reference: str, order: int = ORDER, beta: float = BETA) -> float:
    """chrF of a hypothesis against one reference: 0 to 100."""
    ours, theirs = _code_points(hypothesis), _code_points(reference)
    if not len(ours) or not len(theirs):
        return 100.0 if len(ours) == len(theirs) else 0.0
    # Numbers for characters, then for n-grams out of those for (n - 1)-grams: exact, without a string per n-gram.
    _, symbols = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    kinds = int(symbols.max()) + 1
    border = len(ours)
    grams = symbols
    precision = recall = 0.0
    orders = 0
    for length in range(1, min(order, len(ours), len(theirs)) + 1):
        if length > 1:
            _, grams = np.unique(grams[:-1] * kinds + symbols[length - 1 :], return_inverse=True)
        size = int(grams.max()) + 1
        # The n-grams that begin in the hypothesis and end in the reference belong to neither.
        in_ours = np.bincount(grams[: border - length + 1], minlength=size)
        in_theirs = np.bincount(grams[border:], minlength=size)
        common = int(np.minimum(in_ours, in_theirs).sum())
        precision += common / (border - length + 1)
        recall += common / (len(theirs) - length + 1)
        orders += 1
    precision /= orders
    recall /= orders
    if precision + recall == 0.0:
        return 0.0
    return 100.0 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer("".join(text.split()).encode("utf-32-le"), dtype=np.uint32)
