"""The order in which a training sees the documents of a corpus: a function of seed and epoch alone.

Row groups are permuted, then cut into windows of some bytes of text, and the rows of a window are permuted together.
A window's rows go round the lanes, one lane for each sequence of a batch. So a lane's documents do not depend on how
many threads tokenise or how many ranks share the lanes, and a place in them is three numbers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3
from numpy.typing import NDArray

from curator.errors import UserError
from curator.keys import random_fractions
from model.data.shards import Corpus, RowGroup

WINDOWS_KEPT = 3
"""Windows of a corpus in memory: lanes that read at different speeds stand in neighbouring ones."""


@dataclass(frozen=True, order=True)
class Place:
    """Where a lane stands in a corpus: epoch, window, and how many of its rows of that window it has taken."""

    epoch: int = 0
    window: int = 0
    taken: int = 0


@dataclass(frozen=True)
class Window:
    """Rows that are shuffled together, in their order: texts, and the weight of each in the loss."""

    texts: pa.ChunkedArray
    weights: NDArray[np.float32]
    offset: int
    """Which lane has the first row."""

    def rows_of(self, lane: int, lanes: int) -> range:
        """The rows that go to a lane, in order."""
        return range((lane - self.offset) % lanes, len(self.weights), lanes)


@dataclass(frozen=True)
class Selection:
    """Which documents of a corpus: of these languages (empty: all), and of the kind `validation` or the others."""

    languages: tuple[str, ...] = ()
    validation_share: float = 0.0
    validation: bool = False


class Order:
    """The windows of a corpus, epoch after epoch. Threads may ask at once; a window is read once while it is kept."""

    def __init__(self, corpus: Corpus, selection: Selection, *, window_bytes: int, seed: int) -> None:
        self.corpus = corpus
        self._selection = selection
        self._window_bytes = window_bytes
        self._seed = seed
        self._kept: OrderedDict[tuple[int, int], Window] = OrderedDict()
        self._plans: dict[int, list[list[RowGroup]]] = {}
        self._lock = threading.Lock()

    def windows(self, epoch: int) -> int:
        """How many windows an epoch has: at least 1."""
        return len(self._plan(epoch))

    def window(self, epoch: int, number: int) -> Window:
        """A window. UserError when the epoch has none with a row, DataError when a shard changed."""
        with self._lock:
            found = self._kept.get((epoch, number))
            if found is None:
                found = self._read(epoch, number)
                self._kept[epoch, number] = found
                while len(self._kept) > WINDOWS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((epoch, number))
            return found

    def first_rows(self, epoch: int) -> None:
        """Make sure that an epoch has rows. UserError when the selection leaves none."""
        if not any(len(self.window(epoch, number).weights) for number in range(self.windows(epoch))):
            what, hint = "training", "check data.languages and data.validation_share"
            if self._selection.validation:
                what = "validation"
                share = self._selection.validation_share
                hint = f"data.validation_share {share:g} took none: a larger one takes more, 0 leaves validation out"
            tags = ", ".join(self._selection.languages)
            raise UserError(
                f"no document is left for {what}" + (f" in {tags}" if tags else ""),
                file=self.corpus.root,
                hint=hint,
            )

    def _plan(self, epoch: int) -> list[list[RowGroup]]:
        plan = self._plans.get(epoch)
        if plan is None:
            order = _random(self._seed, f"groups {epoch}").permutation(len(self.corpus.groups))
            plan = _cut([self.corpus.groups[place] for place in order], self._window_bytes)
            self._plans = {kept: found for kept, found in self._plans.items() if kept >= epoch - 1} | {epoch: plan}
        return plan

    def _read(self, epoch: int, number: int) -> Window:
        tables = [self._select(self.corpus.read(group)) for group in self._plan(epoch)[number]]
        table = pa.concat_tables(tables)
        random = _random(self._seed, f"rows {epoch} {number}")
        rows = random.permutation(len(table))
        # A lane must not have the first row of every window: where windows are small it would get more than others.
        offset = int(random.integers(1 << 31))
        taken = table.select(["text", "weight"]).take(pa.array(rows))
        return Window(taken["text"], taken["weight"].to_numpy().astype(np.float32), offset)

    def _select(self, table: pa.Table) -> pa.Table:
        chosen = self._selection
        if chosen.languages:
            table = table.filter(pc.is_in(table["lang"], pa.array(chosen.languages)))
        if chosen.validation_share or chosen.validation:
            table = table.filter(pa.array(held(self.corpus, table, chosen) == chosen.validation))
        return table


def held(corpus: Corpus, table: pa.Table, selection: Selection) -> NDArray[np.bool_]:
    """Which rows are kept for validation: by a hash of the key, which copies of a document share; what was made of a
    document stands on its side. bool[rows]."""
    keys = corpus.origins_of(table)
    # The seed of the order stays out: another order must not train on what an earlier one was validated with.
    return random_fractions(0, "validation", keys) < selection.validation_share


def _cut(groups: Sequence[RowGroup], window_bytes: int) -> list[list[RowGroup]]:
    """Consecutive groups of at most `window_bytes` together, or of one group."""
    windows: list[list[RowGroup]] = []
    size = 0
    for group in groups:
        if not windows or size + group.text_bytes > window_bytes:
            windows.append([])
            size = 0
        windows[-1].append(group)
        size += group.text_bytes
    return windows


def _random(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(blake3(f"{seed}:{name}".encode()).digest(length=16)))
