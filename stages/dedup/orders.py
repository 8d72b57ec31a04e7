"""Documents as orders: 64-bit words, of which the smaller one is the document that stays.

The low ROW_BITS bits are the document's row in the corpus, the RANK_BITS above them its rank by the keeper rule. The
highest bit marks a child: it comes after every document that was read. In a recipe that holds documents out the bit
below it marks those that are not held out: they come after those that are, which therefore never move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.run.part import Part
from stages.dedup.fields import LAST_RANK, RANK_BITS, rank_of_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stages.dedup.fields import Keeper

ROW_BITS = 40
_ROW_MASK = np.uint64((1 << ROW_BITS) - 1)
_IN_SHARDS = np.uint64(1 << (ROW_BITS + RANK_BITS))
_CHILD = np.uint64(1 << (ROW_BITS + RANK_BITS + 1))

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
        orders = (rows + self.part.first_row).astype(np.uint64)
        if self.keeper != "first" and self.part.rows:
            name = "tokens" if self.keeper == "longest" else RANK_COLUMN
            values = np.concatenate([batch.column(0).to_numpy() for batch in self.part.columns([name])])[rows]
            ranks = rank_of_length(values) if self.keeper == "longest" else values.astype(np.uint64)
            orders |= ranks << np.uint64(ROW_BITS)
        if part.holds_out:
            orders |= np.where(part.held_out[rows], np.uint64(0), _IN_SHARDS)
        return rows, orders | _CHILD if part.is_derived else orders


def are_unranked(orders: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which orders are those of documents that say nothing that the keeper rule could rank: bool[n]."""
    found: NDArray[np.bool_] = (orders >> np.uint64(ROW_BITS)) & np.uint64(LAST_RANK) == LAST_RANK
    return found


def is_child(orders: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which orders are those of children: bool[n]."""
    found: NDArray[np.bool_] = (orders & _CHILD) != 0
    return found


def rows_of(orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The row in the corpus of each order: int64[n]."""
    return (orders & _ROW_MASK).astype(np.int64)
