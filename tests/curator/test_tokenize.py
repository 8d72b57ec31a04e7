"""Tokenizers: both kinds of file, text as it went in, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.tokenize import Tokenizer, load_tokenizer, read_tokenizer
from tests.model.corpora import make_documents, tokenizer_of, write_run


@pytest.fixture(scope="module")
def piece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_of(write_run(tmp_path_factory.mktemp("pieces") / "run", make_documents(60)), 350)


def json_tokenizer(folder: Path, *special: str) -> Path:
    from tokenizers import Tokenizer as TokenizerFile
    from tokenizers import decoders, models, pre_tokenizers, trainers

    made = TokenizerFile(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([str(document["text"]) for document in make_documents(40)], trainer)
    path = folder / "tokenizer.json"
    made.save(str(path))
    return path


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_a_trained_tokenizer_gives_text_back_as_it_was(piece: Tokenizer, text: str) -> None:
    assert piece.decode(piece.encode([text])[0].tolist()) == text.replace("▁", " ")


def test_what_is_counted_is_what_is_encoded(piece: Tokenizer) -> None:
    texts = ["caf\u00e9", "cafe\u0301", "a\u0323\u0307", "x\ud800y", "", "two words"]
    assert piece.count(texts).tolist() == [len(ids) for ids in piece.encode(texts)]


def test_a_document_stands_between_begin_and_end(piece: Tokenizer) -> None:
    (ids,) = piece.encode_documents(["a house"])
    assert [ids[0], ids[-1]] == [piece.begin, piece.end]
    assert ids[1:-1].tolist() == piece.encode(["a house"])[0].tolist()


def test_an_empty_text_is_begin_and_end(piece: Tokenizer) -> None:
    assert piece.encode_documents([""])[0].tolist() == [piece.begin, piece.end]


def test_a_tokenizer_json_is_read(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(json_tokenizer(tmp_path, "<s>", "</s>"))
    text = "the house, ein Haus, дом 家"
    assert tokenizer.decode(tokenizer.encode([text])[0].tolist()) == text
    assert tokenizer.begin != tokenizer.end
    assert max(tokenizer.encode([text])[0]) < tokenizer.vocabulary


def test_one_token_may_stand_at_both_ends(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(json_tokenizer(tmp_path, "<|endoftext|>"))
    assert tokenizer.begin == tokenizer.end


def test_a_tokenizer_without_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no token for the end"):
        load_tokenizer(json_tokenizer(tmp_path))


@pytest.mark.parametrize("data", [b"", b"garbage", b'{"version": 1}', b"{", bytes(range(256))])
def test_a_file_that_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="is no tokenizer"):
        read_tokenizer(data, "some.file")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.model"):
        load_tokenizer(tmp_path / "missing.model")
