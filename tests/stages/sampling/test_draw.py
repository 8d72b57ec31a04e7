"""Which documents are written once more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sampling.draw import BINS, bins_of, cuts, number_of_copies

documents = st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=40)


def tokens_by_bin(found: list[tuple[int, float]]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    tokens = np.zeros((1, BINS), dtype=np.int64)
    np.add.at(tokens[0], bins_of(np.array([fraction for _, fraction in found])), [count for count, _ in found])
    return tokens


@pytest.mark.slow
@given(documents, st.integers(0, 200_000))
def test_no_cut_at_an_edge_comes_closer_and_what_is_drawn_is_known(found: list[tuple[int, float]], target: int) -> None:
    lengths = np.array([count for count, _ in found])
    fractions = np.array([fraction for _, fraction in found])
    whole, cut, drawn = cuts(tokens_by_bin(found), np.array([target]))
    copies = number_of_copies(np.repeat(whole, len(found)), np.repeat(cut, len(found)), fractions)
    assert (copies * lengths).sum() == drawn[0]
    for edge in range(BINS + 1):
        other = number_of_copies(np.repeat(whole, len(found)), np.full(len(found), edge / BINS), fractions)
        assert abs((other * lengths).sum() - target) >= abs(drawn[0] - target)


@given(documents, st.lists(st.integers(0, 50_000), min_size=2, max_size=5))
def test_a_larger_target_never_takes_a_copy_away(found: list[tuple[int, float]], targets: list[int]) -> None:
    fractions = np.array([fraction for _, fraction in found])
    drawn = []
    for target in sorted(targets):
        whole, cut, _ = cuts(tokens_by_bin(found), np.array([target]))
        drawn.append(number_of_copies(np.repeat(whole, len(found)), np.repeat(cut, len(found)), fractions))
    assert all(np.all(few <= many) for few, many in itertools.pairwise(drawn))


def test_a_thousand_documents_of_very_different_lengths_are_drawn_within_two_percent() -> None:
    for seed in range(50):
        chosen = np.random.default_rng(seed)
        lengths = chosen.lognormal(6, 1.2, 1000).astype(np.int64) + 1
        tokens = np.zeros((1, BINS), dtype=np.int64)
        np.add.at(tokens[0], bins_of(chosen.random(1000)), lengths)
        target = int(lengths.sum() * chosen.uniform(0.3, 3))
        assert cuts(tokens, np.array([target]))[2][0] == pytest.approx(target, rel=0.02)


def test_a_cell_without_a_token_is_written_once() -> None:
    whole, cut, drawn = cuts(np.zeros((1, BINS), dtype=np.int64), np.array([0]))
    assert (whole[0], cut[0], drawn[0]) == (1.0, 0.0, 0)
