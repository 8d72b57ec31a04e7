"""Experts divided over ranks: each rank has some of every layer's, and tokens travel to them and back.

    rows sorted by expert -> all-to-all -> the rank's own experts -> all-to-all -> weighted sum for each token

No token is dropped and no row is padded: the ranks first tell each other how many rows come (dropless, as in
`model.experts`; Lepikhin et al. 2020, GShard, https://arxiv.org/abs/2006.16668, section 3.2, has the exchange).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed._functional_collectives import all_to_all_single, wait_tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from curator.errors import UserError
from model.experts import Experts
from model.kernels import Routing, grouped_gemm, sort_by_expert, swiglu

DIVIDED = ("gate_up_EDG", "down_EFD")
"""The parameters that are divided by their first dimension, the experts; router and shared expert are not."""


class DividedExperts(Experts):
    """`Experts` whose own part of the experts lies here. Takes over the parameters of the layer that it replaces.

    UserError when the ranks do not divide the experts.
    """

    def __init__(self, whole: Experts, mesh: DeviceMesh) -> None:
        with torch.device("meta"):
            super().__init__(whole.config)
        self._group = mesh.get_group()
        self._ranks = mesh.size()
        if whole.config.experts % self._ranks:
            raise UserError(
                f"{whole.config.experts} experts cannot be divided over {self._ranks} processes",
                hint="make model.experts a multiple of them, or set parallel: fsdp",
            )
        for name, parameter in whole.named_parameters():
            setattr(self, name, self._divided(parameter, mesh) if name in DIVIDED else parameter)
        self.router_bias_E = whole.router_bias_E

    def own_parameters(self) -> list[nn.Parameter]:
        """Those that stay on this rank."""
        return [self.gate_up_EDG, self.down_EFD]

    def _divided(self, parameter: nn.Parameter, mesh: DeviceMesh) -> nn.Parameter:
        # Every rank drew the same first parameters, so each takes its part of its own.
        whole = parameter.detach().to(mesh.device_type)
        own = nn.Parameter(distribute_tensor(whole, mesh, [Shard(0)], src_data_rank=None))
        # The loss of a rank is multiplied by their number, since gradients of other parameters become means; here the
        # tokens of all ranks have met, and their gradients are a sum.
        own.register_hook(lambda gradient: gradient / self._ranks)  # type: ignore[no-untyped-call] # torch's
        return own

    def _mix(self, x_TD: Tensor, routing: Routing) -> Tensor:
        """The weighted sum of each token's experts, wherever they are: [T, D] -> [T, D]."""
        tokens, dtype = x_TD.shape[0], x_TD.dtype
        order = sort_by_expert(routing.experts_TK, self.config.experts)
        leaving_RE = routing.counts_E.to(torch.int64).view(self._ranks, -1)
        arriving_RE = torch.empty_like(leaving_RE)
        distributed.all_to_all_single(arriving_RE, leaving_RE, group=self._group)
        leaving, arriving = leaving_RE.sum(1).tolist(), arriving_RE.sum(1).tolist()
        arrived_AD = self._exchange(x_TD.index_select(0, order.tokens_S), leaving, arriving)
        answers_AD = self._answer(arrived_AD, arriving_RE).to(dtype)
        rows_SD = self._exchange(answers_AD, arriving, leaving)
        rows_TKD = rows_SD.index_select(0, order.positions_TK.reshape(-1)).view(tokens, -1, x_TD.shape[1])
        return (rows_TKD.to(routing.weights_TK.dtype) * routing.weights_TK[:, :, None]).sum(1).to(dtype)

    def _answer(self, arrived_AD: Tensor, arriving_RE: Tensor) -> Tensor:
        """What the experts of this rank make of rows that came sorted by rank, then by expert."""
        ranks, own = arriving_RE.shape
        experts_RE = torch.arange(own, device=arrived_AD.device).expand(ranks, own)
        experts_A = experts_RE.reshape(-1).repeat_interleave(arriving_RE.reshape(-1), output_size=arrived_AD.shape[0])
        order = sort_by_expert(experts_A[:, None].to(torch.int32), own)
        gate_up_EDG, down_EFD = (cast("DTensor", each).to_local() for each in self.own_parameters())
        packed_AG = grouped_gemm(arrived_AD, gate_up_EDG.to(arrived_AD.dtype), order.offsets_E, gather=order)
        return grouped_gemm(swiglu(packed_AG), down_EFD.to(arrived_AD.dtype), order.offsets_E, scatter=order)

    def _exchange(self, rows: Tensor, leaving: list[int], arriving: list[int]) -> Tensor:
        """Send rows, sorted by the rank that they go to; what arrives is sorted by the rank that it comes from."""
        sent = all_to_all_single(rows.contiguous(), arriving, leaving, self._group)
        found: Tensor = wait_tensor(sent)  # type: ignore[no-untyped-call] # torch's
        return found
