"""Muon makes hidden matrices orthogonal, moves them as torch's own does, and leaves the rest to AdamW."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from curator.training import OptimizerSection
from model.decoder import Decoder
from model.muon import COEFFICIENTS, ITERATIONS, Blocks, directions, matrices_of, orthogonalise
from model.optimizers import MUON, Optimizer, OptimizerSettings
from tests.model.corpora import TINY

ONE = torch.tensor(1.0)
LOWEST, HIGHEST = 0.68, 1.21
"""Where the iteration takes what begins at a hundredth or above; what is less stays below the second, too."""


def iterate(values: Tensor) -> Tensor:
    """What the iteration does to a singular value."""
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        values = a * values + b * values**3 + c * values**5
    return values


def chosen(**changes: object) -> OptimizerSettings:
    return OptimizerSettings(**OptimizerSection.model_validate({"name": "muon", **changes}).model_dump())


def a_decoder() -> Decoder:
    decoder = Decoder(dataclasses.replace(TINY, layers=1, shared_expert_width=8))
    decoder.initialise(0)
    return decoder


def give_gradients(module: nn.Module, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=random)


@settings(deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_the_iteration_moves_singular_values_and_leaves_their_directions(rows: int, columns: int, seed: int) -> None:
    matrix = torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, columns)))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    expected = left @ torch.diag(iterate(values / values.norm())) @ right
    torch.testing.assert_close(orthogonalise(matrix), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), seed=st.integers(0, 2**31))
def test_singular_values_come_near_one(rows: int, columns: int, seed: int) -> None:
    matrix = torch.from_numpy(np.random.default_rng(seed).standard_normal((rows, columns))).to(torch.float32)
    before = torch.linalg.svdvals(matrix)
    after = torch.linalg.svdvals(orthogonalise(matrix))
    not_tiny = int((before / before.norm() > 0.01).sum())
    assert after.max() <= HIGHEST
    # A value that was larger need not stay the larger one: all of them are in the same band.
    assert torch.sort(after, descending=True).values[not_tiny - 1] >= LOWEST


def test_what_begins_at_a_hundredth_or_above_ends_where_the_documentation_says() -> None:
    ends = iterate(torch.linspace(0.01, 1.0, 10_000, dtype=torch.float64))
    assert 0.68 <= float(ends.min()) < 0.69
    assert 1.13 < float(ends.max()) <= 1.14


def test_no_gradient_is_no_direction() -> None:
    assert torch.equal(orthogonalise(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_each_expert_and_each_half_is_a_matrix_of_its_own() -> None:
    updates = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    found = directions(updates, Blocks(-1, (4, 4)))
    for expert in range(2):
        for half in (slice(0, 4), slice(4, 8)):
            one = updates[expert, :, half]
            torch.testing.assert_close(found[expert, :, half], 0.2 * 6**0.5 * orthogonalise(one))


def test_it_moves_the_matrices_of_attention_and_experts_alone() -> None:
    names = {name.rpartition(".")[2] for name in matrices_of(a_decoder())}
    expert = {"gate_up_EDG", "down_EFD", "shared_gate_up_GD", "shared_down_DF"}
    assert names == {"query_key_value_CD", "output_DC"} | expert


def test_the_blocks_of_a_matrix_are_the_whole_of_it() -> None:
    decoder = a_decoder()
    for name, blocks in matrices_of(decoder).items():
        assert sum(blocks.sizes) == decoder.get_parameter(name).shape[blocks.dimension], name


def test_a_step_is_torchs_but_for_the_bfloat16_that_it_computes_in() -> None:
    ours, theirs = nn.Module(), nn.Module()
    for module in (ours, theirs):
        module.matrix = nn.Parameter(torch.randn(24, 40, generator=torch.Generator().manual_seed(3)))
    mine = Optimizer(ours, chosen(weight_decay=0.1), {"matrix": Blocks(-2, (24,))})
    reference = torch.optim.Muon(theirs.parameters(), lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    start = ours.get_parameter("matrix").detach().clone()
    for step in range(4):
        give_gradients(ours, step)
        give_gradients(theirs, step)
        assert mine.step(0.05, 1.0, ONE) == MUON
        reference.step()  # type: ignore[no-untyped-call] # torch's
    moved, expected = (module.get_parameter("matrix").detach() - start for module in (ours, theirs))
    assert torch.linalg.matrix_norm(moved - expected) < 0.02 * torch.linalg.matrix_norm(expected)


def test_a_step_follows_its_formula() -> None:
    decoder = a_decoder()
    optimizer = Optimizer(decoder, chosen(weight_decay=0.1, muon_momentum=0.9), matrices_of(decoder))
    name = "layers.0.experts.down_EFD"
    expected = decoder.get_parameter(name).detach().double()
    momentum = torch.zeros_like(expected)
    for step in range(3):
        give_gradients(decoder, step)
        gradient = decoder.get_parameter(name).grad
        assert gradient is not None
        scaled = gradient.double() / 2
        momentum = 0.9 * momentum + 0.1 * scaled
        update = 0.1 * scaled + 0.9 * momentum
        for expert in range(TINY.experts):
            left, values, right = torch.linalg.svd(update[expert], full_matrices=False)
            direction = left @ torch.diag(iterate(values / values.norm())) @ right
            expected[expert] = expected[expert] * (1 - 0.01 * 0.1) - 0.01 * 0.2 * 32**0.5 * direction
        optimizer.step(0.01, 1.0, torch.tensor(0.5))
    torch.testing.assert_close(decoder.get_parameter(name).detach().double(), expected, rtol=1e-4, atol=1e-6)


def test_adamw_moves_the_rest_as_it_would_alone() -> None:
    ours, alone = a_decoder(), a_decoder()
    muon = Optimizer(ours, chosen(), matrices_of(ours))
    adamw = Optimizer(alone, chosen(name="adamw"))
    for step in range(3):
        give_gradients(ours, step)
        give_gradients(alone, step)
        muon.step(0.01, 1.0, ONE)
        adamw.step(0.01, 1.0, ONE)
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, alone.get_parameter(name)) == (name not in matrices_of(ours)), name


@pytest.mark.parametrize("columns", [1, 7, 200])
def test_a_direction_has_the_mean_square_of_adamws(columns: int) -> None:
    updates = torch.randn(64, columns, generator=torch.Generator().manual_seed(1))
    rms = directions(updates, Blocks(-2, (64,))).square().mean().sqrt()
    assert 0.2 * LOWEST <= rms <= 0.2 * HIGHEST
