"""What a training step needs of the other ranks; and the case of one rank without others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from torch import Tensor, nn


class Ranks(Protocol):
    """The processes that share a training. Each has the whole model and some sequences of every batch."""

    rank: int
    size: int

    def add(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums of these tensors over all ranks."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module whose backward pass leaves the mean of all ranks' gradients in each."""

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Where a backward pass adds to this rank's gradients without asking the others."""

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

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model itself."""
        return model

    def keep_gradients(self, module: nn.Module) -> AbstractContextManager[None]:
        """Nothing to keep apart."""
        return nullcontext()

    def gather(self, values: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        """The values themselves."""
        return list(values)

    def agree(self, stop: bool) -> bool:
        """What this rank says."""
        return stop
