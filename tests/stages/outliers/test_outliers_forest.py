"""The flat forest against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.outliers.forest import Forests, average_path_length, fit_forest, flatten, height_of

DIMENSIONS = 8


def points(seed: int, count: int, distinct: int) -> NDArray[np.float32]:
    """Points with many ties, as float16 holds them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(distinct, DIMENSIONS)).astype(np.float16).astype(np.float32)
    return rows[rng.integers(0, distinct, count)]


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 400),
    distinct=st.integers(1, 300),
    trees=st.integers(1, 12),
    max_samples=st.sampled_from([2, 3, 64, 100, 256]),
)
def test_scores_equal_those_of_scikit_learn(seed: int, count: int, distinct: int, trees: int, max_samples: int) -> None:
    sample = points(seed, count, distinct)
    forest = fit_forest(sample, trees, max_samples, seed)
    queries = np.concatenate([sample, points(seed + 1, 50, 50), np.zeros((1, DIMENSIONS), dtype=np.float32)])
    flat = flatten([forest], trees, max_samples)
    ours = flat.score(queries, np.zeros(len(queries), dtype=np.int32))
    np.testing.assert_allclose(ours, -forest.score_samples(queries), rtol=0, atol=1e-14)


def test_points_on_a_threshold_go_where_scikit_learn_sends_them() -> None:
    sample = points(3, 300, 300)
    forest = fit_forest(sample, 20, 256, 3)
    flat = flatten([forest], 20, 256)
    queries = np.repeat(sample[:1], 500, axis=0)
    thresholds = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_])
    features = np.concatenate([tree.tree_.feature[tree.tree_.feature >= 0] for tree in forest.estimators_])
    for row in range(len(queries)):
        nearest = np.float32(thresholds[row])
        queries[row, features[row]] = np.nextafter(nearest, np.float32((-1) ** row * np.inf)) if row % 3 else nearest
    ours = flat.score(queries, np.zeros(len(queries), dtype=np.int32))
    np.testing.assert_allclose(ours, -forest.score_samples(queries), rtol=0, atol=1e-14)


def test_each_row_is_scored_by_the_forest_of_its_number() -> None:
    samples = [points(seed, 120 * (seed + 1), 200) for seed in range(3)]
    forests = [fit_forest(sample, 10, 256, 7) for sample in samples]
    flat = flatten(forests, 10, 256)
    queries = points(9, 60, 60)
    numbers = (np.arange(60, dtype=np.int32) % 4) - 1
    scores = flat.score(queries, numbers)
    assert np.isnan(scores[numbers == -1]).all()
    for number, forest in enumerate(forests):
        rows = numbers == number
        np.testing.assert_allclose(scores[rows], -forest.score_samples(queries[rows]), rtol=0, atol=1e-14)


def test_no_forest_gives_no_score() -> None:
    flat = flatten([], 100, 256)
    assert np.isnan(flat.score(points(0, 5, 5), np.full(5, -1, dtype=np.int32))).all()


def test_arrays_of_a_state_give_the_forests_back() -> None:
    flat = flatten([fit_forest(points(0, 200, 200), 5, 64, 0)], 5, 64)
    again = Forests.of(flat.arrays())
    for name, array in flat.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name])
    assert all(not array.dtype.hasobject for array in flat.arrays().values())


@pytest.mark.parametrize(("count", "length"), [(0, 0.0), (1, 0.0), (2, 1.0), (3, 1.207392358), (256, 10.244770920)])
def test_average_path_length_has_the_published_values(count: int, length: float) -> None:
    assert average_path_length(np.array([count]))[0] == pytest.approx(length, abs=1e-8)


def test_the_height_of_256_samples_is_8_as_in_the_paper() -> None:
    assert [height_of(count) for count in (1, 2, 3, 256, 257)] == [1, 1, 2, 8, 9]
