"""Comparisons are paired, and their intervals are as wide as what they are of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from curator.recipe import load_recipe_text
from curator.recipe.model import Recipe
from model.ablation.arms import ArmScores, make_arms
from model.ablation.compare import Comparison, compare
from tests.runs import recipe_text

READING = Recipe(name="read", stages=())
SIZES = np.full(200, 100.0)
LANGUAGES = ["en", "fr"] * 100
TO_RAW = {"a": ("a", "raw"), "b": ("b", "a"), "a without x": ("a", "a without x")}


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
    found = all_of(compare(scores(("raw", 0, 0), ("a", 0, 0)), SIZES, LANGUAGES, np.ones(200, bool), TO_RAW))
    assert (found["a"].difference_low, found["a"].difference, found["a"].difference_high) == (0, 0, 0)


def test_a_small_difference_shows_through_documents_that_differ_much() -> None:
    found = all_of(compare(scores(("raw", 0, 1), ("better", -2, 1)), SIZES, LANGUAGES, np.ones(200, bool), TO_RAW))
    better = found["better"]
    assert better.difference == pytest.approx(-2 / 100 / math.log(2), rel=0.2)
    assert better.difference_high < 0
    assert better.high - better.low > 5 * (better.difference_high - better.difference_low)


def test_noise_alone_is_no_difference() -> None:
    found = all_of(compare(scores(("raw", 0, 20), ("same", 0, 20)), SIZES, LANGUAGES, np.ones(200, bool), TO_RAW))
    assert found["same"].difference_low < 0 < found["same"].difference_high


def test_what_a_stage_bought_is_the_difference_of_two_arms() -> None:
    arms = scores(("raw", 0, 1), ("a", -5, 1), ("b", -7, 1), ("a without x", -2, 1))
    found = all_of(compare(arms, SIZES, LANGUAGES, np.ones(200, bool), TO_RAW))
    assert found["raw"].bought is None
    for arm, nats in (("a", -5), ("b", -2), ("a without x", -3)):
        bought, low, high = found[arm].bought, found[arm].bought_low, found[arm].bought_high
        assert bought is not None
        assert low is not None
        assert high is not None
        assert bought == pytest.approx(nats / 100 / math.log(2), rel=0.1)
        assert low < bought < high < 0


def test_models_of_one_budget_are_compared_with_each_other() -> None:
    arms = scores(("raw", 0, 0), ("a", -5, 0))
    arms += [replace(score, budget="seconds", nats=score.nats + 3 * (score.arm == "a")) for score in arms]
    found = compare(arms, SIZES, LANGUAGES, np.ones(200, bool), TO_RAW)
    to_raw = {one.budget: one.difference for one in found if (one.arm, one.part, one.language) == ("a", "whole", "all")}
    assert to_raw == {"tokens": pytest.approx(-5 / 100 / math.log(2)), "seconds": pytest.approx(-2 / 100 / math.log(2))}


def test_a_recipe_is_compared_with_its_beginnings_and_with_itself_without_each_stage() -> None:
    recipe = load_recipe_text(recipe_text("dedup", "entropy", "pii"), "mine.yaml")
    begun = {arm.name: arm.bought for arm in make_arms(READING, [("mine", recipe)], by_stage=True)}
    assert begun == {
        "raw": None,
        "mine to dedup": ("mine to dedup", "raw"),
        "mine to entropy": ("mine to entropy", "mine to dedup"),
        "mine": ("mine", "mine to entropy"),
    }
    without = {arm.name: arm for arm in make_arms(READING, [("mine", recipe)], each_stage=True)}
    assert [arm.bought for arm in without.values()] == [
        None,
        ("mine", "raw"),
        *(("mine", f"mine without {stage}") for stage in ("dedup", "entropy", "pii")),
    ]
    assert [stage.name for stage in without["mine without entropy"].recipe.stages] == ["dedup", "pii"]


def test_a_recipe_without_its_only_stage_is_the_raw_arm() -> None:
    recipe = load_recipe_text(recipe_text("dedup"), "mine.yaml")
    assert [arm.name for arm in make_arms(READING, [("mine", recipe)], each_stage=True)] == ["raw", "mine"]


def test_the_filtered_part_has_only_what_every_recipe_keeps() -> None:
    kept = np.arange(200) % 4 == 0
    found = compare(scores(("raw", 0, 0)), SIZES, LANGUAGES, kept, TO_RAW)
    assert all_of(found)["raw"].documents == 200
    assert all_of(found, "filtered")["raw"].documents == 50
    assert {one.language for one in found if one.part == "filtered"} == {"all", "en"}


def test_each_language_is_compared_by_itself() -> None:
    arms = scores(("raw", 0, 0), ("a", 0, 0))
    for score in arms:
        if score.arm == "a":
            score.nats[1::2] += 10
    found = {one.language: one for one in compare(arms, SIZES, LANGUAGES, np.ones(200, bool), TO_RAW) if one.arm == "a"}
    assert found["en"].difference == 0
    assert found["fr"].difference == pytest.approx(10 / 100 / math.log(2))
