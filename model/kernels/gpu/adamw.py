"""Triton kernel of `model.kernels.adamw`: one pass over a parameter, its gradient and its moments."""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.launch import blocks, device_of
from model.kernels.gpu.precision import load, store

_BLOCK: Final = 1024 if not INTERPRETED else 1 << 14


@triton.jit
def step_kernel(
    parameter: tl.tensor,
    gradient: tl.tensor,
    first_moment: tl.tensor,
    second_moment: tl.tensor,
    gradient_scale: tl.tensor,
    elements: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    correction1: float,
    correction2: float,
    SCALED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Update a block of the parameter and of both moments."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < elements
    g = load(gradient + place, mask)
    if SCALED:
        g *= tl.load(gradient_scale)
    m = load(first_moment + place, mask)
    v = load(second_moment + place, mask)
    p = load(parameter + place, mask)
    m += (1.0 - beta1) * (g - m)
    v = beta2 * v + (1.0 - beta2) * g * g
    update = (m / correction1) / (tl.sqrt(v / correction2) + epsilon)
    store(parameter + place, p * (1.0 - learning_rate * weight_decay) - learning_rate * update, mask)
    tl.store(first_moment + place, m, mask=mask)
    tl.store(second_moment + place, v, mask=mask)


def step(
    parameter: Tensor,
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    gradient_scale: Tensor | None,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    correction1: float,
    correction2: float,
) -> None:
    """Launch the kernel; all tensors are laid out alike."""
    elements = parameter.numel()
    with device_of(parameter):
        step_kernel[(blocks(elements, _BLOCK),)](
            parameter,
            gradient,
            first_moment,
            second_moment,
            parameter if gradient_scale is None else gradient_scale,
            elements,
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            correction1,
            correction2,
            SCALED=gradient_scale is not None,
            BLOCK=_BLOCK,
        )
