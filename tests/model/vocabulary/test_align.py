"""Alignment of pieces: a planted language is found again, and what cannot be aligned is said."""

from __future__ import annotations

import random

import numpy as np
import pytest

from curator.errors import UserError
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TokenizerSection
from model.tokenizer_training import train_on
from model.vocabulary.align import Space, align_pieces, match_spaces
from model.vocabulary.sample import Sample

TOPICS, WORDS, SHARED = 24, 10, 6
"""Topics of a made-up language, words of each, and how many of them both languages write alike."""


def word(topic: int, number: int, language: str) -> str:
    chosen = random.Random(f"{topic} {number} {language if number >= SHARED else ''}")
    letters = "abcdefghij" if number < SHARED else {"one": "klmnop", "two": "qrstuv"}[language]
    return "".join(chosen.choices(letters, k=7))


def texts_of(language: str, seed: int) -> list[str]:
    """Texts that each keep to a topic and the next one: a word is known by the words around it."""
    chosen = random.Random(seed)
    texts = []
    for _ in range(1500):
        topic = chosen.randrange(TOPICS)
        picks = [(topic + chosen.choice((0, 0, 0, 1))) % TOPICS for _ in range(12)]
        texts.append(" ".join(word(pick, min(int(chosen.expovariate(0.25)), WORDS - 1), language) for pick in picks))
    return texts


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[str]]:
    return {"one": texts_of("one", 1), "two": texts_of("two", 2)}


@pytest.fixture(scope="module")
def joint(corpus: dict[str, list[str]]) -> Tokenizer:
    texts = corpus["one"] + corpus["two"]
    sample = Sample(texts, ["one"] * 1500 + ["two"] * 1500, {"one": 1, "two": 1}, {"one": 1, "two": 1})
    return read_tokenizer(train_on(sample, TokenizerSection(vocabulary=1500)), "joint")


@pytest.mark.long
def test_words_of_a_planted_language_find_their_topic_again(joint: Tokenizer, corpus: dict[str, list[str]]) -> None:
    alignment, left_out = align_pieces(joint, corpus, pivot="one", threshold=0.5)
    assert left_out == {}
    topics = {
        f"▁{word(topic, number, name)}": topic
        for topic in range(TOPICS)
        for number in range(SHARED, WORDS)
        for name in ("one", "two")
    }
    known = [pair for pair in alignment.pairs if pair.piece in topics and pair.pivot_piece in topics]
    right = [pair for pair in known if topics[pair.piece] == topics[pair.pivot_piece]]
    assert len(known) > 15
    assert len(right) / len(known) > 0.9  # by chance 1 of 24


@pytest.mark.long
def test_the_same_text_gives_the_same_alignment(joint: Tokenizer, corpus: dict[str, list[str]]) -> None:
    first, second = (align_pieces(joint, corpus, pivot="one", threshold=0.7)[0] for _ in range(2))
    assert first == second
    pivots = {pair.pivot_token for pair in first.pairs}
    assert not pivots & {pair.token for pair in first.pairs}
    assert all(pair.similarity >= 0.7 for pair in first.pairs)


def test_a_turned_space_is_turned_back() -> None:
    """Vectors that were turned by an orthogonal matrix, of which a fifth are known by name."""
    chosen = np.random.default_rng(0)
    vectors = chosen.normal(size=(300, 16)).astype(np.float32)
    turn, _ = np.linalg.qr(chosen.normal(size=(16, 16)))
    center = Space(np.arange(300), vectors, 300)
    order = chosen.permutation(300)
    tokens = np.where(np.arange(300) < 60, np.arange(300), np.arange(300) + 1000)[order]
    space = Space(np.sort(tokens), (vectors @ turn).astype(np.float32)[order][np.argsort(tokens)], 300)
    found = match_spaces(space, center)
    assert len(found) > 290
    assert all(int(space.tokens[row]) % 1000 == int(center.tokens[column]) for row, column, _ in found)


@pytest.mark.slow
def test_a_language_without_common_pieces_is_left_out(joint: Tokenizer, corpus: dict[str, list[str]]) -> None:
    strange = [" ".join(text) for text in texts_of("two", 3)[:200]]
    alignment, left_out = align_pieces(joint, {"one": corpus["one"], "xx": strange}, pivot="one")
    assert alignment.pairs == ()
    assert "frequent pieces in common with one" in left_out["xx"]


@pytest.mark.slow
def test_a_language_with_little_text_is_left_out(joint: Tokenizer, corpus: dict[str, list[str]]) -> None:
    alignment, left_out = align_pieces(joint, {"one": corpus["one"], "two": corpus["two"][:300]}, pivot="one")
    assert alignment.pairs == ()
    assert "pieces of text, of 10,000 needed" in left_out["two"]


@pytest.mark.parametrize(("pivot", "told"), [("fr", "no text in fr .*one, two"), ("one", "too little text in one")])
def test_a_pivot_without_text_is_refused(joint: Tokenizer, pivot: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        align_pieces(joint, {"one": ["klm"], "two": ["qrs"]}, pivot=pivot)
