"""Languages and sources at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.sampling.joint import fit_both


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 8))
def test_both_sides_hold_where_a_table_with_them_exists(seed: int, rows: int, columns: int) -> None:
    chosen = np.random.default_rng(seed)
    available = np.floor(chosen.lognormal(9, 3, (rows, columns))) * (chosen.random((rows, columns)) < 0.8)
    cap = 4.0
    a, b = chosen.lognormal(0, 1, rows), chosen.lognormal(0, 1, columns)
    made = available * np.minimum(a[:, None] * b[None, :], cap)
    repeats = fit_both(available, made.sum(axis=1), made.sum(axis=0), cap)
    assert repeats.max() <= cap
    found = available * repeats
    np.testing.assert_allclose(found.sum(axis=1), made.sum(axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), made.sum(axis=0), rtol=2e-3, atol=1e-3 * made.sum())


def test_the_fit_is_the_table_of_the_textbook() -> None:
    # Odds ratios of the table that is there are kept: 40 * 50 / (30 * 35) before and after.
    available = np.array([[40.0, 30.0], [35.0, 50.0]])
    found = available * fit_both(available, np.array([150.0, 300.0]), np.array([210.0, 240.0]), 100.0)
    np.testing.assert_allclose(found.sum(axis=0), [210, 240], rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), [150, 300], rtol=1e-6)
    np.testing.assert_allclose(found[0, 0] * found[1, 1] / (found[0, 1] * found[1, 0]), 2000 / 1050, rtol=1e-5)


def test_where_both_cannot_be_had_the_languages_have_theirs() -> None:
    available = np.array([[100.0, 0.0], [100.0, 100.0]])
    found = available * fit_both(available, np.array([100.0, 100.0]), np.array([20.0, 180.0]), 4.0)
    np.testing.assert_allclose(found.sum(axis=1), [100, 100], rtol=1e-6)
    assert found[1, 1] > 95


def test_a_cell_at_its_cap_leaves_its_part_to_the_others() -> None:
    available = np.array([[10.0, 1000.0], [1000.0, 1000.0]])
    repeats = fit_both(available, np.array([1000.0, 1000.0]), np.array([1000.0, 1000.0]), 2.0)
    found = available * repeats
    assert repeats[0, 0] == 2.0
    np.testing.assert_allclose(found.sum(axis=1), [1000, 1000], rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), [1000, 1000], rtol=1e-4)


def test_a_language_without_text_and_a_source_without_a_share_stay_empty() -> None:
    available = np.array([[0.0, 0.0], [5.0, 0.0]])
    found = available * fit_both(available, np.array([0.0, 5.0]), np.array([5.0, 0.0]), 4.0)
    np.testing.assert_allclose(found, [[0, 0], [5, 0]])
