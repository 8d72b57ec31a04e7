"""Repeats against a plain reference: all pairs of documents, all shifts, in any cut of the corpus."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.engine.local import LocalExecutor
from curator.errors import UserError
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.stage import Parameters, Stage
from curator.text.segment import segment
from stages.substrings.anchors import Measure, unit_values
from stages.substrings.relate import PLACE, find_repeats
from stages.substrings.stage import Substrings, SubstringsParameters
from tests.relating import relate

Span = tuple[int, int, str]

UNITS = st.sampled_from(["a", "b", "c", "一", "二", "ก", "A", "é"])
SEPARATORS = st.sampled_from([" ", "\n", ". ", " 🙂 ", "\n\n", " (", "\u200f "])
TEXT = st.lists(st.tuples(UNITS, SEPARATORS), max_size=30).map(lambda pairs: "".join(a + b for a, b in pairs))
PIECES = st.lists(TEXT, min_size=1, max_size=3)


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Texts made of few stretches, so that repeats abound."""
    pieces = draw(PIECES)
    made = st.lists(st.one_of(st.sampled_from(pieces), TEXT), max_size=4).map("".join)
    return draw(st.lists(made, min_size=1, max_size=6))


def values_of(text: str) -> list[int]:
    """The units of a text as numbers; odd where the unit is a character."""
    found: list[int] = unit_values(segment(*string_buffer(pa.array([text])))).tolist()
    return found


def reference(texts: list[str], measure: Measure, within: bool) -> list[set[int]]:
    """The units of each text that stand in a repeat of an earlier one: every pair of documents, every shift."""
    documents = [values_of(text) for text in texts]
    covered: list[set[int]] = [set() for _ in texts]

    def is_long(units: list[int]) -> bool:
        return sum(measure.units if unit & 1 else measure.characters for unit in units) >= measure.whole

    for later, here in enumerate(documents):
        for earlier in range(later + within):
            there = documents[earlier]
            for shift in range(-len(there) + 1, len(here)):
                run: list[int] = []
                for place in range(max(shift, 0), len(here) + 1):
                    other = place - shift
                    if place < len(here) and 0 <= other < len(there) and here[place] == there[other]:
                        run.append(place)
                    elif run:
                        repeated = here[run[0] : run[-1] + 1]
                        apart = earlier != later or (shift > 0 and is_long(here[run[0] - shift : run[0]]))
                        if apart and is_long(repeated):
                            covered[later].update(run)
                        run = []
    return covered


def find(texts: list[str], cuts: list[int], **parameters: object) -> list[list[Span]]:
    stage = Substrings(SubstringsParameters.model_validate({"representatives": 1000, **parameters}))
    return [
        [cast("Span", (span["begin"], span["end"], span["keeper"])) for span in spans]
        for spans in relate(cast("Stage[Parameters]", stage), texts, cuts=cuts)
    ]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(corpora(), st.integers(2, 6), st.integers(2, 9), st.booleans(), st.lists(st.integers(1, 5), max_size=3))
def test_every_repeat_is_found_and_nothing_else_in_any_cut_of_the_corpus(
    texts: list[str], units: int, characters: int, within: bool, cuts: list[int]
) -> None:
    measure = Measure(units, characters)
    found = find(texts, cuts, min_units=units, min_characters=characters, within=within)
    covered = [{place for begin, end, _ in spans for place in range(begin, end)} for spans in found]
    assert covered == reference(texts, measure, within)
    documents = [values_of(text) for text in texts]
    for row, spans in enumerate(found):
        for begin, end, keeper in spans:
            repeat, other = documents[row][begin:end], documents[int(keeper)]
            last = row + within
            assert int(keeper) < last
            assert any(other[at : at + len(repeat)] == repeat for at in range(len(other)))
        assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(spans))


@pytest.mark.slow
def test_the_cut_of_the_corpus_changes_no_keeper() -> None:
    generator = np.random.default_rng(5)
    texts = [" ".join(generator.choice(["x", "y", "zz"], 60)) for _ in range(8)]
    whole = find(texts, [], min_units=6)
    assert any(whole)
    assert all(find(texts, cuts, min_units=6) == whole for cuts in ([4], [1, 2, 3], [1, 5, 7], list(range(8))))


def words(count: int, seed: int) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 5000, count).tolist()]


def test_a_repeat_of_fifty_words_is_found_and_one_of_forty_nine_is_not() -> None:
    shared = words(50, 1)
    for length, expected in ((50, [(20, 70, "0")]), (49, [])):
        texts = [" ".join([*words(30, seed), *shared[:length], *words(30, seed + 10)]) for seed in (2, 3)]
        texts[1] = " ".join([*words(20, 4), *shared[:length], *words(30, 5)])
        assert find(texts, []) == [[], expected]


def test_in_scripts_without_spaces_a_repeat_has_a_hundred_characters() -> None:
    def characters(count: int, seed: int) -> str:
        return "".join(chr(0x4E00 + n) for n in np.random.default_rng(seed).integers(0, 3000, count).tolist())

    shared = characters(100, 1)
    for length, expected in ((100, [(7, 107, "0")]), (99, [])):
        texts = [characters(9, 2) + shared[:length] + characters(9, 3), characters(7, 4) + shared[:length]]
        assert find(texts, []) == [[], expected]


def test_the_refrain_of_a_poem_stays_unless_the_recipe_says_otherwise() -> None:
    refrain, verses = words(60, 1), [words(60, seed) for seed in (2, 3)]
    poem = "\n".join(" ".join(part) for part in (verses[0], refrain, verses[1], refrain))
    assert find([poem], []) == [[]]
    assert find([poem], [], within=True) == [[(180, 240, "0")]]


@pytest.mark.slow
def test_one_unit_over_and_over_is_no_work_and_keeps_its_first_fifty() -> None:
    text = "na " * 20_000
    assert find([text, text], [1]) == [[], [(0, 20_000, "0")]]
    assert find([text], [], within=True, representatives=4) == [[(50, 20_000, "0")]]


@pytest.mark.parametrize("cuts", [[], [3, 9]])
def test_an_anchor_that_many_documents_have_is_compared_with_as_many_as_the_recipe_says(cuts: list[int]) -> None:
    shared = words(60, 1)
    longer = [*shared, *words(60, 2)]
    texts = [" ".join([*words(9, seed), *shared, *words(9, seed + 50)]) for seed in range(10, 16)]
    texts += [" ".join([*words(9, seed), *longer]) for seed in (30, 31)]
    few, many = (find(texts, cuts, representatives=limit) for limit in (2, 16))
    assert many[7] == [(9, 129, "6")]
    # What only the seventh document has is not compared by the anchors of what all have, but by its own.
    assert {place for begin, end, _ in few[7] for place in range(begin, end)} == set(range(9, 129))


def test_more_documents_than_a_place_can_number_are_refused(tmp_path: Path) -> None:
    most = PLACE.limit("row")
    parts = (Part(str(tmp_path), "a", most - 1, 0), Part(str(tmp_path), "b", 2, most - 1))
    with pytest.raises(UserError, match="34,359,738,369 documents"):
        find_repeats(Corpus(parts, LocalExecutor(1), tmp_path), SubstringsParameters())
