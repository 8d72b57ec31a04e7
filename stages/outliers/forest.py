"""Isolation forests as flat arrays, scored by a kernel that gives scikit-learn's scores to the last bit.

An anomaly is isolated by few random splits, so its path from a tree's root to a leaf is short. With E the mean path
length over the trees and c(n) the mean path length of an unsuccessful search in a binary tree of n entries, the score
is

    s = 2 ** (-E / c(n)),    c(n) = 2 (ln(n - 1) + gamma) - 2 (n - 1) / n,    c(2) = 1,    c(1) = 0

with n the documents that each tree was grown on (Liu, Ting, Zhou 2008, equations 1 and 2); a leaf that holds m > 1
documents counts c(m) steps more. `s` lies in (0, 1), larger is more anomalous; scikit-learn's `score_samples` is -s.

A tree is stored as a complete binary tree: node i has the children 2i + 1 and 2i + 2, a leaf above the last level sends
everything left. A walk then has a fixed length and no pointers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.ensemble import IsolationForest

    from curator.stage import State


_ROWS_TOGETHER = 32
"""Rows that walk through a tree together."""
_ONE, _TWO = np.uint64(1), np.uint64(2)


@dataclass(frozen=True)
class Forests:
    """Several forests of the same shape, one for a language.

    `features` uint8 and `thresholds` float32[forests, trees, 2**height - 1]: at node i a document goes left where its
    value of the feature is at most the threshold. `depths` uint8 and `samples` uint16[forests, trees, 2**height]: depth
    of the leaf that is reached, and how many documents of the fit it holds. `grown_on` int64[forests]: documents that
    each tree was grown on.
    """

    features: NDArray[np.uint8]
    thresholds: NDArray[np.float32]
    depths: NDArray[np.uint8]
    samples: NDArray[np.uint16]
    grown_on: NDArray[np.int64]

    @staticmethod
    def of(state: State) -> Forests:
        """The forests whose `arrays` are in a state."""
        return Forests(
            features=np.ascontiguousarray(state["features"], dtype=np.uint8),
            thresholds=np.ascontiguousarray(state["thresholds"], dtype=np.float32),
            depths=np.ascontiguousarray(state["depths"], dtype=np.uint8),
            samples=np.ascontiguousarray(state["samples"], dtype=np.uint16),
            grown_on=np.ascontiguousarray(state["grown_on"], dtype=np.int64),
        )

    @staticmethod
    def joined(forests: Sequence[Forests], trees: int, max_samples: int) -> Forests:
        """Several of the same shape, one after the other; none gives arrays of no forest."""
        shape = (0, trees, 2 ** height_of(max_samples))
        empty = Forests(
            features=np.zeros((*shape[:2], shape[2] - 1), dtype=np.uint8),
            thresholds=np.zeros((*shape[:2], shape[2] - 1), dtype=np.float32),
            depths=np.zeros(shape, dtype=np.uint8),
            samples=np.zeros(shape, dtype=np.uint16),
            grown_on=np.zeros(0, dtype=np.int64),
        )
        every = [empty.arrays(), *(forest.arrays() for forest in forests)]
        return Forests.of({name: np.concatenate([arrays[name] for arrays in every]) for name in every[0]})

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, to be kept in a state."""
        return {
            "features": self.features,
            "thresholds": self.thresholds,
            "depths": self.depths,
            "samples": self.samples,
            "grown_on": self.grown_on,
        }

    def score(self, embeddings: NDArray[np.float32], forest_of: NDArray[np.int32]) -> NDArray[np.float64]:
        """The anomaly score of each row by the forest of that number: float64[rows], NaN where the number is -1."""
        if not len(self.grown_on):
            return np.full(len(forest_of), np.nan)
        # Forest by forest: the nodes of one (0.2 MB) stay in the cache.
        order = np.argsort(forest_of, kind="stable")
        most = max(int(self.grown_on.max()), 1)
        totals = np.zeros(len(order), dtype=np.float64)
        _sum_path_lengths(
            np.ascontiguousarray(embeddings, dtype=np.float32),
            np.ascontiguousarray(forest_of, dtype=np.int32),
            order,
            self.features,
            self.thresholds,
            self.depths,
            self.samples,
            self.features.shape[2].bit_length(),
            average_path_length(np.arange(most + 1)),
            totals,
        )
        trees = self.features.shape[1]
        normal = trees * average_path_length(self.grown_on)
        scores = np.full(len(forest_of), np.nan)
        scored = forest_of >= 0
        scores[scored] = 2.0 ** -(totals[scored] / normal[forest_of[scored]])
        return scores


def height_of(max_samples: int) -> int:
    """The greatest depth of a tree grown on so many documents: about the mean height of a tree of that size (Liu et al.
    2008, section 3), as scikit-learn has it."""
    return int(np.ceil(np.log2(max(max_samples, 2))))


def average_path_length(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """c(n) of the module's docstring for each count: float64[n]."""
    count = np.asarray(count, dtype=np.float64)
    many = np.maximum(count, 3.0)
    lengths = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, lengths))


def fit_forest(sample: NDArray[np.float32], trees: int, max_samples: int, random_state: int) -> IsolationForest:
    """An isolation forest on `sample` float32[documents, dimensions], by scikit-learn."""
    # scikit-learn takes a CPU second to import: only the one process that fits pays for it.
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(
        n_estimators=trees, max_samples=min(max_samples, len(sample)), random_state=random_state, n_jobs=1
    )
    return forest.fit(sample)


def flatten(forests: list[IsolationForest], trees: int, max_samples: int) -> Forests:
    """The flat arrays of forests that `fit_forest` made with these parameters."""
    height = height_of(max_samples)
    count = len(forests)
    flat = Forests(
        features=np.zeros((count, trees, 2**height - 1), dtype=np.uint8),
        thresholds=np.full((count, trees, 2**height - 1), np.inf, dtype=np.float32),
        depths=np.zeros((count, trees, 2**height), dtype=np.uint8),
        samples=np.zeros((count, trees, 2**height), dtype=np.uint16),
        grown_on=np.array([forest.max_samples_ for forest in forests], dtype=np.int64),
    )
    for number, forest in enumerate(forests):
        _flatten_one(forest, flat, number, height)
    return flat


def _flatten_one(forest: IsolationForest, flat: Forests, number: int, height: int) -> None:
    grown = [estimator.tree_ for estimator in forest.estimators_]
    first_node = np.cumsum([0, *(tree.node_count for tree in grown)])[:-1]
    feature = np.concatenate([tree.feature for tree in grown])
    threshold = np.concatenate([tree.threshold for tree in grown])
    samples = np.concatenate([tree.n_node_samples for tree in grown])
    is_leaf = np.concatenate([tree.children_left for tree in grown]) < 0
    left, right = (
        np.concatenate([getattr(tree, side) + first for tree, first in zip(grown, first_node, strict=True)])
        for side in ("children_left", "children_right")
    )
    # Level by level over all trees at once: which node of the tree stands at each place of the complete tree.
    nodes = first_node[:, None]
    depth = np.zeros(nodes.shape, dtype=np.uint8)
    for level in range(height):
        places = slice(2**level - 1, 2 ** (level + 1) - 1)
        inner = ~is_leaf[nodes]
        flat.features[number, :, places] = np.where(inner, feature[nodes], 0)
        flat.thresholds[number, :, places] = np.where(inner, _round_down(threshold[nodes]), np.float32(np.inf))
        children = np.stack([np.where(inner, left[nodes], nodes), np.where(inner, right[nodes], nodes)], axis=2)
        depth = np.repeat(depth + inner.astype(np.uint8), 2, axis=1)
        nodes = children.reshape(len(grown), -1)
    flat.depths[number] = depth
    flat.samples[number] = samples[nodes]


def _round_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each value: a float32 is at most the one iff it is at most the other."""
    nearest = values.astype(np.float32)
    return np.where(nearest.astype(np.float64) > values, np.nextafter(nearest, np.float32(-np.inf)), nearest)


@kernel
def _sum_path_lengths(
    embeddings: NDArray[np.float32],
    forest_of: NDArray[np.int32],
    order: NDArray[np.int64],
    features: NDArray[np.uint8],
    thresholds: NDArray[np.float32],
    depths: NDArray[np.uint8],
    samples: NDArray[np.uint16],
    height: int,
    average: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> None:
    """Add to `totals` for each row the sum of its path lengths over the trees of its forest, in their order."""
    trees, inner = features.shape[1], features.shape[2]
    flat_features, flat_thresholds = features.reshape(-1), thresholds.reshape(-1)
    flat_depths, flat_samples = depths.reshape(-1), samples.reshape(-1)
    nodes = np.zeros(_ROWS_TOGETHER, dtype=np.uint64)
    begin = np.int64(0)
    while begin < order.size:
        forest = forest_of[order[begin]]
        end = begin + 1
        while end < order.size and end - begin < _ROWS_TOGETHER and forest_of[order[end]] == forest:
            end += 1
        rows = np.uint64(end - begin)
        start = np.uint64(begin)
        # Tree by tree, whose nodes (2 KB) stay in the first cache, and level by level, so that the walks of several
        # rows go on at the same time.
        for tree in range(trees if forest >= 0 else 0):
            first_node = np.uint64((forest * trees + tree) * inner)
            first_leaf = np.uint64((forest * trees + tree) * (inner + 1)) - np.uint64(inner)
            for place in range(rows):
                nodes[place] = 0
            for _ in range(height):
                for place in range(rows):
                    node = nodes[place]
                    feature = np.uint64(flat_features[first_node + node])
                    value = embeddings[np.uint64(order[start + place]), feature]
                    went_right = value > flat_thresholds[first_node + node]
                    nodes[place] = _TWO * node + _ONE + np.uint64(went_right)
            for place in range(rows):
                leaf = first_leaf + nodes[place]
                # The order of these sums is scikit-learn's, so that scores are equal to the last bit.
                path = (flat_depths[leaf] + 1.0) + average[np.uint64(flat_samples[leaf])] - 1.0
                totals[np.uint64(order[start + place])] += path
        begin = end
