"""Keys, and the randomness that hangs on them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curator.keys import child_keys, file_keys, random_fractions, random_words

POSITIONS = st.lists(st.integers(0, 2**62), min_size=1, max_size=200, unique=True)


def _distinct(keys: "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]") -> int:
    return len({tuple(row) for row in keys.tolist()})


@given(POSITIONS)
def test_records_of_a_file_have_different_keys(positions: list[int]) -> None:
    assert _distinct(file_keys("a.jsonl", np.array(positions, dtype=np.int64))) == len(positions)


def test_records_of_different_files_have_different_keys() -> None:
    positions = np.arange(1000, dtype=np.int64)
    both = np.concatenate([file_keys("a.jsonl", positions), file_keys("b.jsonl", positions)])
    assert _distinct(both) == 2000


def test_a_key_depends_on_name_and_position_alone() -> None:
    whole = file_keys("x", np.array([5, 9, 11], dtype=np.int64))
    assert np.array_equal(file_keys("x", np.array([9], dtype=np.int64))[0], whole[1])


def test_children_have_keys_of_their_own() -> None:
    parents = file_keys("x", np.repeat(np.arange(100, dtype=np.int64), 3))
    children = child_keys(parents, np.tile(np.arange(1, 4, dtype=np.int64), 100))
    assert _distinct(np.concatenate([children, parents[::3]])) == 400


def test_fractions_are_uniform_and_differ_between_names_and_seeds() -> None:
    keys = file_keys("x", np.arange(20_000, dtype=np.int64))
    first = random_fractions(0, "sampling", keys)
    counts = np.histogram(first, bins=20, range=(0, 1))[0]
    assert (first >= 0).all()
    assert (first < 1).all()
    # Each bin expects 1,000 with a standard deviation of 31.
    assert abs(counts - 1000).max() < 150
    for other in (random_fractions(1, "sampling", keys), random_fractions(0, "outliers", keys)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def test_a_word_of_a_key_does_not_depend_on_its_neighbours() -> None:
    keys = file_keys("x", np.arange(10, dtype=np.int64))
    assert np.array_equal(random_words(3, "s", keys)[4:5], random_words(3, "s", keys[4:5]))
