"""Measuring a command with all its processes: wall seconds, CPU seconds, peak memory, and how fast a core was."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

_INTERVAL_S = 0.05
_PROBE_INTERVAL_S = 1.0
_PROBE_WORDS = 1 << 17


@dataclass(frozen=True)
class Measured:
    """What a command took. `cpu_s` and `peak_bytes` are over the command and all its descendants; memory is the
    proportional set size (shared pages counted once). `free_cores` are those that other work on the machine left.
    `probe_ms` are the CPU milliseconds of a fixed piece of work, the mean over the run: they rise where others share
    the core, its caches and memory, as do the CPU seconds of the command."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    returncode: int
    stdout: str
    stderr: str
    free_cores: float
    probe_ms: float


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end, sampling its processes."""
    started = time.monotonic()
    busy = _busy_seconds()
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu: dict[int, float] = {}
    peak = 0
    probes: list[float] = []
    ended = threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.is_set():
            if time.monotonic() - started >= _PROBE_INTERVAL_S * len(probes):
                probes.append(probe_ms())
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
    probe = sum(probes) / len(probes)
    return Measured(wall_s, cpu_s, peak, process.returncode, stdout, stderr, free_cores, probe)


def probe_ms() -> float:
    """CPU milliseconds of a fixed piece of work in this thread: sorting, hashing by arithmetic, and adding up."""
    values = np.arange(_PROBE_WORDS, dtype=np.uint64)
    began = time.thread_time()
    values = values * np.uint64(0x9E3779B97F4A7C15) ^ (values >> np.uint64(7))
    values.sort()
    np.add.accumulate(values)
    sum(values[:20_000].tolist())
    return 1000 * (time.thread_time() - began)


def _busy_seconds() -> float:
    """CPU seconds of everything on this machine since it began."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
