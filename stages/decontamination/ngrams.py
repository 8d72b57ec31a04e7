"""N-grams of units: their hashes, and those of evaluation sets found in all documents of a batch.

An n-gram is n consecutive units (see `curator.text.segment`) and is told by two independent 64-bit hashes of its units.
The table keeps all bits of the second and 32 of the first: in text of 10^13 units, whatever the number of n-grams, the
expected number of false matches is below 10^-15.

The search makes one pass over the units, whatever lengths the n-grams have and however many they are. A bitmap of all
pairs of neighbours in n-grams is small enough for the second cache of a core; only where as many pairs in a row are in
it as the shortest n-gram has, the n-grams of each length that begin there are looked up in the table. Places are
gathered without a branch, a block at a time, so that the processor need not wait for the bitmap. The first hash is a
polynomial over the units, so that sums over the beginning of a document give that of any n-gram in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.text.fold import finish, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

_PAIR = np.uint64(0x9E6C63D0676A9A99)
_BASE = np.uint64(0xBB67AE8584CAA73B)
_SECOND_START = np.uint64(0x3C6EF372FE94F82B)
"""Odd numbers with irregular bits: fractional parts of square roots (of 3 and 5, as in SHA-512, FIPS 180-4, 5.3.5), so
that these hashes never meet those of other stages."""
_ONE = np.uint64(1)
_SIX = np.uint64(6)
_BIT_OF_WORD = np.uint64(63)
_HALF = np.uint64(32)
_EMPTY = np.uint64(0xFFFFFFFF)
"""The number of an n-gram in a slot that has none."""

PAIR_BITS = 8
"""Bits of the bitmap for each pair of neighbours, at least, up to MAX_PAIR_BITS in all: 512 KiB."""
MAX_PAIR_BITS = 1 << 22
_BLOCK = 512


@dataclass(frozen=True)
class Table:
    """N-grams, ready to be found. `lengths` are those that occur, ascending. `slots` (uint64, a power of two, at most
    half full) is a hash table with linear probing by the first hash: its high 32 bits, and the number of the n-gram,
    _EMPTY where there is none. `second` (uint64[n-grams]) is the second hash of each. `pairs` (uint64, a power of two)
    is a bitmap of the pairs of units that are neighbours in n-grams."""

    lengths: NDArray[np.int64]
    slots: NDArray[np.uint64]
    second: NDArray[np.uint64]
    pairs: NDArray[np.uint64]


@dataclass(frozen=True)
class Matches:
    """N-grams found in documents, by document, place and length: the document, the number of its unit at which the
    n-gram begins, the number of the n-gram: int32 each."""

    documents: NDArray[np.int32]
    units: NDArray[np.int32]
    ngrams: NDArray[np.int32]


def make_table(
    hashes: NDArray[np.uint64],
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
) -> Table:
    """The table of distinct n-grams: of `sizes[i]` units at `places[i]` among the unit hashes, with both hashes of
    each."""
    slots = np.full(1 << max(4, (2 * len(first) - 1).bit_length()), _EMPTY, dtype=np.uint64)
    _fill_slots(first, slots)
    bits = min(max(PAIR_BITS * len(first), 1 << 10), MAX_PAIR_BITS)
    pairs = np.zeros(1 << ((bits - 1).bit_length() - 6), dtype=np.uint64)
    _fill_pairs(hashes, places, sizes, pairs)
    return Table(np.unique(sizes), slots, second, pairs)


def hash_ngrams(
    hashes: NDArray[np.uint64], places: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Both hashes of the n-grams of `sizes[i]` units at `places[i]` among the unit hashes: two uint64[n]."""
    first, second = (np.empty(len(places), dtype=np.uint64) for _ in range(2))
    _hash(hashes, places, sizes, first, second)
    return first, second


def find_ngrams(units: Units, table: Table) -> Matches:
    """All places at which an n-gram of the table stands in a document."""
    buffers = np.empty(_BLOCK, dtype=np.int64), np.empty(int(units.counts.max(initial=0)) + 1, dtype=np.uint64)
    arrays = table.lengths, table.slots, table.second, table.pairs
    found = np.empty((len(units.hashes) // 16 + 64, 3), dtype=np.int32)
    count = _find(units.offsets, units.hashes, *arrays, *buffers, found)
    if count > len(found):
        found = np.empty((count, 3), dtype=np.int32)
        _find(units.offsets, units.hashes, *arrays, *buffers, found)
    documents, starts, ngrams = np.ascontiguousarray(found[:count].T)
    return Matches(documents, starts, ngrams)


def covered_units(
    offsets: NDArray[np.int64], units: NDArray[np.int32], lengths: NDArray[np.int32], kept: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How many units of each document stand in one of its matches or several: int64[documents]. Document i has the
    matches `offsets[i]` to `offsets[i + 1]`, ascending by `units`; those that are not `kept` do not count."""
    covered = np.zeros(len(offsets) - 1, dtype=np.int64)
    _cover(offsets, units, lengths, kept, covered)
    return covered


@kernel
def _fill_slots(first: NDArray[np.uint64], slots: NDArray[np.uint64]) -> None:
    mask = np.int64(slots.size - 1)
    for number in range(first.size):
        slot = np.int64(first[number]) & mask
        while slots[slot] & _EMPTY != _EMPTY:
            slot = (slot + 1) & mask
        slots[slot] = first[number] >> _HALF << _HALF | np.uint64(number)


@inline_kernel
def _pair_shift(words: int) -> np.uint64:
    # By how many bits a pair is shifted to become the number of a bit in so many words.
    shift = np.uint64(58)
    while words > 1:
        words >>= 1
        shift -= _ONE
    return shift


@kernel
def _fill_pairs(
    hashes: NDArray[np.uint64], places: NDArray[np.int64], sizes: NDArray[np.int64], pairs: NDArray[np.uint64]
) -> None:
    shift = _pair_shift(pairs.size)
    for number in range(places.size):
        for unit in range(places[number] + 1, places[number] + sizes[number]):
            bit = (hashes[unit - 1] * _PAIR + hashes[unit]) >> shift
            pairs[bit >> _SIX] |= _ONE << (bit & _BIT_OF_WORD)


@inline_kernel
def _second_hash(hashes: NDArray[np.uint64], place: int, length: int) -> np.uint64:
    # Each unit enters with its halves swapped, so that this chain is independent of the first.
    state = _SECOND_START
    for unit in range(place, place + length):
        value = hashes[unit]
        state = mix(state, value >> _HALF | value << _HALF)
    return finish(state)


@kernel
def _hash(
    hashes: NDArray[np.uint64],
    places: NDArray[np.int64],
    sizes: NDArray[np.int64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
) -> None:
    for number in range(places.size):
        rolled = np.uint64(0)
        for unit in range(places[number], places[number] + sizes[number]):
            rolled = rolled * _BASE + hashes[unit]
        first[number] = finish(rolled)
        second[number] = _second_hash(hashes, places[number], sizes[number])


@inline_kernel
def _look_up(
    hashes: NDArray[np.uint64],
    begin: int,
    place: int,
    end: int,
    lengths: NDArray[np.int64],
    slots: NDArray[np.uint64],
    second: NDArray[np.uint64],
    sums: NDArray[np.uint64],
    document: int,
    found: NDArray[np.int32],
    count: int,
) -> int:
    # The n-grams of every length at one place; returns the new count. Past the end of `found` it only counts.
    mask = np.int64(slots.size - 1)
    before = sums[place - begin]
    power = _ONE
    raised = 0
    for length in lengths:
        if place + length > end:
            break
        while raised < length:
            power = power * _BASE
            raised += 1
        first = finish(sums[place - begin + length] - before * power)
        slot = np.int64(first) & mask
        while slots[slot] & _EMPTY != _EMPTY:
            if (slots[slot] ^ first) >> _HALF == 0:
                number = np.int64(slots[slot] & _EMPTY)
                if second[number] == _second_hash(hashes, place, length):
                    if count < found.shape[0]:
                        found[count, 0] = document
                        found[count, 1] = place - begin
                        found[count, 2] = number
                    count += 1
                    break
            slot = (slot + 1) & mask
    return count


@kernel
def _find(
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    slots: NDArray[np.uint64],
    second: NDArray[np.uint64],
    pairs: NDArray[np.uint64],
    passed: NDArray[np.int64],
    sums: NDArray[np.uint64],
    found: NDArray[np.int32],
) -> int:
    shortest = lengths[0]
    shift = _pair_shift(pairs.size)
    count = 0
    for document in range(unit_offsets.size - 1):
        begin = unit_offsets[document]
        end = unit_offsets[document + 1]
        in_a_row = np.int64(0)
        has_sums = False
        for block in range(begin, end, passed.size):
            number = np.int64(0)
            for unit in range(block, min(block + passed.size, end)):
                # The first unit of a document has no pair, but counts as one: n units have n - 1 pairs.
                bit = (hashes[max(unit - 1, begin)] * _PAIR + hashes[unit]) >> shift
                is_set = np.int64(pairs[bit >> _SIX] >> (bit & _BIT_OF_WORD) & _ONE)
                in_a_row = in_a_row * is_set + np.int64(1)
                passed[number] = unit - shortest + 1
                number += np.int64(in_a_row >= shortest)
            if number > 0 and not has_sums:
                # Most documents never need them.
                has_sums = True
                sums[0] = np.uint64(0)
                for unit in range(begin, end):
                    sums[unit - begin + 1] = sums[unit - begin] * _BASE + hashes[unit]
            for place in passed[:number]:
                count = _look_up(hashes, begin, place, end, lengths, slots, second, sums, document, found, count)
    return count


@kernel
def _cover(
    offsets: NDArray[np.int64],
    units: NDArray[np.int32],
    lengths: NDArray[np.int32],
    kept: NDArray[np.bool_],
    covered: NDArray[np.int64],
) -> None:
    for document in range(covered.size):
        reach = np.int64(0)
        total = np.int64(0)
        for match in range(offsets[document], offsets[document + 1]):
            if kept[match]:
                begin = max(np.int64(units[match]), reach)
                end = np.int64(units[match]) + np.int64(lengths[match])
                if end > begin:
                    total += end - begin
                    reach = end
        covered[document] = total
