"""Which score is unusual for a text of some length.

Of a short text little is known, and a forest takes what chance does to it for an anomaly: with one threshold a
language, 15% of proverbs of less than 32 bytes were above it, and 0.1% of texts ten times as long. So a score is held
against those of texts of its own length: the threshold of a length is the median of their scores, and a multiple of
their spread above it; the multiple is the same for all lengths of a language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stages.outliers.embedding import SAMPLED_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

BOUNDS = (32, 64, 128, 256, 512, 1024)
"""Bytes that are read of a text, from which the next length begins; no more than the last are read of any."""
LENGTHS = len(BOUNDS) + 1

SPREAD_DOCUMENTS = 50
"""Documents whose median and spread are told; shorter texts go with longer ones where there are fewer."""
SPREAD_QUANTILE = 0.9
"""The spread of scores is what lies between their median and this quantile: outliers themselves do not move it."""
LEAST_SPREAD = 0.25
"""As a share of the spread over all lengths: one whose texts are all but equal does not make outliers of the others."""
SMALLEST = 1e-6
"""The precision of scores."""


def length_column(batch: Batch) -> pa.Array:
    """The length of each text: a place in `BOUNDS`, int8[rows]."""
    _, offsets = batch.text_buffer
    read = np.minimum(np.diff(offsets), SAMPLED_BYTES)
    return pa.array(np.searchsorted(BOUNDS, read, side="right").astype(np.int8))


def thresholds(scores: NDArray[np.float64], lengths: NDArray[np.int8], share: float) -> NDArray[np.float64]:
    """The threshold of each length, above which this share of the scores lies in all: float64[LENGTHS]."""
    over, spread, middle = np.empty(len(scores)), np.empty(LENGTHS), np.empty(LENGTHS)
    for begin, end in _groups(np.bincount(lengths, minlength=LENGTHS)):
        together = (lengths >= begin) & (lengths < end)
        own = scores[together]
        middle[begin:end] = _quantile(own, 0.5)
        over[together] = own - middle[begin]
        spread[begin:end] = _quantile(own, SPREAD_QUANTILE) - middle[begin]
    spread = np.maximum(spread, max(LEAST_SPREAD * _quantile(over, SPREAD_QUANTILE), SMALLEST))
    found: NDArray[np.float64] = middle + _quantile(over / spread[lengths], 1.0 - share) * spread
    return found


def _quantile(values: NDArray[np.float64], share: float) -> float:
    """One of the values: the next above where the quantile lies between two."""
    return float(np.quantile(values, share, method="higher"))


def _groups(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Neighbouring lengths that are told together, half-open: each has enough documents, unless all have not."""
    groups: list[tuple[int, int]] = []
    begin = documents = 0
    for length, count in enumerate(counts.tolist()):
        documents += count
        if documents >= SPREAD_DOCUMENTS:
            groups.append((begin, length + 1))
            begin, documents = length + 1, 0
    last = groups.pop()[0] if groups else 0
    return [*groups, (last, LENGTHS)]
