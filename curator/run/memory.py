"""`--memory`: how many workers fit into it."""

from __future__ import annotations

from curator.errors import UserError
from curator.sizes import format_size

DRIVER_BYTES = 200_000_000
SERVER_BYTES = 140_000_000
WORKER_BYTES = 380_000_000
"""What the driver, the fork server of several workers, and a worker hold at their peak on splits of 8 MiB, recipe web
(`benchmarks/pipeline.py`)."""


DOCUMENT_BYTES = 8 << 20
"""Documents up to the size of a split are within WORKER_BYTES."""
DOCUMENT_FACTOR = 14
"""What a worker holds, times the bytes of a longer document (measured on one of 33 MB through all stages)."""


STORAGE_BYTES = 80_000_000
"""What the client of an object storage holds more in the driver and in each worker: connections, parts on their way up,
blocks of an input. 37 MB each on splits of 4 MiB (`benchmarks/storage.py`), and parts grow with the splits."""


def worker_bytes(max_document_bytes: int, client_bytes: int = 0) -> int:
    """What a worker holds at its peak, where documents have up to so many bytes, and `client_bytes` more."""
    return WORKER_BYTES + client_bytes + DOCUMENT_FACTOR * max(0, max_document_bytes - DOCUMENT_BYTES)


def workers_within(workers: int, memory_bytes: int, max_document_bytes: int, client_bytes: int = 0) -> int:
    """As many of `workers` as `memory_bytes` holds, at least one, where each process holds `client_bytes` more.
    UserError when not even one fits."""
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    each = worker_bytes(max_document_bytes, client_bytes)
    driver = DRIVER_BYTES + client_bytes
    if memory_bytes < each + driver // 2:
        least = format_size(each + driver // 2)
        limit = f", with documents of up to {format_size(max_document_bytes)} (input.max_document_bytes)"
        raise UserError(
            f"--memory {format_size(memory_bytes)} is too little{limit if each > WORKER_BYTES else ''}",
            hint=f"at least {least}",
        )
    return max(1, min(workers, (memory_bytes - driver - SERVER_BYTES) // each))
