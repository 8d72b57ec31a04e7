"""Tensors that lie in parts over ranks (torch's `DTensor`): the part that is here, and the whole.

Whatever is no `DTensor` is whole on every rank, and passes through. A training alone never imports them: that takes a
second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_divided(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether a tensor lies in parts over ranks."""
    if type(tensor) in (Tensor, nn.Parameter):
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local_part(tensor: Tensor) -> Tensor:
    """The part of a tensor that this rank holds; it shares its memory."""
    return tensor.to_local() if is_divided(tensor) else tensor


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """What of a whole tensor is this rank's, when it lies over the ranks as `like` does. Nothing is sent."""
    if not is_divided(like):
        return whole
    from torch.distributed.tensor import distribute_tensor

    # Without a source rank each takes its part of its own copy.
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None).to_local()


def whole_tensor(tensor: Tensor) -> Tensor:
    """The whole of a tensor. Every rank has to ask for it."""
    return tensor.full_tensor() if is_divided(tensor) else tensor


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """The whole tensor whose parts the ranks hold as those of `like`. Every rank has to ask for it."""
    if not is_divided(like):
        return part
    from torch.distributed.tensor import DTensor

    divided = DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return divided.full_tensor()


def assign(target: Tensor, whole: Tensor) -> None:
    """Copy this rank's part of a whole tensor of the same shape into `target`."""
    local_part(target).copy_(part_of(whole.to(target.device), target))


def host_copies(tensors: Mapping[str, Mapping[str, Tensor]], *, keep: bool) -> dict[str, dict[str, Tensor]]:
    """Whole copies in the memory of the host, tensor by tensor, for the ranks that keep them; an empty dictionary for
    the others, which have to ask all the same: what they hold is sent."""
    copies: dict[str, dict[str, Tensor]] = {}
    for kind, found in tensors.items():
        for name, tensor in found.items():
            whole = whole_tensor(tensor.detach())
            if keep:
                copies.setdefault(kind, {})[name] = whole.to("cpu", copy=True).contiguous()
    return copies


def total_norm(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of all these tensors together, the parts on other ranks included: a scalar."""
    return whole_tensor(nn.utils.get_total_norm(tensors))
