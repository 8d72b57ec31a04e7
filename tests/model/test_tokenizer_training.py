"""Training a tokenizer: the sample of each language, and the same bytes for the same runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.tokenize import read_tokenizer
from curator.training import TokenizerSection
from model.data.shards import open_corpus
from model.tokenizer_training import quotas, train_tokenizer
from tests.model.corpora import make_documents, write_run

SECTION = TokenizerSection(vocabulary=400, sample_bytes=20_000)


@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 10**9), min_size=1, max_size=8),
    alpha=st.floats(0, 1),
    total=st.integers(0, 10**9),
)
def test_quotas_never_exceed_a_language_or_the_total(sizes: dict[str, int], alpha: float, total: int) -> None:
    found = quotas(sizes, alpha, total)
    assert set(found) == set(sizes)
    assert all(0 <= found[name] <= sizes[name] for name in sizes)
    assert sum(found.values()) <= max(total, 0) + len(sizes)
    assert sum(found.values()) >= min(total, sum(sizes.values())) - len(sizes)


def test_a_small_exponent_evens_languages_out() -> None:
    assert quotas({"en": 1000, "br": 100}, 0.0, 200) == {"br": 100, "en": 100}
    assert quotas({"en": 1000, "br": 100}, 1.0, 110) == {"en": 100, "br": 10}


def test_the_same_run_gives_the_same_bytes(place: str) -> None:
    first, second = (train_tokenizer([open_corpus(place)], SECTION, 3) for _ in range(2))
    assert first == second
    assert first.data != train_tokenizer([open_corpus(place)], SECTION, 4).data


def test_copies_do_not_count_twice(tmp_path: Path) -> None:
    documents = make_documents(60)
    plain = write_run(tmp_path / "plain", documents, shards=1)
    copied = write_run(tmp_path / "copied", [*documents, *({**found, "copy": 1} for found in documents)], shards=1)
    assert train_tokenizer([open_corpus(plain)], SECTION, 0) == train_tokenizer([open_corpus(copied)], SECTION, 0)


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_both_algorithms_give_a_tokenizer_of_the_size_that_was_asked_for(place: str, kind: str) -> None:
    section = TokenizerSection.model_validate({**SECTION.model_dump(), "kind": kind})
    assert read_tokenizer(train_tokenizer([open_corpus(place)], section, 0).data, "it").vocabulary == 400


def test_too_little_text_is_said(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", make_documents(2), shards=1)
    with pytest.raises(UserError, match="too little for a tokenizer of 60,000"):
        train_tokenizer([open_corpus(place)], TokenizerSection(vocabulary=60_000), 0)
