"""Cutting spans equals plain string work."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.document import string_buffer
from curator.text.spans import cut_spans, settle_spans, span_points

WHITE = " \t\n\r\xa0\u3000"
CHARACTERS = st.sampled_from([*"ab.(", *WHITE, "\n", "é", "e\u0301", "漢", "🙂", "\u200d", "ש", "\0", "\u2003"])
TEXTS = st.lists(
    st.tuples(st.lists(CHARACTERS, max_size=25).map("".join), st.lists(st.integers(0, 25), max_size=6)), max_size=4
)
Spans = list[tuple[int, int, int]]


def spans_of(texts: list[tuple[str, list[int]]]) -> Spans:
    """Spans (text, begin, end) in characters: something that is no white space stands in each and between two."""
    found = []
    for row, (text, numbers) in enumerate(texts):
        solid = [place for place, character in enumerate(text) if character not in WHITE]
        bounds = sorted({number for number in numbers if number < len(solid)})
        found += [(row, solid[a], solid[b - 1] + 1) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    return found


def buffers(texts: list[tuple[str, list[int]]], spans: Spans) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]]]:
    """The texts behind some other text in a buffer, and (offsets, texts, begins, ends) in bytes."""
    column = pa.array(["漢 before", *(text for text, _ in texts)], pa.string()).slice(1)
    data, offsets = string_buffer(column)
    size = [
        [len(texts[row][0][:place].encode()) + int(offsets[row]) for place in place_pair] for row, *place_pair in spans
    ]
    begins, ends = np.array(size, dtype=np.int64).reshape(-1, 2).T.copy()
    return data, [offsets, np.array([row for row, _, _ in spans], dtype=np.int64), begins, ends]


@given(TEXTS)
def test_places_are_counted_in_code_points(texts: list[tuple[str, list[int]]]) -> None:
    spans = spans_of(texts)
    data, arrays = buffers(texts, spans)
    offsets, rows, starts, stops = arrays
    begins, ends = span_points(data, offsets, rows, starts, stops)
    assert list(zip(rows.tolist(), begins.tolist(), ends.tolist(), strict=True)) == spans


@pytest.mark.slow
@given(TEXTS, st.booleans())
def test_a_cut_leaves_what_stands_around_it(texts: list[tuple[str, list[int]]], spaced: bool) -> None:
    spans = spans_of(texts)
    data, arrays = buffers(texts, spans)
    offsets, rows, begins, ends = arrays
    cut = cut_spans(data, offsets, rows, begins, ends, np.full(len(spans), spaced))
    expected = []
    for row, (text, _) in enumerate(texts):
        own = [(begin, end) for place, begin, end in spans if place == row]
        bounds = [0, *itertools.chain(*own), len(text)]
        expected.append((" " if spaced else "").join(text[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)))
    assert cut.to_pylist() == expected


def settled(text: str, begin: int, end: int) -> str:
    """What stands for the white space around a span once it is cut, with the text around it: the plain reference."""
    head, tail = text[:begin], text[end:]
    left, right = head.rstrip(WHITE), tail.lstrip(WHITE)
    before, behind = head[len(left) :], tail[: len(tail) - len(right)]
    if not left and not right:
        return ""
    if not right:
        return left + before[: before.find("\n")] * ("\n" in before) + behind
    if not left:
        return behind[behind.rfind("\n") + 1 :] * ("\n" in behind) + right
    if behind.count("\n") > before.count("\n"):
        return left + before[: before.find("\n")] * ("\n" in before) + behind + right
    indent = behind[behind.rfind("\n") + 1 :] if "\n" in behind else ""
    return left + (before[: before.rfind("\n") + 1] if "\n" in behind else before) + indent + right


@given(TEXTS)
def test_white_space_is_settled_as_the_plain_reference_does(texts: list[tuple[str, list[int]]]) -> None:
    spans = [span for row, span in {row: (row, begin, end) for row, begin, end in spans_of(texts)}.items()]
    data, arrays = buffers(texts, spans)
    offsets, rows, begins, ends = arrays
    starts, stops = settle_spans(data, offsets, rows, begins, ends)
    cut = cut_spans(data, offsets, rows, starts, stops, np.zeros(len(spans), dtype=np.bool_)).to_pylist()
    assert [cut[row] for row, _, _ in spans] == [settled(texts[row][0], begin, end) for row, begin, end in spans]
