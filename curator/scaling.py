"""How a stage that relates documents grows with the corpus: what it declares for `curator plan`.

A stage names its exchanges, what a single process holds, the limits of its numbers, and the work that grows faster than
the corpus, each as a function of `Quantities`. Nothing here runs in a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Where = Literal["driver", "one task", "every task", "tasks"]


@dataclass(frozen=True)
class Quantities:
    """A corpus in numbers. `parts` are the splits of the input, `id_bytes` the mean bytes of an id. `facts` are what
    stages count (`dedup.exact`), `partitions` those of each exchange, `constants` measured costs by name (seconds or
    bytes of one operation)."""

    text_bytes: float
    documents: float
    parts: float
    id_bytes: float
    facts: Mapping[str, float] = field(default_factory=dict)
    partitions: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    def fact(self, name: str) -> float:
        """What a stage counts in this corpus, 0 where it was not measured."""
        return self.facts.get(name, 0.0)

    def constant(self, name: str) -> float:
        """A measured cost. KeyError for one that is not in the rates."""
        return self.constants[name]

    def with_partitions(self, name: str, partitions: float) -> Quantities:
        """These, with the partitions of one more exchange."""
        return replace(self, partitions={**self.partitions, name: partitions})


Measure = Callable[[Quantities], float]


@dataclass(frozen=True)
class Exchange:
    """One exchange: the bytes of a row, how many rows there are, how many tasks emit them, and the bytes that a
    partition is made for. `expected_rows` is what partitions are counted by where that is more than there will be."""

    name: str
    row_bytes: int
    rows: Measure
    sources: Measure
    partition_bytes: int
    least_partitions: int = 1
    expected_rows: Measure | None = None

    def partitions(self, quantities: Quantities) -> float:
        """How many partitions there are."""
        rows = (self.expected_rows or self.rows)(quantities)
        return max(self.least_partitions, math.ceil(rows * self.row_bytes / self.partition_bytes))


@dataclass(frozen=True)
class Need:
    """Something that grows with the corpus and has an end: `amount` in `unit`, against `limit`, or against the memory
    of a node where that is None. `about` says what it is and where in the engine."""

    name: str
    about: str
    where: Where
    unit: Literal["bytes", "documents", "files", "shards"]
    amount: Measure
    limit: float | None = None


@dataclass(frozen=True)
class Work:
    """CPU seconds beside the measured rates, since they grow faster than the corpus: of the driver, of one task that
    all wait for, or of all tasks together."""

    name: str
    about: str
    where: Where
    seconds: Measure


@dataclass(frozen=True)
class Scaling:
    """What a stage declares."""

    exchanges: tuple[Exchange, ...] = ()
    needs: tuple[Need, ...] = ()
    work: tuple[Work, ...] = ()
