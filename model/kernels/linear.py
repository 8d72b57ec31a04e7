"""A linear layer without bias: x W^T, whose gradients are dx = dy W and dW = dy^T x.

torch has it; on a CPU the tiles of the grouped product are faster, and the layer is one group.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.kernels.dispatch import expect, expect_floating, expect_shape, runs_natively, uses_triton


def linear(x_TD: Tensor, weight_CD: Tensor) -> Tensor:
    """[T, D], [C, D] -> [T, C]. Both share a dtype. Raises UserError on another shape, dtype or device."""
    expect_floating("x_TD", x_TD)
    expect_shape("x_TD", x_TD, None, None)
    expect_shape("weight_CD", weight_CD, None, x_TD.shape[1])
    expect(
        weight_CD.dtype == x_TD.dtype,
        f"weight_CD has dtype {weight_CD.dtype}, x_TD {x_TD.dtype}",
        "convert one of them: the product takes a single dtype",
    )
    if uses_triton(x_TD) or not runs_natively(x_TD):
        return torch.nn.functional.linear(x_TD, weight_CD)
    y_TC: Tensor = _forward(x_TD, weight_CD)
    return y_TC


def linear_reference(x_TD: Tensor, weight_CD: Tensor) -> Tensor:
    """What `linear` computes, in plain torch."""
    return x_TD @ weight_CD.T


@torch.library.custom_op("curator::linear", mutates_args=())
def _forward(x_TD: Tensor, weight_CD: Tensor) -> Tensor:
    from model.kernels.native.grouped_gemm import multiply

    return multiply(x_TD, weight_CD.T[None], _all(x_TD), None, None, x_TD.shape[0])


@_forward.register_fake
def _(x_TD: Tensor, weight_CD: Tensor) -> Tensor:
    return x_TD.new_empty(x_TD.shape[0], weight_CD.shape[0])


@torch.library.custom_op("curator::linear_backward", mutates_args=())
def _backward(grad_TC: Tensor, x_TD: Tensor, weight_CD: Tensor) -> tuple[Tensor, Tensor]:
    from model.kernels.native.grouped_gemm import multiply, multiply_transposed

    x_grad_TD = multiply(grad_TC, weight_CD[None], _all(x_TD), None, None, x_TD.shape[0])
    return x_grad_TD, multiply_transposed(grad_TC, x_TD, weight_CD[None], _all(x_TD), None, None)[0]


@_backward.register_fake
def _(grad_TC: Tensor, x_TD: Tensor, weight_CD: Tensor) -> tuple[Tensor, Tensor]:
    return x_TD.new_empty(x_TD.shape), torch.empty_like(weight_CD)


def _all(x_TD: Tensor) -> Tensor:
    """The rows of the only group end where x does."""
    return torch.tensor([x_TD.shape[0]], dtype=torch.int32)


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: torch.autograd.function.BackwardCFunction, grad_TC: Tensor) -> tuple[Tensor, Tensor]:
    x_grad_TD, weight_grad_CD = _backward(grad_TC, *ctx.saved_tensors)
    return x_grad_TD, weight_grad_CD


_forward.register_autograd(_differentiate, setup_context=_save)
