"""N-grams of units: their hashes, and those of evaluation sets found in all documents of a batch.

An n-gram is n consecutive units (see `curator.text.segment`) and is told by two independent 64-bit hashes of its units:
among a million n-grams and 10^13 places of text, the expected number of false matches is below 10^-19.

The search makes one pass over the units, whatever lengths the n-grams have. A rolling hash over as many units as the
shortest n-gram has is looked up in a bitmap of the beginnings of all n-grams, which is small enough for a cache. Only
where its bit is set are the hashes of each length computed and looked up in the table.
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

_BASE = np.uint64(0x9E6C63D0676A9A99)
_FIRST_START = np.uint64(0xBB67AE8584CAA73B)
_SECOND_START = np.uint64(0x3C6EF372FE94F82B)
"""The base is odd with irregular bits; the starts are fractional parts of square roots (of 3 and 5, as in SHA-512, FIPS
180-4, 5.3.5), so that these chains never meet those of other stages."""
_ROTATION = np.uint64(32)
_ONE = np.uint64(1)
_BYTE = np.uint64(7)
_BYTE_BITS = np.uint64(3)

FILTER_BITS = 32
"""Bits of the bitmap for each beginning, at least: at most one in 32 is set."""


@dataclass(frozen=True)
class Table:
    """N-grams, ready to be found. `lengths` are those that occur, ascending. N-gram i has the hashes `first[i]` and
    `second[i]`; `slots` (int32, a power of two, at most half full, -1 is empty) is a hash table of their numbers with
    linear probing. `bits` is the bitmap of the beginnings (the first `lengths[0]` units), by the high bits of their
    hash."""

    lengths: NDArray[np.int64]
    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    slots: NDArray[np.int32]
    bits: NDArray[np.uint8]


@dataclass(frozen=True)
class Matches:
    """N-grams found in documents, by document, place and length: the document, the number of its unit at which the
    n-gram begins, the number of the n-gram: int32 each."""

    documents: NDArray[np.int32]
    units: NDArray[np.int32]
    ngrams: NDArray[np.int32]


def make_table(
    first: NDArray[np.uint64], second: NDArray[np.uint64], beginnings: NDArray[np.uint64], lengths: NDArray[np.int64]
) -> Table:
    """The table of distinct n-grams by their hashes. `beginnings` are the hashes of their first units, `lengths` the
    lengths that occur, ascending."""
    slots = np.full(1 << max(4, (2 * len(first) - 1).bit_length()), -1, dtype=np.int32)
    _fill_slots(first, slots)
    bits = np.zeros(1 << max(10, (FILTER_BITS * len(first) - 1).bit_length()), dtype=np.bool_)
    bits[beginnings >> np.uint64(64 - (len(bits).bit_length() - 1))] = True
    return Table(lengths, first, second, slots, np.packbits(bits, bitorder="little"))


def hash_ngrams(
    hashes: NDArray[np.uint64], places: NDArray[np.int64], lengths: NDArray[np.int64], shortest: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Both hashes of the n-grams of `lengths[i]` units at `places[i]` among the unit hashes, and the hash of the first
    `shortest` units of each: three uint64[n]."""
    first, second, beginnings = (np.empty(len(places), dtype=np.uint64) for _ in range(3))
    _hash(hashes, places, lengths, shortest, first, second, beginnings)
    return first, second, beginnings


def find_ngrams(units: Units, table: Table) -> Matches:
    """All places at which an n-gram of the table stands in a document."""
    found = np.empty((len(units.hashes) // 16 + 64, 3), dtype=np.int32)
    count = _find(units.offsets, units.hashes, *_arrays(table), found)
    if count > len(found):
        found = np.empty((count, 3), dtype=np.int32)
        _find(units.offsets, units.hashes, *_arrays(table), found)
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


def _arrays(
    table: Table,
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int32], NDArray[np.uint8]]:
    return table.lengths, table.first, table.second, table.slots, table.bits


@kernel
def _fill_slots(first: NDArray[np.uint64], slots: NDArray[np.int32]) -> None:
    mask = np.int64(slots.size - 1)
    for number in range(first.size):
        slot = np.int64(first[number]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


@inline_kernel
def _second_hash(hashes: NDArray[np.uint64], place: int, length: int) -> np.uint64:
    # Each unit enters with its halves swapped, so that this chain is independent of the first.
    state = _SECOND_START
    for unit in range(place, place + length):
        value = hashes[unit]
        state = mix(state, value >> _ROTATION | value << _ROTATION)
    return finish(state)


@kernel
def _hash(
    hashes: NDArray[np.uint64],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    shortest: int,
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    beginnings: NDArray[np.uint64],
) -> None:
    for number in range(places.size):
        place = places[number]
        rolled = np.uint64(0)
        for unit in range(place, place + shortest):
            rolled = rolled * _BASE + hashes[unit]
        beginnings[number] = finish(rolled)
        state = _FIRST_START
        for unit in range(place, place + lengths[number]):
            state = mix(state, hashes[unit])
        first[number] = finish(state)
        second[number] = _second_hash(hashes, place, lengths[number])


@inline_kernel
def _look_up(
    hashes: NDArray[np.uint64],
    place: int,
    end: int,
    lengths: NDArray[np.int64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    slots: NDArray[np.int32],
    document: int,
    begin: int,
    found: NDArray[np.int32],
    count: int,
) -> int:
    # The n-grams of every length at one place; returns the new count. Past the end of `found` it only counts.
    mask = np.int64(slots.size - 1)
    state = _FIRST_START
    unit = place
    for length in lengths:
        if place + length > end:
            break
        while unit < place + length:
            state = mix(state, hashes[unit])
            unit += 1
        hashed = finish(state)
        slot = np.int64(hashed) & mask
        while slots[slot] >= 0:
            number = slots[slot]
            if first[number] == hashed and second[number] == _second_hash(hashes, place, length):
                if count < found.shape[0]:
                    found[count, 0], found[count, 1], found[count, 2] = document, place - begin, number
                count += 1
                break
            slot = (slot + 1) & mask
    return count


@kernel
def _find(
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    slots: NDArray[np.int32],
    bits: NDArray[np.uint8],
    found: NDArray[np.int32],
) -> int:
    shortest = lengths[0]
    highest = _ONE
    for _ in range(shortest - 1):
        highest = highest * _BASE
    shift = np.uint64(64)
    size = bits.size * 8
    while size > 1:
        size >>= 1
        shift -= _ONE
    count = 0
    for document in range(unit_offsets.size - 1):
        begin = unit_offsets[document]
        end = unit_offsets[document + 1]
        if end - begin < shortest:
            continue
        rolled = np.uint64(0)
        for unit in range(begin, begin + shortest - 1):
            rolled = rolled * _BASE + hashes[unit]
        for place in range(begin, end - shortest + 1):
            rolled = rolled * _BASE + hashes[place + shortest - 1]
            bit = finish(rolled) >> shift
            if (np.uint64(bits[bit >> _BYTE_BITS]) >> (bit & _BYTE)) & _ONE:
                count = _look_up(hashes, place, end, lengths, first, second, slots, document, begin, found, count)
            rolled = rolled - hashes[place] * highest
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
