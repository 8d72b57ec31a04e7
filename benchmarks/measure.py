"""Measuring a command with all its processes: wall seconds, CPU seconds, peak memory."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

_INTERVAL_S = 0.05


@dataclass(frozen=True)
class Measured:
    """What a command took. `cpu_s` and `peak_bytes` are over the command and all its descendants; memory is the
    proportional set size (shared pages counted once). `free_cores` are those that other work on the machine left."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    returncode: int
    stdout: str
    stderr: str
    free_cores: float


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end, sampling its processes."""
    started = time.monotonic()
    busy = _busy_seconds()
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu: dict[int, float] = {}
    peak = 0
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.is_set():
            total = 0
            for member in _tree(process):
                try:
                    times = member.cpu_times()
                    cpu[member.pid] = times.user + times.system
                    total += member.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            peak = max(peak, total)
            ended.wait(_INTERVAL_S)

    watcher = threading.Thread(target=sample)
    watcher.start()
    stdout, stderr = process.communicate()
    ended.set()
    watcher.join()
    wall_s, cpu_s = time.monotonic() - started, sum(cpu.values())
    others_s = max(0.0, _busy_seconds() - busy - cpu_s)
    free_cores = (psutil.cpu_count() or 1) - others_s / wall_s
    return Measured(wall_s, cpu_s, peak, process.returncode, stdout, stderr, free_cores)


def _busy_seconds() -> float:
    """CPU seconds of everything on this machine since it began."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
