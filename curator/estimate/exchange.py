"""How an exchange grows with the corpus, by engine.

`local`: each task that emits writes one file, grouped by partition; the driver holds where each partition begins in
each file, and tells every partition its pieces. `ray`: rows are objects of Ray's, for groups of partitions, and the
driver holds references to them.
"""

from __future__ import annotations

from typing import Literal

from curator.engine.partition import BLOCK_BYTES
from curator.scaling import Exchange, Need, Quantities, Work

How = Literal["files", "objects"]

MOST_GROUPS = 512
LEAST_CUT_BYTES = 128_000
MOST_EMIT_BYTES = 64_000_000
REFERENCE_BYTES = 2_000
"""Those of `curator.engine.ray_exchange`, which cannot be imported where Ray is not installed; a test holds them equal.
"""

SORT_FACTOR = 4
"""Memory of a block of rows while it is sorted: pieces as they are read, joined, an order, and the sorted rows
(`curator.engine.partition.sorted_blocks`)."""


def pieces_of(exchange: Exchange, given: Quantities) -> float:
    """Pieces of all partitions: one for each task that emits a row of it."""
    return min(exchange.rows(given), _places(exchange, given))


def partition_memory(exchange: Exchange, given: Quantities, how: How) -> float:
    """Bytes that a task holds of a partition: its rows while they are sorted, and the list of its pieces."""
    partitions = given.partitions[exchange.name]
    rows = min(_bytes(exchange, given) / partitions, BLOCK_BYTES)
    pieces = pieces_of(exchange, given) / partitions * given.constant("piece_bytes") if how == "files" else 0.0
    return SORT_FACTOR * rows + pieces


def record_bytes(exchange: Exchange, given: Quantities, how: How) -> float:
    """Bytes that the commit records of an exchange take in `work/`."""
    if how == "objects":
        return 0.0
    return exchange.sources(given) * given.partitions[exchange.name] * given.constant("offset_json_bytes")


def exchange_work(exchange: Exchange, how: How) -> tuple[Work, ...]:
    """What grows with the places (tasks that emit, times partitions) and not with the rows; nothing with objects."""
    if how == "objects":
        return ()
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


def exchange_needs(exchange: Exchange, how: How) -> tuple[Need, ...]:
    """What the driver and a task hold of an exchange."""
    if how == "files":
        driver = Need(
            f"places of the exchange {exchange.name}",
            "the driver holds, for every emitting task, where every partition begins (LocalExecutor.exchange)",
            "driver",
            "bytes",
            lambda given: given.constant("offset_bytes") * _places(exchange, given),
        )
    else:
        driver = Need(
            f"references of the exchange {exchange.name}",
            f"the driver holds {REFERENCE_BYTES} bytes for each object: one for each emitting task after they are "
            "joined, and those of a wave before (ray_exchange)",
            "driver",
            "bytes",
            lambda given: REFERENCE_BYTES * _references(exchange, given),
        )
    return (
        driver,
        Need(
            f"a partition of the exchange {exchange.name}",
            "rows while they are sorted, and the list of pieces",
            "every task",
            "bytes",
            lambda given: partition_memory(exchange, given, how),
        ),
    )


def _places(exchange: Exchange, given: Quantities) -> float:
    return exchange.sources(given) * (given.partitions[exchange.name] + 1)


def _bytes(exchange: Exchange, given: Quantities) -> float:
    return exchange.rows(given) * exchange.row_bytes


def _references(exchange: Exchange, given: Quantities) -> float:
    """An emitting task gives a cut of LEAST_CUT_BYTES to each group at the least, and MOST_EMIT_BYTES at the most."""
    groups = min(given.partitions[exchange.name], MOST_GROUPS)
    emits = min(exchange.sources(given), _bytes(exchange, given) / min(groups * LEAST_CUT_BYTES, MOST_EMIT_BYTES))
    return emits + groups * min(emits, MOST_GROUPS)
