"""Which documents are written once more: those whose number, a hash of their key in [0, 1), is below a cut.

A document of a cell (a language, or a language in a source) with r = target / available is written floor(r) times, and
once more below the cut. A cut at the fraction of r would be met on average only: the lengths of documents vary so much
that of 1,000 documents 3% of the tokens are missed or too many as a rule. So the tokens of each cell are counted by
BINS equal steps of the number, and the cut is the edge of a step at which the tokens below it come closest to what is
wanted; of several as close, the one nearest to the fraction of r. What is drawn is then known with the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 128
"""Steps of the number. An edge is then half of 1/128 of a cell's tokens from what is wanted at most, on average."""


def bins_of(fractions: NDArray[np.float64]) -> NDArray[np.int16]:
    """The step in which each number in [0, 1) lies: int16[n]."""
    return (fractions * BINS).astype(np.int16)


def cuts(
    tokens_CB: NDArray[np.int64], targets_C: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """For cells with these tokens in each step: how often each is written whole (float64[C]), the cut below which it is
    once more (float64[C], a multiple of 1 / BINS), and the tokens that are drawn (int64[C]). A cell without a token is
    written once."""
    available_C = tokens_CB.sum(axis=1)
    some_C = np.maximum(available_C, 1)
    whole_C = targets_C // some_C
    wanted_C = targets_C - whole_C * some_C
    zero = np.zeros((len(targets_C), 1), dtype=np.int64)
    below_CE = np.concatenate([zero, np.cumsum(tokens_CB, axis=1)], axis=1)
    distance_CE = np.abs(below_CE - wanted_C[:, None])
    closest_CE = distance_CE == distance_CE.min(axis=1, keepdims=True)
    fraction_C = wanted_C / some_C
    off_CE = np.abs(np.arange(BINS + 1)[None, :] - BINS * fraction_C[:, None])
    edge_C = np.argmin(np.where(closest_CE, off_CE, np.inf), axis=1)
    drawn_C = whole_C * available_C + below_CE[np.arange(len(edge_C)), edge_C]
    has_text_C = available_C > 0
    return np.where(has_text_C, whole_C, 1).astype(np.float64), np.where(has_text_C, edge_C / BINS, 0.0), drawn_C


def number_of_copies(
    whole: NDArray[np.float64], cut: NDArray[np.float64], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """`whole`, and one more where the document's number in [0, 1) is below its cut: int64[n]."""
    return whole.astype(np.int64) + (fractions < cut)
