"""What a task costs, measured where it runs: CPU seconds, in all and of each stage.

It goes into the events of a run, from which `curator plan` takes its rates. It is in no commit record: what a task
leaves depends on its input alone.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PEAK = re.compile(rb"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def peak_memory_bytes() -> int:
    """The greatest resident memory of this process so far; 0 where the system does not tell."""
    # `getrusage` would count what the process that started this one held at that moment.
    try:
        found = _PEAK.search(Path("/proc/self/status").read_bytes())
    except FileNotFoundError:
        return 0
    return 1024 * int(found[1]) if found else 0


@dataclass(frozen=True)
class Spent:
    """What an attempt of a task took: CPU seconds of its process, those of them that belong to a part of the work by
    its name (a stage, `language`), and the number of the process."""

    cpu_s: float
    parts: Mapping[str, float]
    process: int


class TaskClock:
    """Counts the CPU seconds of this process from when it is made. One task runs in a process at a time."""

    def __init__(self) -> None:
        self._began = time.process_time()
        self._parts: dict[str, float] = {}

    @contextmanager
    def charge(self, part: str) -> Iterator[None]:
        """Charge what runs inside to a part of the work. Not to be nested."""
        began = time.process_time()
        try:
            yield
        finally:
            self._parts[part] = self._parts.get(part, 0.0) + time.process_time() - began

    def spent(self) -> Spent:
        """What was spent so far."""
        return Spent(time.process_time() - self._began, dict(self._parts), os.getpid())
