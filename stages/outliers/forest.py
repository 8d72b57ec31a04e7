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
        # Row by row within one forest: its nodes (0.2 MB) stay in the cache.
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
    average: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> None:
    """Put into `totals` for each row the sum of its path lengths over the trees of its forest, in their order."""
    inner = features.shape[2]
    for place in range(order.size):
        row = order[place]
        forest = forest_of[row]
        if forest < 0:
            continue
        total = 0.0
        for tree in range(features.shape[1]):
            node = np.int64(0)
            while node < inner:
                went_right = embeddings[row, features[forest, tree, node]] > thresholds[forest, tree, node]
                node = 2 * node + 1 + np.int64(went_right)
            leaf = node - inner
            # The order of these sums is scikit-learn's, so that scores are equal to the last bit.
            total += (depths[forest, tree, leaf] + 1.0) + average[samples[forest, tree, leaf]] - 1.0
        totals[row] = total
