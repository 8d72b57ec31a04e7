"""What bounds a limited process."""

from __future__ import annotations

import resource


def limit_process(memory_bytes: int, seconds: int, mapped_bytes: int, written_bytes: int) -> None:
    """Bound this process: memory of its own, address space, processor time, what it writes into a file; no core is
    left."""
    for what, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_AS, memory_bytes + mapped_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, written_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
