"""How an exchange grows with the corpus, as `curator.engine.local` does it.

Each task that emits writes one file, grouped by partition; the driver holds where each partition begins in each file,
and tells every partition its pieces.
"""

from __future__ import annotations

from curator.engine.partition import BLOCK_BYTES
from curator.scaling import Exchange, Need, Quantities, Work

SORT_FACTOR = 4
"""Memory of a block of rows while it is sorted: pieces as they are read, joined, an order, and the sorted rows
(`curator.engine.partition.sorted_blocks`)."""


def pieces_of(exchange: Exchange, given: Quantities) -> float:
    """Pieces of all partitions: one for each task that emits a row of it."""
    return min(exchange.rows(given), _places(exchange, given))


def partition_memory(exchange: Exchange, given: Quantities) -> float:
    """Bytes that a task holds of a partition: its rows while they are sorted, and the list of its pieces."""
    partitions = given.partitions[exchange.name]
    rows = min(exchange.rows(given) * exchange.row_bytes / partitions, BLOCK_BYTES)
    return SORT_FACTOR * rows + pieces_of(exchange, given) / partitions * given.constant("piece_bytes")


def exchange_work(exchange: Exchange) -> tuple[Work, ...]:
    """What grows with the places (tasks that emit, times partitions) and not with the rows."""
    name = exchange.name
    return (
        Work(
            f"places of {name}",
            "the driver looks at every place of every emitting task for every partition",
            "driver",
            lambda given: given.constant("place_s") * _places(exchange, given),
        ),
        Work(
            f"pieces of {name}",
            "the driver tells every partition its pieces",
            "driver",
            lambda given: given.constant("piece_driver_s") * pieces_of(exchange, given),
        ),
        Work(
            f"reading pieces of {name}",
            "each piece is a read of its own",
            "tasks",
            lambda given: given.constant("piece_read_s") * pieces_of(exchange, given),
        ),
    )


def exchange_needs(exchange: Exchange) -> tuple[Need, ...]:
    """What the driver and a task hold of an exchange."""
    return (
        Need(
            f"places of the exchange {exchange.name}",
            "the driver holds, for every emitting task, where every partition begins (LocalExecutor.exchange)",
            "driver",
            "bytes",
            lambda given: given.constant("offset_bytes") * _places(exchange, given),
        ),
        Need(
            f"a partition of the exchange {exchange.name}",
            "rows while they are sorted, and the list of pieces",
            "every task",
            "bytes",
            lambda given: partition_memory(exchange, given),
        ),
    )


def _places(exchange: Exchange, given: Quantities) -> float:
    return exchange.sources(given) * (given.partitions[exchange.name] + 1)
