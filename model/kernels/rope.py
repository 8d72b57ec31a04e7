"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864), half-split as in Hugging Face's Llama and Mixtral.

With R = H / 2, a and b the first and the second half of a head:

    y_a = a cos - b sin
    y_b = b cos + a sin

The gradient is the rotation by the opposite angle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.kernels.dispatch import (
    accumulation_dtype,
    expect,
    expect_floating,
    expect_shape,
    runs_natively,
    uses_triton,
)


def rotate(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor) -> Tensor:
    """Rotate each head by the angles of its token's position: [T, N, H], [T, R], [T, R] -> [T, N, H], R = H / 2.

    x may be a strided view (a part of a packed projection) whose last dimension is contiguous; the result is
    contiguous. cosine and sine are float32 (float64 with a float64 x) and get no gradient. Raises UserError on another
    shape, dtype or device.
    """
    expect_floating("x_TNH", x_TNH)
    expect_shape("x_TNH", x_TNH, None, None, None)
    expect(x_TNH.shape[2] % 2 == 0, f"a head has an odd width, {x_TNH.shape[2]}", "make the head width even")
    dtype = accumulation_dtype(x_TNH)
    for name, table_TR in (("cosine_TR", cosine_TR), ("sine_TR", sine_TR)):
        expect_shape(name, table_TR, x_TNH.shape[0], x_TNH.shape[2] // 2)
        expect(table_TR.dtype == dtype, f"{name} has dtype {table_TR.dtype}, expected {dtype}", "convert it with .to")
    y_TNH: Tensor = _rotate(x_TNH, cosine_TR, sine_TR, False)
    return y_TNH


def rotate_reference(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor) -> Tensor:
    """What `rotate` computes, in plain torch, float32 or float64."""
    a_TNR, b_TNR = x_TNH.to(accumulation_dtype(x_TNH)).chunk(2, -1)
    cosine, sine = cosine_TR[:, None], sine_TR[:, None]
    return torch.cat((a_TNR * cosine - b_TNR * sine, b_TNR * cosine + a_TNR * sine), -1).to(x_TNH.dtype)


@torch.library.custom_op("curator::rotate", mutates_args=())
def _rotate(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor, inverse: bool) -> Tensor:
    if uses_triton(x_TNH):
        from model.kernels.gpu.rope import rotate as rotate_on_gpu

        return rotate_on_gpu(x_TNH, cosine_TR, sine_TR, inverse)
    if runs_natively(x_TNH):
        from model.kernels.native.rope import rotate as rotate_natively

        return rotate_natively(x_TNH, cosine_TR, sine_TR, inverse)
    a, b = x_TNH.to(accumulation_dtype(x_TNH)).chunk(2, -1)
    cosine, sine = cosine_TR[:, None], sine_TR[:, None]
    sign = -1 if inverse else 1
    y_TNH = torch.empty(x_TNH.shape, dtype=a.dtype, device=x_TNH.device)
    y_a, y_b = y_TNH.chunk(2, -1)
    torch.mul(a, cosine, out=y_a).addcmul_(b, sine, value=-sign)
    torch.mul(b, cosine, out=y_b).addcmul_(a, sine, value=sign)
    return y_TNH.to(x_TNH.dtype)


@_rotate.register_fake
def _(x_TNH: Tensor, cosine_TR: Tensor, sine_TR: Tensor, inverse: bool) -> Tensor:
    return torch.empty(x_TNH.shape, dtype=x_TNH.dtype, device=x_TNH.device)


def _save(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor, Tensor, bool], output: Tensor
) -> None:
    _, cosine_TR, sine_TR, inverse = inputs
    ctx.inverse = inverse  # type: ignore[attr-defined]  # torch keeps what is not a tensor as an attribute
    ctx.save_for_backward(cosine_TR, sine_TR)


def _differentiate(ctx: torch.autograd.function.BackwardCFunction, grad_TNH: Tensor) -> tuple[Tensor, None, None, None]:
    inverse: bool = ctx.inverse  # type: ignore[attr-defined]
    return _rotate(grad_TNH, *ctx.saved_tensors, not inverse), None, None, None


_rotate.register_autograd(_differentiate, setup_context=_save)
