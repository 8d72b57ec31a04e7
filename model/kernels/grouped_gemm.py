"""Grouped matrix product: each expert multiplies its own rows, none is dropped or padded.

With e(s) the expert of sorted row s, t(s) its token, and p(t, k) the sorted row of the k-th assignment of token t:

    plain:    y_s = x_s W_e(s)
    gather:   y_s = x_t(s) W_e(s)                   tokens are read where they stand, not copied in order
    scatter:  y_t = sum_k x_p(t,k) W_e(p(t,k))      the rows of a token are summed; a weight of a row stands before the
                                                    product (see `swiglu`), where its gradient costs nothing
    dX is the same product with W transposed, gather and scatter exchanged; dW_e = sum over its rows of x_s^T dy_s.

No sum depends on the order in which the hardware works: there are no atomic additions, so results repeat exactly.
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
    save_for_backward,
    uses_triton,
)
from model.kernels.router import ExpertOrder


def grouped_gemm(
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    gather: ExpertOrder | None = None,
    scatter: ExpertOrder | None = None,
) -> Tensor:
    """Multiply rows sorted by expert with their experts' weights: [R, D], [E, D, F], int32 [E] -> [S, F].

    `offsets_E` says where the rows of each expert end (`ExpertOrder.offsets_E`); groups may be empty. Without `gather`
    x holds the S sorted rows; with it the T tokens. Without `scatter` the result holds the S sorted rows; with it
    [T, F], summed over the assignments of each token. `weight_EDF` may be a transposed view of [E, F, D]: its gradient
    then is one too. x and weight share a dtype, sums are taken in float32. Raises UserError on another shape, dtype or
    device.
    """
    expect_floating("x_RD", x_RD)
    expect_shape("x_RD", x_RD, None, None)
    expect_shape("weight_EDF", weight_EDF, None, x_RD.shape[1], None)
    expect_shape("offsets_E", offsets_E, weight_EDF.shape[0])
    expect(
        weight_EDF.dtype == x_RD.dtype,
        f"weight_EDF has dtype {weight_EDF.dtype}, x_RD {x_RD.dtype}",
        "convert one of them: the product takes a single dtype",
    )
    expect(
        1 in weight_EDF.stride()[1:] or 1 in weight_EDF.shape[1:],
        f"weight_EDF has strides {weight_EDF.stride()}",
        "one of its last two dimensions must be contiguous: call .contiguous()",
    )
    expect(
        gather is None or scatter is None or gather is scatter,
        "gather and scatter are two different orders of the same rows",
        "pass the same ExpertOrder to both",
    )
    order = gather or scatter
    if gather is not None:
        expect_shape("gather.positions_TK", gather.positions_TK, x_RD.shape[0], None)
    else:
        rows = x_RD.shape[0] if order is None else order.tokens_S.shape[0]
        expect_shape("x_RD", x_RD, rows, None)
    y: Tensor = _forward(
        x_RD,
        weight_EDF,
        offsets_E,
        None if order is None else order.tokens_S,
        None if order is None else order.positions_TK,
        gather is not None,
        scatter is not None,
    )
    return y


def grouped_gemm_reference(
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    gather: ExpertOrder | None = None,
    scatter: ExpertOrder | None = None,
) -> Tensor:
    """What `grouped_gemm` computes, in plain torch, float32 or float64."""
    dtype = accumulation_dtype(x_RD)
    rows = x_RD.to(dtype) if gather is None else x_RD.to(dtype)[gather.tokens_S]
    ends = [int(end) for end in offsets_E]
    groups = zip([0, *ends[:-1]], ends, weight_EDF.to(dtype), strict=True)
    y_SF = torch.cat([rows[start:end] @ weight_DF for start, end, weight_DF in groups])
    if scatter is not None:
        y_SF = y_SF[scatter.positions_TK].sum(1)
    return y_SF.to(x_RD.dtype)


def _groups(offsets_E: Tensor) -> list[tuple[int, int, int]]:
    """Expert, first row and end of each group that has rows."""
    ends = offsets_E.tolist()
    starts = [0, *ends[:-1]]
    return [(expert, start, end) for expert, (start, end) in enumerate(zip(starts, ends, strict=True)) if end > start]


def _multiply(rows: Tensor, weight_EDF: Tensor, offsets_E: Tensor) -> Tensor:
    y = rows.new_empty(rows.shape[0], weight_EDF.shape[2])
    for expert, start, end in _groups(offsets_E):
        torch.mm(rows[start:end], weight_EDF[expert], out=y[start:end])
    return y


def _combine(rows: Tensor, positions_TK: Tensor) -> Tensor:
    """Sum the sorted rows of each token: one pass, without the [T, K, F] between."""
    return torch.nn.functional.embedding_bag(positions_TK, rows, mode="sum")


@torch.library.custom_op("curator::grouped_gemm", mutates_args=())
def _forward(
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    tokens_S: Tensor | None,
    positions_TK: Tensor | None,
    gather: bool,
    scatter: bool,
) -> Tensor:
    if uses_triton(x_RD):
        from model.kernels.gpu.grouped_gemm import combine, multiply

        y_SF = multiply(x_RD, weight_EDF, offsets_E, tokens_S if gather else None)
        return y_SF if positions_TK is None or not scatter else combine(y_SF, positions_TK)
    if runs_natively(x_RD):
        from model.kernels.native.grouped_gemm import multiply as multiply_natively

        scattered = scatter and positions_TK is not None
        tokens = positions_TK.shape[0] if positions_TK is not None and scatter else len(x_RD)
        if gather and tokens_S is not None and not scatter:
            tokens = tokens_S.shape[0]
        return multiply_natively(
            x_RD, weight_EDF, offsets_E, tokens_S if gather else None, tokens_S if scattered else None, tokens
        )
    rows = x_RD if tokens_S is None or not gather else x_RD.index_select(0, tokens_S)
    y_SF = _multiply(rows, weight_EDF, offsets_E)
    return y_SF if positions_TK is None or not scatter else _combine(y_SF, positions_TK)


@_forward.register_fake
def _(
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    tokens_S: Tensor | None,
    positions_TK: Tensor | None,
    gather: bool,
    scatter: bool,
) -> Tensor:
    rows = x_RD.shape[0]
    if positions_TK is not None and tokens_S is not None:
        rows = positions_TK.shape[0] if scatter else tokens_S.shape[0]
    return x_RD.new_empty(rows, weight_EDF.shape[2])


@torch.library.custom_op("curator::grouped_gemm_backward", mutates_args=())
def _backward(
    grad: Tensor,
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    tokens_S: Tensor | None,
    positions_TK: Tensor | None,
    gather: bool,
    scatter: bool,
) -> tuple[Tensor, Tensor]:
    transposed_EFD = weight_EDF.transpose(1, 2)
    if uses_triton(x_RD):
        from model.kernels.gpu.grouped_gemm import combine, multiply, multiply_transposed

        x_grad = multiply(grad, transposed_EFD, offsets_E, tokens_S if scatter else None)
        if gather and positions_TK is not None:
            x_grad = combine(x_grad, positions_TK)
        return x_grad, multiply_transposed(
            x_RD, grad, weight_EDF, offsets_E, tokens_S if gather else None, tokens_S if scatter else None
        )
    if runs_natively(x_RD):
        from model.kernels.native import grouped_gemm as natively

        gather_S, scatter_S = tokens_S if gather else None, tokens_S if scatter else None
        return (
            natively.multiply(grad, transposed_EFD, offsets_E, scatter_S, gather_S, x_RD.shape[0]),
            natively.multiply_transposed(x_RD, grad, weight_EDF, offsets_E, gather_S, scatter_S),
        )
    rows = x_RD if tokens_S is None or not gather else x_RD.index_select(0, tokens_S)
    grad_rows = grad if tokens_S is None or not scatter else grad.index_select(0, tokens_S)
    x_grad = _multiply(grad_rows, transposed_EFD, offsets_E)
    if gather and positions_TK is not None:
        x_grad = _combine(x_grad, positions_TK)
    weight_grad_EDF = torch.empty_like(weight_EDF)
    used = set()
    for expert, start, end in _groups(offsets_E):
        torch.mm(rows[start:end].T, grad_rows[start:end], out=weight_grad_EDF[expert])
        used.add(expert)
    for expert in set(range(weight_EDF.shape[0])) - used:
        weight_grad_EDF[expert].zero_()
    return x_grad, weight_grad_EDF


@_backward.register_fake
def _(
    grad: Tensor,
    x_RD: Tensor,
    weight_EDF: Tensor,
    offsets_E: Tensor,
    tokens_S: Tensor | None,
    positions_TK: Tensor | None,
    gather: bool,
    scatter: bool,
) -> tuple[Tensor, Tensor]:
    return torch.empty(x_RD.shape, dtype=x_RD.dtype, device=x_RD.device), torch.empty_like(weight_EDF)


_Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, bool, bool]


def _save(ctx: torch.autograd.function.FunctionCtx, inputs: _Inputs, output: Tensor) -> None:
    *tensors, gather, scatter = inputs
    ctx.flags = (gather, scatter)  # type: ignore[attr-defined]  # torch keeps what is not a tensor as an attribute
    save_for_backward(ctx, *tensors)


def _differentiate(
    ctx: torch.autograd.function.BackwardCFunction, grad: Tensor
) -> tuple[Tensor, Tensor, None, None, None, None, None]:
    flags: tuple[bool, bool] = ctx.flags  # type: ignore[attr-defined]
    # The rows of a summed or expanded gradient have strides that no GEMM takes; rows apart from each other do.
    if uses_triton(grad) or not runs_natively(grad) or grad.stride(1) != 1:
        grad = grad.contiguous()
    x_grad, weight_grad_EDF = _backward(grad, *ctx.saved_tensors, *flags)
    return x_grad, weight_grad_EDF, None, None, None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
