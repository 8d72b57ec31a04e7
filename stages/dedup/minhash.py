"""Shingles, MinHash signatures and Jaccard similarity of all documents of a batch.

A shingle is `shingle_size` consecutive units (see `curator.text.segment`), so five words, or five characters in
scripts without spaces. A document with fewer units has one shingle of them all, a document without units, or that says
by marks what it says (`curator.text.content`), one of its exact bytes: no document is without a signature.

Signatures follow the scheme "affine32" of datasketch 2.0: the 32-bit shingle hash goes through the finaliser of
MurmurHash3 (Appleby 2011), and permutation k is a_k h + b_k mod 2^32 with odd a_k; the signature holds the least value
of each permutation (Broder 1997). They equal those of `datasketch.MinHash` for the same hashes and seed, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from curator.errors import UserError
from curator.kernel import at, inline_kernel, kernel
from curator.text.content import BYTES_START, SECOND_START, telling_units
from curator.text.fold import finish, mix
from curator.text.segment import read_only

if TYPE_CHECKING:
    from datasketch import LeanMinHash
    from numpy.typing import NDArray

    from curator.text.segment import Units

SHINGLE_SIZE = 5
"""Units in a shingle: the 5-grams of Gopher (Rae et al. 2021, A.1.1) and FineWeb (Penedo et al. 2024, 3.4)."""
PERMUTATIONS = 256

_BASE = np.uint64(0x9FB21C651E98DF25)
"""An odd constant with irregular bits: the base of the polynomial that combines the units of a shingle."""
_FMIX_A = np.uint32(0x85EBCA6B)
_FMIX_B = np.uint32(0xC2B2AE35)
_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class Ragged:
    """Lists of 64-bit hashes, one a document: list i is `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.int64]
    values: NDArray[np.uint64]


def shingle_hashes(
    units: Units, data: NDArray[np.uint8], offsets: NDArray[np.int64], shingle_size: int = SHINGLE_SIZE
) -> Ragged:
    """The shingles of each document as 64-bit hashes, in their order, with repeats; at least one a document."""
    if shingle_size < 1:
        raise UserError(f"shingle_size is {shingle_size}", stage="dedup", hint="at least 1")
    shingle_offsets = np.zeros(len(units.offsets), dtype=np.int64)
    counts = telling_units(units, data, offsets)
    np.cumsum(np.maximum(counts - shingle_size + 1, 1), out=shingle_offsets[1:])
    values = np.empty(int(shingle_offsets[-1]), dtype=np.uint64)
    texts = read_only(data), read_only(offsets)
    _shingle(units.offsets, counts, units.hashes, *texts, shingle_size, shingle_offsets, values)
    return Ragged(shingle_offsets, values)


def minhash(shingles: Ragged, permutations: int = PERMUTATIONS, seed: int = 0) -> NDArray[np.uint32]:
    """The MinHash signature of each document, from the low 32 bits of its shingles: uint32[documents, permutations]."""
    signatures = np.full((len(shingles.offsets) - 1, permutations), 0xFFFFFFFF, dtype=np.uint32)
    _minhash(shingles.offsets, shingles.values, *permutation_parameters(permutations, seed), signatures)
    return signatures


@cache
def permutation_parameters(permutations: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The factors (odd) and summands of the permutations: two uint32[permutations], as datasketch 2.0 draws them."""
    # datasketch is not imported for this, since it pulls in SciPy (0.5 s). The stream of RandomState is frozen.
    generator = np.random.RandomState(seed)
    factors = generator.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    summands = generator.randint(0, 1 << 32, permutations, dtype=np.uint32)
    factors.flags.writeable = False
    summands.flags.writeable = False
    return factors, summands


def export_lean(signatures: NDArray[np.uint32], seed: int) -> list[LeanMinHash]:
    """The signatures as objects of datasketch, one a row."""
    from datasketch import LeanMinHash

    return [LeanMinHash(seed=seed, hashvalues=row, scheme="affine32") for row in signatures]


def band_keys(signatures: NDArray[np.uint32], bands: int, rows: int) -> NDArray[np.uint64]:
    """A 64-bit key of each band of each signature, different from band to band: uint64[documents, bands]."""
    if bands * rows > signatures.shape[1]:
        message = f"{bands} bands of {rows} rows need {bands * rows} permutations, not {signatures.shape[1]}"
        raise UserError(message, stage="dedup", hint="use choose_bands")
    keys = np.empty((len(signatures), bands), dtype=np.uint64)
    _band(signatures, rows, keys)
    return keys


def choose_bands(permutations: int, threshold: float, recall: float = 0.995) -> tuple[int, int]:
    """(bands, rows) with the most rows, so the fewest false candidates, that still finds similar pairs.

    A pair of Jaccard similarity s shares a band with probability 1 - (1 - s^rows)^bands (Leskovec, Rajaraman, Ullman,
    Mining of Massive Datasets, 3.4.2); at `threshold` that is at least `recall`. UserError if no bands reach it.
    """
    for rows in range(permutations, 0, -1):
        missed = 1.0
        for bands in range(1, permutations // rows + 1):
            missed *= 1.0 - threshold**rows
            if 1.0 - missed >= recall:
                return bands, rows
    message = f"{permutations} permutations find pairs of similarity {threshold} with probability under {recall}"
    raise UserError(message, stage="dedup", hint="more permutations or a higher threshold")


def estimate_jaccard(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The share of equal values in each pair of rows, an unbiased estimate of Jaccard similarity: float64[pairs]."""
    equal = np.empty(len(left), dtype=np.int64)
    _count_equal(np.ascontiguousarray(left), np.ascontiguousarray(right), equal)
    return np.divide(equal, max(left.shape[1], 1), dtype=np.float64)


def shingle_sets(shingles: Ragged) -> Ragged:
    """The distinct shingles of each document in ascending order."""
    values = shingles.values.copy()
    # NumPy sorts 64-bit integers with vector instructions, several times faster than a loop in a kernel would.
    for begin, end in zip(shingles.offsets[:-1].tolist(), shingles.offsets[1:].tolist(), strict=True):
        values[begin:end].sort()
    offsets = np.zeros_like(shingles.offsets)
    _drop_repeats(shingles.offsets, values, offsets)
    values.resize(int(offsets[-1]), refcheck=False)
    return Ragged(offsets, values)


def true_jaccard(sets: Ragged, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard similarity of the sets (from `shingle_sets`) of rows `left[i]` and `right[i]`: float64[pairs]."""
    return jaccard_between(sets, sets, left, right)


def jaccard_between(
    left: Ragged, right: Ragged, left_rows: NDArray[np.int64], right_rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Jaccard similarity of sets, `left_rows[i]` of the one and `right_rows[i]` of the other collection:
    float64[pairs]."""
    shared = np.empty(len(left_rows), dtype=np.int64)
    _count_shared(
        read_only(left.offsets),
        read_only(left.values),
        read_only(right.offsets),
        read_only(right.values),
        left_rows.astype(np.int64),
        right_rows.astype(np.int64),
        shared,
    )
    left_size = left.offsets[left_rows + 1] - left.offsets[left_rows]
    right_size = right.offsets[right_rows + 1] - right.offsets[right_rows]
    return shared / np.maximum(left_size + right_size - shared, 1)


@kernel
def _shingle(
    unit_offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    unit_hashes: NDArray[np.uint64],
    data: NDArray[np.uint8],
    text_offsets: NDArray[np.int64],
    size: int,
    offsets: NDArray[np.int64],
    values: NDArray[np.uint64],
) -> None:
    # A rolling polynomial in _BASE over the unit hashes, then `finish`.
    leaving = _ONE  # the factor of a unit that leaves the window
    for _ in range(size):
        leaving = leaving * _BASE
    for row in range(offsets.size - 1):
        first = unit_offsets[row]
        count = counts[row]
        target = offsets[row]
        state = np.uint64(0)
        if count == 0:
            state = BYTES_START
            for place in range(text_offsets[row], text_offsets[row + 1]):
                state = mix(state, np.uint64(data[place]))
            values[target] = finish(state)
            continue
        head = min(count, size)
        for place in range(first, first + head):
            state = state * _BASE + unit_hashes[place]
        values[target] = finish(state)
        for place in range(first + head, first + count):
            target += 1
            # What does not depend on the state is added up beside it.
            state = state * _BASE + (at(unit_hashes, place) - at(unit_hashes, place - size) * leaving)
            values[np.uint64(target)] = finish(state)


@inline_kernel
def _fmix(value: np.uint64) -> np.uint32:
    mixed = np.uint32(value & _LOW)
    mixed ^= mixed >> np.uint32(16)
    mixed = np.uint32(mixed * _FMIX_A)
    mixed ^= mixed >> np.uint32(13)
    mixed = np.uint32(mixed * _FMIX_B)
    return np.uint32(mixed ^ (mixed >> np.uint32(16)))


@kernel
def _minhash(
    offsets: NDArray[np.int64],
    values: NDArray[np.uint64],
    factors: NDArray[np.uint32],
    summands: NDArray[np.uint32],
    signatures: NDArray[np.uint32],
) -> None:
    # Four shingles a pass over the permutations, so that factors, summands and minima are loaded once for four. A last
    # group of fewer repeats its last shingle, which changes no minimum. LLVM turns the inner loop into vector code.
    permutations = factors.size
    for row in range(offsets.size - 1):
        last = offsets[row + 1] - 1
        for place in range(offsets[row], last + 1, 4):
            a = _fmix(values[place])
            b = _fmix(values[min(place + 1, last)])
            c = _fmix(values[min(place + 2, last)])
            d = _fmix(values[min(place + 3, last)])
            for k in range(permutations):
                factor = factors[k]
                summand = summands[k]
                least = min(np.uint32(factor * a + summand), np.uint32(factor * b + summand))
                other = min(np.uint32(factor * c + summand), np.uint32(factor * d + summand))
                signatures[row, k] = min(signatures[row, k], least, other)


@kernel
def _band(signatures: NDArray[np.uint32], rows: int, keys: NDArray[np.uint64]) -> None:
    for document in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            state = mix(SECOND_START, np.uint64(band))
            for place in range(band * rows, (band + 1) * rows):
                state = mix(state, np.uint64(signatures[document, place]))
            keys[document, band] = finish(state)


@kernel
def _count_equal(left: NDArray[np.uint32], right: NDArray[np.uint32], equal: NDArray[np.int64]) -> None:
    for pair in range(left.shape[0]):
        count = 0
        for k in range(left.shape[1]):
            count += left[pair, k] == right[pair, k]
        equal[pair] = count


@kernel
def _drop_repeats(former: NDArray[np.int64], values: NDArray[np.uint64], offsets: NDArray[np.int64]) -> None:
    # In place: a value only ever moves towards the front.
    target = 0
    for row in range(offsets.size - 1):
        for place in range(former[row], former[row + 1]):
            value = values[place]
            if target == offsets[row] or values[target - 1] != value:
                values[target] = value
                target += 1
        offsets[row + 1] = target


@kernel
def _count_shared(
    left_offsets: NDArray[np.int64],
    left_values: NDArray[np.uint64],
    right_offsets: NDArray[np.int64],
    right_values: NDArray[np.uint64],
    left_rows: NDArray[np.int64],
    right_rows: NDArray[np.int64],
    shared: NDArray[np.int64],
) -> None:
    for pair in range(left_rows.size):
        a = left_offsets[left_rows[pair]]
        b = right_offsets[right_rows[pair]]
        a_end = left_offsets[left_rows[pair] + 1]
        b_end = right_offsets[right_rows[pair] + 1]
        count = 0
        while a < a_end and b < b_end:
            one = left_values[a]
            other = right_values[b]
            count += one == other
            a += one <= other
            b += other <= one
        shared[pair] = count
