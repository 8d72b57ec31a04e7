"""Ids that stand on more than one document: allowed, but worth saying once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import string_buffer
from curator.kernel import kernel
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.store import Outputs
from curator.scaling import RowFormat
from curator.text.fold import HASH_START, finish, mix

IDS = RowFormat("ids", 2, least_partitions=1)
GROUP_ROWS = 200_000
"""Documents whose ids one task hashes, or a few more: a task costs more than the ids of one part."""


@dataclass(frozen=True)
class Repeated:
    """How many documents have an id that an earlier one has, and one such id."""

    documents: int
    example: str | None


@dataclass(frozen=True)
class PartGroup:
    """Consecutive parts of which one task reads the ids."""

    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The name of the first."""
        return self.parts[0].name


def find_repeated_ids(corpus: Corpus) -> Repeated:
    """Count the ids that repeat, through the exchange: 16 bytes a document."""
    commits = corpus.exchange(IDS, _emit_ids, _count_repeats, group_parts(corpus.parts), corpus.rows)
    documents = sum(commit.integer("repeats") for commit in commits)
    rows = [commit.integer("first") for commit in commits if commit.integer("repeats")]
    return Repeated(documents, _id_of(corpus, min(rows)) if rows else None)


def group_parts(parts: Sequence[Part]) -> Iterator[PartGroup]:
    """Consecutive parts together until they have GROUP_ROWS documents."""
    pending: list[Part] = []
    rows = 0
    for part in parts:
        pending.append(part)
        rows += part.rows
        if rows >= GROUP_ROWS:
            yield PartGroup(tuple(pending))
            pending, rows = [], 0
    if pending:
        yield PartGroup(tuple(pending))


def _emit_ids(group: PartGroup) -> NDArray[np.uint64]:
    """(hash of the id, row in the corpus)."""
    hashes = [hash_strings(batch.column(0)) for part in group.parts for batch in part.documents(["id"])]
    keys = np.concatenate([np.zeros(0, dtype=np.uint64), *hashes])
    first_row = group.parts[0].first_row
    return np.column_stack([keys, np.arange(first_row, first_row + len(keys), dtype=np.uint64)])


def _count_repeats(partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
    count = 0
    first = None
    last = np.zeros((0, 2), dtype=np.uint64)
    for block in blocks:
        rows = np.concatenate([last, block])
        repeats = rows[np.flatnonzero(rows[1:, 0] == rows[:-1, 0]) + 1, 1]
        count += len(repeats)
        if len(repeats):
            first = min(int(repeats.min()), first if first is not None else int(repeats.min()))
        last = rows[-1:]
    return {"repeats": count, "first": first or 0}


def _id_of(corpus: Corpus, row: int) -> str:
    part = corpus.parts[int(corpus.part_of(np.array([row], dtype=np.int64))[0])]
    ids = pa.Table.from_batches(list(part.documents(["id"])))["id"]
    return str(ids[row - part.first_row].as_py())


def hash_strings(column: pa.StringArray) -> NDArray[np.uint64]:
    """A 64-bit hash of the bytes of each string: uint64[rows]."""
    data, offsets = string_buffer(column)
    hashes = np.empty(len(column), dtype=np.uint64)
    _hash_strings(data, offsets, hashes)
    return hashes


@kernel
def _hash_strings(data: NDArray[np.uint8], offsets: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
    for row in range(hashes.shape[0]):
        state = HASH_START
        for place in range(offsets[row], offsets[row + 1]):
            state = mix(state, np.uint64(data[place]))
        hashes[row] = finish(state)
