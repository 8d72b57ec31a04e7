"""Documents as orders: 64-bit words, of which the smaller one is the document that stays.

Below everything else stands the document's row in the corpus, above it its rank by the keeper rule. The highest bit
marks a child: it comes after every document that was read. In a recipe that holds documents out the bit below it marks
those that are not held out: they come after those that are, which therefore never move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.packing import Packing
from curator.run.part import Part
from stages.dedup.fields import LAST_RANK, RANK_BITS, rank_of_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stages.dedup.fields import Keeper

ORDER = Packing(child=1, in_shards=1, rank=RANK_BITS, row=40)

RANK_COLUMN = "dedup.rank"


@dataclass(frozen=True)
class Ranked:
    """A part with the rule that ranks its documents."""

    part: Part
    keeper: Keeper

    @property
    def name(self) -> str:
        """The name of the part."""
        return self.part.name

    def orders(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Rows of the part that are alive, and the order of each: (int64[n], uint64[n])."""
        part = self.part.fresh()
        rows = np.flatnonzero(part.alive)
        ranks: NDArray[np.int64] = np.zeros(len(rows), dtype=np.int64)
        if self.keeper != "first" and self.part.rows:
            name = "tokens" if self.keeper == "longest" else RANK_COLUMN
            ranks = np.concatenate([batch.column(0).to_numpy() for batch in self.part.columns([name])])[rows]
            ranks = rank_of_length(ranks) if self.keeper == "longest" else ranks
        in_shards = ~part.held_out[rows] if part.holds_out else False
        row = rows + self.part.first_row
        return rows, ORDER.pack(child=part.is_derived, in_shards=in_shards, rank=ranks, row=row)


def are_unranked(orders: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which orders are those of documents that say nothing that the keeper rule could rank: bool[n]."""
    found: NDArray[np.bool_] = ORDER.unpack(orders, "rank") == LAST_RANK
    return found


def is_child(orders: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which orders are those of children: bool[n]."""
    found: NDArray[np.bool_] = ORDER.unpack(orders, "child") == 1
    return found


def rows_of(orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The row in the corpus of each order: int64[n]."""
    return ORDER.unpack(orders, "row")
