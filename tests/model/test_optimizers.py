"""Optimizers follow their formulas, and the hybrid keeps the state of both."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from curator.training import LossSection, OptimizerSection, ScheduleSection
from model.losses import LossSettings
from model.optimizers import ADAMW, LION, LossScaler, Optimizer, OptimizerSettings, gradient_norm
from model.schedule import rate_share

ONE = torch.tensor(1.0)


def section(**changes: object) -> OptimizerSettings:
    return OptimizerSettings(**OptimizerSection.model_validate({"weight_decay": 0.1, **changes}).model_dump())


def test_the_settings_are_those_of_the_configuration() -> None:
    assert OptimizerSettings() == OptimizerSettings(**OptimizerSection().model_dump())
    assert LossSettings() == LossSettings(**LossSection().model_dump(exclude={"bias_rate"}))


def a_module(seed: int = 0) -> nn.Module:
    random = torch.Generator().manual_seed(seed)
    module = nn.Module()
    module.matrix = nn.Parameter(torch.randn(5, 7, generator=random))
    module.norm = nn.Parameter(torch.randn(7, generator=random))
    return module


def give_gradients(module: nn.Module, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random)


def test_adamw_is_torchs() -> None:
    ours, theirs = a_module(), a_module()
    chosen = section(learning_rate=0.01)
    optimizer = Optimizer(ours, chosen)
    reference = torch.optim.AdamW(
        [
            {"params": [theirs.get_parameter("matrix")], "weight_decay": 0.1},
            {"params": [theirs.get_parameter("norm")], "weight_decay": 0.0},
        ],
        lr=0.01,
        betas=(chosen.beta1, chosen.beta2),
        eps=chosen.epsilon,
    )
    for step in range(6):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimizer.step(0.01, 1.0, ONE)
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_lion_moves_every_number_by_the_same_length() -> None:
    module = a_module()
    before = module.get_parameter("norm").detach().clone()
    give_gradients(module, 0)
    Optimizer(module, section(name="lion", lion_rate=0.5)).step(0.02, 1.0, ONE)
    moved = (module.get_parameter("norm") - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.01))


def test_lion_follows_its_formula() -> None:
    module = a_module()
    chosen = section(name="lion", lion_rate=1.0)
    optimizer = Optimizer(module, chosen)
    expected = module.get_parameter("matrix").detach().clone()
    momentum = torch.zeros_like(expected)
    for step in range(4):
        give_gradients(module, step)
        gradient = module.get_parameter("matrix").grad
        assert gradient is not None
        update = torch.sign(chosen.lion_beta1 * momentum + (1 - chosen.lion_beta1) * gradient)
        expected = expected - 0.01 * (update + 0.1 * expected)
        momentum = chosen.lion_beta2 * momentum + (1 - chosen.lion_beta2) * gradient
        optimizer.step(0.01, 1.0, ONE)
    torch.testing.assert_close(module.get_parameter("matrix").detach(), expected)


@pytest.mark.slow
@given(norms=st.lists(st.floats(0, 4), min_size=1, max_size=6))
def test_the_hybrid_takes_lion_above_the_threshold_and_keeps_both_states(norms: list[float]) -> None:
    module, adamw_alone, lion_alone = a_module(), a_module(), a_module()
    hybrid = Optimizer(module, section(name="hybrid", switch_norm=2.0))
    adamw, lion = Optimizer(adamw_alone, section()), Optimizer(lion_alone, section(name="lion"))
    for step, norm in enumerate(norms):
        for each in (module, adamw_alone, lion_alone):
            give_gradients(each, step)
        assert hybrid.step(0.01, norm, ONE) == (LION if norm > 2 else ADAMW)
        adamw.step(0.01, norm, ONE)
        lion.step(0.01, norm, ONE)
    assert hybrid.switches == sum(norm > 2 for norm in norms)
    for name, tensor in (adamw.tensors() | lion.tensors()).items():
        assert torch.equal(hybrid.tensors()[name], tensor), name


def test_the_scale_stands_on_the_gradient() -> None:
    first, second = a_module(), a_module()
    give_gradients(first, 0)
    give_gradients(second, 0)
    for parameter in second.parameters():
        assert parameter.grad is not None
        parameter.grad *= 4
    Optimizer(first, section()).step(0.01, 1.0, ONE)
    Optimizer(second, section()).step(0.01, 1.0, torch.tensor(0.25))
    for left, right in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_the_norm_is_of_the_whole_gradient() -> None:
    module = a_module()
    give_gradients(module, 0)
    whole = torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])
    torch.testing.assert_close(gradient_norm(module), whole.norm())


def test_the_scaler_halves_and_doubles() -> None:
    scaler = LossScaler(1024.0)
    scaler.overflowed()
    assert scaler.scale == 512.0
    for _ in range(LossScaler.GROWTH_STEPS):
        scaler.succeeded()
    assert scaler.scale == 1024.0


def test_the_rate_rises_falls_and_starts_anew() -> None:
    schedule = ScheduleSection(warmup=10, cycle=20, cycle_factor=2.0, floor=0.1)
    shares = [rate_share(step, 1000, schedule) for step in range(10 + 20 + 40)]
    assert shares[:10] == sorted(shares[:10])
    assert shares[9] < 1.0
    assert shares[10] == shares[30] == 1.0
    assert shares[10:30] == sorted(shares[10:30], reverse=True)
    assert shares[30:70] == sorted(shares[30:70], reverse=True)
    assert min(shares[10:]) > 0.1


def test_each_cosine_is_longer_by_the_factor_also_where_the_first_is_short() -> None:
    schedule = ScheduleSection(warmup=0, cycle=1, cycle_factor=1.5)
    begins = [step for step in range(30) if rate_share(step, 1000, schedule) == 1.0]
    assert begins == [0, 1, 2, 4, 7, 12, 19]  # 1, 1.5, 2.25, 3.4, 5.1, 7.6: whole steps of each


@given(step=st.integers(0, 2000), warmup=st.integers(0, 50), floor=st.floats(0, 1))
def test_a_rate_is_a_share_at_every_step(step: int, warmup: int, floor: float) -> None:
    share = rate_share(step, 500, ScheduleSection(warmup=warmup, floor=floor))
    assert 0 <= share <= 1
    if step >= 500:
        assert share == pytest.approx(floor)
