"""`--memory`: how many workers fit into it."""

from __future__ import annotations

from curator.errors import UserError
from curator.sizes import format_size

DRIVER_BYTES = 200_000_000
WORKER_BYTES = 300_000_000
"""What the driver and a worker hold at their peak on splits of 16 MiB (measured by `benchmarks/pipeline.py`)."""


def workers_within(workers: int, memory_bytes: int) -> int:
    """As many of `workers` as `memory_bytes` holds, at least one. UserError when not even one fits."""
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1")
    if memory_bytes < WORKER_BYTES + DRIVER_BYTES // 2:
        least = format_size(WORKER_BYTES + DRIVER_BYTES // 2)
        raise UserError(f"--memory {format_size(memory_bytes)} is too little", hint=f"at least {least}")
    return max(1, min(workers, (memory_bytes - DRIVER_BYTES) // WORKER_BYTES))
