"""Triton kernels of `model.kernels.router`: a program takes several tokens and all experts.

Counts and sums are kept a program, and summed by torch: no atomic additions, so that results repeat exactly.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.gpu.launch import blocks, device_of, power_of_two, rows_contiguous, rows_per_program
from model.kernels.gpu.precision import load, store

_BLOCKS_AT_ONCE: Final = 4
"""A program holds scores, preferences, places and probabilities at once: so many times fewer rows fit its registers."""


@triton.jit
def row_scores(value: tl.tensor, inside: tl.tensor, SIGMOID: tl.constexpr) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Scores, softmax and log-sum-exp of logits; zero outside."""
    masked = tl.where(inside, value, float("-inf"))
    largest = tl.max(masked, axis=1)
    # A row outside has no finite logit: zero keeps its exponents finite.
    largest = tl.where(largest == float("-inf"), 0.0, largest)
    exponentials = tl.where(inside, tl.exp(masked - largest[:, None]), 0.0)
    total = tl.sum(exponentials, axis=1)
    total = tl.where(total == 0.0, 1.0, total)
    softmax = exponentials / total[:, None]
    logsumexp = largest + tl.log(total)
    scores = softmax
    if SIGMOID:
        scores = tl.where(inside, tl.sigmoid(value), 0.0)
    return scores, softmax, logsumexp


@triton.jit
def forward_kernel(
    logits: tl.tensor,
    bias: tl.tensor,
    weights: tl.tensor,
    experts: tl.tensor,
    counts: tl.tensor,
    sums: tl.tensor,
    squares: tl.tensor,
    rows: int,
    width: int,
    logits_stride: int,
    K: tl.constexpr,
    SIGMOID: tl.constexpr,
    BIASED: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Route a block of tokens and sum what the losses need over it."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (column < width)[None, :]
    value = load(logits + row[:, None] * logits_stride + column[None, :], inside)
    scores, softmax, logsumexp = row_scores(value, inside, SIGMOID)
    probabilities = softmax
    if SIGMOID:
        total = tl.sum(scores, axis=1)
        probabilities = scores / tl.where(total == 0.0, 1.0, total)[:, None]
    preference = scores
    if BIASED:
        preference += load(bias + column, column < width)[None, :]
    preference = tl.where((column < width)[None, :], preference, float("-inf"))
    place = tl.full((ROWS, WIDTH), -1, dtype=tl.int32)
    for k in tl.static_range(K):
        # Of a row of NaN any column may come out: the last expert, so that no index leaves the tables.
        best = tl.minimum(tl.argmax(preference, axis=1), width - 1)
        taken = column[None, :] == best[:, None]
        place = tl.where(taken, k, place)
        preference = tl.where(taken, float("-inf"), preference)
        tl.store(experts + row * K + k, best.to(tl.int32), mask=row < rows)
    chosen_sum = tl.sum(tl.where(place >= 0, scores, 0.0), axis=1)
    chosen_sum = tl.where(row < rows, chosen_sum, 1.0)
    for k in tl.static_range(K):
        weight = tl.sum(tl.where(place == k, scores, 0.0), axis=1) / chosen_sum
        tl.store(weights + row * K + k, weight, mask=row < rows)
    program = tl.program_id(0)
    count = tl.sum(((place >= 0) & inside).to(tl.int32), axis=0)
    tl.store(counts + program * width + column, count, mask=column < width)
    tl.store(sums + program * width + column, tl.sum(probabilities, axis=0), mask=column < width)
    tl.store(squares + program, tl.sum(tl.where(row < rows, logsumexp * logsumexp, 0.0), axis=0))


@triton.jit
def backward_kernel(
    weights_grad: tl.tensor,
    sums_grad: tl.tensor,
    squares_grad: tl.tensor,
    logits: tl.tensor,
    weights: tl.tensor,
    experts: tl.tensor,
    logits_grad: tl.tensor,
    rows: int,
    width: int,
    logits_stride: int,
    K: tl.constexpr,
    SIGMOID: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Gradient of the logits of a block of tokens."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < rows)[:, None] & (column < width)[None, :]
    value = load(logits + row[:, None] * logits_stride + column[None, :], inside)
    scores, softmax, logsumexp = row_scores(value, inside, SIGMOID)
    mean = tl.zeros((ROWS,), dtype=tl.float32)
    chosen_sum = tl.zeros((ROWS,), dtype=tl.float32)
    chosen_grad = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    taken = tl.zeros((ROWS, WIDTH), dtype=tl.int1)
    for k in tl.static_range(K):
        upstream = load(weights_grad + row * K + k, row < rows)
        mean += upstream * load(weights + row * K + k, row < rows)
        expert = tl.load(experts + row * K + k, mask=row < rows, other=0)
        here = column[None, :] == expert[:, None]
        taken = taken | here
        chosen_sum += tl.sum(tl.where(here, scores, 0.0), axis=1)
        chosen_grad = tl.where(here, upstream[:, None], chosen_grad)
    chosen_sum = tl.where(row < rows, chosen_sum, 1.0)
    chosen_grad = tl.where(taken, (chosen_grad - mean[:, None]) / chosen_sum[:, None], 0.0)
    balance = load(sums_grad + column, column < width)[None, :]
    if SIGMOID:
        total = tl.where(row < rows, tl.sum(scores, axis=1), 1.0)
        average = tl.sum(balance * scores, axis=1) / total
        result = (chosen_grad + (balance - average[:, None]) / total[:, None]) * scores * (1.0 - scores)
    else:
        upstream = chosen_grad + balance
        result = (upstream - tl.sum(upstream * scores, axis=1)[:, None]) * scores
    result += 2.0 * tl.load(squares_grad) * logsumexp[:, None] * softmax
    store(logits_grad + row[:, None] * width + column[None, :], result, inside)


def forward(
    logits_TE: Tensor, bias_E: Tensor | None, experts_per_token: int, sigmoid: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Launch the forward kernel: weights, experts, counts, sums of probabilities, sum of squared log-sum-exps."""
    logits_TE = rows_contiguous(logits_TE)
    rows, width = logits_TE.shape
    device = logits_TE.device
    columns = power_of_two(width)
    per_program = max(1, rows_per_program(columns) // _BLOCKS_AT_ONCE)
    programs = blocks(rows, per_program)
    weights_TK = torch.empty(rows, experts_per_token, dtype=torch.float32, device=device)
    experts_TK = torch.empty(rows, experts_per_token, dtype=torch.int32, device=device)
    counts_PE = torch.empty(programs, width, dtype=torch.int32, device=device)
    sums_PE = torch.empty(programs, width, dtype=torch.float32, device=device)
    squares_P = torch.empty(programs, dtype=torch.float32, device=device)
    with device_of(logits_TE):
        forward_kernel[(programs,)](
            logits_TE,
            logits_TE if bias_E is None else bias_E.contiguous(),
            weights_TK,
            experts_TK,
            counts_PE,
            sums_PE,
            squares_P,
            rows,
            width,
            logits_TE.stride(0),
            K=experts_per_token,
            SIGMOID=sigmoid,
            BIASED=bias_E is not None,
            ROWS=per_program,
            WIDTH=columns,
        )
    return weights_TK, experts_TK, counts_PE.sum(0, dtype=torch.int32), sums_PE.sum(0), squares_P.sum()


def backward(
    weights_grad_TK: Tensor,
    sums_grad_E: Tensor,
    squares_grad: Tensor,
    logits_TE: Tensor,
    weights_TK: Tensor,
    experts_TK: Tensor,
    sigmoid: bool,
) -> Tensor:
    """Launch the backward kernel: the gradient of the logits."""
    logits_TE = rows_contiguous(logits_TE)
    rows, width = logits_TE.shape
    logits_grad_TE = torch.empty(logits_TE.shape, dtype=logits_TE.dtype, device=logits_TE.device)
    columns = power_of_two(width)
    per_program = max(1, rows_per_program(columns) // _BLOCKS_AT_ONCE)
    with device_of(logits_TE):
        backward_kernel[(blocks(rows, per_program),)](
            weights_grad_TK.contiguous(),
            sums_grad_E.contiguous(),
            squares_grad.contiguous(),
            logits_TE,
            weights_TK,
            experts_TK,
            logits_grad_TE,
            rows,
            width,
            logits_TE.stride(0),
            K=experts_TK.shape[1],
            SIGMOID=sigmoid,
            ROWS=per_program,
            WIDTH=columns,
        )
    return logits_grad_TE
