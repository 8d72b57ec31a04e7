"""Comparisons are paired, and their intervals are as wide as what they are of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.ablation.arms import ArmScores
from model.ablation.compare import Comparison, compare

SIZES = np.full(200, 100.0)
LANGUAGES = ["en", "fr"] * 100


def scores(*shifts: tuple[str, float, float], seeds: int = 3) -> list[ArmScores]:
    """Arms whose nats are those of the same documents, moved by a shift and by noise of their own."""
    hardness = np.random.default_rng(0).uniform(50, 150, 200)
    found = []
    for number, (arm, shift, noise) in enumerate(shifts):
        for seed in range(seeds):
            own = np.random.default_rng([number, seed]).normal(0, noise, 200) if noise else 0.0
            found.append(ArmScores(arm, seed, hardness + shift + own, 1.0, 1, 200))
    return found


def all_of(found: list[Comparison], part: str = "whole") -> dict[str, Comparison]:
    return {one.arm: one for one in found if one.part == part and one.language == "all"}


def test_arms_that_are_the_same_differ_by_nothing() -> None:
    found = all_of(compare(scores(("raw", 0, 0), ("a", 0, 0)), SIZES, LANGUAGES, np.ones(200, bool)))
    assert (found["a"].difference_low, found["a"].difference, found["a"].difference_high) == (0, 0, 0)


def test_a_small_difference_shows_through_documents_that_differ_much() -> None:
    found = all_of(compare(scores(("raw", 0, 1), ("better", -2, 1)), SIZES, LANGUAGES, np.ones(200, bool)))
    better = found["better"]
    assert better.difference == pytest.approx(-2 / 100 / math.log(2), rel=0.2)
    assert better.difference_high < 0
    assert better.high - better.low > 5 * (better.difference_high - better.difference_low)


def test_noise_alone_is_no_difference() -> None:
    found = all_of(compare(scores(("raw", 0, 20), ("same", 0, 20)), SIZES, LANGUAGES, np.ones(200, bool)))
    assert found["same"].difference_low < 0 < found["same"].difference_high


def test_what_a_stage_bought_is_the_difference_to_the_arm_before() -> None:
    arms = scores(("raw", 0, 0), ("a", -5, 0), ("b", -7, 0))
    found = all_of(compare(arms, SIZES, LANGUAGES, np.ones(200, bool)))
    assert found["raw"].bought is None
    assert found["a"].bought == pytest.approx(-5 / 100 / math.log(2))
    assert found["b"].bought == pytest.approx(-2 / 100 / math.log(2))


def test_the_filtered_part_has_only_what_every_recipe_keeps() -> None:
    kept = np.arange(200) % 4 == 0
    found = compare(scores(("raw", 0, 0)), SIZES, LANGUAGES, kept)
    assert all_of(found)["raw"].documents == 200
    assert all_of(found, "filtered")["raw"].documents == 50
    assert {one.language for one in found if one.part == "filtered"} == {"all", "en"}


def test_each_language_is_compared_by_itself() -> None:
    arms = scores(("raw", 0, 0), ("a", 0, 0))
    for score in arms:
        if score.arm == "a":
            score.nats[1::2] += 10
    found = {one.language: one for one in compare(arms, SIZES, LANGUAGES, np.ones(200, bool)) if one.arm == "a"}
    assert found["en"].difference == 0
    assert found["fr"].difference == pytest.approx(10 / 100 / math.log(2))
