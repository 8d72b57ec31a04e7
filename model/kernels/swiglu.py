"""The gated activation SwiGLU (Shazeer 2020, arXiv:2002.05202), with the router's weight of a row folded in.

    y_sf  = c_s silu(g_sf) u_sf              silu(g) = g sigmoid(g)

    du_sf = dy_sf c_s silu(g_sf)
    dg_sf = dy_sf c_s u_sf sigmoid(g_sf) (1 + g_sf (1 - sigmoid(g_sf)))
    dc_s  = sum_f dy_sf silu(g_sf) u_sf

A mixture multiplies the output of an expert by a weight. The down-projection is linear, so the weight may stand before
it: there its gradient is a sum over what the backward pass of this op reads anyway.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from model.kernels.dispatch import (
    accumulation_dtype,
    expect,
    expect_floating,
    expect_shape,
    rows_apart,
    runs_natively,
    save_for_backward,
    uses_triton,
)

_ROWS: Final = 128
"""Rows that the backward pass on a CPU takes at once: its six passes then find them in the cache."""


def swiglu(packed_SG: Tensor, scale_S: Tensor | None = None) -> Tensor:
    """Gate and scale: [S, 2F] with the gate in the first F columns and up in the last, [S] -> [S, F].

    One packed tensor, as one GEMM writes it, so that the gradient is one tensor too. `scale_S` is float32 (float64 with
    a float64 input): the router's weight of each row. Raises UserError on another shape, dtype or device.
    """
    expect_floating("packed_SG", packed_SG)
    expect_shape("packed_SG", packed_SG, None, None)
    expect(packed_SG.shape[1] % 2 == 0, f"gate and up have {packed_SG.shape[1]} columns", "pack two of the same width")
    if scale_S is not None:
        dtype = accumulation_dtype(packed_SG)
        expect_shape("scale_S", scale_S, packed_SG.shape[0])
        expect(scale_S.dtype == dtype, f"scale_S has dtype {scale_S.dtype}, expected {dtype}", "convert it with .to")
    y_SF: Tensor = _forward(packed_SG, scale_S)
    return y_SF


def swiglu_reference(packed_SG: Tensor, scale_S: Tensor | None = None) -> Tensor:
    """What `swiglu` computes, in plain torch, float32 or float64."""
    gate_SF, up_SF = packed_SG.to(accumulation_dtype(packed_SG)).chunk(2, -1)
    y_SF = gate_SF * torch.sigmoid(gate_SF) * up_SF
    if scale_S is not None:
        y_SF = y_SF * scale_S[:, None]
    return y_SF.to(packed_SG.dtype)


@torch.library.custom_op("curator::swiglu", mutates_args=())
def _forward(packed_SG: Tensor, scale_S: Tensor | None) -> Tensor:
    if uses_triton(packed_SG):
        from model.kernels.gpu.swiglu import forward

        return forward(packed_SG, scale_S)
    if runs_natively(packed_SG):
        from model.kernels.native.swiglu import forward as forward_natively

        return forward_natively(packed_SG, scale_S)
    gate_SF, up_SF = packed_SG.to(accumulation_dtype(packed_SG)).chunk(2, -1)
    y_SF = torch.nn.functional.silu(gate_SF).mul_(up_SF)
    if scale_S is not None:
        y_SF.mul_(scale_S[:, None])
    return y_SF.to(packed_SG.dtype)


@_forward.register_fake
def _(packed_SG: Tensor, scale_S: Tensor | None) -> Tensor:
    return packed_SG.new_empty(packed_SG.shape[0], packed_SG.shape[1] // 2)


@torch.library.custom_op("curator::swiglu_backward", mutates_args=())
def _backward(grad_SF: Tensor, packed_SG: Tensor, scale_S: Tensor | None) -> tuple[Tensor, Tensor]:
    if uses_triton(packed_SG):
        from model.kernels.gpu.swiglu import backward

        return backward(grad_SF, packed_SG, scale_S)
    if runs_natively(packed_SG):
        from model.kernels.native.swiglu import backward as backward_natively

        return backward_natively(grad_SF, packed_SG, scale_S)
    dtype = accumulation_dtype(packed_SG)
    rows, width = grad_SF.shape
    packed_grad_SG = torch.empty(packed_SG.shape, dtype=packed_SG.dtype, device=packed_SG.device)
    scale_grad_S = packed_SG.new_empty(0 if scale_S is None else rows, dtype=dtype)
    silu_CF, inner_CF = (packed_SG.new_empty(min(_ROWS, rows), width, dtype=dtype) for _ in range(2))
    for start in range(0, rows, _ROWS):
        part = slice(start, min(start + _ROWS, rows))
        gate, up = packed_SG[part].to(dtype).chunk(2, -1)
        upstream = grad_SF[part].to(dtype)
        silu, inner = silu_CF[: part.stop - start], inner_CF[: part.stop - start]
        torch.ops.aten.silu.out(gate, out=silu)
        inner.copy_(upstream) if scale_S is None else torch.mul(upstream, scale_S[part, None], out=inner)
        torch.mul(inner, silu, out=packed_grad_SG[part, width:])
        if scale_S is not None:
            torch.sum(silu.mul_(upstream).mul_(up), 1, out=scale_grad_S[part])
        torch.ops.aten.silu_backward.grad_input(inner.mul_(up), gate, grad_input=packed_grad_SG[part, :width])
    return packed_grad_SG, scale_grad_S


@_backward.register_fake
def _(grad_SF: Tensor, packed_SG: Tensor, scale_S: Tensor | None) -> tuple[Tensor, Tensor]:
    scale_grad_S = packed_SG.new_empty((0,) if scale_S is None else scale_S.shape, dtype=accumulation_dtype(packed_SG))
    if not uses_triton(packed_SG) and runs_natively(packed_SG):
        return rows_apart(packed_SG, *packed_SG.shape), scale_grad_S
    return torch.empty(packed_SG.shape, dtype=packed_SG.dtype, device=packed_SG.device), scale_grad_S


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, Tensor | None], output: Tensor) -> None:
    save_for_backward(ctx, *inputs)


def _differentiate(ctx: torch.autograd.function.BackwardCFunction, grad_SF: Tensor) -> tuple[Tensor, Tensor | None]:
    packed_grad_SG, scale_grad_S = _backward(grad_SF, *ctx.saved_tensors)
    needed: tuple[bool, ...] = ctx.needs_input_grad
    return packed_grad_SG, scale_grad_S if needed[1] else None


_forward.register_autograd(_differentiate, setup_context=_save)
