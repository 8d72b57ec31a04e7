"""One step of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) over a whole parameter, in place.

    g <- scale g
    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    u  = (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
    p <- p (1 - learning_rate weight_decay) - learning_rate u

Moments are float32; the arithmetic is float32 whatever the dtype of the parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect, expect_floating, expect_shape, uses_triton


def adamw_step(
    parameter: Tensor,
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    *,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    gradient_scale: Tensor | None = None,
) -> None:
    """Update a parameter and its two moments in place; all four of one shape and contiguous.

    `step` counts from 1. `gradient_scale` is a float32 scalar tensor that the gradient is multiplied by (clipping,
    unscaling), so that nothing waits for the device. What the gradient holds afterwards is not defined. Raises
    UserError on another shape, dtype, layout or device, and on a step below 1.
    """
    expect_floating("parameter", parameter)
    expect_floating("gradient", gradient)
    expect(step >= 1, f"step is {step}", "steps count from 1")
    for name, tensor in (("gradient", gradient), ("first_moment", first_moment), ("second_moment", second_moment)):
        expect_shape(name, tensor, *parameter.shape)
        expect(
            tensor.stride() == parameter.stride(), f"{name} is laid out unlike the parameter", "make both contiguous"
        )
    for name, tensor in (("first_moment", first_moment), ("second_moment", second_moment)):
        dtype = accumulation_dtype(parameter)
        expect(tensor.dtype == dtype, f"{name} has dtype {tensor.dtype}, expected {dtype}", "keep moments in float32")
    expect(
        parameter.is_contiguous() or parameter.transpose(-1, -2).is_contiguous(),
        "the parameter is not contiguous",
        "step on the tensor that owns the memory",
    )
    _step(
        parameter,
        gradient,
        first_moment,
        second_moment,
        gradient_scale,
        learning_rate,
        beta1,
        beta2,
        epsilon,
        weight_decay,
        step,
    )


def adamw_step_reference(
    parameter: Tensor,
    gradient: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    *,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
    gradient_scale: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `adamw_step` computes, in plain torch: the new parameter and moments, float32 or float64."""
    dtype = accumulation_dtype(parameter)
    g = gradient.to(dtype) if gradient_scale is None else gradient.to(dtype) * gradient_scale
    m = beta1 * first_moment + (1 - beta1) * g
    v = beta2 * second_moment + (1 - beta2) * g**2
    update = (m / (1 - beta1**step)) / ((v / (1 - beta2**step)).sqrt() + epsilon)
    p = parameter.to(dtype) * (1 - learning_rate * weight_decay) - learning_rate * update
    return p.to(parameter.dtype), m, v


@torch.library.custom_op("curator::adamw_step", mutates_args=("parameter", "gradient", "first_moment", "second_moment"))
def _step(
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
    step: int,
) -> None:
    if uses_triton(parameter):
        from model.kernels.gpu.adamw import step as step_on_gpu

        step_on_gpu(
            parameter,
            gradient,
            first_moment,
            second_moment,
            gradient_scale,
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            1 - beta1**step,
            1 - beta2**step,
        )
        return
    if parameter.dtype == gradient.dtype == first_moment.dtype:
        torch._fused_adamw_(
            [parameter],
            [gradient],
            [first_moment],
            [second_moment],
            [],
            [torch.tensor(float(step))],
            lr=learning_rate,
            beta1=beta1,
            beta2=beta2,
            weight_decay=weight_decay,
            eps=epsilon,
            amsgrad=False,
            maximize=False,
            # torch divides by it, and keeps the quotient in the gradient.
            grad_scale=None if gradient_scale is None else gradient_scale.reciprocal(),
        )
        return
    dtype = accumulation_dtype(parameter)
    g = gradient.to(dtype)
    if gradient_scale is not None:
        g = g * gradient_scale
    first_moment.lerp_(g, 1 - beta1)
    second_moment.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = second_moment.sqrt().mul_((1 - beta2**step) ** -0.5).add_(epsilon)
    p = parameter.to(dtype)
    p.mul_(1 - learning_rate * weight_decay).addcdiv_(first_moment, root, value=-learning_rate / (1 - beta1**step))
    if p is not parameter:
        parameter.copy_(p)


@_step.register_fake
def _(
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
    step: int,
) -> None:
    return None
