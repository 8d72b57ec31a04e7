"""Counts of words and sequences: the kernels against plain Python."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.language.scripts import script_table
from curator.text.fold import hash_unit
from curator.text.segment import LETTER, UNSPACED
from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS
from stages.quality.stop_words import StopWords, compile_lists, script_groups
from stages.quality.words import CHARACTERS_PER_WORD, LETTERS_PER_WORD, count_words
from tests.stages.quality.helpers import TEXT, batch_of

LISTS = {
    "en": ["the", "of", "a"],
    "ru": ["ключ"],
    "ja": ["の", "は"],
    "ar": ["من", "الذي"],
    "he": ["את"],
    "el": ["και", "από", "της"],
}
STOPS = compile_lists(LISTS)
LANGUAGES = (*LISTS, "xx")


def counts_of(
    texts: list[str], languages: list[str], stops: StopWords = STOPS, measured_units: int = 1 << 17
) -> list[dict[str, object]]:
    batch = batch_of(texts, languages)
    data, _ = batch.text_buffer
    found = vars(count_words(data, batch.units, stops, stops.lists(batch.languages), measured_units))
    return [
        {name: values[row].tolist() if name == "sequences" else int(values[row]) for name, values in found.items()}
        for row in range(len(texts))
    ]


def sequences_of(hashes: list[int], sizes: list[int], factor: int) -> list[int]:
    found = []
    for words in TOP_LENGTHS:
        length = words * factor
        grams = [tuple(hashes[begin : begin + length]) for begin in range(len(hashes) - length + 1)]
        size = {gram: sum(sizes[begin : begin + length]) for begin, gram in enumerate(grams)}
        times = Counter(grams)
        most = max(times.values(), default=0)
        longest = max((most * size[gram] for gram in times if times[gram] == most), default=0)
        found.append(min(longest, sum(sizes)) if most > 1 else 0)
    for words in REPEATED_LENGTHS:
        length = words * factor
        covered: set[int] = set()
        before: set[tuple[int, ...]] = set()
        for begin in range(len(hashes) - length + 1):
            gram = tuple(hashes[begin : begin + length])
            if gram in before:
                covered.update(range(begin, begin + length))
            before.add(gram)
        found.append(sum(sizes[place] for place in covered))
    return found


def script_of(character: str) -> int:
    table = script_table()
    point = ord(character)
    return int(script_groups()[table.cells[256 * int(table.blocks[point >> 8]) + (point & 0xFF)]])


def is_ideograph(character: str) -> bool:
    return 0x2000 <= ord(character) < 0xA500 or ord(character) >= 0x10000


def plain(text: str, language: str, measured_units: int = 1 << 17) -> dict[str, object]:
    """The same counts in plain Python."""
    batch = batch_of([text])
    data, _ = batch.text_buffer
    ends = zip(batch.units.starts, batch.units.ends, strict=True)
    units = [data[begin:end].tobytes().decode() for begin, end in ends]
    hashes, kinds = batch.units.hashes.tolist(), batch.units.kinds.tolist()
    unspaced = [unit for unit, kind in zip(units, kinds, strict=True) if kind & UNSPACED]
    spaced = [unit for unit, kind in zip(units, kinds, strict=True) if not kind & UNSPACED]
    hangul = [unit for unit in spaced if "가" <= unit[0] <= "힣"]
    ideographs = [unit for unit in unspaced if is_ideograph(unit[0])]
    listed_words = LISTS.get(language, [])
    known = {hash_unit(word) for word in listed_words}
    stops = [value for value in hashes if value in known]
    factor = 1
    if 2 * len(unspaced) > len(units):
        factor = CHARACTERS_PER_WORD if 2 * len(ideographs) > len(unspaced) else LETTERS_PER_WORD
    begin = max(0, len(units) - measured_units) // 2
    middle = slice(begin, begin + measured_units)
    sizes = [len(unit) for unit in units[middle]]
    pairs = list(itertools.pairwise(hashes))
    listed = language in LISTS
    return {
        "spaced_characters": sum(map(len, [*spaced, *hangul])),
        "lettered": sum(kind & LETTER > 0 for kind in kinds),
        "unspaced": len(unspaced),
        "ideographs": len(ideographs),
        "stops": len(stops),
        "distinct_stops": len(set(stops)),
        "in_script": sum(script_of(unit[0]) == script_of(LISTS[language][0][0]) for unit in units) if listed else 0,
        "lorem_ipsum": pairs.count((hash_unit("lorem"), hash_unit("ipsum"))),
        "measured": sum(sizes),
        "hangul": len(hangul),
        "sequences": sequences_of(hashes[middle], sizes, factor),
    }


@pytest.mark.slow
@given(documents=st.lists(st.tuples(TEXT, st.sampled_from(LANGUAGES)), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_every_count_equals_its_plain_reference(documents: list[tuple[str, str]]) -> None:
    texts, languages = [text for text, _ in documents], [language for _, language in documents]
    assert counts_of(texts, languages) == [plain(text, language) for text, language in documents]


REPEATING = st.lists(st.sampled_from(["ab", "c", "déf", "字", "ท", "9"]), max_size=120)


@pytest.mark.slow
@given(parts=st.lists(REPEATING, min_size=1, max_size=4), copies=st.integers(1, 4), measured=st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_sequences_of_text_that_repeats_itself_equal_their_reference_in_the_middle_that_is_measured(
    parts: list[list[str]], copies: int, measured: int
) -> None:
    texts = [" ".join(part * copies) for part in parts]
    found = counts_of(texts, ["en"] * len(texts), measured_units=measured)
    assert found == [plain(text, "en", measured) for text in texts]


def test_the_most_frequent_sequence_counts_in_full_and_of_two_the_longer() -> None:
    (found,) = counts_of(["ab cd x ab cd y longer words z longer words"], ["en"])
    sequences = found["sequences"]
    assert isinstance(sequences, list)
    assert sequences[0] == 2 * len("longerwords")
    assert sequences[1:] == [0] * 8


def test_a_long_text_and_many_short_ones_are_measured_without_mixing() -> None:
    chance = np.random.default_rng(3)
    long = " ".join(f"w{number}" for number in chance.integers(0, 50, 3000))
    texts = [long, "", "one two", long]
    assert counts_of(texts, ["en"] * 4) == [counts_of([text], ["en"])[0] for text in texts]
