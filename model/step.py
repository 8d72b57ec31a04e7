"""The gradient of one training step: a batch in parts, one after the other, on one rank of several.

The gradient is that of the whole batch on one rank in one part, up to the order in which floats are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from curator.errors import Bug
from model.data.batch import Batch
from model.decoder import Decoder, Hidden
from model.kernels import linear_cross_entropy
from model.losses import LossSettings, Totals, balance_loss, needs_totals, no_balance_loss, router_terms
from model.ranks import Alone, Ranks


@dataclass(frozen=True)
class StepLosses:
    """The terms of a step over the whole batch, and how many tokens each expert had: [L, E]."""

    next_token: Tensor
    balance: Tensor
    router_z: Tensor
    counts_LE: Tensor
    tokens: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.next_token + self.balance + self.router_z


@dataclass(frozen=True)
class Tensors:
    """A batch on the device of the model."""

    inputs_T: Tensor
    targets_T: Tensor
    weights_T: Tensor
    documents: Tensor


def to_tensors(batch: Batch, device: torch.device) -> Tensors:
    """The arrays of a batch as tensors: int64, int64, float32, int32."""
    return Tensors(
        torch.from_numpy(batch.inputs).to(device, torch.int64),
        torch.from_numpy(batch.targets).to(device, torch.int64),
        torch.from_numpy(batch.weights).to(device),
        torch.from_numpy(batch.documents).to(device),
    )


def add_gradients(
    model: Decoder,
    parts: Sequence[Tensors],
    settings: LossSettings,
    *,
    ranks: Ranks | None = None,
    wrapped: nn.Module | None = None,
    scale: float = 1.0,
) -> StepLosses:
    """Add `scale` times the gradient of a batch to the parameters' `grad`, and say what the losses are.

    Where a balance loss looks at the whole batch and the batch has several parts, a first pass without gradients sums
    what the routers do: a third more work, and the price of exactness. `wrapped` is the module that hands gradients
    to other ranks, and takes their mean.
    """
    ranks = ranks or Alone()
    module = wrapped or model
    tokens = torch.tensor(float(sum(len(part.inputs_T) for part in parts)), device=parts[0].inputs_T.device)
    tokens, weight = ranks.add([tokens, torch.stack([part.weights_T.sum() for part in parts]).sum()])
    balance = None
    if not needs_totals(settings):
        balance = no_balance_loss(model)
    elif len(parts) > 1:
        with torch.no_grad():
            sums = [_sums(model(part.inputs_T, part.documents)) for part in parts]
        counts_LE, sums_LE = (torch.stack(values).sum(0) for values in zip(*sums, strict=True))
        balance = balance_loss(Totals(tokens, *ranks.add([counts_LE, sums_LE])), settings)
    factor = scale * ranks.size
    losses, logsumexp, counts = [], [], []
    for number, part in enumerate(parts):
        with nullcontext() if number == len(parts) - 1 else ranks.keep_gradients(module):
            hidden = module(part.inputs_T, part.documents)
            if balance is None:
                balance = balance_loss(Totals(tokens, *ranks.add(_sums(hidden))), settings)
            # Its factor goes in with the weights: so the gradient of the whole head need not be multiplied.
            head_VD, weights_T = model.head_VD.to(hidden.hidden_TD.dtype), part.weights_T * (factor / weight)
            found = linear_cross_entropy(hidden.hidden_TD, head_VD, part.targets_T, weights_T)
            torch.autograd.backward(found.total + factor * router_terms(hidden, balance, settings, tokens))
        losses.append(found.total.detach() / factor)
        logsumexp.append(hidden.squared_logsumexp_L.detach().sum())
        counts.append(hidden.counts_LE)
    if balance is None:
        raise Bug("a step has at least one part")
    loss_sum, logsumexp_sum, counts_LE = ranks.add(
        [torch.stack(losses).sum(), torch.stack(logsumexp).sum(), torch.stack(counts).sum(0)]
    )
    z = settings.router_z * logsumexp_sum / tokens
    return StepLosses(loss_sum, balance.value, z, counts_LE, tokens)


def _sums(hidden: Hidden) -> tuple[Tensor, Tensor]:
    return hidden.counts_LE, hidden.probability_sums_LE.detach()
