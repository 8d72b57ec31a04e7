"""What a training tells of itself at each step: to TensorBoard, and as values for the event log."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from curator.storage.refused import storage_error
from model.config import ModelConfig

PEAK_SIZES = (128, 256, 512, 1024, 2048, 4096, 8192)
PEAK_SECONDS = 0.005
"""A product that takes longer is large enough to reach the peak: on a GPU only the largest do."""
PEAK_TRIES = 5


@dataclass(frozen=True)
class StepMetrics:
    """A step that was taken. Losses are in nats; `mfu` is a share of the device's measured peak of matrix products."""

    step: int
    loss: float
    next_token: float
    balance: float
    router_z: float
    gradient_norm: float
    learning_rate: float
    rule: str
    tokens_per_second: float
    mfu: float
    busiest_expert: float
    """The largest share of a layer's tokens that one expert had, times the number of experts: 1 is even."""
    epoch: int


def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating point operations a second of a square matrix product on a device: the best of some tries."""
    best = 0.0
    for size in PEAK_SIZES:
        left, right = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
        seconds = []
        for _ in range(PEAK_TRIES):
            _wait(device)
            started = time.perf_counter()
            torch.mm(left, right)
            _wait(device)
            seconds.append(time.perf_counter() - started)
        best = max(best, 2.0 * size**3 / min(seconds))
        if min(seconds) > PEAK_SECONDS:
            break
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Meter:
    """Turns the time between steps into tokens a second and the share of the peak."""

    def __init__(self, shape: ModelConfig, sequence: int, peak: float) -> None:
        # In a sequence that is one document a token sees half of it; documents are shorter, and so is what is counted.
        self._flops_per_token = shape.flops_per_token(sequence / 2)
        self._peak = peak
        self._since = time.perf_counter()

    def skip(self) -> None:
        """Leave out the time up to now: a validation, a checkpoint."""
        self._since = time.perf_counter()

    def measure(self, tokens: float) -> tuple[float, float]:
        """Tokens a second since the last call, and the share of the peak."""
        now = time.perf_counter()
        rate = tokens / (now - self._since)
        self._since = now
        return rate, rate * self._flops_per_token / self._peak


class Board:
    """Writes what TensorBoard shows; each step once, also after a resume.

    By its writer of records alone: that of whole files writes from a thread, whose errors (of a full disk, say) nobody
    can handle. TransientError, from every method, when the file cannot be written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        # TensorBoard reads the files of a folder by their names, one after the other.
        self._path = folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        with self._saying_what_fails():
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(self._path.open("wb"))
        self._put(file_version="brain.Event:2")
        # What a training wrote beyond the checkpoint that it goes on from is hidden.
        self._put(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def step(self, metrics: StepMetrics, loads: list[list[float]]) -> None:
        """The scalars of a step, and each layer's busiest and idlest expert."""
        names = ("loss", "next_token", "balance", "router_z", "gradient_norm", "learning_rate")
        scalars = {f"train/{name}": getattr(metrics, name) for name in names}
        scalars |= {"speed/tokens_per_second": metrics.tokens_per_second, "speed/mfu": metrics.mfu}
        for layer, load in enumerate(loads):
            scalars |= {f"experts/busiest_{layer}": max(load), f"experts/idlest_{layer}": min(load)}
        self._scalars(scalars, metrics.step)

    def validation(self, step: int, loss: float) -> None:
        """The loss of a validation."""
        self._scalars({"validation/loss": loss}, step)

    def close(self) -> None:
        """Write what is left."""
        with self._saying_what_fails():
            self._records.close()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._put(step=step, summary=summary)

    def _put(self, **fields: object) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        with self._saying_what_fails():
            self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
            self._records.flush()

    @contextmanager
    def _saying_what_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise storage_error(error, self._path) from error


def expert_loads(counts_LE: torch.Tensor) -> list[list[float]]:
    """Each expert's share of its layer's tokens, times the number of experts."""
    counts = counts_LE.to(torch.float64)
    loads: list[list[float]] = (counts / counts.mean(1, keepdim=True).clamp(min=1e-9)).tolist()
    return loads
