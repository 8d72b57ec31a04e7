"""Training in several processes that `torchrun` started, each with its part of every batch.

    torchrun --nproc-per-node 2 -m curator train RUN -o MODEL

Each has the whole model, and torch's `DistributedDataParallel` averages gradients; or a part of it (`model.divide`).
They speak over gloo on CPUs and NCCL on GPUs (not tried on GPUs). What losses need of the whole batch is summed before
the backward pass, so that they are those of one process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from curator.training import Parallel
from model.decoder import Decoder
from model.ranks import Alone, Ranks

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others: longer than a validation or a checkpoint takes."""


class Connected:
    """A rank of a process group."""

    def __init__(self, device: torch.device) -> None:
        self.rank = distributed.get_rank()
        self.size = distributed.get_world_size()
        self._device = device

    def add(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums of these tensors over all ranks."""
        found = [value.detach().clone() for value in values]
        for value in found:
            distributed.all_reduce(value)
        return found

    def wrap(self, model: Decoder, device: torch.device, parallel: Parallel) -> nn.Module:
        """The model as `DistributedDataParallel`, or divided in place. Its only buffers, router biases, are moved alike
        by every rank. UserError when it cannot be divided so."""
        if parallel == "data":
            return DistributedDataParallel(model.to(device), forward_sync_buffers=False)
        from torch.distributed.device_mesh import init_device_mesh

        from model.divide import divide

        mesh = init_device_mesh(device.type, (self.size,))
        return divide(model, mesh, experts=parallel == "experts")

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Where a backward pass adds to this rank's gradients without asking the others. A divided model asks each
        time: to keep whole gradients is what it is divided for not to do."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def rest(self, model: nn.Module) -> None:
        """Give up what is gathered of a divided model, so that its parameters are the ranks' own parts."""
        from model.divide import rest

        rest(model)

    def gather(self, values: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        """The JSON objects of all ranks, in the order of ranks."""
        # As bytes: torch's own gathering of objects goes through pickle.
        data = torch.frombuffer(bytearray(json.dumps(list(values)).encode()), dtype=torch.uint8).to(self._device)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self._device) for _ in range(self.size)]
        distributed.all_gather(sizes, torch.tensor([len(data)], device=self._device))
        longest = max(int(size) for size in sizes)
        padded = nn.functional.pad(data, (0, longest - len(data)))
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        distributed.all_gather(parts, padded)
        texts = [bytes(part[: int(size)].tolist()) for part, size in zip(parts, sizes, strict=True)]
        return [value for text in texts for value in json.loads(text)]

    def agree(self, stop: bool) -> bool:
        """Whether any rank says so."""
        told = torch.tensor([int(stop)], device=self._device)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return bool(told.item())


@contextmanager
def connected(device: str) -> Iterator[Ranks]:
    """The ranks that `torchrun` started this process with; one alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    local = torch.device("cpu")
    if device == "cuda" and torch.cuda.is_available():
        local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if local.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield Connected(local)
    finally:
        distributed.destroy_process_group()
