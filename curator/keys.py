"""What a document is inside: its key, and the randomness that hangs on it.

A key is a 128-bit hash of (path relative to the input, position of the record in the file). Nothing that depends on
workers, batches or time enters it, so that any order of execution gives the same key, and every random choice is a hash
of (seed, name, key) that can be asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijective avalanche of 64-bit words: the finalizer of SplitMix64 (Steele, Lea, Flood 2014): uint64[n]."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def file_keys(name: str, positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Keys of the records at `positions` of file `name`: uint64[n, 2].

    Each half is a bijection of the position, offset by a hash of the name: two records of a file never share a key.
    """
    halves = np.frombuffer(blake3(name.encode("utf-8", "surrogateescape")).digest(length=16), dtype=np.uint64)
    with np.errstate(over="ignore"):
        steps = positions.astype(np.uint64) * _GOLDEN
        low = mix64(steps + halves[0])
        high = mix64(steps ^ halves[1])
    return np.stack([low, high], axis=1)


def child_keys(parents: NDArray[np.uint64], ordinals: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Keys of children from their parents' keys and their number among the parent's children: uint64[n, 2]."""
    with np.errstate(over="ignore"):
        steps = (ordinals.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        return np.stack([mix64(parents[:, 0] ^ steps), mix64(parents[:, 1] + steps)], axis=1)


def random_words(seed: int, name: str, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """hash(seed, name, key): one uniform 64-bit word for each key: uint64[n]."""
    salt = np.frombuffer(blake3(f"{seed}:{name}".encode()).digest(length=16), dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mix64(mix64(keys[:, 0] + salt[0]) ^ (keys[:, 1] + salt[1]))


def random_fractions(seed: int, name: str, keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """hash(seed, name, key) as a number in [0, 1) with 53 random bits: float64[n]."""
    return (random_words(seed, name, keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
