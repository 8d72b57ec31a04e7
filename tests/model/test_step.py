"""Each loss is exact: a batch in parts, or computed again, has the gradient of the batch at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import ModelConfig
from model.data.batch import Batch
from model.decoder import Decoder
from model.losses import LossSettings, cv_squared, move_router_bias, switch_loss
from model.step import StepLosses, add_gradients, to_tensors
from tests.model.corpora import TINY

SEQUENCES, LENGTH = 4, 24
SETTINGS = {
    "next token": LossSettings("none", 0.0, 0.0),
    "cv": LossSettings("cv", 0.5, 0.0),
    "switch": LossSettings("switch", 0.5, 0.0),
    "router z": LossSettings("none", 0.0, 0.1),
    "bias": LossSettings("bias", 0.0, 0.0),
    "all": LossSettings("cv", 0.5, 0.1),
}
CPU = torch.device("cpu")


def a_batch(seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    size = SEQUENCES * LENGTH
    documents = sorted({0, size, *range(0, size, LENGTH), *random.integers(1, size, 5).tolist()})
    tokens = random.integers(0, TINY.vocabulary, (2, size)).astype(np.int32)
    weights = random.choice([0.5, 1.0, 3.0], size).astype(np.float32)
    return Batch(tokens[0], tokens[1], weights, np.array(documents, np.int32), SEQUENCES)


def a_model(shape: ModelConfig = TINY, *, recompute: bool = False) -> Decoder:
    model = Decoder(shape, dtype=torch.float64, recompute=recompute).double()
    model.initialise(0)
    with torch.no_grad():
        for parameter in model.parameters():
            # At the first deviation routers are all but even, and what they add would be lost in the comparison.
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return model


def gradients(
    settings: LossSettings, parts: int, *, recompute: bool = False, shape: ModelConfig = TINY
) -> tuple[StepLosses, dict[str, torch.Tensor]]:
    model = a_model(shape, recompute=recompute)
    found = [to_tensors(part, CPU) for part in a_batch().parts(parts)]
    losses = add_gradients(model, found, settings)
    return losses, {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def difference(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """The largest relative distance of two gradients, over the parameters."""
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).norm() / left[name].norm()) for name in left)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: str, parts: int) -> None:
    whole, expected = gradients(SETTINGS[name], 1)
    losses, found = gradients(SETTINGS[name], parts)
    assert difference(expected, found) < 1e-6
    assert losses.total.item() == pytest.approx(whole.total.item(), rel=1e-6)
    assert torch.equal(losses.counts_LE, whole.counts_LE)


@pytest.mark.parametrize("name", SETTINGS)
def test_computing_again_changes_nothing_and_counts_once(name: str) -> None:
    whole, expected = gradients(SETTINGS[name], 2)
    losses, found = gradients(SETTINGS[name], 2, recompute=True)
    assert difference(expected, found) < 1e-6
    assert torch.equal(losses.counts_LE, whole.counts_LE)
    assert losses.counts_LE.sum(1).tolist() == [SEQUENCES * LENGTH * TINY.experts_per_token] * TINY.layers


@pytest.mark.parametrize("name", ["cv", "switch", "router z"])
def test_each_term_reaches_the_routers(name: str) -> None:
    _, without = gradients(SETTINGS["next token"], 1)
    _, found = gradients(SETTINGS[name], 1)
    router = "layers.0.experts.router_ED"
    assert (found[router] - without[router]).norm() > 1e-3 * without[router].norm()


@pytest.mark.parametrize("name", ["cv", "switch"])
def test_the_mean_over_parts_would_be_another_gradient(name: str) -> None:
    """What exactness is for: were this small, the tests above would show nothing."""
    _, expected = gradients(SETTINGS[name], 1)
    model = a_model()
    for part in a_batch().parts(4):
        add_gradients(model, [to_tensors(part, CPU)], SETTINGS[name], scale=0.25)
    naive = {key: parameter.grad for key, parameter in model.named_parameters() if parameter.grad is not None}
    assert difference(expected, naive) > 1e-3


@pytest.mark.parametrize("name", ["cv", "switch"])
def test_the_gradient_is_that_of_the_formula(name: str) -> None:
    """Autograd through the formula itself, on a batch at once."""
    model = a_model()
    part = to_tensors(a_batch(), CPU)
    hidden = model(part.inputs_T, part.documents)
    tokens = torch.tensor(float(SEQUENCES * LENGTH))
    value = (
        cv_squared(hidden.probability_sums_LE)
        if name == "cv"
        else switch_loss(hidden.counts_LE, hidden.probability_sums_LE, tokens)
    )
    torch.autograd.backward(value)
    router = model.get_parameter("layers.1.experts.router_ED").grad
    _, with_term = gradients(LossSettings(SETTINGS[name].balance, 1.0, 0.0), 1)
    _, without = gradients(LossSettings("none", 0.0, 0.0), 1)
    key = "layers.1.experts.router_ED"
    assert router is not None
    assert torch.allclose(with_term[key] - without[key], router, rtol=1e-5, atol=1e-9)


def test_even_use_costs_nothing_in_cv_and_one_a_layer_in_switch() -> None:
    even = torch.full((3, 8), 5.0)
    assert cv_squared(even).item() == 0
    assert switch_loss(even, even, torch.tensor(40.0)).item() == pytest.approx(3)


def test_cv_of_one_expert_that_takes_all() -> None:
    assert cv_squared(torch.tensor([[8.0, 0.0, 0.0, 0.0]])).item() == pytest.approx(3.0)


def test_the_bias_moves_towards_balance_by_a_fixed_amount() -> None:
    shape = ModelConfig(**{**TINY.__dict__, "router_bias": True})
    model = Decoder(shape)
    counts = torch.tensor([[9, 1, 5, 5], [5, 5, 5, 5]])
    move_router_bias(model, counts, 0.25)
    first, second = model.router_biases()
    assert first.tolist() == [-0.25, 0.25, 0.0, 0.0]
    assert second.tolist() == [0.0] * 4
