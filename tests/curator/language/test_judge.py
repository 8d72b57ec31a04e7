"""The words by which relatives are told apart: the kernel equals its plain reference, and the table is what it says."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.language.confusable import GROUPS, TABLE_PATH
from curator.language.judge import FOLDED, fold_table, fold_words, hash_words, judge_words, word_table

JUDGED = [number for number, group in enumerate(GROUPS) if group.judged]


def lists() -> dict[int, dict[str, list[float]]]:
    """The file as it stands: group, word, weights; the empty word has the intercepts."""
    found: dict[int, dict[str, list[float]]] = {}
    names = [group.name for group in GROUPS]
    for line in TABLE_PATH.read_text(encoding="utf-8").splitlines():
        word, *fields = line.split("\t")
        if word.startswith("# "):
            number = names.index(word[2:])
            assert tuple(fields) == GROUPS[number].judged
            found[number] = {}
        else:
            found[number][word] = [float(field) for field in fields]
    return found


LISTS = lists()


def reference(group: int, spans: list[str]) -> tuple[list[float], int]:
    """The formula of the module, word by word."""
    members = len(GROUPS[group].judged)
    words = [word for span in spans for word in fold_words(span) if word in LISTS[group]]
    sums = [sum(LISTS[group][word][member] for word in words) for member in range(members)]
    scores = [LISTS[group][""][member] + sums[member] / math.sqrt(max(len(words), 1)) for member in range(members)]
    highest = max(scores)
    parts = [math.exp(score - highest) for score in scores]
    return [part / sum(parts) for part in parts], len(words)


SOME_WORDS = [word for group in JUDGED for word in list(LISTS[group])[1::40]]
NASTY = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \t\n\0'’-\u200d\u0301\u202eİßǆљњџЉЊЏ😀文字अ")),
    max_size=30,
)
TEXTS = st.lists(st.one_of(NASTY, st.sampled_from(SOME_WORDS), st.sampled_from(SOME_WORDS).map(str.upper)), max_size=12)


@pytest.mark.slow
@given(texts=st.lists(TEXTS.map(" ".join), min_size=1, max_size=5), data=st.data())
@settings(max_examples=200, deadline=None)
def test_the_judge_equals_its_formula_on_any_text(texts: list[str], data: st.DataObject) -> None:
    groups = [data.draw(st.sampled_from(JUDGED)) for _ in texts]
    buffer, offsets = string_buffer(pa.array(texts, pa.string()))
    rows = np.arange(len(texts))
    given_, words = judge_words(buffer, offsets[:-1], offsets[1:], rows, np.array(groups, dtype=np.int32))
    for row, (group, text) in enumerate(zip(groups, texts, strict=True)):
        expected, count = reference(group, [text])
        assert words[row] == count
        np.testing.assert_allclose(given_[row, : len(expected)], expected, rtol=1e-9, atol=1e-12)
        assert (given_[row, len(expected) :] == 0).all()


def test_the_spans_of_a_text_are_judged_together() -> None:
    buffer, offsets = string_buffer(pa.array(["kerana bahawa", "perubahan karena", "bahwa"]))
    malay = next(number for number, group in enumerate(GROUPS) if group.name == "Malay")
    given_, words = judge_words(
        buffer, offsets[:-1], offsets[1:], np.array([0, 1, 0]), np.array([malay, malay], dtype=np.int32)
    )
    expected, count = reference(malay, ["kerana bahawa", "bahwa"])
    np.testing.assert_allclose(given_[0, :2], expected, rtol=1e-9)
    assert words[0] == count


def test_no_texts_are_judged_without_a_word() -> None:
    given_, words = judge_words(
        np.zeros(0, np.uint8),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
        np.zeros(0, np.int32),
    )
    assert len(given_) == len(words) == 0


def test_folding_is_lowercase_and_serbian_cyrillic_is_latin() -> None:
    assert fold_words("Ж Ђ Љубав, ЊЕГОШ! Џеп") == ["ž", "đ", "ljubav", "njegoš", "džep"]
    assert fold_words("L'Été d’ÀÇÃO x1y 漢字b") == ["l", "été", "d", "àção", "x", "y", "b"]
    for code in range(FOLDED):
        first = int(fold_table()[code, 0])
        assert (first > 0) == chr(code).isalpha()


def test_every_word_is_found_under_its_own_hash() -> None:
    def plain(group: int, word: str) -> int:
        """FNV-1a with 64 bits over the number of the group and the code points."""
        value = 14695981039346656037
        for code in (group, *map(ord, word)):
            value = ((value ^ code) * 1099511628211) % 2**64
        return value

    pairs = [(group, word) for group, words in LISTS.items() for word in words if word]
    hashes = [plain(group, word) for group, word in pairs]
    assert len(set(hashes)) == len(hashes)
    assert word_table().hashes.tolist() == hashes
    assert hash_words(*zip(*pairs, strict=True)).tolist() == hashes


def test_every_judged_group_has_words_for_and_against_each_member() -> None:
    assert set(LISTS) == set(JUDGED)
    for words in LISTS.values():
        weights = np.array([values for word, values in words.items() if word])
        assert (weights.max(axis=0) > 1).all()
        assert (weights.min(axis=0) < -1).all()
        np.testing.assert_allclose(weights.sum(axis=1), 0, atol=0.05)
