"""An extended vocabulary: old ids stay, old text is cut nowhere else, new text costs less."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import UserError
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TokenizerSection
from model.data.shards import open_corpus
from model.tokenizer_training import train_tokenizer
from model.vocabulary.extend import Extension, extend_tokenizer
from model.vocabulary.hugging_face import fast_tokenizer

WELSH = [
    "mae gan bawb hawl i addysg",
    "ganwyd pawb yn rhydd ac yn gydradd",
    "mae’r gath yn y tŷ ac mae pawb yn canu",
] * 20
GEORGIAN = ["ყველა ადამიანი იბადება თავისუფალი", "ყველა ადამიანს აქვს უფლება"] * 20
NEW = 60

TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from([*" ".join(WELSH[:3] + GEORGIAN[:2]).split(), "the", "house", "дом"]), max_size=9).map(
        " ".join
    ),
)


@pytest.fixture(scope="module")
def extension(tokenizer: Tokenizer) -> Extension:
    return extend_tokenizer(tokenizer.data, WELSH + GEORGIAN, NEW, "old.model")


@pytest.fixture(scope="module")
def extended(extension: Extension) -> Tokenizer:
    return read_tokenizer(extension.data, "new.model")


def ends(tokenizer: Tokenizer, text: str) -> set[int]:
    """Where tokens end, in bytes."""
    pieces = tokenizer.pieces()
    lengths = [1 if piece.startswith("<0x") else len(piece.encode()) for piece in pieces]
    return set(accumulate(lengths[token] for token in tokenizer.encode([text])[0].tolist()))


def test_old_ids_stay_and_new_ones_stand_behind_them(
    tokenizer: Tokenizer, extended: Tokenizer, extension: Extension
) -> None:
    assert extended.pieces()[: tokenizer.vocabulary] == tokenizer.pieces()
    assert extended.pieces()[tokenizer.vocabulary :] == list(extension.added)
    assert extended.vocabulary == tokenizer.vocabulary + NEW
    assert len(set(extended.pieces())) == extended.vocabulary
    assert (extended.begin, extended.end, extended.unknown) == (tokenizer.begin, tokenizer.end, tokenizer.unknown)


@settings(max_examples=50)
@given(text=TEXTS)
def test_text_is_cut_where_it_was_or_not_at_all(tokenizer: Tokenizer, extended: Tokenizer, text: str) -> None:
    assert ends(extended, text) <= ends(tokenizer, text)
    assert extended.decode(extended.encode([text])[0].tolist()) == tokenizer.decode(
        tokenizer.encode([text])[0].tolist()
    )


def test_new_text_costs_less(tokenizer: Tokenizer, extended: Tokenizer) -> None:
    for text in (WELSH[0], GEORGIAN[0]):
        assert len(extended.encode([text])[0]) < 0.7 * len(tokenizer.encode([text])[0])


def test_letters_without_a_piece_get_one(extension: Extension, tokenizer: Tokenizer) -> None:
    letters = set(extension.added[: extension.characters])
    assert set("ყველადმინ") <= letters
    assert not letters & set(tokenizer.pieces())


def test_new_pieces_are_within_words(extension: Extension) -> None:
    assert not [piece for piece in extension.added if not piece.removeprefix("▁").replace("’", "").isalpha()]


@settings(max_examples=50)
@given(text=TEXTS)
def test_a_fast_tokenizer_of_it_has_the_same_ids(fast: Tokenizer, extended: Tokenizer, text: str) -> None:
    assert fast.encode([text])[0].tolist() == extended.encode([text])[0].tolist()


@pytest.fixture(scope="module")
def fast(extended: Tokenizer) -> Tokenizer:
    return read_tokenizer(fast_tokenizer(extended.data, "new.model")["tokenizer.json"], "new.json")


def test_the_same_text_gives_the_same_bytes(extension: Extension, tokenizer: Tokenizer) -> None:
    assert extend_tokenizer(tokenizer.data, WELSH + GEORGIAN, NEW, "old.model") == extension


def test_more_pieces_than_the_text_has_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"has \d+ new pieces to give, not 5,000"):
        extend_tokenizer(tokenizer.data, WELSH, 5000, "old.model")


def test_unigram_is_refused(place: str) -> None:
    section = TokenizerSection(vocabulary=400, sample_bytes=100_000, kind="unigram")
    data = train_tokenizer([open_corpus(place)], section, 0).data
    with pytest.raises(UserError, match=r"old\.model: is a unigram model"):
        extend_tokenizer(data, WELSH, 10, "old.model")


def test_a_file_of_another_kind_is_refused(fast: Tokenizer) -> None:
    with pytest.raises(UserError, match="is no model of SentencePiece"):
        extend_tokenizer(fast.data, WELSH, 10, "tokenizer.json")
