"""Two small kernels of deduplication: candidate pairs of LSH buckets, and who stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from curator.kernel import kernel


def candidate_pairs(rows: NDArray[np.uint64], representatives: int) -> NDArray[np.uint64]:
    """Pairs of documents that share a bucket.

    `rows` are (key, order), sorted: uint64[n, 2]. In a bucket each document is paired with those before it, at most
    with the first `representatives`. Returns (later, earlier): uint64[pairs, 2], a pair once for each bucket that it
    shares.
    """
    pairs = np.empty((_count_pairs(rows, representatives), 2), dtype=np.uint64)
    _fill_pairs(rows, representatives, pairs)
    return pairs


@kernel
def _count_pairs(rows: NDArray[np.uint64], representatives: int) -> int:
    count = 0
    begin = 0
    for row in range(rows.shape[0]):
        if rows[row, 0] != rows[begin, 0]:
            begin = row
        count += min(row - begin, representatives)
    return count


@kernel
def _fill_pairs(rows: NDArray[np.uint64], representatives: int, pairs: NDArray[np.uint64]) -> None:
    place = 0
    begin = 0
    for row in range(rows.shape[0]):
        if rows[row, 0] != rows[begin, 0]:
            begin = row
        for other in range(begin, begin + min(row - begin, representatives)):
            pairs[place, 0] = rows[row, 1]
            pairs[place, 1] = rows[other, 1]
            place += 1


def keep_first(
    later: NDArray[np.uint64], earlier: NDArray[np.uint64], similarity: NDArray[np.float64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float64]]:
    """Who is dropped when documents are taken in ascending order, and each is dropped if and only if it is similar to
    one that is kept.

    The pairs are sorted by `later`, then `earlier`. Returns the dropped documents, the most similar kept one for each
    (the earlier one of equals) and that similarity.
    """
    nodes, index = np.unique(np.concatenate([later, earlier]), return_inverse=True)
    index = index.reshape(-1).astype(np.int64)
    keeper = _keep_first(index[: len(later)], index[len(later) :], similarity, len(nodes))
    dropped = np.flatnonzero(keeper >= 0)
    edges = keeper[dropped]
    return nodes[dropped], earlier[edges], similarity[edges]


@kernel
def _keep_first(
    later: NDArray[np.int64], earlier: NDArray[np.int64], similarity: NDArray[np.float64], nodes: int
) -> NDArray[np.int64]:
    """For each node the pair by which it is dropped, -1 when it is kept: int64[nodes]."""
    keeper = np.full(nodes, -1, dtype=np.int64)
    for edge in range(later.shape[0]):
        if keeper[earlier[edge]] < 0:
            best = keeper[later[edge]]
            if best < 0 or similarity[edge] > similarity[best]:
                keeper[later[edge]] = edge
    return keeper
