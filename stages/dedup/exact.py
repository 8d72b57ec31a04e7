"""Documents with the same hash: the same URL, or the same folded text. Of each group the first in keeper order stays.

Rows in the exchange: (hash, hash, order), 24 bytes a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.scaling import RowFormat
from curator.storage.spool import local_file
from stages.dedup.files import append_rows, load_rows
from stages.dedup.orders import Ranked, rows_of

HASH_WORDS = 2
URLS, TEXTS = RowFormat("url", HASH_WORDS + 1), RowFormat("exact", HASH_WORDS + 1)


@dataclass(frozen=True)
class Gone:
    """Documents that are dropped already: files of int64[n, 2] (row, row of the one that stays), sorted by row."""

    files: tuple[str, ...] = ()

    def with_file(self, file: str) -> Gone:
        """These and those of one more file."""
        return Gone((*self.files, file))

    def rest(self, item: Ranked) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """The documents of a part that are left, as `Ranked.orders` gives them."""
        rows, orders = item.orders()
        left = self.leaves(item.part, rows)
        return rows[left], orders[left]

    def leaves(self, part: Part, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows of a part are left: bool[n]."""
        left = np.ones(len(rows), dtype=np.bool_)
        for file in self.files:
            gone = np.load(local_file(file), mmap_mode="r", allow_pickle=False)
            begin, end = np.searchsorted(gone[:, 0], [part.first_row, part.first_row + part.rows])
            left &= ~np.isin(rows + part.first_row, gone[begin:end, 0])
        return left


@dataclass(frozen=True)
class Question:
    """Asked for children: only documents that share a key with one of them matter. `file` holds the sorted keys, None
    when every document matters."""

    file: str | None = None

    def matters(self, keys: NDArray[np.uint64], part: Part) -> NDArray[np.bool_]:
        """Which of these keys of documents of a part matter: bool[n]."""
        if self.file is None or part.is_derived:
            return np.ones(len(keys), dtype=np.bool_)
        return np.isin(keys, np.load(local_file(self.file), allow_pickle=False))


def find_same(
    corpus: Corpus, rows: RowFormat, column: str, ranked: Sequence[Ranked], gone: Gone, question: Question
) -> tuple[str, int]:
    """The documents whose hash in `column` an earlier one has: a file as `Gone` takes it, and the rows exchanged."""
    commits = corpus.exchange(rows, _Emit(column, gone, question), _first_of_each, ranked, corpus.rows)
    written = corpus.once(f"{rows.name}-same", partial(_write, tuple(commits)))
    return written.place("arrow"), sum(commit.integer("rows") for commit in commits)


def hashes_of(part: Part, column: str) -> NDArray[np.uint64]:
    """The 128-bit hashes in a column: uint64[rows, 2]."""
    return part.matrix(column, np.dtype(np.uint64), HASH_WORDS).astype(np.uint64, copy=False)


@dataclass(frozen=True)
class _Emit:
    column: str
    gone: Gone
    question: Question

    def __call__(self, item: Ranked) -> NDArray[np.uint64]:
        rows, orders = self.gone.rest(item)
        hashes = np.asarray(hashes_of(item.part, self.column)[rows])
        emitted = np.column_stack([hashes, orders]).astype(np.uint64)
        has_one = hashes.any(axis=1)
        return emitted.compress(has_one & self.question.matters(hashes[:, 0], item.part), axis=0)


def _first_of_each(partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
    """Pairs (duplicate, first of its group): uint64[n, 2]."""
    last = np.zeros((0, HASH_WORDS + 1), dtype=np.uint64)
    rows = pairs = 0
    with outputs.path("pairs").open("wb") as file:
        for block in blocks:
            # `last` is the first of the group with which the block before ended; it stands for all of it.
            joined = np.concatenate([last, block])
            begins = np.ones(len(joined), dtype=np.bool_)
            begins[1:] = (joined[1:, :HASH_WORDS] != joined[:-1, :HASH_WORDS]).any(axis=1)
            first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
            pairs += append_rows(file, np.column_stack([joined[~begins, 2], joined[first[~begins], 2]]))
            rows += len(block)
            last = joined[first[-1] :][:1]
    return {"pairs": pairs, "rows": rows}


def _write(commits: Sequence[Commit], path: Path) -> Mapping[str, object]:
    """Pairs of orders as rows of the corpus, sorted by the duplicate: int64[n, 2]."""
    pairs = load_rows(commits, "pairs", 2)
    rows = np.column_stack([rows_of(pairs[:, 0]), rows_of(pairs[:, 1])])
    with path.open("wb") as file:
        np.save(file, rows[np.argsort(rows[:, 0])], allow_pickle=False)
    return {"pairs": len(rows)}
