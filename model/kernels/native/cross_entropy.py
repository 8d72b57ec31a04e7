"""Output projection, softmax and loss on CPUs, by chunks of tokens.

Threads share the vocabulary in the products, and the tokens in the softmax.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from curator.kernel import numba
from model.kernels.dispatch import rows_apart
from model.kernels.native.gemm import share
from model.kernels.native.grouped_gemm import add_transposed, multiply
from model.kernels.native.mathematics import exponential, largest
from model.kernels.native.regions import Region, compiled, next_part, numbers_of
from model.kernels.native.vectors import bytes_of, pointer


@compiled
def _softmax_part(data: int, part: int, like: Any) -> None:
    """Logits become exponentials less their sum at the target; losses, and the factors that make gradients of them."""
    parts, logits, step, targets, weights, losses, factors, tokens, vocabulary = numbers_of(data)[:9]
    size = bytes_of(like)
    first, until = share(tokens, part, parts)
    target_of = numba.carray(pointer(targets, np.int64(0)), tokens)
    weight_of = numba.carray(pointer(weights, like), tokens)
    loss_of = numba.carray(pointer(losses, like), tokens)
    factor_of = numba.carray(pointer(factors, like), tokens)
    for token in range(first, until):
        start = logits + token * step * size
        row = numba.carray(pointer(start, like), vocabulary)
        target = max(target_of[token], 0)
        # NaN is passed over here; as an exponential it makes the sum NaN.
        most = largest(start, vocabulary, like)
        chosen = row[target] - most
        total = like
        for column in range(vocabulary):
            row[column] = exponential(row[column] - most)
            total += row[column]
        loss_of[token] = np.log(total) - chosen if target_of[token] >= 0 else 0
        factor_of[token] = weight_of[token] / total
        row[target] -= total


def _softmax_single(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _softmax_part(data, part, np.float32(0))
        part = next_part(data)


def _softmax_double(data: int) -> None:
    part = next_part(data)
    while part >= 0:
        _softmax_part(data, part, np.float64(0))
        part = next_part(data)


_SOFTMAX: Final = Region(_softmax_single, _softmax_double)


def forward(
    x_TD: Tensor, weight_VD: Tensor, targets_T: Tensor, weights_T: Tensor, differentiable: bool, chunk: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum of the weighted losses, losses [T], and the gradients [T, D] and [V, D], empty unless `differentiable`."""
    x, weight = x_TD.contiguous(), weight_VD.contiguous()
    targets, weights = targets_T.contiguous(), weights_T.contiguous()
    tokens, vocabulary = x.shape[0], weight.shape[0]
    losses_T, factors_T = x.new_empty(tokens), x.new_empty(tokens)
    x_grad_TD = x.new_empty(x.shape if differentiable else 0)
    weight_grad_VD = weight.new_empty(weight.shape if differentiable else 0)
    if tokens == 0:
        weight_grad_VD.zero_()
    buffer_CV = rows_apart(x, min(chunk, tokens), vocabulary)
    parts = torch.get_num_threads()
    for start in range(0, tokens, chunk):
        part = slice(start, min(start + chunk, tokens))
        count = part.stop - start
        whole = torch.tensor([count], dtype=torch.int32)
        logits_CV = multiply(x[part], weight.T[None], whole, None, None, count, buffer_CV[:count])
        _SOFTMAX.run(
            x.dtype,
            parts,
            parts,
            logits_CV.data_ptr(),
            logits_CV.stride(0),
            targets[part].data_ptr(),
            weights[part].data_ptr(),
            losses_T[part].data_ptr(),
            factors_T[part].data_ptr(),
            count,
            vocabulary,
        )
        if differentiable:
            # The factor of a row stands on the narrow side of the products: D numbers instead of V.
            factors_C1 = factors_T[part, None]
            multiply(logits_CV, weight[None], whole, None, None, count, x_grad_TD[part]).mul_(factors_C1)
            add_transposed(logits_CV, x[part] * factors_C1, weight_grad_VD[None], whole, add=start > 0)
    return torch.dot(losses_T, weights), losses_T, x_grad_TD, weight_grad_VD
