"""The bounds: those of the books, those of SciPy, and what they promise on samples of known distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from curator.calibrate.bounds import allot, blocks_within, least_documents, passing_interval

REPETITIONS = 3000

Sampler = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


@pytest.mark.parametrize(
    ("blocks", "share", "confidence", "documents"),
    [
        (1, 0.95, 0.95, 59),
        (2, 0.95, 0.95, 93),
        (3, 0.95, 0.95, 124),
        (1, 0.99, 0.95, 299),
        (1, 0.99, 0.99, 459),
        (1, 0.9, 0.95, 29),
        (1, 0.5, 0.5, 1),
    ],
)
def test_the_fewest_documents_are_those_of_wilks(blocks: int, share: float, confidence: float, documents: int) -> None:
    assert least_documents(blocks, share, confidence) == documents


@given(
    st.integers(0, 3000),
    st.floats(0.01, 0.999),
    st.floats(0.01, 0.999),
)
def test_as_many_blocks_are_cut_off_as_the_binomial_distribution_allows(
    documents: int, share: float, confidence: float
) -> None:
    assurance = stats.binom.sf(np.arange(documents), documents, 1 - share)
    ties = int((np.abs(assurance - confidence) < 1e-9).sum())  # which may fall on either side
    assert abs(blocks_within(documents, share, confidence) - int((assurance >= confidence).sum())) <= ties


@given(st.integers(1, 40), st.floats(0.3, 0.995), st.floats(0.3, 0.995))
def test_the_fewest_documents_of_which_blocks_may_be_cut_are_enough_and_one_less_is_not(
    blocks: int, share: float, confidence: float
) -> None:
    documents = least_documents(blocks, share, confidence)
    assert blocks_within(documents, share, confidence) >= blocks
    assert blocks_within(documents - 1, share, confidence) < blocks


@pytest.mark.slow
@given(st.integers(0, 400), st.integers(1, 400), st.floats(0.5, 0.999))
def test_the_interval_is_that_of_clopper_and_pearson(passing: int, more: int, confidence: float) -> None:
    documents = passing + more - 1 or 1
    passing = min(passing, documents)
    expected = stats.binomtest(passing, documents).proportion_ci(confidence, method="exact")
    assert passing_interval(passing, documents, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return random.normal(size=shape)


def _lognormal(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return random.lognormal(sigma=2.0, size=shape)


@pytest.mark.parametrize(
    ("sampler", "below"), [(_normal, stats.norm.cdf), (_lognormal, lambda x: stats.lognorm.cdf(x, 2.0))]
)
@pytest.mark.parametrize(("documents", "share"), [(59, 0.95), (400, 0.95), (1000, 0.99)])
def test_the_stated_share_of_fresh_text_passes_in_the_stated_share_of_repetitions(
    sampler: Sampler, below: Callable[[NDArray[np.float64]], NDArray[np.float64]], documents: int, share: float
) -> None:
    random = np.random.default_rng(7)
    blocks = blocks_within(documents, share, 0.9)
    thresholds = np.sort(sampler(random, (REPETITIONS, documents)), axis=1)[:, blocks - 1]
    kept = float(np.mean(1 - below(thresholds) >= share))
    exact = float(stats.binom.sf(blocks - 1, documents, 1 - share))
    assert exact >= 0.9
    assert kept == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / REPETITIONS))
    if documents > 100:  # not one block more would do
        assert stats.binom.sf(blocks, documents, 1 - share) < 0.9


def test_of_scores_that_are_often_equal_no_less_passes() -> None:
    random = np.random.default_rng(8)
    blocks = blocks_within(400, 0.95, 0.9)
    thresholds = np.sort(random.poisson(4.0, (REPETITIONS, 400)), axis=1)[:, blocks - 1]
    passing = 1 - stats.poisson.cdf(thresholds - 1, 4.0)
    assert float(np.mean(passing >= 0.95)) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [-0.4, 0.0, 0.7, 1.0])
def test_the_stated_share_passes_several_thresholds_together(correlation: float) -> None:
    random = np.random.default_rng(9)
    rules, documents, share = 3, 500, 0.95
    covariance = np.full((rules, rules), correlation) + (1 - correlation) * np.eye(rules)
    blocks = allot(documents, [documents] * rules, share, 0.9, 1)
    assert sum(blocks) <= blocks_within(documents, share, 0.9)
    fresh = random.multivariate_normal(np.zeros(rules), covariance, size=40_000)
    kept = []
    for _ in range(600):
        sample = np.sort(random.multivariate_normal(np.zeros(rules), covariance, size=documents), axis=0)
        thresholds = np.array([sample[number - 1, rule] for rule, number in enumerate(blocks)])
        kept.append(np.mean(np.all(fresh >= thresholds, axis=1)) >= share)
    assert np.mean(kept) >= 0.9 - 3 * np.sqrt(0.09 / 600)


@given(
    st.integers(1, 20_000),
    st.lists(st.floats(0, 1), max_size=12),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.integers(1, 500),
)
def test_thresholds_share_what_may_be_cut_off_and_none_takes_more_than_its_own_documents_allow(
    documents: int, parts: list[float], share: float, least: int
) -> None:
    judged = [int(part * documents) for part in parts]
    blocks = allot(documents, judged, share, 0.95, least)
    assert sum(blocks) <= blocks_within(documents, share, 0.95)
    able = [number >= least and blocks_within(number, share, 0.95) > 0 for number in judged]
    for number, found, may in zip(judged, blocks, able, strict=True):
        assert found <= blocks_within(number, share, 0.95)
        assert may or found == 0
    if any(blocks):
        assert [found > 0 for found in blocks] == able
    else:
        assert blocks_within(documents, share, 0.95) < sum(able) or not any(able)


def test_what_one_threshold_cannot_use_goes_to_the_others() -> None:
    # 100 blocks at 0.99 with 0.5 confidence: of 100 documents one may fall, of 1000 ten.
    assert blocks_within(10_000, 0.99, 0.5) == 100
    assert allot(10_000, [100, 1000, 10_000, 99_999 // 10], 0.99, 0.5, 1) == [1, 10, 44, 45]
