"""How a stage that relates documents grows with the corpus: what it declares for `curator plan`.

A stage names its exchanges, what a single process holds, the limits of its numbers, and the work that grows faster than
the corpus, each as a function of `Quantities`. A run takes from here the format of its rows alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

PARTITION_BYTES = 32_000_000
"""What a partition of an exchange holds on average."""

WORD_BYTES = 8

Where = Literal["driver", "one task", "every task", "tasks"]


@dataclass(frozen=True)
class Quantities:
    """A corpus in numbers. `parts` are the splits of the input, `id_bytes` the mean bytes of an id. `facts` are what
    stages count (`dedup.exact`), `partitions` those of each exchange, `constants` measured costs by name (seconds or
    bytes of one operation), `emitted` the bytes that were measured to be sent, by step (`relate-substrings/meet/emit`).
    """

    text_bytes: float
    documents: float
    parts: float
    id_bytes: float
    facts: Mapping[str, float] = field(default_factory=dict)
    partitions: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    emitted: Mapping[str, float] = field(default_factory=dict)

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
class RowFormat:
    """The rows of an exchange: its name, and of how many 64-bit words each is, the first of them the key."""

    name: str
    words: int
    least_partitions: int = 2

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.words * WORD_BYTES

    def partitions(self, rows: float) -> int:
        """Into how many partitions so many rows go."""
        return max(self.least_partitions, math.ceil(rows * self.row_bytes / PARTITION_BYTES))


@dataclass(frozen=True)
class Exchange:
    """One exchange: the format of its rows, how many there are, and how many tasks emit them. `expected_rows` is what
    partitions are counted by where that is more than there will be."""

    format: RowFormat
    rows: Measure
    sources: Measure
    expected_rows: Measure | None = None

    @property
    def name(self) -> str:
        """The name of the exchange."""
        return self.format.name

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.format.row_bytes

    def partitions(self, quantities: Quantities) -> float:
        """How many partitions there are."""
        return self.format.partitions((self.expected_rows or self.rows)(quantities))


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
