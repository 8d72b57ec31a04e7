"""Triton kernel of `model.kernels.cross_entropy`: losses and gradients of a chunk of logits; torch multiplies.

The two products around it are dense, of sizes for which cuBLAS is made.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.launch import blocks, device_of, power_of_two
from model.kernels.gpu.precision import store

_CHUNK_ELEMENTS: Final = 1 << 26 if not INTERPRETED else 1 << 13
"""Logits of a chunk: 256 MiB in float32, rows enough for full speed; in the interpreter few, to have chunks."""

_COLUMNS: Final = 4096 if not INTERPRETED else 256
_ROWS: Final = 1 if not INTERPRETED else 32


@triton.jit
def losses_kernel(
    logits: tl.tensor,
    targets: tl.tensor,
    weights: tl.tensor,
    losses: tl.tensor,
    logits_grad: tl.tensor,
    rows: int,
    width: int,
    ignored: int,
    DIFFERENTIABLE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """Losses of a block of rows; the gradient of their logits where DIFFERENTIABLE."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    target = tl.load(targets + row, mask=row < rows, other=0)
    largest = tl.full((ROWS,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((ROWS,), dtype=tl.float32)
    for first in range(0, width, COLUMNS):
        column = first + tl.arange(0, COLUMNS)
        mask = (row < rows)[:, None] & (column < width)[None, :]
        value = tl.load(logits + row[:, None] * width + column[None, :], mask=mask, other=float("-inf"))
        larger = tl.maximum(largest, tl.max(value, axis=1))
        shift = tl.where(larger == float("-inf"), 0.0, larger)
        total = total * tl.exp(largest - shift) + tl.sum(tl.exp(value - shift[:, None]), axis=1)
        largest = larger
    counted = (row < rows) & (target != ignored)
    known = counted & (target >= 0) & (target < width)
    chosen = tl.load(logits + row * width + target, mask=known, other=0.0)
    logsumexp = tl.where(row < rows, largest + tl.log(tl.where(row < rows, total, 1.0)), 0.0)
    loss = tl.where(known, logsumexp - chosen, float("nan"))
    tl.store(losses + row, tl.where(counted, loss, 0.0), mask=row < rows)
    if DIFFERENTIABLE:
        weight = tl.load(weights + row, mask=row < rows, other=0.0)
        for first in range(0, width, COLUMNS):
            column = first + tl.arange(0, COLUMNS)
            mask = (row < rows)[:, None] & (column < width)[None, :]
            value = tl.load(logits + row[:, None] * width + column[None, :], mask=mask, other=float("-inf"))
            probability = tl.exp(value - logsumexp[:, None])
            one = (column[None, :] == target[:, None]).to(tl.float32)
            store(logits_grad + row[:, None] * width + column[None, :], (probability - one) * weight[:, None], mask)


def forward(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor, differentiable: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Total, losses and, where asked for, the gradients of x and of the weight, a chunk of tokens at a time."""
    from model.kernels.cross_entropy import IGNORED

    tokens, vocabulary = x_TD.shape[0], weight_VD.shape[0]
    device = x_TD.device
    chunk = min(tokens, max(_ROWS, _CHUNK_ELEMENTS // vocabulary))
    columns = min(_COLUMNS, power_of_two(vocabulary))
    losses_T = torch.empty(tokens, dtype=torch.float32, device=device)
    x_grad_TD = torch.empty(x_TD.shape if differentiable else (0,), dtype=x_TD.dtype, device=device)
    weight_grad_VD = torch.zeros(weight_VD.shape if differentiable else (0,), dtype=torch.float32, device=device)
    targets_T = targets_T.contiguous()
    for start in range(0, tokens, chunk):
        part = slice(start, min(start + chunk, tokens))
        logits_CV = _product(x_TD[part], weight_VD.T)
        # float32 gradients take the place of the logits: each block is read before it is written.
        logits_grad_CV = logits_CV if x_TD.dtype == torch.float32 else torch.empty_like(logits_CV, dtype=x_TD.dtype)
        with device_of(x_TD):
            losses_kernel[(blocks(part.stop - start, _ROWS),)](
                logits_CV,
                targets_T[part],
                weights_T[part],
                losses_T[part],
                logits_grad_CV,
                part.stop - start,
                vocabulary,
                IGNORED,
                DIFFERENTIABLE=differentiable,
                ROWS=_ROWS,
                COLUMNS=columns,
            )
        if differentiable:
            x_grad_TD[part] = _product(logits_grad_CV, weight_VD)
            weight_grad_VD += _product(logits_grad_CV.T, x_TD[part])
    return torch.dot(losses_T, weights_T), losses_T, x_grad_TD, weight_grad_VD.to(weight_VD.dtype)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b in float32, of operands in their own dtype; torch on a CPU has that only for float32."""
    if a.device.type == "cpu":
        return a.float() @ b.float()
    return a @ b if a.dtype == torch.float32 else torch.mm(a, b, out_dtype=torch.float32)
