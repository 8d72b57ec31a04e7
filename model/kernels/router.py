"""Top-k routing of tokens to experts, with what the losses of the router need, in one pass.

With l the logits of a token, s its scores and b the bias of auxiliary-loss-free balancing (Wang et al. 2024,
arXiv:2408.15664), which chooses but does not weigh:

    softmax:  s_e = exp(l_e) / sum_j exp(l_j)       p_e = s_e
    sigmoid:  s_e = 1 / (1 + exp(-l_e))             p_e = s_e / sum_j s_j     (DeepSeek-V3, arXiv:2412.19437, 2.1.2)

    chosen  = the K experts of largest s_e + b_e, the lower index first among equals
    w_k     = s_k / sum over the chosen             (Mixtral, arXiv:2401.04088)
    counts_e         = tokens that chose e          no gradient
    probability sums = sum_t p_te                   for the load losses
    z                = sum_t (log sum_e exp l_te)^2 for the router z-loss (ST-MoE, arXiv:2202.08906)
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from model.kernels.dispatch import accumulation_dtype, expect, expect_floating, expect_shape, uses_triton

Score = Literal["softmax", "sigmoid"]
SCORES: Final[tuple[Score, ...]] = ("softmax", "sigmoid")


class Routing(NamedTuple):
    """Where each token goes. Floats are float32 (float64 for float64 logits)."""

    weights_TK: Tensor
    """Weight of each chosen expert; the weights of a token sum to one. Differentiable."""
    experts_TK: Tensor
    """int32, the chosen experts, best first."""
    counts_E: Tensor
    """int32, how many tokens chose each expert."""
    probability_sums_E: Tensor
    """Sum over the tokens of the probability of each expert, chosen or not. Differentiable."""
    squared_logsumexp: Tensor
    """Scalar: sum over the tokens of the squared log-sum-exp of the logits. Differentiable."""


class ExpertOrder(NamedTuple):
    """The S = T K assignments of tokens to experts sorted by expert, within one in the order of the tokens. int32."""

    order_S: Tensor
    """The assignment (token * K + place) that stands in each sorted row."""
    tokens_S: Tensor
    """The token of each sorted row."""
    positions_TK: Tensor
    """The sorted row of each assignment: the inverse of order_S."""
    offsets_E: Tensor
    """Where the rows of each expert end."""


def route(logits_TE: Tensor, experts_per_token: int, score: Score = "softmax", bias_E: Tensor | None = None) -> Routing:
    """Choose `experts_per_token` of E experts for each token and sum what the losses need.

    Raises UserError on another shape, dtype or device, and for more experts a token than there are.
    """
    expect_floating("logits_TE", logits_TE)
    expect_shape("logits_TE", logits_TE, None, None)
    experts = logits_TE.shape[1]
    expect(
        1 <= experts_per_token <= experts,
        f"{experts_per_token} experts a token of {experts}",
        "choose at least one and at most all",
    )
    expect(score in SCORES, f"the score {score!r} is unknown", f"choose one of {', '.join(SCORES)}")
    if bias_E is not None:
        expect_shape("bias_E", bias_E, experts)
    return Routing(*_forward(logits_TE, bias_E, experts_per_token, score == "sigmoid"))


def sort_by_expert(experts_TK: Tensor, expert_count: int) -> ExpertOrder:
    """Sort the assignments [T, K] by expert, stably and without dropping any."""
    experts_S, order_S = torch.sort(experts_TK.reshape(-1), stable=True)
    places_S = torch.arange(order_S.shape[0], dtype=torch.int32, device=order_S.device)
    positions_S = torch.empty_like(places_S)
    positions_S[order_S] = places_S
    boundaries_E = torch.arange(expert_count, dtype=experts_S.dtype, device=order_S.device)
    return ExpertOrder(
        order_S=order_S.to(torch.int32),
        tokens_S=(order_S // experts_TK.shape[1]).to(torch.int32),
        positions_TK=positions_S.view(experts_TK.shape),
        offsets_E=torch.searchsorted(experts_S, boundaries_E, right=True, out_int32=True),
    )


def route_reference(
    logits_TE: Tensor, experts_per_token: int, score: Score = "softmax", bias_E: Tensor | None = None
) -> Routing:
    """What `route` computes, in plain torch, float32 or float64."""
    logits = logits_TE.to(accumulation_dtype(logits_TE))
    if score == "softmax":
        scores_TE = probabilities_TE = torch.softmax(logits, -1)
    else:
        scores_TE = torch.sigmoid(logits)
        probabilities_TE = scores_TE / scores_TE.sum(-1, keepdim=True)
    preference_TE = scores_TE.detach() if bias_E is None else scores_TE.detach() + bias_E
    experts_TK = torch.sort(preference_TE, dim=-1, descending=True, stable=True).indices[:, :experts_per_token]
    chosen_TK = scores_TE.gather(1, experts_TK)
    return Routing(
        weights_TK=chosen_TK / chosen_TK.sum(-1, keepdim=True),
        experts_TK=experts_TK.to(torch.int32),
        counts_E=torch.nn.functional.one_hot(experts_TK, logits.shape[1]).sum((0, 1)).to(torch.int32),
        probability_sums_E=probabilities_TE.sum(0),
        squared_logsumexp=torch.logsumexp(logits, -1).square().sum(),
    )


def _scores(logits_TE: Tensor, sigmoid: bool) -> tuple[Tensor, Tensor]:
    """Scores and probabilities; the same tensor for softmax."""
    if not sigmoid:
        scores_TE = torch.softmax(logits_TE, -1)
        return scores_TE, scores_TE
    scores_TE = torch.sigmoid(logits_TE)
    return scores_TE, scores_TE / scores_TE.sum(-1, keepdim=True)


@torch.library.custom_op("curator::route", mutates_args=())
def _forward(
    logits_TE: Tensor, bias_E: Tensor | None, experts_per_token: int, sigmoid: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    if uses_triton(logits_TE):
        from model.kernels.gpu.router import forward

        return forward(logits_TE, bias_E, experts_per_token, sigmoid)
    logits = logits_TE.to(accumulation_dtype(logits_TE))
    scores_TE, probabilities_TE = _scores(logits, sigmoid)
    preference_TE = scores_TE.clone() if bias_E is None else scores_TE + bias_E
    experts_TK = torch.empty(logits.shape[0], experts_per_token, dtype=torch.int64)
    for place in range(experts_per_token):
        # argmax takes the first of equals, which topk does not promise.
        best_T1 = preference_TE.argmax(-1, keepdim=True)
        experts_TK[:, place : place + 1] = best_T1
        preference_TE.scatter_(1, best_T1, -torch.inf)
    weights_TK = scores_TE.gather(1, experts_TK)
    weights_TK.div_(weights_TK.sum(-1, keepdim=True))
    return (
        weights_TK,
        experts_TK.to(torch.int32),
        torch.bincount(experts_TK.view(-1), minlength=logits.shape[1]).to(torch.int32),
        probabilities_TE.sum(0),
        torch.logsumexp(logits, -1).square_().sum(),
    )


@_forward.register_fake
def _(
    logits_TE: Tensor, bias_E: Tensor | None, experts_per_token: int, sigmoid: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    tokens, experts = logits_TE.shape
    dtype = accumulation_dtype(logits_TE)
    return (
        logits_TE.new_empty(tokens, experts_per_token, dtype=dtype),
        logits_TE.new_empty(tokens, experts_per_token, dtype=torch.int32),
        logits_TE.new_empty(experts, dtype=torch.int32),
        logits_TE.new_empty(experts, dtype=dtype),
        logits_TE.new_empty((), dtype=dtype),
    )


@torch.library.custom_op("curator::route_backward", mutates_args=())
def _backward(
    weights_grad_TK: Tensor,
    sums_grad_E: Tensor,
    squares_grad: Tensor,
    logits_TE: Tensor,
    weights_TK: Tensor,
    experts_TK: Tensor,
    sigmoid: bool,
) -> Tensor:
    if uses_triton(logits_TE):
        from model.kernels.gpu.router import backward

        return backward(weights_grad_TK, sums_grad_E, squares_grad, logits_TE, weights_TK, experts_TK, sigmoid)
    logits = logits_TE.to(accumulation_dtype(logits_TE))
    scores_TE, probabilities_TE = _scores(logits, sigmoid)
    chosen = experts_TK.to(torch.int64)
    total_T1 = scores_TE.gather(1, chosen).sum(-1, keepdim=True)
    mean_T1 = (weights_grad_TK * weights_TK).sum(-1, keepdim=True)
    chosen_grad_TK = (weights_grad_TK - mean_T1) / total_T1
    logsumexp_T1 = torch.logsumexp(logits, -1, keepdim=True)
    if sigmoid:
        average_T1 = probabilities_TE @ sums_grad_E[:, None]
        scores_grad_TE = (sums_grad_E - average_T1) / scores_TE.sum(-1, keepdim=True)
        scores_grad_TE.scatter_add_(1, chosen, chosen_grad_TK)
        logits_grad_TE = scores_grad_TE.mul_(scores_TE).mul_(1 - scores_TE)
        softmax_TE = torch.softmax(logits, -1)
    else:
        scores_grad_TE = sums_grad_E.expand_as(logits).clone().scatter_add_(1, chosen, chosen_grad_TK)
        average_T1 = torch.linalg.vecdot(scores_grad_TE, scores_TE).unsqueeze_(1)
        logits_grad_TE = scores_grad_TE.sub_(average_T1).mul_(scores_TE)
        softmax_TE = scores_TE
    return logits_grad_TE.addcmul_(softmax_TE, 2 * squares_grad * logsumexp_T1).to(logits_TE.dtype)


@_backward.register_fake
def _(
    weights_grad_TK: Tensor,
    sums_grad_E: Tensor,
    squares_grad: Tensor,
    logits_TE: Tensor,
    weights_TK: Tensor,
    experts_TK: Tensor,
    sigmoid: bool,
) -> Tensor:
    return torch.empty(logits_TE.shape, dtype=logits_TE.dtype, device=logits_TE.device)


def _save(
    ctx: torch.autograd.function.FunctionCtx,
    inputs: tuple[Tensor, Tensor | None, int, bool],
    output: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
) -> None:
    ctx.sigmoid = inputs[3]  # type: ignore[attr-defined]  # torch keeps what is not a tensor as an attribute
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.save_for_backward(inputs[0], output[0], output[1])


def _differentiate(
    ctx: torch.autograd.function.BackwardCFunction,
    weights_grad_TK: Tensor,
    _experts: Tensor,
    _counts: Tensor,
    sums_grad_E: Tensor,
    squares_grad: Tensor,
) -> tuple[Tensor, None, None, None]:
    sigmoid: bool = ctx.sigmoid  # type: ignore[attr-defined]
    return _backward(weights_grad_TK, sums_grad_E, squares_grad, *ctx.saved_tensors, sigmoid), None, None, None


_forward.register_autograd(_differentiate, setup_context=_save)
