"""chrF against hand cases, sacreBLEU's values and a plain reference."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.augmentation.chrf import chrf


def reference(hypothesis: str, target: str, order: int = 6, beta: float = 2.0) -> float:
    """The definition, with a Counter of strings for each order."""
    ours, theirs = "".join(hypothesis.split()), "".join(target.split())
    if not ours or not theirs:
        return 100.0 if ours == theirs else 0.0
    precision, recall = [], []
    for length in range(1, order + 1):
        first = Counter(ours[place : place + length] for place in range(len(ours) - length + 1))
        second = Counter(theirs[place : place + length] for place in range(len(theirs) - length + 1))
        if first and second:
            common = (first & second).total()
            precision.append(common / first.total())
            recall.append(common / second.total())
    mean_precision, mean_recall = sum(precision) / len(precision), sum(recall) / len(recall)
    if mean_precision + mean_recall == 0:
        return 0.0
    return 100 * (1 + beta**2) * mean_precision * mean_recall / (beta**2 * mean_precision + mean_recall)


@pytest.mark.parametrize(
    ("hypothesis", "target", "score"),
    [
        ("the cat sat on the mat", "the cat is on the mat", 64.5779420625287),
        ("hello", "hello world", 40.69078647589538),
        ("abc", "abd", 38.888888888888886),
        ("ab", "abcdefghij", 18.71657754010695),
        ("日本語のテキスト", "日本語の文章", 32.189934092270825),
        ("a b c", "abc", 100.0),
        ("x", "y", 0.0),
        ("Degun serà pas l'objècte", "Degun sera pas l' objècte", 80.05243910429668),
        ("aaaaaaa", "aaa", 70.23643949930458),
    ],
)
def test_score_is_that_of_sacrebleu(hypothesis: str, target: str, score: float) -> None:
    # sacrebleu 2.5, CHRF().sentence_score(hypothesis, [target]).score
    assert chrf(hypothesis, target) == pytest.approx(score, abs=1e-9)


def test_a_case_by_hand() -> None:
    # abc against abd: 2 of 3 characters, 1 of 2 pairs, 0 of 1 triples; precision and recall are equal, and so is F.
    assert chrf("abc", "abd") == pytest.approx(100 * (2 / 3 + 1 / 2 + 0) / 3)


def test_recall_weighs_more_than_precision() -> None:
    assert chrf("abcdef", "abc") > chrf("abc", "abcdef")


@given(st.text(max_size=30), st.text(max_size=30))
def test_score_equals_the_reference(hypothesis: str, target: str) -> None:
    assert chrf(hypothesis, target) == pytest.approx(reference(hypothesis, target), abs=1e-9)


@given(st.text("ab \n", max_size=60), st.text("abc", max_size=60), st.integers(1, 8), st.floats(0.5, 3))
def test_score_equals_the_reference_on_repetitive_text(hypothesis: str, target: str, order: int, beta: float) -> None:
    assert chrf(hypothesis, target, order, beta) == pytest.approx(reference(hypothesis, target, order, beta), abs=1e-9)


@given(st.text(min_size=1))
def test_a_text_is_wholly_like_itself(text: str) -> None:
    assert chrf(text, text) == pytest.approx(100.0)


def test_an_empty_text_is_like_nothing_but_another() -> None:
    assert chrf("", "a") == chrf("a", " \n") == 0.0
    assert chrf("", "\t") == 100.0
