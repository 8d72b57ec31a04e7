"""What a training step minimises: the loss of the next token, and terms that keep the experts in use.

Over all T tokens of a batch (every part, every rank), L layers, E experts, K experts a token:

    next token   sum_t w_t loss_t / sum_t w_t              w_t the weight of the token's document
    cv           weight sum_l Var_e(P_le) / Mean_e(P_le)^2           P_le = sum_t of the router's probability
    switch       weight sum_l E sum_e (counts_le / T K) (P_le / T)    Fedus et al. 2021, section 2.2
    router z     weight sum_l sum_t (log sum_e exp logit)^2 / T      Zoph et al. 2022, section 3.3, equation 5

`cv` is the importance loss of Shazeer et al. 2017 (https://arxiv.org/abs/1701.06538, section 4, equation 6). Neither it
nor `switch` is a mean over tokens, so the mean of what the parts of a batch give is another loss. Their gradient is
exact all the same: d f(P) = <f'(P), d P>, so with f' taken at the sums of the whole batch every part adds
<f', its own sums>, and the gradients add up to that of one big batch. `bias` has no loss: a step moves the bias of each
expert by a fixed amount towards balance (Wang et al. 2024, https://arxiv.org/abs/2408.15664, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from curator.errors import Bug
from model.decoder import Decoder, Hidden


@dataclass(frozen=True)
class LossSettings:
    """Which terms there are, and how much each counts (see `curator.training.LossSection`)."""

    balance: Literal["cv", "switch", "bias", "none"] = "cv"
    balance_weight: float = 0.01
    router_z: float = 0.001


class Totals(NamedTuple):
    """Sums over the tokens of a batch; no gradient. `tokens` is a scalar."""

    tokens: Tensor
    counts_LE: Tensor
    probability_sums_LE: Tensor


@dataclass(frozen=True)
class BalanceLoss:
    """The balance term of a batch: its value, and its gradient by each layer's probability sums [L, E]."""

    value: Tensor
    gradient_LE: Tensor


def cv_squared(sums_LE: Tensor) -> Tensor:
    """Squared coefficient of variation over experts, summed over layers: [L, E] -> scalar."""
    return (sums_LE.var(1, correction=0) / sums_LE.mean(1).square()).sum()


def switch_loss(counts_LE: Tensor, probability_sums_LE: Tensor, tokens: Tensor) -> Tensor:
    """E times the product of the shares of tokens and of probability, summed over experts and layers; L when even."""
    shares_LE = counts_LE / counts_LE.sum(1, keepdim=True)
    return counts_LE.shape[1] * (shares_LE * probability_sums_LE / tokens).sum()


def balance_loss(totals: Totals, settings: LossSettings) -> BalanceLoss:
    """The balance term over a whole batch, weighted."""
    sums_LE = totals.probability_sums_LE.detach().clone().requires_grad_()
    with torch.enable_grad():
        match settings.balance:
            case "cv":
                value = settings.balance_weight * cv_squared(sums_LE)
            case "switch":
                counts_LE = totals.counts_LE.to(sums_LE.dtype)
                value = settings.balance_weight * switch_loss(counts_LE, sums_LE, totals.tokens)
            case "bias" | "none":
                raise Bug(f"{settings.balance} is no loss")
        (gradient_LE,) = torch.autograd.grad(value, sums_LE)
    return BalanceLoss(value.detach(), gradient_LE)


def no_balance_loss(model: Decoder) -> BalanceLoss:
    """The term where no balance loss is wanted: 0."""
    zeros_LE = torch.zeros(model.config.layers, model.config.experts, device=model.norm_D.device)
    return BalanceLoss(zeros_LE.sum(), zeros_LE)


def needs_totals(settings: LossSettings) -> bool:
    """Whether the gradient of a part of a batch depends on the routing of the other parts."""
    return settings.balance in ("cv", "switch") and settings.balance_weight > 0


def router_terms(hidden: Hidden, balance: BalanceLoss, settings: LossSettings, tokens: Tensor) -> Tensor:
    """What a part adds for its routers: a scalar whose gradient is exact; its value is not that of the balance term."""
    z = settings.router_z * hidden.squared_logsumexp_L.sum() / tokens
    return z + (balance.gradient_LE * hidden.probability_sums_LE).sum()


def move_router_bias(model: Decoder, counts_LE: Tensor, rate: float) -> None:
    """Raise the bias of experts that got less than their share in a batch, and lower that of the others."""
    for bias_E, counts_E in zip(model.router_biases(), counts_LE, strict=True):
        load_E = counts_E.to(bias_E.dtype)
        bias_E += rate * torch.sign(load_E.mean() - load_E)
