"""Languages and sources at once: a table of repeats with given sums of both its sides, by iterative proportional
fitting (Deming and Stephan 1940), with a cap.

The text that is there, tokens by language and source, is multiplied by r = min(a(language) * b(source), cap). Factors
are solved for in turn: those of the languages so that every language has its target, then those of the sources. Each
step takes the cap into account exactly, so a cell at its cap leaves its part to the others. The last step is that of
the languages: where both sides cannot be had (a source has text in one language alone, say), the languages have
theirs, and the sources come as close as they can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.sampling.mix import fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 200
"""Steps at most. Tables that can be fitted were within the tolerance after 10 to 60 of them."""

TOLERANCE = 1e-7
"""Largest distance of a language from its target, as a share of it, at which the fit ends."""

_PARTS = 1024.0
"""Parts of a token in which repeats are rounded to integers."""


def fit_both(
    available_LS: NDArray[np.float64],
    languages_L: NDArray[np.float64],
    sources_S: NDArray[np.float64],
    cap: float,
) -> NDArray[np.float64]:
    """Repeats of each cell, float64[L, S], at most `cap`: the sums of available * repeats over sources are `languages`
    where their text and the cap allow it, those over languages as near to `sources` as that allows."""
    b_S = np.ones(len(sources_S))
    for _ in range(STEPS):
        a_L = factors(available_LS, b_S, languages_L, cap)
        b_S = factors(available_LS.T, a_L, sources_S, cap)
        sums_L = (available_LS * repeats_of(a_L, b_S, cap)).sum(axis=1)
        if np.all(np.abs(sums_L - languages_L) <= TOLERANCE * np.maximum(languages_L, 1)):
            break
    return repeats_of(factors(available_LS, b_S, languages_L, cap), b_S, cap)


def whole_tokens(
    targets_R: NDArray[np.int64], available_RC: NDArray[np.int64], repeats_RC: NDArray[np.float64], cap: int
) -> NDArray[np.int64]:
    """The target of each row divided among its columns as the repeats have it, in whole tokens: int64[R, C]. Rows add
    up to the target, or to the cap of all that is there."""
    weights_RC = np.rint(available_RC * repeats_RC * _PARTS).astype(object)
    rows = [
        fill(target, [int(weight) for weight in weights], [cap * tokens for tokens in available])
        for target, weights, available in zip(
            targets_R.tolist(), weights_RC.tolist(), available_RC.tolist(), strict=True
        )
    ]
    return np.array(rows, dtype=np.int64).reshape(available_RC.shape)


def repeats_of(a_L: NDArray[np.float64], b_S: NDArray[np.float64], cap: float) -> NDArray[np.float64]:
    """min(a * b, cap) of each cell: float64[L, S]."""
    return np.minimum(a_L[:, None] * b_S[None, :], cap)


def factors(
    available_RC: NDArray[np.float64], other_C: NDArray[np.float64], targets_R: NDArray[np.float64], cap: float
) -> NDArray[np.float64]:
    """For each row the factor a with sum(available * min(a * other, cap)) = target, float64[R]; where the cap does not
    allow the target, one that puts all of the row at its cap.

    The sum grows with a by pieces of straight lines: with k columns at the cap, those of the largest `other`, the rest
    is linear in a.
    """
    order_C = np.argsort(-other_C, kind="stable")
    sorted_C = other_C[order_C]
    sorted_RC = available_RC[:, order_C]
    none = np.zeros((len(targets_R), 1))
    at_cap_RK = cap * np.concatenate([none, np.cumsum(sorted_RC, axis=1)], axis=1)[:, :-1]
    linear_RC = sorted_RC * sorted_C
    linear_RK = np.cumsum(linear_RC[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        a_RK = (targets_R[:, None] - at_cap_RK) / linear_RK
        fits_RK = (linear_RK > 0) & (a_RK * sorted_C <= cap)
    first_R = np.argmax(fits_RK, axis=1)
    found_R = fits_RK[np.arange(len(targets_R)), first_R]
    a_R = np.maximum(a_RK[np.arange(len(targets_R)), first_R], 0)
    positive = sorted_C[sorted_C > 0]
    all_at_cap = cap / positive[-1] if len(positive) else 0.0
    return np.where(found_R, a_R, np.where(targets_R > 0, all_at_cap, 0.0))
