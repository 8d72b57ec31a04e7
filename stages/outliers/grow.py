"""Growing isolation forests (Liu, Ting, Zhou 2008, algorithms 1 and 2) straight into the flat arrays of `Forests`.

Each tree takes a random subsample. A node picks a random feature among those in which its documents differ, and a
threshold uniformly between their least and greatest value; what is not above it goes left. It is a leaf when one
document or none is left, when all are equal, or at the greatest depth. That is what scikit-learn's IsolationForest
does; scikit-learn takes 0.1 to 0.2 CPU seconds a forest for it, nearly all of them for the bookkeeping of 100 small
estimators, and 1.4 to be imported; this takes less than a millisecond. The forests are not the same ones, since the
random numbers differ (here SplitMix64, Steele, Lea, Flood 2014); tests hold their scores to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from stages.outliers.forest import Forests, height_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_SHIFT_A, _SHIFT_B, _SHIFT_C = np.uint64(30), np.uint64(27), np.uint64(31)
_MANTISSA = np.uint64(11)
_ONE = np.uint64(1)
_UNIT = 2.0**-53


def grow_forest(sample: NDArray[np.float32], trees: int, max_samples: int, seed: int) -> Forests:
    """One forest, grown on `sample` float32[documents, dimensions], at most 256 dimensions."""
    height = height_of(max_samples)
    grown_on = min(max_samples, len(sample))
    forest = Forests(
        features=np.zeros((1, trees, 2**height - 1), dtype=np.uint8),
        thresholds=np.full((1, trees, 2**height - 1), np.inf, dtype=np.float32),
        depths=np.zeros((1, trees, 2**height), dtype=np.uint8),
        samples=np.zeros((1, trees, 2**height), dtype=np.uint16),
        grown_on=np.array([grown_on], dtype=np.int64),
    )
    # The depth of a tree follows the documents that it is grown on, not those that it might have been.
    limit = height_of(grown_on)
    _grow(
        np.ascontiguousarray(sample.T),
        np.uint64(seed),
        grown_on,
        limit,
        forest.features[0],
        forest.thresholds[0],
        forest.depths[0],
        forest.samples[0],
    )
    return forest


@inline_kernel
def _next(state: NDArray[np.uint64]) -> float:
    """The next random number in [0, 1)."""
    state[0] += _GAMMA
    word = state[0]
    word = (word ^ (word >> _SHIFT_A)) * _MIX_A
    word = (word ^ (word >> _SHIFT_B)) * _MIX_B
    word = word ^ (word >> _SHIFT_C)
    return np.float64(word >> _MANTISSA) * _UNIT


@kernel
def _grow(
    columns: NDArray[np.float32],
    seed: np.uint64,
    grown_on: int,
    limit: int,
    features: NDArray[np.uint8],
    thresholds: NDArray[np.float32],
    depths: NDArray[np.uint8],
    samples: NDArray[np.uint16],
) -> None:
    # `columns` float32[dimensions, documents] is the sample. Unsigned where an array is looked into: Numba tests a
    # signed index for being negative.
    dimensions, count = columns.shape
    inner = features.shape[1]
    rows = np.arange(count).astype(np.uint64)
    candidates = np.arange(dimensions).astype(np.uint64)
    begins = np.zeros(2 * inner + 1, dtype=np.uint64)
    ends = np.zeros(2 * inner + 1, dtype=np.uint64)
    depth = np.zeros(2 * inner + 1, dtype=np.int64)
    is_leaf = np.zeros(2 * inner + 1, dtype=np.bool_)
    state = np.array([seed])
    for tree in range(features.shape[0]):
        for place in range(grown_on):
            other = place + np.int64(_next(state) * (count - place))
            rows[place], rows[other] = rows[other], rows[place]
        begins[0], ends[0], depth[0], is_leaf[0] = 0, grown_on, 0, False
        for node in range(inner):
            begin, end = begins[node], ends[node]
            left, right = 2 * node + 1, 2 * node + 2
            found = False
            middle = end
            if not is_leaf[node] and end - begin > _ONE and depth[node] < limit:
                for tried in range(dimensions):
                    other = tried + np.int64(_next(state) * (dimensions - tried))
                    candidates[tried], candidates[other] = candidates[other], candidates[tried]
                    feature = candidates[tried]
                    least = columns[feature, rows[begin]]
                    greatest = least
                    for place in range(begin + _ONE, end):
                        value = columns[feature, rows[place]]
                        least = min(least, value)
                        greatest = max(greatest, value)
                    if least < greatest:
                        found = True
                        break
            if found:
                span = np.float64(greatest) - np.float64(least)
                threshold = np.float32(np.float64(least) + _next(state) * span)
                if threshold >= greatest:
                    threshold = least
                features[tree, node] = feature
                thresholds[tree, node] = threshold
                middle = begin
                for place in range(begin, end):
                    # As often as not, so without a branch.
                    row, other = rows[place], rows[middle]
                    goes_left = columns[feature, row] <= threshold
                    rows[place] = other if goes_left else row
                    rows[middle] = row if goes_left else other
                    middle += np.uint64(goes_left)
                begins[left], ends[left], begins[right], ends[right] = begin, middle, middle, end
                depth[left] = depth[right] = depth[node] + 1
                is_leaf[left] = is_leaf[right] = False
            else:
                # Every document goes on to the left; what stands to the right is never reached.
                begins[left], ends[left], begins[right], ends[right] = begin, end, begin, end
                depth[left] = depth[right] = depth[node]
                is_leaf[left] = is_leaf[right] = True
        for leaf in range(inner + 1):
            depths[tree, leaf] = depth[inner + leaf]
            samples[tree, leaf] = ends[inner + leaf] - begins[inner + leaf]
