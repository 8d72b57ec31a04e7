"""Output projection and softmax cross-entropy together, by chunks of tokens: the [T, V] logits never exist.

    l_tv   = sum_d x_td W_vd
    loss_t = log sum_v exp l_tv - l_t,target        0 where the target is ignored
    total  = sum_t c_t loss_t

    dl_tv  = c_t (softmax(l_t)_v - [v = target])    dx = dl W      dW = dl^T x

The gradient of the total is computed while a chunk's logits are at hand, three products in all, and the backward pass
only scales it (as in Liger-Kernel, arXiv:2410.10989, section 3.2). Logits and sums are float32.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect, expect_floating, expect_shape, runs_natively, uses_triton

IGNORED: Final = -100
"""The target of a token that is not counted, as in `torch.nn.functional.cross_entropy`."""

_CHUNK_ELEMENTS: Final = 1 << 22
"""Logits of a chunk on the CPU: 16 MiB in float32; with fewer, sums over chunks take a larger part."""


class CrossEntropy(NamedTuple):
    """Losses in nats. Floats are float32 (float64 for a float64 input)."""

    total: Tensor
    """Scalar: sum of weight times loss. Differentiable."""
    weight: Tensor
    """Scalar: sum of the weights of the tokens that are not ignored. No gradient."""
    losses_T: Tensor
    """The loss of each token, not weighted; 0 where ignored. No gradient."""


def linear_cross_entropy(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor | None = None
) -> CrossEntropy:
    """Cross-entropy of the logits x W^T: [T, D], [V, D], int64 [T], [T] -> sum of the weighted losses, sum of the
    weights, losses. Targets of -100 are ignored; `weights_T` get no gradient.

    Raises UserError on another shape, dtype or device, and on a target outside 0 to V - 1 on the CPU; on a GPU, where
    looking would wait for the device, the loss of such a target is NaN.
    """
    expect_floating("x_TD", x_TD)
    expect_shape("x_TD", x_TD, None, None)
    expect_shape("weight_VD", weight_VD, None, x_TD.shape[1])
    expect_shape("targets_T", targets_T, x_TD.shape[0])
    expect(targets_T.dtype == torch.int64, f"targets_T has dtype {targets_T.dtype}", "convert it with .to(torch.int64)")
    expect(
        weight_VD.dtype == x_TD.dtype,
        f"weight_VD has dtype {weight_VD.dtype}, x_TD {x_TD.dtype}",
        "convert one of them: the product takes a single dtype",
    )
    counted_T = targets_T != IGNORED
    if weights_T is not None:
        expect_shape("weights_T", weights_T, x_TD.shape[0])
        weights_T = weights_T.detach().to(accumulation_dtype(x_TD)) * counted_T
    else:
        weights_T = counted_T.to(accumulation_dtype(x_TD))
    if x_TD.device.type == "cpu" and not bool(((targets_T >= 0) & (targets_T < weight_VD.shape[0]) | ~counted_T).all()):
        expect(
            False,
            f"a target lies outside 0 to {weight_VD.shape[0] - 1}",
            f"use the tokenizer that the model was made for, and {IGNORED} for targets to ignore",
        )
    differentiable = torch.is_grad_enabled() and (x_TD.requires_grad or weight_VD.requires_grad)
    total, losses_T, _, _ = _forward(x_TD, weight_VD, targets_T, weights_T, differentiable)
    return CrossEntropy(total, weights_T.sum(), losses_T)


def linear_cross_entropy_reference(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor | None = None
) -> CrossEntropy:
    """What `linear_cross_entropy` computes, in plain torch, float32 or float64, with all logits at once."""
    dtype = accumulation_dtype(x_TD)
    logits_TV = x_TD.to(dtype) @ weight_VD.to(dtype).T
    losses_T = torch.nn.functional.cross_entropy(logits_TV, targets_T, ignore_index=IGNORED, reduction="none")
    weights = torch.ones_like(losses_T) if weights_T is None else weights_T.detach().to(dtype)
    weights = weights * (targets_T != IGNORED)
    return CrossEntropy((losses_T * weights).sum(), weights.sum(), losses_T.detach())


@torch.library.custom_op("curator::linear_cross_entropy", mutates_args=())
def _forward(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor, differentiable: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    if uses_triton(x_TD):
        from model.kernels.gpu.cross_entropy import forward

        return forward(x_TD, weight_VD, targets_T, weights_T, differentiable)
    chunk = max(16, _CHUNK_ELEMENTS // weight_VD.shape[0])
    if runs_natively(x_TD):
        from model.kernels.native.cross_entropy import forward as forward_natively

        return forward_natively(x_TD, weight_VD, targets_T, weights_T, differentiable, chunk)
    dtype = accumulation_dtype(x_TD)
    x, weight = x_TD.to(dtype), weight_VD.to(dtype)
    tokens, vocabulary = x.shape[0], weight.shape[0]
    losses_T = x.new_empty(tokens)
    x_grad_TD = x.new_empty(x.shape if differentiable else 0)
    weight_grad_VD = weight.new_zeros(weight.shape if differentiable else 0)
    buffer_CV = x.new_empty(min(chunk, tokens), vocabulary)
    for start in range(0, tokens, chunk):
        part = slice(start, min(start + chunk, tokens))
        logits_CV = torch.mm(x[part], weight.T, out=buffer_CV[: part.stop - start])
        targets_C1 = targets_T[part, None].clamp(min=0)
        largest_C1 = logits_CV.amax(-1, keepdim=True)
        logits_CV.sub_(largest_C1)
        chosen_C1 = logits_CV.gather(1, targets_C1)
        sums_C1 = logits_CV.exp_().sum(-1, keepdim=True)
        losses_T[part] = (sums_C1.log() - chosen_C1).squeeze_(1)
        if differentiable:
            # The factor of a row stands on the narrow side of the products: D numbers instead of V.
            factors_C1 = weights_T[part, None] / sums_C1
            logits_CV.scatter_add_(1, targets_C1, -sums_C1)
            torch.mm(logits_CV, weight, out=x_grad_TD[part]).mul_(factors_C1)
            weight_grad_VD.addmm_(logits_CV.T, x[part] * factors_C1)
    losses_T.masked_fill_(targets_T == IGNORED, 0)
    total = torch.dot(losses_T, weights_T)
    return total, losses_T, x_grad_TD.to(x_TD.dtype), weight_grad_VD.to(weight_VD.dtype)


@_forward.register_fake
def _(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor, differentiable: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = accumulation_dtype(x_TD)
    return (
        x_TD.new_empty((), dtype=dtype),
        x_TD.new_empty(x_TD.shape[0], dtype=dtype),
        x_TD.new_empty(x_TD.shape if differentiable else 0),
        weight_VD.new_empty(weight_VD.shape if differentiable else 0),
    )


def _save(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, Tensor, Tensor, Tensor, bool],
    output: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[2:])


def _differentiate(
    ctx: torch.autograd.function.BackwardCFunction, total_grad: Tensor, *_unused: Tensor
) -> tuple[Tensor, Tensor, None, None, None]:
    x_grad_TD, weight_grad_VD = cast("tuple[Tensor, Tensor]", ctx.saved_tensors)
    # Looked at where that costs nothing: not on a GPU, which would be waited for, nor while torch traces.
    if type(total_grad) is not Tensor or total_grad.device.type != "cpu" or total_grad != 1:
        x_grad_TD, weight_grad_VD = x_grad_TD * total_grad, weight_grad_VD * total_grad
    return x_grad_TD, weight_grad_VD, None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
