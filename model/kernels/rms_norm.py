"""Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

    r_t  = (mean_d x_td^2 + epsilon)^(-1/2)
    y_td = x_td r_t w_d

    dw_d  = sum_t dy_td x_td r_t
    dx_td = r_t (dy_td w_d - x_td r_t^2 mean_d(dy_td w_d x_td))

Sums and products are taken in float32, whatever the dtype of x; y has the dtype of x.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect_floating, expect_shape, runs_natively, uses_triton


def rms_norm(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """Normalise each row to a root mean square of one, times a weight: [T, D], [D] -> [T, D] in the dtype of x.

    `weight_D` may have another floating dtype than x. Raises UserError on another shape, dtype or device.
    """
    expect_floating("x_TD", x_TD)
    expect_floating("weight_D", weight_D)
    expect_shape("x_TD", x_TD, None, None)
    expect_shape("weight_D", weight_D, x_TD.shape[1])
    y_TD: Tensor = _forward(x_TD, weight_D, epsilon)[0]
    return y_TD


def rms_norm_reference(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """What `rms_norm` computes, in plain torch, float32 or float64."""
    dtype = accumulation_dtype(x_TD)
    x, weight = x_TD.to(dtype), weight_D.to(dtype)
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight).to(x_TD.dtype)


@torch.library.custom_op("curator::rms_norm", mutates_args=())
def _forward(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    if uses_triton(x_TD):
        from model.kernels.gpu.rms_norm import forward

        return forward(x_TD, weight_D, epsilon)
    if runs_natively(x_TD) and weight_D.dtype == x_TD.dtype:
        from model.kernels.native.rms_norm import forward as forward_natively

        return forward_natively(x_TD, weight_D, epsilon)
    x = x_TD.to(accumulation_dtype(x_TD))
    scale_T = torch.rsqrt(torch.linalg.vecdot(x, x) / x.shape[1] + epsilon)
    return (x * scale_T[:, None]).mul_(weight_D).to(x_TD.dtype), scale_T


@_forward.register_fake
def _(x_TD: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    return torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device), x_TD.new_empty(
        x_TD.shape[0], dtype=accumulation_dtype(x_TD)
    )


@torch.library.custom_op("curator::rms_norm_backward", mutates_args=())
def _backward(grad_TD: Tensor, x_TD: Tensor, weight_D: Tensor, scale_T: Tensor) -> tuple[Tensor, Tensor]:
    if uses_triton(x_TD):
        from model.kernels.gpu.rms_norm import backward

        return backward(grad_TD, x_TD, weight_D, scale_T)
    if runs_natively(x_TD) and weight_D.dtype == x_TD.dtype:
        from model.kernels.native.rms_norm import backward as backward_natively

        return backward_natively(grad_TD, x_TD, weight_D, scale_T)
    dtype = accumulation_dtype(x_TD)
    x, grad = x_TD.to(dtype), grad_TD.to(dtype)
    normed_TD = x * scale_T[:, None]
    weight_grad_D = (grad * normed_TD).sum(0)
    inner_TD = grad * weight_D
    mean_T = torch.linalg.vecdot(inner_TD, normed_TD) / x.shape[1]
    x_grad_TD = inner_TD.addcmul_(normed_TD, mean_T[:, None], value=-1).mul_(scale_T[:, None])
    return x_grad_TD.to(x_TD.dtype), weight_grad_D.to(weight_D.dtype)


@_backward.register_fake
def _(grad_TD: Tensor, x_TD: Tensor, weight_D: Tensor, scale_T: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device), torch.empty_like(weight_D)


def _save(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor, float], output: tuple[Tensor, Tensor]
) -> None:
    x_TD, weight_D, _ = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(x_TD, weight_D, output[1])


def _differentiate(
    ctx: torch.autograd.function.BackwardCFunction, grad_TD: Tensor, _: Tensor
) -> tuple[Tensor, Tensor, None]:
    return (*_backward(grad_TD, *ctx.saved_tensors), None)


_forward.register_autograd(_differentiate, setup_context=_save)
