"""The kernels of `substrings` equal their plain references; what is cut leaves all other units as they were."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import Batch
from curator.text.fold import finish
from stages.substrings.anchors import _BASE, Measure, find_anchors, unit_values
from stages.substrings.cut import cut_units, join_spans, trim_to_phrases
from stages.substrings.match import choose_repeats

WORD = (1 << 64) - 1

VALUES = st.lists(st.lists(st.integers(0, 4), max_size=40), max_size=5)


def batch(texts: list[str]) -> Batch:
    return Batch(pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], names=["text"]))


def gram_hash(units: list[int]) -> int:
    state = 0
    for unit in units:
        state = (state * int(_BASE) + unit) & WORD
    return int(finish(np.uint64(state)))


def winnow(units: list[int], measure: Measure) -> list[tuple[int, int]]:
    """Plain reference: the last least gram of every window, once."""
    grams = [gram_hash(units[at : at + measure.gram]) for at in range(len(units) - measure.gram + 1)]
    found: list[tuple[int, int]] = []
    for begin in range(len(grams) - measure.window + 1):
        place = min(range(begin, begin + measure.window), key=lambda at: (grams[at], -at))
        if not found or found[-1][1] != place:
            found.append((grams[place], place))
    return found


@given(VALUES, st.integers(2, 9), st.integers(2, 9))
def test_anchors_are_the_last_least_gram_of_every_window(texts: list[list[int]], units: int, characters: int) -> None:
    measure = Measure(units, characters)
    values = np.array(list(itertools.chain(*texts)), dtype=np.uint64)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    keys, rows, places = find_anchors(values, offsets, measure)
    found = list(zip(rows.tolist(), keys.tolist(), places.tolist(), strict=True))
    assert found == [(row, key, place) for row, text in enumerate(texts) for key, place in winnow(text, measure)]


SPANS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.integers(1, 9), st.integers(0, 3)), max_size=14)


@given(SPANS)
def test_the_repeats_that_are_chosen_cover_what_all_of_them_cover_and_none_can_be_spared(
    spans: list[tuple[int, int, int, int]],
) -> None:
    repeats = np.array([(row, begin, begin + size, other) for row, begin, size, other in spans], dtype=np.int64)
    chosen = choose_repeats(repeats.reshape(-1, 4)).tolist()

    def cover(rows: list[list[int]]) -> set[tuple[int, int]]:
        return {(row, unit) for row, begin, end, _ in rows for unit in range(begin, end)}

    assert cover(chosen) == cover(repeats.reshape(-1, 4).tolist())
    assert chosen == sorted(chosen)
    for place in range(len(chosen)):
        assert cover(chosen[:place] + chosen[place + 1 :]) != cover(chosen)


PIECE = st.sampled_from(
    [
        "a",
        "b1",
        "Été",
        "x_y",
        "一",
        "二",
        "ก\u0e33",
        "क\u094d\u200dष",
        "שלום",
        "3",
        "14",
        "e\u0301",
        "🙂",
        "\U0001f468\u200d\U0001f469",
    ]
)
GAP = st.sampled_from(
    [" ", "\n", "\n\n", "\t", ". ", ", ", ",", ".", "(", ") ", "「", "。", "\u3000", "\xa0", "'", "-", "\u200f ", "\0"]
)
TEXT = st.lists(st.tuples(GAP, PIECE, GAP), max_size=14).map(lambda parts: "".join("".join(part) for part in parts))
NUMBERS = st.lists(st.integers(0, 30), max_size=6)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(st.tuples(TEXT, NUMBERS), min_size=1, max_size=3))
def test_cutting_units_leaves_every_other_unit_and_nothing_is_put_in_but_a_space(
    given_texts: list[tuple[str, list[int]]],
) -> None:
    texts = batch([text for text, _ in given_texts])
    units = texts.units
    values = unit_values(units)
    spans, expected = [], []
    for row, (_, numbers) in enumerate(given_texts):
        count = int(units.counts[row])
        bounds = sorted({number for number in numbers if number <= count})
        pairs = list(zip(bounds[::2], bounds[1::2], strict=False))
        spans += [(row, begin, end) for begin, end in pairs]
        gone = {unit for begin, end in pairs for unit in range(begin, end)}
        first = int(units.offsets[row])
        expected.append([int(values[first + unit]) for unit in range(count) if unit not in gone])
    rows, begins, ends = np.array(spans, dtype=np.int64).reshape(-1, 3).T.copy()
    cut = cut_units(texts, *join_spans(rows, begins, ends))
    after = batch(cut.to_pylist())
    left = unit_values(after.units)
    for row, (text, _) in enumerate(given_texts):
        begin, end = after.units.offsets[row : row + 2].tolist()
        assert left[begin:end].tolist() == expected[row]
        characters = iter(text)
        assert all(any(other == kept for other in characters) for kept in cut[row].as_py() if kept != " ")
        if row not in rows:
            assert cut[row].as_py() == text


def cut(text: str, begin: int, end: int) -> str:
    (row,) = cut_units(batch([text]), np.array([0]), np.array([begin]), np.array([end])).to_pylist()
    return str(row)


def trimmed(text: str, begin: int, end: int) -> tuple[int, int]:
    begins, ends = trim_to_phrases(batch([text]), np.array([0]), np.array([begin]), np.array([end]))
    return int(begins[0]), int(ends[0])


def test_a_repeat_that_chance_made_longer_ends_where_a_phrase_does() -> None:
    text = "休假的权利。任何人不得加以奴役。人人对社会"
    assert trimmed(text, 2, 16) == (5, 14)
    assert trimmed(text, 5, 14) == (5, 14)
    assert trimmed("ทุก คน มีสิทธิ", 2, 6) == (2, 4)
    assert trimmed("one two 三四", 1, 3) == (1, 2)
    assert trimmed("one two three", 1, 2) == (1, 2)


def test_a_repeat_without_a_phrase_that_ends_near_stays_as_it_is() -> None:
    assert trimmed("一" * 40 + "。" + "二" * 40, 10, 70) == (10, 70)
    assert trimmed("一二三四", 1, 3) == (1, 3)
    assert trimmed("一。二三。四", 2, 2) == (2, 2)
    assert trimmed("", 0, 0) == (0, 0)


def test_marks_and_white_space_go_with_the_repeat_that_they_belong_to() -> None:
    assert cut("One two. Three four. Five.", 2, 4) == "One two. Five."
    assert cut("One (two three) four", 1, 3) == "One four"
    assert cut("One.\n\nTwo three.\n\nFour.", 1, 3) == "One.\n\nFour."
    assert cut("One. Two.\n\nThree.", 1, 2) == "One.\n\nThree."
    assert cut("One.\n\nTwo. Three.", 1, 2) == "One.\n\nThree."
    assert cut("One.\n  Two.\n    Three.", 1, 2) == "One.\n    Three."
    assert cut("One two.\n", 1, 2) == "One\n"
    assert cut("One two.\n\n", 0, 2) == ""
    assert cut("一。二三。「四」", 1, 3) == "一。「四」"
    assert cut("一「二」三", 1, 2) == "一三"
    assert cut("ab一cd", 1, 2) == "ab cd"
    assert cut("3,一 4", 1, 2) == "3, 4"
    assert cut("Un. «\xa0Deux trois\xa0?\xa0» Quatre", 1, 3) == "Un. Quatre"
    assert cut("Un\xa0deux\xa0trois\xa0: quatre", 1, 2) == "Un\xa0trois\xa0: quatre"
