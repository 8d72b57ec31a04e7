"""What a training step needs of the other ranks; and the case of one rank without others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from curator.training import Parallel
from model.decoder import Decoder


class Ranks(Protocol):
    """The processes that share a training. Each has some sequences of every batch, and the model or a part of it."""

    rank: int
    size: int

    def add(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums of these tensors over all ranks."""

    def wrap(self, model: Decoder, device: torch.device, parallel: Parallel) -> nn.Module:
        """Bring a model to a device, or its part of it; the module whose backward pass leaves the mean of all ranks'
        gradients in each, or in the rank that has the parameter."""

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Where a backward pass adds to this rank's gradients without asking the others."""

    def rest(self, model: nn.Module) -> None:
        """Give up what is gathered of a divided model, so that its parameters are the ranks' own parts."""

    def gather(self, values: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        """The JSON objects of all ranks, in the order of ranks."""

    def agree(self, stop: bool) -> bool:
        """Whether any rank says so."""


class Alone:
    """One rank, and no others."""

    rank = 0
    size = 1

    def add(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The values themselves."""
        return list(values)

    def wrap(self, model: Decoder, device: torch.device, parallel: Parallel) -> nn.Module:
        """The model itself: there is nobody to share it with."""
        return model.to(device)

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Nothing to keep apart."""
        return nullcontext()

    def rest(self, model: nn.Module) -> None:
        """Nothing was gathered."""

    def gather(self, values: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        """The values themselves."""
        return list(values)

    def agree(self, stop: bool) -> bool:
        """What this rank says."""
        return stop
