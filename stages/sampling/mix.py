"""Whole tokens divided by weights, in integers: the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WEIGHT_BITS = 64
"""Weights are scaled by 2**64 to integers: a power of a token count, as a float, then loses nothing."""

_SHARE_UNITS = 10**12
"""Shares that a recipe states are rounded to this many parts of the whole."""


def power_weights(tokens: Sequence[int], alpha: float) -> list[int]:
    """Integers proportional to tokens ** alpha; 0 where there is no token."""
    return [int(math.ldexp(math.pow(count, alpha), _WEIGHT_BITS)) if count else 0 for count in tokens]


def with_fixed_shares(names: Sequence[str], weights: Sequence[int], shares: Mapping[str, float]) -> list[int]:
    """Weights of which the names in `shares` have the stated shares, and the others what is left, by `weights`.

    Shares add up to 1 at most. Where no other name has a weight, the shares are divided among themselves."""
    fixed = {name: round(share * _SHARE_UNITS) for name, share in shares.items()}
    left = max(_SHARE_UNITS - sum(fixed.values()), 0)
    others = sum(weight for name, weight in zip(names, weights, strict=True) if name not in fixed)
    unit = others or 1
    return [fixed[name] * unit if name in fixed else weight * left for name, weight in zip(names, weights, strict=True)]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` divided by `weights` into whole numbers that add up to it, by largest remainder (Hamilton); of equal
    remainders the earlier comes first. All zero when the weights are."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in by_remainder[: total - sum(shares)]:
        shares[place] += 1
    return shares


def fill(total: int, weights: Sequence[int], caps: Sequence[int]) -> list[int]:
    """`total` divided by `weights`, none above its cap; what the caps cut off goes to the others by their weights.

    All in integers. The sum is `total`, or the sum of the caps of positive weights where that is less. With equal
    weights this is UniMax (Chung et al. 2023, algorithm 1): a uniform budget, and a cap on epochs.
    """
    shares = [0] * len(weights)
    open_places = [place for place, weight in enumerate(weights) if weight]
    left = total
    while open_places:
        whole = sum(weights[place] for place in open_places)
        full = [place for place in open_places if left * weights[place] >= caps[place] * whole]
        if not full:
            divided = apportion(left, [weights[place] for place in open_places])
            for place, share in zip(open_places, divided, strict=True):
                shares[place] = share
            break
        for place in full:
            shares[place] = caps[place]
            left -= caps[place]
        open_places = sorted(set(open_places) - set(full))
    return shares
