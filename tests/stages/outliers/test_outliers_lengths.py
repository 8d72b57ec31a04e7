"""Thresholds of scores by the length of a text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.outliers.lengths import BOUNDS, LENGTHS, length_column, thresholds
from tests.stages.outliers.test_outliers_stage import batch_of


def test_a_length_is_counted_in_the_bytes_that_are_read() -> None:
    texts = ["", "a" * 31, "a" * 32, "中" * 11, "a" * 1023, "a" * 1024, "a" * 10_000]
    lengths = length_column(batch_of(texts, ["en"] * len(texts))).to_pylist()
    assert lengths == [0, 0, 1, 1, len(BOUNDS) - 1, len(BOUNDS), len(BOUNDS)]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 800), share=st.sampled_from([0.01, 0.05, 0.3]))
def test_the_share_of_a_sample_is_above_its_thresholds(seed: int, count: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, LENGTHS, count).astype(np.int8)
    # Shorter texts score higher, and spread more.
    scores = (0.5 - 0.02 * lengths) + generator.exponential(0.02 / (1 + lengths))
    above = scores > thresholds(scores, lengths, share)[lengths] + 1e-12
    assert share * (count - 1) - 1 <= above.sum() <= share * count


def test_every_length_has_the_share_above_its_threshold() -> None:
    generator = np.random.default_rng(0)
    lengths = np.repeat(np.arange(LENGTHS), 2000).astype(np.int8)
    scores = (0.5 - 0.02 * lengths) + generator.exponential(0.02 / (1 + lengths))
    above = scores > thresholds(scores, lengths, 0.05)[lengths]
    shares = np.bincount(lengths[above], minlength=LENGTHS) / 2000
    assert shares == pytest.approx(np.full(LENGTHS, 0.05), abs=0.02)


def test_texts_of_one_length_that_are_equal_hide_no_outlier_of_another() -> None:
    lengths = np.repeat([1, 5], [500, 500]).astype(np.int8)
    scores = np.full(1000, 0.4)
    scores[10:20] += 0.00001
    scores[500:] = 0.45 + 0.02 * np.random.default_rng(0).random(500)
    scores[600] = 0.7
    found = thresholds(scores, lengths, 0.01)
    assert scores[600] > found[5]
    assert scores[10] <= found[1]


def test_equal_scores_are_no_outliers() -> None:
    lengths = np.repeat([0, 4], 100).astype(np.int8)
    scores = np.where(lengths == 0, 0.5, 0.4)
    assert not (scores > thresholds(scores, lengths, 0.01)[lengths]).any()
