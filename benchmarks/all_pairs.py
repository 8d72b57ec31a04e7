"""All pairs of texts whose 5-gram Jaccard similarity is at least a threshold, exactly: the truth for deduplication.

By prefix filtering (Bayardo, Ma, Srikant 2007; Xiao et al. 2011): two sets with similarity t or more share one of the
|x| - ceil(t |x|) + 1 rarest elements of each. Shingles are Curator's: units of the document's script, folded.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curator.document import string_buffer
from curator.text.segment import segment
from stages.dedup.minhash import Ragged, shingle_hashes, shingle_sets, true_jaccard

PAIRS_TOGETHER = 1 << 18


def similar_pairs(texts: Sequence[str], threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and similarity of each pair: (int64[n], int64[n], float64[n]), the first row the greater."""
    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    sets = shingle_sets(shingle_hashes(segment(data, offsets), data, offsets))
    elements, ranks = _by_rarity(sets.values)
    ranked = ranks[np.searchsorted(elements, sets.values)]
    seen: dict[int, list[int]] = collections.defaultdict(list)
    left: list[int] = []
    right: list[int] = []
    sizes = np.diff(sets.offsets)
    for row in np.argsort(sizes, kind="stable").tolist():
        size = int(sizes[row])
        rarest = np.sort(ranked[sets.offsets[row] : sets.offsets[row + 1]])[: size - math.ceil(threshold * size) + 1]
        candidates: set[int] = set()
        for element in rarest.tolist():
            others = seen[element]
            candidates.update(others)
            others.append(row)
        for other in candidates:
            if sizes[other] >= threshold * size:
                left.append(max(row, other))
                right.append(min(row, other))
    return _verified(sets, np.array(left, dtype=np.int64), np.array(right, dtype=np.int64), threshold)


def _by_rarity(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, and the rank of each by how rare it is."""
    elements, counts = np.unique(values, return_counts=True)
    ranks = np.empty(len(elements), dtype=np.int64)
    ranks[np.argsort(counts, kind="stable")] = np.arange(len(elements))
    return elements, ranks


def _verified(
    sets: Ragged, left: np.ndarray, right: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    similarity = np.zeros(len(left))
    for begin in range(0, len(left), PAIRS_TOGETHER):
        part = slice(begin, begin + PAIRS_TOGETHER)
        similarity[part] = true_jaccard(sets, left[part], right[part])
    similar = similarity >= threshold
    return left[similar], right[similar], similarity[similar]
