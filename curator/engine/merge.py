"""Rows that lie in several sorted pieces, read as one sorted stream in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curator.run.store import Commit
from curator.storage.spool import local_file

LEAST_ROWS = 256
"""Rows that are read of a piece at a time, at least: fewer would be all overhead."""


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a file of uint64: its place, where they begin, and how many they are (both in rows)."""

    place: str
    begin: int
    rows: int

    def read(self, first: int, rows: int, width: int) -> NDArray[np.uint64]:
        """Rows [first, first + rows) of the piece, as many as there are: uint64[rows, width]."""
        count = min(rows, self.rows - first) * width
        flat = np.fromfile(
            local_file(self.place), dtype=np.uint64, count=count, offset=(self.begin + first) * width * 8
        )
        return flat.reshape(-1, width)


def pieces_of(commit: Commit, suffix: str, width: int, rows: int) -> list[Piece]:
    """The rows of a file that a task wrote as pieces of at most `rows` rows."""
    total = commit.files[suffix] // (8 * width)
    return [Piece(commit.place(suffix), begin, min(rows, total - begin)) for begin in range(0, total, rows)]


def merge_sorted(pieces: Sequence[Piece], width: int, block_rows: int) -> Iterator[NDArray[np.uint64]]:
    """The rows of sorted pieces in the order of all their columns, in blocks of about `block_rows` rows at most:
    uint64[n, width]. Equal rows of several pieces stand beside each other."""
    waiting = [_Cursor(piece, width) for piece in pieces if piece.rows]
    while waiting:
        each = max(LEAST_ROWS, block_rows // len(waiting))
        for cursor in waiting:
            cursor.fill(each)
        # What comes after the last row read of a piece may be anything that is not less than it.
        bounds = [cursor.rows[-1] for cursor in waiting if not cursor.is_exhausted]
        bound = min(bounds, key=lambda row: row.tolist()) if bounds else None
        yield sort_rows(np.concatenate([cursor.take(bound) for cursor in waiting]))
        waiting = [cursor for cursor in waiting if len(cursor.rows) or not cursor.is_exhausted]


def whole_keys(blocks: Iterable[NDArray[np.uint64]]) -> Iterator[NDArray[np.uint64]]:
    """Sorted blocks cut anew, so that the rows of one key (the first column) stand together. For keys that are known to
    be few: the rows of one are held together, however many blocks they come in."""
    pending: list[NDArray[np.uint64]] = []
    for block in blocks:
        begin = int(np.searchsorted(block[:, 0], block[-1, 0]))
        if pending and (begin or pending[-1][-1, 0] != block[0, 0]):
            yield np.concatenate([*pending, block[:begin]])
            pending = []
        elif begin:
            yield block[:begin]
        pending.append(block[begin:])
    if pending:
        yield np.concatenate(pending)


class _Cursor:
    """How far a piece has been read: `rows` are read and not yet given."""

    def __init__(self, piece: Piece, width: int) -> None:
        self._piece = piece
        self._width = width
        self._read = 0
        self.rows = np.zeros((0, width), dtype=np.uint64)

    @property
    def is_exhausted(self) -> bool:
        return self._read >= self._piece.rows

    def fill(self, rows: int) -> None:
        missing = rows - len(self.rows)
        if missing > 0 and not self.is_exhausted:
            more = self._piece.read(self._read, missing, self._width)
            self._read += len(more)
            self.rows = np.concatenate([self.rows, more])

    def take(self, bound: NDArray[np.uint64] | None) -> NDArray[np.uint64]:
        """The rows that are not greater than `bound` (all without one)."""
        count = len(self.rows) if bound is None else int(_not_greater(self.rows, bound).sum())
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken


def _not_greater(rows: NDArray[np.uint64], bound: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Rows that do not come after `bound`: bool[n]."""
    below = np.zeros(len(rows), dtype=np.bool_)
    equal = np.ones(len(rows), dtype=np.bool_)
    for column, limit in enumerate(bound):
        below |= equal & (rows[:, column] < limit)
        equal &= rows[:, column] == limit
    return below | equal


def sort_rows(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Rows sorted by all their columns, the first one first: uint64[n, width]."""
    if len(rows) < 2:
        return rows
    # NumPy sorts one column of 64-bit integers with vector instructions; several, column by column, ten times slower.
    # Keys are mostly distinct, so only the rows whose first column ties are sorted the slow way. `take` copies row by
    # row, an index entry by entry: ten times slower where rows are short.
    ordered = rows.take(np.argsort(rows[:, 0]), axis=0)
    same = ordered[1:, 0] == ordered[:-1, 0]
    tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
    if len(tied):
        ties = ordered.take(tied, axis=0)
        order = np.lexsort(tuple(ties[:, column] for column in range(ties.shape[1] - 1, -1, -1)))
        ordered[tied] = ties.take(order, axis=0)
    return ordered
