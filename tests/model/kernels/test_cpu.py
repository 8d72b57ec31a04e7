"""The references are differentiable truth, and the CPU path computes what they do."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from curator.errors import UserError
from model.kernels import (
    BlockSparse,
    Dense,
    Window,
    adamw_step,
    attention,
    grouped_gemm,
    linear_cross_entropy,
    rms_norm,
    rotate,
    route,
    sort_by_expert,
    swiglu,
)
from model.kernels.attention import Pattern, attention_reference
from model.kernels.cross_entropy import linear_cross_entropy_reference
from model.kernels.grouped_gemm import grouped_gemm_reference
from model.kernels.rms_norm import rms_norm_reference
from model.kernels.rope import rotate_reference
from model.kernels.router import SCORES, Score, route_reference
from model.kernels.swiglu import swiglu_reference
from tests.model.kernels.parity import CASES, compare


def _doubles(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_the_cpu_path_computes_what_the_reference_does(name: str, dtype: torch.dtype) -> None:
    outside = [error for error in compare(name, dtype, "cpu", large=False) if not error.within]
    assert not outside, outside


@pytest.mark.slow
@pytest.mark.parametrize("function", [rms_norm, rms_norm_reference])
def test_gradients_of_rms_norm_are_derivatives(function: Callable[..., Tensor]) -> None:
    assert torch.autograd.gradcheck(lambda x, weight: function(x, weight, 1e-5), (_doubles(5, 7), _doubles(7)))


@pytest.mark.parametrize("function", [rotate, rotate_reference])
def test_gradients_of_rope_are_derivatives(function: Callable[..., Tensor]) -> None:
    angles = torch.randn(5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(function, (_doubles(5, 2, 6), angles.cos(), angles.sin()))


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize("function", [swiglu, swiglu_reference])
def test_gradients_of_swiglu_are_derivatives(function: Callable[..., Tensor], scaled: bool) -> None:
    assert torch.autograd.gradcheck(function, (_doubles(5, 6), *((_doubles(5),) if scaled else ())))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("function", [route, route_reference])
def test_gradients_of_the_router_are_derivatives(function: Callable[..., tuple[Tensor, ...]], score: Score) -> None:
    bias = torch.linspace(0, 0.3, 5, dtype=torch.float64)

    def differentiable(logits: Tensor) -> tuple[Tensor, ...]:
        weights, _, _, sums, squares = function(logits, 2, score, bias)
        return weights, sums, squares

    assert torch.autograd.gradcheck(differentiable, (_doubles(7, 5),))


@pytest.mark.parametrize("transposed", [False, True], ids=["EDF", "EFD"])
@pytest.mark.parametrize("scatter", [False, True], ids=["sorted", "scatter"])
@pytest.mark.parametrize("gather", [False, True], ids=["sorted", "gather"])
@pytest.mark.parametrize("function", [grouped_gemm, grouped_gemm_reference])
def test_gradients_of_the_grouped_gemm_are_derivatives(
    function: Callable[..., Tensor], gather: bool, scatter: bool, transposed: bool
) -> None:
    order = sort_by_expert(torch.tensor([[0, 1], [3, 1], [0, 3], [1, 0], [3, 0]]), 5)

    def product(x: Tensor, weight: Tensor) -> Tensor:
        weight = weight.transpose(1, 2) if transposed else weight
        return function(x, weight, order.offsets_E, order if gather else None, order if scatter else None)

    shape = (5, 3, 4) if transposed else (5, 4, 3)
    assert torch.autograd.gradcheck(product, (_doubles(5 if gather else 10, 4), _doubles(*shape)))


@pytest.mark.parametrize("function", [linear_cross_entropy, linear_cross_entropy_reference])
def test_gradients_of_the_loss_are_derivatives(function: Callable[..., tuple[Tensor, ...]]) -> None:
    targets, weights = torch.tensor([0, 3, -100, 2, 1, 4]), torch.rand(6, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, weight: function(x, weight, targets, weights)[0], (_doubles(6, 4), _doubles(5, 4))
    )


@pytest.mark.slow
@pytest.mark.parametrize("pattern", [Dense(), Window(2), BlockSparse(2, 1, 2)], ids=str)
@pytest.mark.parametrize("function", [attention, attention_reference])
def test_gradients_of_attention_are_derivatives(function: Callable[..., Tensor], pattern: Pattern) -> None:
    documents = torch.tensor([0, 3, 3, 9, 12], dtype=torch.int32)
    assert torch.autograd.gradcheck(
        lambda q, k, v: function(q, k, v, documents, pattern),
        (_doubles(12, 4, 6), _doubles(12, 2, 6), _doubles(12, 2, 6)),
    )


@pytest.mark.slow
def test_custom_operations_keep_the_rules_of_torch() -> None:
    order = sort_by_expert(torch.tensor([[0, 1], [3, 1], [0, 3]]), 5)
    tables = (order.offsets_E, order.tokens_S, order.positions_TK)
    documents = torch.tensor([0, 3, 9], dtype=torch.int32)
    x, weight = torch.randn(4, 8, requires_grad=True), torch.randn(8, requires_grad=True)
    heads = [torch.randn(9, count, 8, requires_grad=True) for count in (4, 2, 2)]
    angles = torch.randn(9, 4)
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("rms_norm", (x, weight, 1e-5)),
        ("rotate", (heads[0], angles.cos(), angles.sin(), False)),
        ("swiglu", (x, None)),
        ("swiglu", (x, torch.rand(4, requires_grad=True))),
        ("route", (x, None, 2, False)),
        ("route", (x, torch.rand(8), 3, True)),
        (
            "grouped_gemm",
            (torch.randn(3, 8, requires_grad=True), torch.randn(5, 8, 4, requires_grad=True), *tables, True, False),
        ),
        (
            "linear_cross_entropy",
            (x, torch.randn(6, 8, requires_grad=True), torch.tensor([0, 5, 1, 2]), torch.rand(4), True),
        ),
        ("attention", (*heads, documents, 0, 0, 0, 0)),
        ("attention", (*heads, documents, 2, 0, 0, 0)),
    ]
    for name, arguments in calls:
        torch.library.opcheck(getattr(torch.ops.curator, name).default, arguments)
    state = [torch.randn(5), torch.randn(5), torch.randn(5), torch.rand(5)]
    torch.library.opcheck(torch.ops.curator.adamw_step.default, (*state, None, 0.1, 0.9, 0.95, 1e-8, 0.1, 2))


@pytest.mark.parametrize("pattern", [Dense(), Window(5), BlockSparse(4, 1, 3)], ids=str)
def test_a_document_attends_alike_wherever_it_lies(pattern: Pattern) -> None:
    q, k, v = (torch.randn(30, count, 8) for count in (4, 2, 2))
    alone = attention(q[7:], k[7:], v[7:], torch.tensor([0, 23], dtype=torch.int32), pattern)
    packed = attention(q, k, v, torch.tensor([0, 7, 30], dtype=torch.int32), pattern)[7:]
    torch.testing.assert_close(packed, alone)


def test_a_token_never_depends_on_later_ones() -> None:
    documents = torch.tensor([0, 20], dtype=torch.int32)
    q, k, v = (torch.randn(20, count, 8) for count in (4, 2, 2))
    for pattern in (Dense(), Window(6), BlockSparse(4, 1, 2)):
        before = attention(q, k, v, documents, pattern)
        others = [torch.cat((x[:11], torch.randn(9, x.shape[1], 8))) for x in (q, k, v)]
        after = attention(others[0], others[1], others[2], documents, pattern)
        torch.testing.assert_close(after[:11], before[:11])
        assert not torch.allclose(after[11:], before[11:])


def test_among_equal_experts_the_first_is_chosen() -> None:
    routing = route(torch.zeros(3, 6), 2)
    assert routing.experts_TK.tolist() == [[0, 1]] * 3
    assert routing.weights_TK.tolist() == [[0.5, 0.5]] * 3


def test_every_assignment_is_kept_in_the_order_of_the_tokens() -> None:
    order = sort_by_expert(torch.tensor([[2, 0], [2, 1], [0, 2]]), 4)
    assert order.tokens_S.tolist() == [0, 2, 1, 0, 1, 2]
    assert order.offsets_E.tolist() == [2, 3, 6, 6]
    assert order.order_S[order.positions_TK.view(-1)].tolist() == [0, 1, 2, 3, 4, 5]


def test_logits_of_all_tokens_never_exist_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.kernels.cross_entropy._CHUNK_ELEMENTS", 16 * 50)
    x, weight = torch.randn(64, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True)
    targets = torch.randint(50, (64,))
    with torch.profiler.profile(record_shapes=True) as profile:
        torch.autograd.grad(linear_cross_entropy(x, weight, targets).total, (x, weight))
    shapes = {tuple(shape) for event in profile.events() or () for shape in event.input_shapes}
    assert (16, 50) in shapes
    assert (64, 50) not in shapes


def test_what_an_operation_cannot_do_is_named() -> None:
    x, weight = torch.randn(4, 8), torch.randn(8)
    with pytest.raises(UserError, match=r"weight_D has shape \(7,\), expected \(8\)"):
        rms_norm(x, weight[:7], 1e-5)
    with pytest.raises(UserError, match="x_TD has dtype int64"):
        rms_norm(x.long(), weight, 1e-5)
    with pytest.raises(UserError, match="the tensor is on meta"):
        rms_norm(x.to("meta"), weight, 1e-5)
    with pytest.raises(UserError, match="9 experts a token of 8"):
        route(x, 9)
    with pytest.raises(UserError, match="a head has an odd width"):
        rotate(torch.randn(4, 2, 5), x[:, :2], x[:, :2])
    with pytest.raises(UserError, match="a target lies outside 0 to 5"):
        linear_cross_entropy(x, torch.randn(6, 8), torch.tensor([0, 6, 1, 2]))
    with pytest.raises(UserError, match="documents does not go from 0 to 4"):
        attention(x[:, None], x[:, None], x[:, None], torch.tensor([0, 3], dtype=torch.int32), Dense())
    with pytest.raises(UserError, match="3 query heads over 2 key heads"):
        attention(torch.randn(4, 3, 8), torch.randn(4, 2, 8), torch.randn(4, 2, 8), torch.tensor([0, 4]).int(), Dense())
    with pytest.raises(UserError, match="a window of 0 tokens"):
        attention(x[:, None], x[:, None], x[:, None], torch.tensor([0, 4], dtype=torch.int32), Window(0))
    with pytest.raises(UserError, match="step is 0"):
        adamw_step(
            weight,
            weight,
            weight,
            weight,
            step=0,
            learning_rate=0.1,
            beta1=0.9,
            beta2=0.9,
            epsilon=1e-8,
            weight_decay=0,
        )
