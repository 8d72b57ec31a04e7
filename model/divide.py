"""Models divided over ranks, by torch's `fully_shard` (FSDP2): no rank holds all parameters, gradients or moments.

`fsdp` divides every parameter by its first dimension. Those of a layer are gathered before it is computed, and
gradients are summed to the rank that owns them (Zhao et al. 2023, https://arxiv.org/abs/2304.11277; ZeRO's third stage,
Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054). `experts` does the same to all but the experts, which stay
where they are: their tokens travel (see `model.divided_experts`).
"""

from __future__ import annotations

from typing import cast

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from model.decoder import Decoder, Layer
from model.divided_experts import DividedExperts


def divide(model: Decoder, mesh: DeviceMesh, *, experts: bool) -> nn.Module:
    """Divide a model in place over a mesh of one dimension; its parameters are `DTensor` afterwards.

    `experts` lets tokens travel to the experts instead of experts to the tokens. UserError when the ranks do not divide
    the experts.
    """
    stay: set[nn.Parameter] = set()
    layers = [cast("Layer", layer) for layer in model.layers]
    for layer in layers:
        if experts:
            divided = DividedExperts(layer.experts, mesh)
            layer.experts = divided
            stay.update(divided.own_parameters())
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params=stay)
    # The head is used behind the last layer by the loss, so what belongs to no layer stays gathered until then.
    fully_shard(model, mesh=mesh, ignored_params=stay, reshard_after_forward=False)
    return model


def rest(model: nn.Module) -> None:
    """Give up what is gathered of a model, so that its parameters are the ranks' own parts. Does nothing to a model
    that is not divided."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
