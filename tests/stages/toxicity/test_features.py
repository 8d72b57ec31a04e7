"""The feature kernel against a plain reading of its definition, and what follows from the definition."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from curator.text.fold import fold, hash_unit
from curator.text.segment import UNSPACED, Units, segment
from curator.text.tables import IGNORABLE, tables
from stages.toxicity.features import (
    BUCKET_BITS,
    BUCKETS,
    CHARACTER_SALT,
    CHARACTER_VALUE,
    END_TOKEN,
    LONGEST_SEQUENCE,
    LONGEST_UNIT,
    PAIR,
    PUNCTUATION_SALT,
    PUNCTUATION_VALUE,
    SHORTEST_SEQUENCE,
    SPREAD,
    START_TOKEN,
    WORD_SALT,
    WORD_VALUE,
    count_windows,
    feature_rows,
    sum_windows,
)
from tests.stages.toxicity.helpers import text_buffer

WORD = (1 << 64) - 1
QUOTES = "«»‹›⹂‘’‚‛“”„‟「」『』〝〞〟"
NASTY = (
    "",
    " ",
    "\x00",
    "!!! ?!?",
    '"quoted" „quoted“ «quoted» 「中文」',
    "a-b-c a-b-c a-b-c",
    "l l l l l l l l l l",
    "x" * 100 + " " + "ﷺ" * 30,
    "e\u0301\u0308 \u200d\u200b\ufeff👨\u200d👩",
    "שלום״ا مرحبا، दुनिया ไทยไทย 漢字かな交じり文",
    "\U0010ffff\ufffd\u2028…ﬁ Ⅷ",
)
nasty_text = st.text(
    st.one_of(st.sampled_from("ab Zß.,!?'\"-_«”中あไกא\u0301\u200d\n😀Ⅷ…"), st.characters(exclude_categories=["Cs"])),
    max_size=80,
)


def reference(text: str, window_units: int) -> list[Counter[tuple[int, int]]]:
    """Of each window how often each (bucket, value) counts."""
    units = segment(*text_buffer([text]))
    raw = text.encode()
    words = [raw[begin:end].decode() for begin, end in zip(units.starts, units.ends, strict=True)]
    unspaced = [bool(kind & UNSPACED) for kind in units.kinds]
    hashes = [hash_unit(word) for word in words]
    windows = int(count_windows(np.array([len(words)], dtype=np.int64), window_units)[0])
    found: list[Counter[tuple[int, int]]] = [Counter() for _ in range(windows)]
    seen: list[set[int]] = [set() for _ in range(windows)]
    edges = [0, *units.ends.tolist()]
    begins = [*units.starts.tolist(), len(raw)]
    token = int(START_TOKEN)

    def add(window: int, value: int, salt: np.uint64, weight: int) -> bool:
        salted = (value + int(salt)) & WORD
        if salted in seen[window]:
            return False
        seen[window].add(salted)
        found[window][(salted * int(SPREAD) & WORD) >> (64 - BUCKET_BITS), weight] += 1
        return True

    for unit in range(len(words) + 1):
        window = min(unit // window_units, windows - 1)
        if windows == 0:
            break
        marks = visible(raw[edges[unit] : begins[unit]].decode())
        for mark in marks:
            add(window, ord(mark) + 3, PUNCTUATION_SALT, PUNCTUATION_VALUE)
            add(window, token * int(PAIR) + ord(mark) + 3, PUNCTUATION_SALT, PUNCTUATION_VALUE)
            token = ord(mark) + 3
        this = int(END_TOKEN) if unit == len(words) else hashes[unit]
        if marks or unit in (0, len(words)):
            add(window, token * int(PAIR) + this, PUNCTUATION_SALT, PUNCTUATION_VALUE)
        if unit == len(words):
            break
        token = this
        fresh = add(window, this, WORD_SALT, WORD_VALUE)
        if unit > 0:
            pair = this + hashes[unit - 1] * int(PAIR)
            add(window, pair, WORD_SALT, WORD_VALUE)
            if unit > 1 and all(unspaced[unit - 2 : unit + 1]):
                add(window, pair + hashes[unit - 2] * int(PAIR) ** 2, WORD_SALT, WORD_VALUE)
        if fresh and not unspaced[unit]:
            marked = "<" + fold(words[unit])[:LONGEST_UNIT] + ">"
            for size in range(SHORTEST_SEQUENCE, LONGEST_SEQUENCE + 1):
                for first in range(len(marked) - size + 1):
                    value = 0
                    for character in marked[first : first + size]:
                        value = value * int(PAIR) + ord(character)
                    bucket = ((value + int(CHARACTER_SALT)) * int(SPREAD) & WORD) >> (64 - BUCKET_BITS)
                    found[window][bucket, CHARACTER_VALUE] += 1
    return found


def visible(gap: str) -> list[str]:
    """The visible characters between two units, folded, runs of one as one."""
    marks: list[str] = []
    for character in gap:
        blank = unicodedata.category(character) == "Cc" or character.isspace() or character in "\ufeff\ufffd"
        general = 0x2000 <= ord(character) <= 0x200F or 0x2028 <= ord(character) <= 0x202F
        if blank or general or tables().classes[ord(character)] & IGNORABLE:
            continue
        folded = (fold(character) or character)[0]
        mark = '"' if folded in QUOTES else folded
        if not marks or mark != marks[-1]:
            marks.append(mark)
    return marks


def recorded(texts: list[str], window_units: int) -> list[list[Counter[tuple[int, int]]]]:
    data, offsets = text_buffer(texts)
    rows = feature_rows(data, offsets, segment(data, offsets), window_units)
    windows: list[list[Counter[tuple[int, int]]]] = [[] for _ in texts]
    for row, text in enumerate(rows.texts.tolist()):
        part = slice(rows.offsets[row], rows.offsets[row + 1])
        pairs = zip(rows.buckets[part].tolist(), rows.values[part].tolist(), strict=True)
        windows[text].append(Counter(pairs))
    return windows


@pytest.fixture(scope="module")
def weights() -> NDArray[np.int8]:
    return np.random.default_rng(0).integers(-127, 128, BUCKETS).astype(np.int8)


@given(texts=st.lists(nasty_text, max_size=4), window_units=st.integers(1, 7))
@example(texts=list(NASTY), window_units=3)
@example(texts=list(NASTY), window_units=50)
def test_recorded_features_are_those_of_the_definition(texts: list[str], window_units: int) -> None:
    texts = [unicodedata.normalize("NFC", text) for text in texts]
    assert recorded(texts, window_units) == [reference(text, window_units) for text in texts]


@given(texts=st.lists(nasty_text, max_size=6), window_units=st.integers(1, 7))
@example(texts=list(NASTY) * 2, window_units=2)
def test_sums_are_the_weights_of_the_recorded_features(texts: list[str], window_units: int) -> None:
    weights = np.random.default_rng(0).integers(-127, 128, BUCKETS).astype(np.int8)
    data, offsets = text_buffer([unicodedata.normalize("NFC", text) for text in texts])
    units = segment(data, offsets)
    rows = feature_rows(data, offsets, units, window_units)
    found = sum_windows(data, offsets, units, np.ones(len(texts), np.bool_), weights, window_units)
    each = rows.values.astype(np.int64) * weights[rows.buckets]
    expected = [int(each[first:last].sum()) for first, last in zip(rows.offsets, rows.offsets[1:], strict=False)]
    assert found.sums.tolist() == expected
    assert found.counts.tolist() == np.diff(rows.offsets).tolist()


def test_a_text_has_the_same_sums_wherever_it_stands_in_a_batch(weights: NDArray[np.int8]) -> None:
    texts = [*NASTY, "one two three two one", "ONE Two ﬁve"]

    def sums(order: list[int]) -> dict[str, list[int]]:
        data, offsets = text_buffer([texts[place] for place in order])
        found = sum_windows(data, offsets, segment(data, offsets), np.ones(len(order), np.bool_), weights, 3)
        parts = np.split(found.sums, found.offsets[1:-1])
        return {texts[place]: part.tolist() for place, part in zip(order, parts, strict=True)}

    forth = list(range(len(texts)))
    assert sums(forth) == sums(forth[::-1])


def test_a_text_that_is_not_chosen_has_no_windows(weights: NDArray[np.int8]) -> None:
    data, offsets = text_buffer(["some words", "other words", "more"])
    chosen = np.array([True, False, True])
    found = sum_windows(data, offsets, segment(data, offsets), chosen, weights)
    assert np.diff(found.offsets).tolist() == [1, 0, 1]


def test_a_repeated_line_adds_nothing_to_a_window() -> None:
    once, often = recorded(["buy now; ", "buy now; " * 8], 50)
    new_pair_and_mark = often[0] - once[0]
    assert sum(new_pair_and_mark.values()) <= 4


def test_a_window_without_end_of_different_marks_is_bounded() -> None:
    text = "a" + "".join(chr(place) for place in range(0x2500, 0x27C0)) + "b"
    ((window,),) = recorded([text], 50)
    assert sum(window.values()) < 600


def test_bytes_that_are_not_utf_8_do_no_harm(weights: NDArray[np.int8]) -> None:
    raw = b"a \xf4\xbf\xbf\xbf \xe2\x28\xa1 \xff b\xc3"
    data, offsets = np.frombuffer(raw, dtype=np.uint8), np.array([0, len(raw)])
    found = sum_windows(data, offsets, segment(data, offsets), np.ones(1, np.bool_), weights)
    assert len(found.sums) == 1


@given(count=st.integers(0, 1000), window_units=st.integers(2, 60))
def test_windows_are_even_in_size(count: int, window_units: int) -> None:
    windows = int(count_windows(np.array([count]), window_units)[0])
    assert (windows == 0) == (count == 0)
    last = count - window_units * (windows - 1)
    if windows > 1:
        assert window_units <= 2 * last + 1
    assert last < 1.5 * window_units + 1


def test_windows_of_a_long_text_hold_each_unit_once() -> None:
    text = " ".join(f"w{number}x" for number in range(137))
    units: Units = segment(*text_buffer([text]))
    words = [hash_unit(f"w{number}x") for number in range(137)]
    assert units.hashes.tolist() == words
    buckets = [
        {(value + int(WORD_SALT)) * int(SPREAD) % (1 << 64) >> (64 - BUCKET_BITS) for value in words[first:last]}
        for first, last in ((0, 50), (50, 100), (100, 137))
    ]
    for window, own in zip(recorded([text], 50)[0], buckets, strict=True):
        assert own <= {bucket for bucket, value in window if value == WORD_VALUE}
