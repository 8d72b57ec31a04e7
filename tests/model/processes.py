"""Several ranks on this machine, without a launcher: processes that a server with torch in its memory forks."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import distributed

from model.parallel import Connected
from model.train import Request, train

PATIENCE_S = 150
PRELOADED = (
    "model.divide",
    "tensorboard.summary.writer.record_writer",
    "model.kernels.native.grouped_gemm",
    "sentencepiece",
)
"""What a rank would import for itself, each of them anew."""


def train_on(count: int, request: Request, meeting: Path, *, killed_at: int | None = None) -> None:
    """Train with so many ranks over gloo, which meet in a file that is not there yet. RuntimeError when a rank
    fails, with what it failed of. The last rank is killed when there is a checkpoint of `killed_at` steps."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *PRELOADED])
    ends, running = [], []
    for rank in range(count):
        end, other = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=(rank, count, request, str(meeting), other))
        process.start()
        other.close()
        ends.append(end)
        running.append(process)
    if killed_at is not None:
        _wait_for(request.output, killed_at)
        running[-1].kill()
    failed = [told for end in ends if (told := _wait(end))]
    for process in running:
        process.join(PATIENCE_S)
    if failed:
        raise RuntimeError(failed[0])


def _rank(rank: int, count: int, request: Request, meeting: str, end: Connection) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        train(request, ranks=Connected(torch.device("cpu")))
        distributed.destroy_process_group()
    except Exception as error:  # noqa: BLE001 (handed to the process that asked)
        end.send(f"rank {rank}: {type(error).__name__}: {error}")
    else:
        end.send("")


def _wait_for(output: Path, steps: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        folder = output / "checkpoints"
        if folder.is_dir() and any(path.name >= f"step-{steps:08d}" for path in folder.glob("step-*")):
            return
        time.sleep(0.05)


def _wait(end: Connection) -> str:
    if not end.poll(PATIENCE_S):
        return "a rank said nothing"
    try:
        return str(end.recv())
    except EOFError:
        return "a rank died"
