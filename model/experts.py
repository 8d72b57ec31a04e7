"""The expert layer: a router sends each token to some experts, none is dropped, and their outputs are summed.

    h_TD = sum over the chosen experts k of weight_tk down_k(silu(gate_k x_t) * up_k x_t)    [+ a shared expert's]

Rows are sorted by expert, so that each expert works on one block of them (MegaBlocks, Gale et al. 2022,
https://arxiv.org/abs/2211.15841: dropless, without capacity or padding).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.kernels import Routing, grouped_gemm, linear, route, sort_by_expert, swiglu


class RouterStatistics(NamedTuple):
    """What the balance of a layer's experts is judged by, summed over tokens (see `model.kernels.router`)."""

    counts_E: Tensor
    probability_sums_E: Tensor
    squared_logsumexp: Tensor


class Experts(nn.Module):
    """Router and experts of a layer; `router_bias_E` chooses but does not weigh, and no gradient moves it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.router_ED = nn.Parameter(torch.empty(config.experts, config.width))
        self.gate_up_EDG = nn.Parameter(torch.empty(config.experts, config.width, 2 * config.expert_width))
        self.down_EFD = nn.Parameter(torch.empty(config.experts, config.expert_width, config.width))
        self.router_bias_E: Tensor | None
        self.register_buffer("router_bias_E", torch.zeros(config.experts) if config.router_bias else None)
        if config.shared_expert_width:
            self.shared_gate_up_GD = nn.Parameter(torch.empty(2 * config.shared_expert_width, config.width))
            self.shared_down_DF = nn.Parameter(torch.empty(config.width, config.shared_expert_width))

    def forward(self, x_TD: Tensor) -> tuple[Tensor, RouterStatistics]:
        """[T, D] -> [T, D] and what the tokens of this call did."""
        config, dtype = self.config, x_TD.dtype
        # Near ties between experts are decided by differences that bf16 does not hold.
        logits_TE = nn.functional.linear(x_TD.to(self.router_ED.dtype), self.router_ED)
        routing = route(logits_TE, config.experts_per_token, config.router, self.router_bias_E)
        y_TD = self._mix(x_TD, routing)
        if config.shared_expert_width:
            hidden_TF = swiglu(linear(x_TD, self.shared_gate_up_GD.to(dtype)))
            y_TD = y_TD + linear(hidden_TF, self.shared_down_DF.to(dtype))
        return y_TD, RouterStatistics(routing.counts_E, routing.probability_sums_E, routing.squared_logsumexp)

    def _mix(self, x_TD: Tensor, routing: Routing) -> Tensor:
        """The weighted sum of each token's experts: [T, D] -> [T, D]."""
        dtype = x_TD.dtype
        order = sort_by_expert(routing.experts_TK, self.config.experts)
        scale_S = routing.weights_TK.reshape(-1).index_select(0, order.order_S)
        packed_SG = grouped_gemm(x_TD, self.gate_up_EDG.to(dtype), order.offsets_E, gather=order)
        return grouped_gemm(swiglu(packed_SG, scale_S), self.down_EFD.to(dtype), order.offsets_E, scatter=order)
