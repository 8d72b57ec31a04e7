"""Training a tokenizer: the same bytes for the same runs, and what SentencePiece is told."""

from __future__ import annotations

import os
import re
import signal
import unicodedata
from collections import UserList
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.cli.train import TrainingProgress
from curator.errors import UserError
from curator.run.events import Event
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TokenizerSection
from model.data.shards import open_corpus
from model.tokenizer_training import train_on, train_tokenizer
from model.vocabulary.nfc import nfc_rules
from model.vocabulary.pieces import read_pieces
from model.vocabulary.sample import Sample
from tests.model.corpora import make_documents, write_run

SECTION = TokenizerSection(vocabulary=400, sample_bytes=20_000)


def test_the_same_run_gives_the_same_bytes(place: str) -> None:
    first, second = (train_tokenizer([open_corpus(place)], SECTION, 3) for _ in range(2))
    assert first == second
    assert first.data != train_tokenizer([open_corpus(place)], SECTION, 4).data


def test_ctrl_c_while_sentencepiece_reads_is_no_lack_of_text() -> None:
    class Interrupted(UserList[str]):
        """Texts during which Ctrl-C is pressed once their characters are counted, when they are read again."""

        readings = 0

        def __iter__(self) -> Iterator[str]:
            self.readings += 1
            yield self.data[0]
            if self.readings == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield from self.data[1:]

    texts = [str(document["text"]) for document in make_documents(60)]
    sample = Sample(cast("list[str]", Interrupted(texts)), ["en"] * len(texts), {"en": 9_000}, {"en": 1})
    with pytest.raises(KeyboardInterrupt):
        train_on(sample, SECTION)


def test_what_is_read_and_learned_from_is_told(tmp_path: Path) -> None:
    """Also of row groups that give nothing to a small sample."""
    corpora = [open_corpus(write_run(tmp_path / name, make_documents(60, seed=1), rows=8)) for name in ("a", "b")]
    told: list[Event] = []
    trained = train_tokenizer(corpora, TokenizerSection(vocabulary=300, sample_bytes=10_000), 0, (told.append,))
    groups = 3 * sum(len(corpus.groups) for corpus in corpora)
    assert groups == 3 * 16
    assert told == [
        {"kind": "tokenizer", "vocabulary": 300, "algorithm": "bpe"},
        *({"kind": "tokenizer", "done": done, "groups": groups} for done in range(1, groups + 1)),
        {"kind": "tokenizer", "sample": sum(trained.sample_bytes.values()), "languages": len(trained.sample_bytes)},
    ]


def test_how_far_the_reading_is_is_a_line_every_few_seconds(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora = [open_corpus(place)]
    train_tokenizer(corpora, SECTION, 3, (TrainingProgress(),))
    first, *between, last = capsys.readouterr().err.splitlines()
    assert first == "[tokenizer] 400 tokens, bpe"
    assert re.fullmatch(r"      learning from [\d.]+ kB of text in 5 languages", last)
    assert not between
    monkeypatch.setattr("curator.cli.train._PLAIN_SECONDS", 0.0)
    train_tokenizer(corpora, SECTION, 3, (TrainingProgress(),))
    _, *between, _ = capsys.readouterr().err.splitlines()
    shares = [int(re.fullmatch(r"      (\d+)% of the text read", line)[1]) for line in between]  # type: ignore[index] # each fits
    assert shares == sorted(shares)
    assert shares[-1] == 100


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_both_algorithms_give_a_tokenizer_of_the_size_that_was_asked_for(place: str, kind: str) -> None:
    section = TokenizerSection.model_validate({**SECTION.model_dump(), "kind": kind})
    assert read_tokenizer(train_tokenizer([open_corpus(place)], section, 0).data, "it").vocabulary == 400


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_too_little_text_is_said_with_what_it_supports(kind: str, tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", make_documents(20), shards=1)
    section = TokenizerSection.model_validate({"vocabulary": 60_000, "kind": kind})
    with pytest.raises(UserError, match=r"too little for a tokenizer of 60,000 .*smaller \(\d{3} tokens at most\)"):
        train_tokenizer([open_corpus(place)], section, 0)


def test_a_digit_is_a_token_by_itself(tmp_path: Path) -> None:
    numbers = [
        {"id": f"d{row}", "text": f"year 2026 and 2027, {row} of a house with doors", "lang": "en", "weight": 1.0}
        for row in range(99)
    ]
    place = write_run(tmp_path / "run", numbers, shards=1)
    tokenizer = read_tokenizer(train_tokenizer([open_corpus(place)], TokenizerSection(vocabulary=300), 0).data, "it")
    pieces = tokenizer.pieces()
    assert [pieces[token] for token in tokenizer.encode(["2026"])[0]][-4:] == ["2", "0", "2", "6"]
    assert not [piece for piece in pieces[259:] if len(piece) > 1 and any(letter.isdigit() for letter in piece)]


def test_the_file_names_no_path(tokenizer: Tokenizer) -> None:
    assert b"/tmp" not in tokenizer.data
    assert read_pieces(tokenizer.data, "it").normalisation == "nfc"


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_text_has_the_tokens_of_its_composed_form(tokenizer: Tokenizer, text: str) -> None:
    composed, apart = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert tokenizer.encode([apart])[0].tolist() == tokenizer.encode([composed])[0].tolist()


@pytest.mark.parametrize("text", ["é", "ệ", "한", "ǭ", "Å"])
def test_sentencepiece_alone_composes_marks_that_stand_in_order(tokenizer: Tokenizer, text: str) -> None:
    from sentencepiece import SentencePieceProcessor

    plain = SentencePieceProcessor(model_proto=tokenizer.data)
    assert plain.normalize(unicodedata.normalize("NFD", text)) == "▁" + unicodedata.normalize("NFC", text)


def test_the_rules_never_change_composed_text() -> None:
    for line in nfc_rules().splitlines():
        left, right = ("".join(chr(int(point, 16)) for point in part.split()) for part in line.split("\t"))
        assert unicodedata.normalize("NFC", left) == right != left
