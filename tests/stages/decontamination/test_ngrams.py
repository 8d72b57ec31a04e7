"""N-grams are found where they stand and nowhere else: the kernels against plain references."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.text.segment import Units, segment
from stages.decontamination.ngrams import covered_units, find_ngrams, hash_ngrams, make_table
from tests.stages.decontamination.helpers import index_of

WORDS = st.sampled_from(
    [
        "a",
        "b",
        "the",
        "É",
        "e\u0301",
        "中",
        "文",
        "ก็",
        "한국",
        "👨\u200d👩\u200d👧",
        "\u202eאב",
        "x\u200dy",
        "𝟙",
        "\0",
        "-",
        "don't",
    ]
)
TEXTS = st.lists(st.lists(WORDS, max_size=25).map(" ".join), min_size=1, max_size=6)


def units_of(texts: list[str]) -> Units:
    return segment(*string_buffer(pa.array(texts, pa.string())))


def sequences(units: Units) -> list[tuple[int, ...]]:
    return [
        tuple(units.hashes[begin:end].tolist()) for begin, end in zip(units.offsets, units.offsets[1:], strict=False)
    ]


@given(TEXTS, TEXTS, st.integers(1, 5), st.integers(0, 3))
def test_all_places_are_found_and_no_others(examples: list[str], texts: list[str], shortest: int, more: int) -> None:
    """N-grams of two lengths at a time, of all places of the examples."""
    lengths = sorted({shortest, shortest + more})
    of_examples = units_of(examples)
    places = [
        (int(of_examples.offsets[row]) + place, length)
        for row, sequence in enumerate(sequences(of_examples))
        for length in lengths
        for place in range(len(sequence) - length + 1)
    ]
    if not places:
        return
    begins, sizes = (np.array(values, dtype=np.int64) for values in zip(*places, strict=True))
    first, second = hash_ngrams(of_examples.hashes, begins, sizes)
    _, distinct = np.unique(first, return_index=True)
    table = make_table(of_examples.hashes, begins[distinct], sizes[distinct], first[distinct], second[distinct])
    number = {
        tuple(of_examples.hashes[begins[place] : begins[place] + sizes[place]].tolist()): row
        for row, place in enumerate(distinct.tolist())
    }
    units = units_of(texts)
    expected = [
        (document, place, number[sequence[place : place + length]])
        for document, sequence in enumerate(sequences(units))
        for place in range(len(sequence))
        for length in lengths
        if place + length <= len(sequence) and sequence[place : place + length] in number
    ]
    found = find_ngrams(units, table)
    assert list(zip(found.documents.tolist(), found.units.tolist(), found.ngrams.tolist(), strict=True)) == expected


def test_a_text_full_of_matches_is_found_to_its_end() -> None:
    """More matches than the buffer of the first try holds."""
    index = index_of([["one two three four five six seven eight"]])
    units = units_of(["one two three four five six seven eight " * 500])
    found = find_ngrams(units, index.table)
    assert found.units.tolist() == list(range(0, 4000, 8))


def test_the_order_of_units_counts() -> None:
    index = index_of([["one two three four five six seven eight"]])
    assert len(find_ngrams(units_of(["two one three four five six seven eight"]), index.table).ngrams) == 0
    assert len(find_ngrams(units_of(["ONE, two... three: four/five (six) seven eight!"]), index.table).ngrams) == 1


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9), st.booleans()), max_size=8).map(sorted),
        min_size=1,
        max_size=4,
    )
)
def test_units_are_counted_once_however_many_matches_cover_them(matches: list[list[tuple[int, int, bool]]]) -> None:
    flat = [match for document in matches for match in document]
    offsets = np.cumsum([0, *map(len, matches)]).astype(np.int64)
    units, lengths = (np.array([match[place] for match in flat], dtype=np.int32) for place in (0, 1))
    kept = np.array([match[2] for match in flat], dtype=np.bool_)
    expected = [
        len({unit for begin, length, keeps in document if keeps for unit in range(begin, begin + length)})
        for document in matches
    ]
    assert covered_units(offsets, units, lengths, kept).tolist() == expected


def test_the_length_of_a_set_is_its_fifth_percentile_within_its_bounds() -> None:
    words = " ".join(f"w{number}" for number in range(40))

    def set_of(*lengths: int) -> list[str]:
        return [" ".join(words.split()[:length]) for length in lengths]

    index = index_of([set_of(*[30] * 40), set_of(*[10] * 3, *[30] * 40), set_of(*[3] * 5, 30)])
    assert index.set_units == (13, 10, 8)
    assert index.set_characters == (0, 0, 0)
    too_short = index.places == 0
    assert np.bincount(index.sets, weights=too_short).tolist() == [0, 0, 5]


def test_examples_without_spaces_have_a_length_of_their_own() -> None:
    index = index_of(
        [["一二三四五六七八九十" * 5, "one two three four five six seven eight nine ten eleven twelve thirteen"]]
    )
    assert (index.set_units, index.set_characters) == ((13,), (32,))
    assert sorted(set(index.lengths.tolist())) == [13, 32]


def test_an_example_shorter_than_the_n_grams_of_its_set_is_one_as_a_whole() -> None:
    words = [f"w{number}" for number in range(60)]
    examples = [" ".join(words[:50])] * 30 + [" ".join(words[50:59])]
    index = index_of([examples])
    assert index.set_units == (13,)
    assert index.places[-1] == 1
    assert index.lengths[index.examples[index.offsets[:-1]] == 30].tolist() == [9]
    assert len(find_ngrams(units_of([" ".join(words[50:58])]), index.table).ngrams) == 0
    assert len(find_ngrams(units_of([" ".join(["so", *words[50:59], "on"])]), index.table).ngrams) == 1
