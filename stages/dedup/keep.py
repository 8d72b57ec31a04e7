"""Two kernels of deduplication over sorted rows in blocks: candidate pairs of LSH buckets, and who stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from curator.kernel import kernel
from stages.dedup.orders import ORDER

PAIRS_TOGETHER = 1 << 20
"""Candidate pairs that are given at a time, about."""

_ROW_MASK = np.uint64(ORDER.limit("row") - 1)
_KEY, _SEEN, _CUT, _BEYOND = range(4)
_PENDING, _KEEPER = range(2)
_NOTHING, _STAYS = -2.0, -1.0
_BYTE, _LOW_3, _ONE = np.uint64(3), np.uint64(7), np.uint8(1)


@dataclass
class Buckets:
    """Pairs documents that share a bucket; each with those before it, at most with the first `representatives`.

    `cut` counts the buckets with more documents than that, `beyond` the documents in them that were not compared with
    every one before them.
    """

    representatives: int
    _first: NDArray[np.uint64] = field(init=False)
    _state: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        self._first = np.zeros(self.representatives, dtype=np.uint64)
        self._state = np.zeros(4, dtype=np.uint64)

    @property
    def cut(self) -> int:
        """Buckets larger than `representatives`."""
        return int(self._state[_CUT])

    @property
    def beyond(self) -> int:
        """Documents in them that come after the representatives, one for each such bucket."""
        return int(self._state[_BEYOND])

    def pairs(self, blocks: Iterable[NDArray[np.uint64]]) -> Iterator[NDArray[np.uint64]]:
        """From sorted rows (key, order), the pairs (later, earlier), a pair once for each bucket that it shares:
        uint64[n, 2]."""
        room = PAIRS_TOGETHER + self.representatives
        for rows in blocks:
            begin = 0
            while begin < len(rows):
                pairs = np.empty((room, 2), dtype=np.uint64)
                begin, count = _pair(rows, begin, self._first, self._state, pairs)
                yield pairs[:count]


@kernel
def _pair(
    rows: NDArray[np.uint64],
    begin: int,
    first: NDArray[np.uint64],
    state: NDArray[np.uint64],
    pairs: NDArray[np.uint64],
) -> tuple[int, int]:
    """Fills `pairs` until they are nearly full. Returns (the row to go on with, pairs)."""
    limit = first.shape[0]
    count = 0
    row = begin
    while row < rows.shape[0] and count + limit <= pairs.shape[0]:
        key = rows[row, 0]
        order = rows[row, 1]
        if state[_SEEN] == 0 or state[_KEY] != key:
            state[_KEY] = key
            state[_SEEN] = 0
        seen = np.int64(state[_SEEN])
        for place in range(min(seen, limit)):
            pairs[count, 0] = order
            pairs[count, 1] = first[place]
            count += 1
        if seen < limit:
            first[seen] = order
        else:
            state[_CUT] += np.uint64(seen == limit)
            state[_BEYOND] += np.uint64(1)
        state[_SEEN] = np.uint64(seen + 1)
        row += 1
    return row, count


@dataclass(frozen=True)
class Dropped:
    """Documents that are dropped (orders), the kept one that each is most similar to, and that similarity."""

    dropped: NDArray[np.uint64]
    keepers: NDArray[np.uint64]
    similarity: NDArray[np.float64]


def keep_first(blocks: Iterable[NDArray[np.uint64]], rows: int) -> Dropped:
    """Who is dropped when documents are taken in ascending order, and each is dropped if and only if it is similar to
    one that is kept.

    `blocks` hold the similar pairs (later, earlier, bits of a float64 similarity), sorted: uint64[n, 3]. Of equally
    similar keepers the earlier one is named. Beside what is returned, memory is one bit for each of the `rows`
    documents of the corpus.
    """
    bits = np.zeros(rows // 8 + 1, dtype=np.uint8)
    pending = np.zeros(2, dtype=np.uint64)
    best = np.array([_NOTHING])
    found: list[tuple[NDArray[np.uint64], NDArray[np.float64]]] = []
    for block in blocks:
        pairs = np.empty((len(block) + 1, 2), dtype=np.uint64)
        similarity = np.empty(len(block) + 1, dtype=np.float64)
        count = _keep(block, block[:, 2].copy().view(np.float64), bits, pending, best, pairs, similarity)
        found.append((pairs[:count].copy(), similarity[:count].copy()))
    if best[0] >= 0:
        found.append((pending.reshape(1, 2), best))
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *(piece for piece, _ in found)])
    return Dropped(pairs[:, 0], pairs[:, 1], np.concatenate([np.zeros(0), *(piece for _, piece in found)]))


@kernel
def _keep(
    edges: NDArray[np.uint64],
    similarity: NDArray[np.float64],
    bits: NDArray[np.uint8],
    pending: NDArray[np.uint64],
    best: NDArray[np.float64],
    pairs: NDArray[np.uint64],
    similarities: NDArray[np.float64],
) -> int:
    """Settles every document whose last pair has been seen; `pending` and `best` hold the one that may have more."""
    count = 0
    for edge in range(edges.shape[0]):
        later = edges[edge, 0]
        if best[0] == _NOTHING or pending[_PENDING] != later:
            if best[0] >= 0:
                row = pending[_PENDING] & _ROW_MASK
                bits[row >> _BYTE] |= _ONE << np.uint8(row & _LOW_3)
                pairs[count, 0] = pending[_PENDING]
                pairs[count, 1] = pending[_KEEPER]
                similarities[count] = best[0]
                count += 1
            pending[_PENDING] = later
            best[0] = _STAYS
        other = edges[edge, 1] & _ROW_MASK
        kept = (bits[other >> _BYTE] >> np.uint8(other & _LOW_3)) & _ONE == 0
        if kept and similarity[edge] > best[0]:
            pending[_KEEPER] = edges[edge, 1]
            best[0] = similarity[edge]
    return count
