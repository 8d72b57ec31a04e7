"""Sentence embeddings by the real package: what a vector depends on, and what identifies the embedder."""

from __future__ import annotations

import numpy as np
import pytest

from curator.embeddings import (
    DIMENSIONS,
    LANGUAGES,
    LONGEST_TEXT,
    embed_sentences,
    embedder_identity,
    embedder_requirement,
)
from curator.language.tags import list_language

pytestmark = pytest.mark.slow


def test_a_vector_has_length_1_and_does_not_depend_on_the_texts_beside_it() -> None:
    texts = ["The cat sleeps.", "Die Katze schläft.", "", "猫在睡觉。"]
    together = embed_sentences(texts)
    assert together.shape == (4, DIMENSIONS)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    assert all((embed_sentences([text])[0] == row).all() for text, row in zip(texts, together, strict=True))


def test_a_sentence_is_nearer_to_its_translation_than_to_another_sentence() -> None:
    cat, katze, tax = embed_sentences(["The cat sleeps.", "Die Katze schläft.", "Taxes will rise next year."])
    assert cat @ katze > cat @ tax + 0.05


def test_what_follows_a_nul_is_read_and_what_is_too_long_is_not() -> None:
    long = "abc " * (LONGEST_TEXT // 4 - 1) + "abc_"
    whole, first, longest, longer = embed_sentences(["one\0two three", "one", long + "d", long + "ef"])
    assert not np.allclose(whole, first)
    assert (longest == embed_sentences([long])[0]).all()
    assert (longest == longer).all()


def test_no_text_has_no_vector() -> None:
    assert embed_sentences([]).shape == (0, DIMENSIONS)


def test_the_embedder_is_told_by_its_version_and_its_weights() -> None:
    requirement = embedder_requirement()
    assert (requirement.problem, requirement.identity) == (None, embedder_identity())
    assert " blake3:" in requirement.identity


def test_languages_are_named_as_lists_name_them() -> None:
    assert {language for language in LANGUAGES if list_language(language) != language} == set()
