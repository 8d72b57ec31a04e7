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
    proportional set size (shared pages counted once)."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    returncode: int
    stdout: str
    stderr: str


def measure(command: Sequence[str]) -> Measured:
    """Run a command to its end, sampling its processes."""
    started = time.monotonic()
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
    return Measured(time.monotonic() - started, sum(cpu.values()), peak, process.returncode, stdout, stderr)


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
