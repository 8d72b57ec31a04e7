"""Whole tokens divided by weights."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sampling.mix import apportion, fill, power_weights, with_fixed_shares

counts = st.lists(st.one_of(st.just(0), st.integers(1, 50), st.integers(1, 10**12)), min_size=1, max_size=12)


def test_a_cap_can_push_another_language_to_its_cap() -> None:
    # Shares alone: 250 each; `a` is cut to 40, then 320 each; now `b` (300 at most) is cut, then 330 each.
    assert fill(1000, [1, 1, 1, 1], [40, 300, 10_000, 10_000]) == [40, 300, 330, 330]


@given(counts, st.floats(0, 1), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 10**13)))
def test_the_total_is_conserved_and_no_cap_exceeded(
    tokens: list[int], alpha: float, cap: int, wanted: int | None
) -> None:
    total = sum(tokens) if wanted is None else wanted
    caps = [cap * count for count in tokens]
    shares = fill(total, power_weights(tokens, alpha), caps)
    assert sum(shares) == min(total, sum(caps))
    assert all(0 <= share <= most for share, most in zip(shares, caps, strict=True))


@given(counts, st.floats(0, 1), st.integers(1, 6))
def test_a_larger_language_never_gets_less_nor_is_repeated_more(tokens: list[int], alpha: float, cap: int) -> None:
    tokens = sorted(count for count in tokens if count)
    shares = fill(sum(tokens), power_weights(tokens, alpha), [cap * count for count in tokens])
    for (small, first), (large, second) in itertools.pairwise(zip(tokens, shares, strict=True)):
        assert second >= first - 1
        # A whole token of rounding on either side.
        assert (second - 1) / large <= (first + 1) / small


@given(counts, st.floats(0, 1), st.integers(0, 10**12))
def test_capped_shares_keep_the_proportions_of_those_below_their_cap(
    tokens: list[int], alpha: float, total: int
) -> None:
    weights = power_weights(tokens, alpha)
    caps = [3 * count for count in tokens]
    shares = fill(total, weights, caps)
    below = [place for place, share in enumerate(shares) if share < caps[place]]
    for one, other in itertools.pairwise(below):
        # share / weight is one level for all that are not capped; each share is within a token of it.
        assert abs(shares[one] * weights[other] - shares[other] * weights[one]) <= weights[one] + weights[other]


@given(st.integers(0, 10**15), st.lists(st.integers(0, 2**90), max_size=20))
def test_apportioned_shares_add_up_and_stay_within_one_of_the_exact_share(total: int, weights: list[int]) -> None:
    shares = apportion(total, weights)
    whole = sum(weights)
    assert sum(shares) == (total if whole else 0)
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share * whole - total * weight) < max(whole, 1)


@pytest.mark.slow
@given(counts, st.floats(0, 1), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_languages(
    tokens: list[int], alpha: float, rng: random.Random
) -> None:
    caps = [4 * count for count in tokens]
    order = list(range(len(tokens)))
    rng.shuffle(order)
    straight = fill(sum(tokens), power_weights(tokens, alpha), caps)
    shuffled = fill(
        sum(tokens), power_weights([tokens[place] for place in order], alpha), [caps[place] for place in order]
    )
    # Ties between equal languages may go either way by one token; the stage itself orders languages by name.
    for place, share in zip(order, shuffled, strict=True):
        assert abs(share - straight[place]) <= 1


def unimax(sizes: dict[str, int], budget: float, epochs: float) -> dict[str, float]:
    """Algorithm 1 of Chung et al. 2023: languages from the smallest on take an equal part of what is left of the
    budget, or `epochs` times what they have."""
    taken = {}
    remaining = sorted(sizes, key=lambda name: sizes[name])
    for place, name in enumerate(remaining):
        equal = budget / (len(remaining) - place)
        taken[name] = min(equal, epochs * sizes[name])
        budget -= taken[name]
    return taken


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=12), st.integers(1, 10**10), st.integers(1, 6))
def test_equal_weights_and_a_cap_are_unimax(tokens: list[int], total: int, epochs: int) -> None:
    sizes = {str(place): count for place, count in enumerate(tokens)}
    expected = unimax(sizes, total, epochs)
    found = fill(total, power_weights(tokens, 0.0), [epochs * count for count in tokens])
    for share, name in zip(found, sizes, strict=True):
        assert abs(share - expected[name]) <= 1 + 1e-9 * expected[name]


def test_fixed_shares_hold_and_the_others_divide_the_rest_by_their_weights() -> None:
    weights = with_fixed_shares(["br", "de", "en", "fr"], [1, 2, 100, 6], {"en": 0.4, "br": 0.1})
    whole = sum(weights)
    assert [weight / whole for weight in weights] == pytest.approx([0.1, 0.125, 0.4, 0.375])


def test_fixed_shares_that_add_up_to_one_leave_nothing_to_the_others() -> None:
    assert with_fixed_shares(["de", "en", "fr"], [5, 5, 5], {"en": 0.75, "fr": 0.25})[0] == 0


def test_where_all_is_fixed_the_shares_are_divided_among_themselves() -> None:
    assert apportion(9, with_fixed_shares(["de", "en"], [7, 7], {"en": 0.2, "de": 0.1})) == [3, 6]
