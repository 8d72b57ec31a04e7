"""A partition of an exchange: its rows as a sorted stream, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from curator.engine.merge import Piece, merge_sorted, sort_rows
from curator.run.store import Outputs

BLOCK_BYTES = 64_000_000
"""What is held of a partition at a time; twice that while it is sorted."""


class Source(Protocol):
    """Where some rows of a partition are to be had, any of them as often as wanted."""

    @property
    def rows(self) -> int:
        """How many there are."""
        ...

    def read(self, first: int, rows: int, width: int) -> NDArray[np.uint64]:
        """Rows [first, first + rows), as many as there are: uint64[rows, width]."""
        ...


def sorted_blocks(sources: Sequence[Source], width: int, outputs: Outputs) -> Iterator[NDArray[np.uint64]]:
    """The rows of a partition, sorted by all columns, in blocks: at once where they are few, else merged from runs that
    are sorted one by one and lie in a scratch file of `outputs`."""
    total = sum(source.rows for source in sources)
    rows = BLOCK_BYTES // (8 * width)
    if total <= rows:
        if total:
            yield sort_rows(np.concatenate([source.read(0, source.rows, width) for source in sources]))
        return
    path = outputs.scratch("sorted")
    runs: list[Piece] = []
    begin = 0
    with path.open("wb") as file:
        for cuts in _gathered(sources, rows // 2):
            run = sort_rows(np.concatenate([source.read(first, count, width) for source, first, count in cuts]))
            run.tofile(file)
            runs.append(Piece(str(path), begin, len(run)))
            begin += len(run)
    yield from merge_sorted(runs, width, rows // 2)


def _gathered(sources: Sequence[Source], rows: int) -> Iterator[list[tuple[Source, int, int]]]:
    """Cuts (source, first row, rows) in groups of about `rows` rows; a larger source is cut."""
    pending: list[tuple[Source, int, int]] = []
    size = 0
    for source in sources:
        for first in range(0, source.rows, rows):
            count = min(rows, source.rows - first)
            if pending and size + count > rows:
                yield pending
                pending, size = [], 0
            pending.append((source, first, count))
            size += count
    if pending:
        yield pending
