"""Sizes of blocks and grids. Nothing is tuned while running: a result then would depend on a clock."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final

import torch
import triton
from torch import Tensor

from model.kernels.dispatch import INTERPRETED

_ELEMENTS: Final = 4096 if not INTERPRETED else 1 << 14
"""Elements of a block of rows: on a GPU 32 a thread, in the interpreter more, where each program has its price."""


def architecture() -> str:
    """The family of GPUs that kernels are compiled for: ampere, hopper, blackwell (and what comes after), or cdna."""
    target = triton.runtime.driver.active.get_current_target()
    if target.backend == "hip":
        return "cdna"
    if int(target.arch) < 90:
        return "ampere"
    return "hopper" if int(target.arch) < 100 else "blackwell"


def rows_per_program(width: int) -> int:
    """Rows of a block that is `width` (a power of two) columns wide: a power of two."""
    return max(1, min(64, _ELEMENTS // width))


def power_of_two(length: int, least: int = 1) -> int:
    """The power of two that holds `length`, at least `least`."""
    return max(least, int(triton.next_power_of_2(length)))


def blocks(length: int, block: int) -> int:
    """How many blocks hold `length`."""
    return -(-length // block)


def resident_programs(tensor: Tensor, wanted: int) -> int:
    """How many programs share `wanted` blocks when each keeps a partial sum: four a multiprocessor at most."""
    if tensor.device.type != "cuda":
        return max(1, min(wanted, 2))
    return max(1, min(wanted, 4 * torch.cuda.get_device_properties(tensor.device).multi_processor_count))


def device_of(tensor: Tensor) -> AbstractContextManager[None]:
    """Launch on the GPU that holds the tensor; nothing for a tensor on the CPU."""
    return torch.cuda.device_of(tensor)  # type: ignore[no-untyped-call]  # torch gives it no types


def rows_contiguous(tensor: Tensor) -> Tensor:
    """The tensor, copied when its last dimension has gaps, which the kernels do not read."""
    return tensor if tensor.shape[-1] <= 1 or tensor.stride(-1) == 1 else tensor.contiguous()
