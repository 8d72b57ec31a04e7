"""Distributions of the scores of a run: of all documents, and of those in some languages.

The files of `scores/` are read twice, batch by batch and all columns at once: for the range of each, and to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.storage.parquet import batches_of_run
from curator.storage.path import AnyPath

BINS = 48


def bin_edges(scores: AnyPath, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The edges of the bins of each column, float64[BINS + 1], from its least to its greatest score; a column without
    any score has none."""
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for batch in batches_of_run(scores, columns):
        for name in columns:
            found = pc.min_max(batch.column(name))
            low, high = found["min"].as_py(), found["max"].as_py()
            if low is not None:
                lows[name] = min(lows.get(name, low), low)
                highs[name] = max(highs.get(name, high), high)
    return {
        name: np.linspace(low, highs[name] if highs[name] > low else low + 1, BINS + 1) for name, low in lows.items()
    }


def count_scores(
    scores: AnyPath, edges: Mapping[str, NDArray[np.float64]], languages: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """How many scores of each column lie in each bin: int64[1 + languages, BINS], first those of all documents, then
    those in each language. A bin takes its lower edge, the last one both."""
    counts = {name: np.zeros((1 + len(languages), BINS), dtype=np.int64) for name in edges}
    listed = pa.array(languages, pa.string())
    for batch in batches_of_run(scores, [*edges, "lang"]):
        rows = pc.index_in(batch.column("lang"), listed).fill_null(-1).to_numpy() + 1
        for name, found in counts.items():
            column = batch.column(name)
            finite = pc.is_finite(column).fill_null(False)
            values = column.filter(finite).to_numpy()
            bins = np.searchsorted(edges[name], values, side="right") - 1
            bins[values == edges[name][-1]] = BINS - 1
            places = rows[finite.to_numpy(zero_copy_only=False)] * BINS + bins
            by_language = np.bincount(places, minlength=found.size).reshape(found.shape)
            found[0] += by_language.sum(axis=0)
            found[1:] += by_language[1:]
    return counts
