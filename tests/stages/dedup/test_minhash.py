"""Shingles, signatures, bands and Jaccard: each kernel equal to a plain reference, signatures equal to datasketch's."""

from __future__ import annotations

from collections.abc import Sequence

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.errors import UserError
from curator.text.content import FEW_UNITS, content_hashes
from curator.text.segment import Units, segment
from stages.dedup.minhash import (
    Ragged,
    band_keys,
    choose_bands,
    estimate_jaccard,
    export_lean,
    minhash,
    permutation_parameters,
    shingle_hashes,
    shingle_sets,
    true_jaccard,
)

WORD = (1 << 64) - 1
BASE = 0x9FB21C651E98DF25

compiles = settings(deadline=None)
"""The first call of a kernel compiles it."""

texts = st.lists(st.text(st.sampled_from("ab ß1中の\u0301\u200dא.!\x00🙂\n"), max_size=25), max_size=6)
hash_lists = st.lists(st.lists(st.integers(0, WORD), min_size=1, max_size=11), min_size=1, max_size=5)


def batch(documents: Sequence[str]) -> tuple[Units, NDArray[np.uint8], NDArray[np.int64]]:
    encoded = [document.encode() for document in documents]
    offsets = np.cumsum([0, *(len(document) for document in encoded)], dtype=np.int64)
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return segment(data, offsets), data, offsets


def ragged(lists: Sequence[Sequence[int]]) -> Ragged:
    offsets = np.cumsum([0, *(len(values) for values in lists)], dtype=np.int64)
    return Ragged(offsets, np.array([value for values in lists for value in values], dtype=np.uint64))


def lists_of(values: Ragged) -> list[list[int]]:
    return [
        values.values[begin:end].tolist() for begin, end in zip(values.offsets[:-1], values.offsets[1:], strict=True)
    ]


def finish(state: int) -> int:
    state = ((state ^ (state >> 33)) * 0xFF51AFD7ED558CCD) & WORD
    state = ((state ^ (state >> 33)) * 0xC4CEB9FE1A85EC53) & WORD
    return state ^ (state >> 33)


def polynomial(hashes: Sequence[int]) -> int:
    return finish(sum(value * BASE ** (len(hashes) - 1 - place) for place, value in enumerate(hashes)) & WORD)


def tells(documents: Sequence[str], row: int, units: Units) -> bool:
    """Whether a text says by its units what it says."""
    before = sum(len(former.encode()) for former in documents[:row])
    places = range(units.offsets[row], units.offsets[row + 1])
    found = [documents[row].encode()[units.starts[place] - before : units.ends[place] - before] for place in places]
    inside = sum(len(unit.decode()) for unit in found)
    seen = sum(character > " " for character in documents[row])
    return len(found) >= FEW_UNITS or (len(found) > 0 and 2 * inside >= seen)


@compiles
@given(texts, st.integers(1, 7))
def test_shingles_are_consecutive_units(documents: list[str], size: int) -> None:
    units, data, offsets = batch(documents)
    found = lists_of(shingle_hashes(units, data, offsets, size))
    for row, shingles in enumerate(found):
        hashes = units.hashes[units.offsets[row] : units.offsets[row + 1]].tolist()
        if tells(documents, row, units):
            expected = [polynomial(hashes[i : i + size]) for i in range(max(len(hashes) - size + 1, 1))]
            assert shingles == expected
        else:
            assert shingles == [chain(STARTS[2], list(documents[row].encode()))]


def test_documents_without_units_are_alike_only_if_their_bytes_are() -> None:
    units, data, offsets = batch(["!!", "!!", "!", "", "", "…"])
    shingles = shingle_hashes(units, data, offsets).values.tolist()
    exact = [tuple(pair) for pair in content_hashes(units, data, offsets).tolist()]
    for values in (shingles, exact):
        assert values[0] == values[1]
        assert values[3] == values[4]
        assert len(set(values)) == 4


def test_documents_that_say_it_by_marks_are_alike_only_if_their_bytes_are() -> None:
    drawn = ["(\\_/) o", "-->> o <<--", "😀😀 o", "⠓⠑⠇⠇⠕ 1", "⠃⠽⠑ 1", "(V)(V)(V)>-<(V)(V)(V)\n(________)"]
    words = " ".join("ab"[place % 2] for place in range(FEW_UNITS))
    said = ["o", "oui", "5 + 5", "5 - 5", "— Oui !", f"{words} {'=' * 200}", words]
    units, data, offsets = batch([*drawn, "V V V V V", *said])
    for values in (
        [tuple(pair) for pair in content_hashes(units, data, offsets).tolist()],
        [tuple(shingles) for shingles in lists_of(shingle_hashes(units, data, offsets))],
    ):
        assert len({*values[:7], values[7]}) == 8
        assert values[9] == values[10]
        assert values[8] == values[11]
        assert values[12] == values[13]
    assert [len(shingles) for shingles in lists_of(shingle_hashes(units, data, offsets, 1))][:6] == [1] * 6


def test_case_punctuation_and_width_do_not_count_in_comparison() -> None:
    units, data, offsets = batch(["Hello, world!", "hello WORLD", "ｈｅｌｌｏ — world", "world hello", "hello world x"])
    exact = [tuple(pair) for pair in content_hashes(units, data, offsets).tolist()]
    assert exact[0] == exact[1] == exact[2]
    assert len(set(exact)) == 3


@pytest.mark.slow
@compiles
@given(st.lists(st.lists(st.sampled_from("ab"), max_size=4).map(" ".join), max_size=8, unique=True))
def test_different_sequences_of_units_have_different_exact_hashes(documents: list[str]) -> None:
    hashes = content_hashes(*batch(documents))
    assert len(set(hashes[:, 0].tolist())) == len(set(hashes[:, 1].tolist())) == len(documents)
    assert not (hashes[:, 0] == hashes[:, 1]).any()


def chain(start: int, values: Sequence[int]) -> int:
    """A multiply-xorshift chain and its finaliser (see `curator.text.fold`), with Python's integers."""
    state = start
    for value in values:
        state = ((state ^ value) * 0xD6E8FEB86659FD93) & WORD
        state ^= state >> 32
    return finish(state)


def swapped(value: int) -> int:
    """The value with its halves swapped."""
    return value >> 32 | (value << 32 & WORD)


STARTS = 0x9E3779B97F4A7C15, 0xE7037ED1A0B428DB, 0xA0761D6478BD642F
"""Of the first chain, of the second, and of the first over bytes."""


@compiles
@given(texts)
def test_exact_hashes_are_two_chains_over_the_units_or_the_bytes(documents: list[str]) -> None:
    units, data, offsets = batch(documents)
    expected = []
    for row, text in enumerate(documents):
        hashes = units.hashes[units.offsets[row] : units.offsets[row + 1]].tolist()
        told = tells(documents, row, units)
        values = hashes if told else list(text.encode())
        expected.append([chain(STARTS[0 if told else 2], values), chain(STARTS[1], [*map(swapped, values)])])
    assert content_hashes(units, data, offsets).tolist() == expected


@compiles
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_band_keys_are_chains_over_the_rows_of_the_band(bands: int, rows: int, seed: int) -> None:
    signatures = np.random.default_rng(seed).integers(0, 2**32, (3, bands * rows + 1), dtype=np.uint32)
    assert band_keys(signatures, bands, rows).tolist() == [
        [chain(STARTS[1], [band, *values[band * rows : (band + 1) * rows]]) for band in range(bands)]
        for values in signatures.tolist()
    ]


@compiles
@given(st.lists(st.tuples(*[st.lists(st.integers(0, 2), min_size=7, max_size=7)] * 2), max_size=6))
def test_the_estimate_is_the_share_of_equal_values(pairs: list[tuple[list[int], list[int]]]) -> None:
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.uint32).reshape(-1, 7) for side in (0, 1))
    expected = [sum(a == b for a, b in zip(one, other, strict=True)) / 7 for one, other in pairs]
    assert estimate_jaccard(left, right).tolist() == expected


def identity(value: int) -> int:
    return value


@compiles
@given(hash_lists, st.sampled_from([(256, 0), (128, 1), (7, 3), (1, 42)]))
def test_signatures_are_those_of_datasketch(lists: list[list[int]], parameters: tuple[int, int]) -> None:
    permutations, seed = parameters
    signatures = minhash(ragged(lists), permutations, seed)
    assert signatures.dtype == np.uint32
    for row, values in enumerate(lists):
        theirs = datasketch.MinHash(num_perm=permutations, seed=seed, hashfunc=identity)
        theirs.update_batch([value & 0xFFFFFFFF for value in values])
        assert signatures[row].tolist() == theirs.hashvalues.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("permutations", [1, 64, 256])
def test_permutations_are_those_of_datasketch(permutations: int, seed: int) -> None:
    factors, summands = permutation_parameters(permutations, seed)
    theirs = datasketch.MinHash(num_perm=permutations, seed=seed).permutations
    assert factors.tolist() == theirs[0].tolist()
    assert summands.tolist() == theirs[1].tolist()


def test_signatures_make_the_way_through_lean_minhash_and_back() -> None:
    signatures = minhash(ragged([[1, 2, 3], [2, 3, 4]]), seed=5)
    lean = export_lean(signatures, seed=5)
    written = bytearray(lean[0].bytesize())
    lean[0].serialize(written)
    assert datasketch.LeanMinHash.deserialize(written) == lean[0]
    theirs = datasketch.MinHash(num_perm=256, seed=5, hashfunc=identity)
    theirs.update_batch([1, 2, 3])
    assert lean[0].jaccard(theirs) == 1.0
    assert lean[0].jaccard(lean[1]) == estimate_jaccard(signatures[:1], signatures[1:])[0]


def test_similar_documents_find_each_other_in_an_index_of_datasketch() -> None:
    words = [f"word{i}" for i in range(300)]
    signatures = minhash(shingle_hashes(*batch([" ".join(words), " ".join(words[:295]), "something else"])), seed=1)
    first, second, third = export_lean(signatures, seed=1)
    index = datasketch.MinHashLSH(threshold=0.85, num_perm=256)
    index.insert("first", first)
    assert index.query(second) == ["first"]
    assert index.query(third) == []


@compiles
@given(hash_lists)
def test_sets_are_the_distinct_shingles_in_order(lists: list[list[int]]) -> None:
    assert lists_of(shingle_sets(ragged(lists))) == [sorted(set(values)) for values in lists]


@compiles
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=11), min_size=1, max_size=5), st.data())
def test_jaccard_is_shared_over_all(lists: list[list[int]], data: st.DataObject) -> None:
    rows = st.lists(st.integers(0, len(lists) - 1), min_size=3, max_size=3)
    left, right = data.draw(rows), data.draw(rows)
    found = true_jaccard(shingle_sets(ragged(lists)), np.array(left), np.array(right))
    for value, one, other in zip(found, left, right, strict=True):
        assert value == len(set(lists[one]) & set(lists[other])) / len(set(lists[one]) | set(lists[other]))


def test_no_pairs_have_no_jaccard() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert len(true_jaccard(ragged([[1]]), none, none)) == 0
    assert len(estimate_jaccard(np.zeros((0, 8), np.uint32), np.zeros((0, 8), np.uint32))) == 0


def test_the_estimate_is_within_its_error_of_the_truth() -> None:
    generator = np.random.default_rng(1)
    pool = generator.integers(0, WORD, 2000, dtype=np.uint64)
    sets = shingle_sets(ragged([pool[start : start + 1000].tolist() for start in range(0, 1000, 25)]))
    signatures = minhash(sets)
    others = np.arange(len(signatures))
    first = np.zeros_like(others)
    error = estimate_jaccard(signatures[first], signatures) - true_jaccard(sets, first, others)
    # The standard error of 256 permutations is at most 0.5 / 16; all pairs share a document, so their errors do, too.
    assert np.sqrt(np.mean(error**2)) < 0.5 / 16
    assert abs(error).max() < 4 * 0.5 / 16


@compiles
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_band_keys_are_equal_exactly_where_the_rows_are(bands: int, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    signatures = generator.integers(0, 2, (6, bands * rows + 1), dtype=np.uint32)
    keys = band_keys(signatures, bands, rows)
    for band in range(bands):
        parts = [tuple(row) for row in signatures[:, band * rows : (band + 1) * rows].tolist()]
        for one in range(6):
            for other in range(6):
                assert (keys[one, band] == keys[other, band]) == (parts[one] == parts[other])


def test_equal_rows_in_different_bands_have_different_keys() -> None:
    assert len(set(band_keys(np.zeros((1, 256), np.uint32), 32, 8)[0].tolist())) == 32


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.85, 0.95])
@pytest.mark.parametrize("permutations", [64, 128, 256])
def test_chosen_bands_reach_the_recall_and_one_row_more_does_not(permutations: int, threshold: float) -> None:
    bands, rows = choose_bands(permutations, threshold)
    assert bands * rows <= permutations
    assert 1 - (1 - threshold**rows) ** bands >= 0.995
    more = rows + 1
    assert 1 - (1 - threshold**more) ** (permutations // more) < 0.995


def test_impossible_settings_are_refused_with_a_reason() -> None:
    with pytest.raises(UserError, match="more permutations"):
        choose_bands(1, 0.5)
    with pytest.raises(UserError, match="choose_bands"):
        band_keys(np.zeros((1, 10), np.uint32), 3, 4)
    with pytest.raises(UserError, match="at least 1"):
        shingle_hashes(*batch(["a"]), shingle_size=0)
