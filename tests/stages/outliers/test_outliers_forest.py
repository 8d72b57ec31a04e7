"""The flat forest against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.outliers.forest import Forests, average_path_length, fit_forest, flatten, height_of
from stages.outliers.grow import grow_forest

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


class Reference:
    """Grows a tree as the module says, node by node, in plain Python with the same random numbers."""

    def __init__(self, sample: NDArray[np.float32], seed: int) -> None:
        self.sample, self.state = sample, seed
        self.rows, self.candidates = list(range(len(sample))), list(range(sample.shape[1]))

    def random(self) -> float:
        word = self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % 2**64
        return ((word ^ (word >> 31)) >> 11) * 2.0**-53

    def draw(self, values: list[int], place: int) -> int:
        other = place + int(self.random() * (len(values) - place))
        values[place], values[other] = values[other], values[place]
        return values[place]

    def split(self, rows: list[int]) -> tuple[int, np.float32] | None:
        for tried in range(len(self.candidates)):
            feature = self.draw(self.candidates, tried)
            values = [self.sample[row, feature] for row in rows]
            least, greatest = min(values), max(values)
            if least < greatest:
                threshold = np.float32(float(least) + self.random() * (float(greatest) - float(least)))
                return feature, least if threshold >= greatest else threshold
        return None

    def tree(self, grown_on: int, height: int) -> dict[int, tuple[int, float]]:
        """(feature, threshold) of each inner node of the complete tree, leaves above the last level as (0, inf)."""
        taken = [self.draw(self.rows, place) for place in range(grown_on)]
        level: dict[int, tuple[list[int], int | None]] = {0: (taken, 0)}
        found: dict[int, tuple[int, float]] = {}
        for node in range(2**height - 1):
            rows, depth = level[node]
            grows = depth is not None and len(rows) > 1 and depth < height_of(grown_on)
            split = self.split(rows) if grows else None
            if split is None or depth is None:
                found[node] = (0, float("inf"))
                level[2 * node + 1] = level[2 * node + 2] = (rows, None)
                continue
            feature, threshold = split
            found[node] = (feature, float(threshold))
            left, right = self.partition(rows, feature, threshold)
            level[2 * node + 1], level[2 * node + 2] = (left, depth + 1), (right, depth + 1)
        # What was taken comes back in the order in which the partitions left it.
        self.rows[:grown_on] = self.order(level, height)
        return found

    def partition(self, rows: list[int], feature: int, threshold: np.float32) -> tuple[list[int], list[int]]:
        middle = 0
        for place in range(len(rows)):
            if self.sample[rows[place], feature] <= threshold:
                rows[place], rows[middle] = rows[middle], rows[place]
                middle += 1
        return rows[:middle], rows[middle:]

    def order(self, level: dict[int, tuple[list[int], int | None]], height: int) -> list[int]:
        def below(node: int) -> list[int]:
            if node >= 2**height - 1 or level[2 * node + 1][1] is None:
                return level[node][0]
            return below(2 * node + 1) + below(2 * node + 2)

        return below(0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 60),
    distinct=st.integers(1, 40),
    max_samples=st.sampled_from([2, 3, 8, 32]),
)
def test_trees_grow_as_the_plain_reference_has_them(seed: int, count: int, distinct: int, max_samples: int) -> None:
    sample = points(seed, count, distinct)
    forest = grow_forest(sample, 3, max_samples, seed)
    plain = Reference(sample, seed)
    for tree in range(3):
        expected = plain.tree(min(max_samples, count), height_of(max_samples))
        nodes = zip(forest.features[0, tree].tolist(), forest.thresholds[0, tree].tolist(), strict=True)
        assert dict(enumerate(nodes)) == expected
    # Each document of a tree is in one leaf, and a leaf's documents are those that a walk brings there.
    scores = forest.score(sample, np.zeros(count, dtype=np.int32))
    assert ((scores > 0) & (scores <= 1)).all()


def test_a_grown_forest_ranks_as_scikit_learns_does() -> None:
    """As alike as two forests of scikit-learn with different seeds, and equally good at finding what is unlike."""
    rng = np.random.default_rng(5)
    normal, odd = rng.normal(size=(900, DIMENSIONS)), 2.5 * rng.normal(size=(100, DIMENSIONS))
    sample = np.concatenate([normal, odd]).astype(np.float16).astype(np.float32)
    rows = np.zeros(len(sample), dtype=np.int32)
    ours = grow_forest(sample, 100, 256, 1).score(sample, rows)
    first, second = (flatten([fit_forest(sample, 100, 256, seed)], 100, 256).score(sample, rows) for seed in (1, 2))

    def alike(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
        return float(np.corrcoef(np.argsort(np.argsort(left)), np.argsort(np.argsort(right)))[0, 1])

    def found(scores: NDArray[np.float64]) -> float:
        return float((scores[900:, None] > scores[None, :900]).mean())

    assert alike(ours, first) > alike(first, second) - 0.03
    assert found(ours) > min(found(first), found(second)) - 0.02
    assert abs(ours.mean() - first.mean()) < 0.02
