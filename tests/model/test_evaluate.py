"""Bits per byte and cloze answers, held against what they are by definition."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as TokenizerFile
from tokenizers import models

from curator.tokenize import Tokenizer, read_tokenizer
from model.config import ModelConfig
from model.data.documents import TextDocument, documents_of_files, documents_of_run
from model.data.shards import open_corpus
from model.decoder import Decoder
from model.evaluate import bits_per_byte, cloze_answers, count_changed, evaluate, resampled, score_documents
from tests.model.corpora import TINY, make_documents, write_run


@pytest.fixture(scope="module")
def decoder(tokenizer: Tokenizer) -> Decoder:
    made = Decoder(ModelConfig(**{**TINY.__dict__, "vocabulary": tokenizer.vocabulary}))
    made.initialise(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return made


def documents(count: int = 30) -> list[TextDocument]:
    made = make_documents(count, seed=4, units=(3, 40))
    return [TextDocument(str(found["id"]), str(found["lang"]), str(found["text"])) for found in made]


def nats_by_definition(decoder: Decoder, ids: list[int], sequence: int) -> float:
    """One piece at a time, by a softmax over the whole vocabulary."""
    total = 0.0
    for begin in range(0, len(ids) - 1, sequence):
        piece = torch.tensor(ids[begin : begin + sequence + 1])
        with torch.no_grad():
            hidden = decoder(piece[:-1], torch.tensor([0, len(piece) - 1], dtype=torch.int32)).hidden_TD
            shares = torch.log_softmax(decoder.logits(hidden), -1)
        total -= shares.gather(1, piece[1:, None]).sum().item()
    return total


@pytest.mark.slow
@pytest.mark.parametrize("sequence", [7, 32, 500])
@pytest.mark.parametrize("batch", [1, 4])
def test_the_nats_of_a_document_are_those_of_its_tokens(
    decoder: Decoder, tokenizer: Tokenizer, sequence: int, batch: int
) -> None:
    found = score_documents(decoder, tokenizer, documents(12), sequence=sequence, batch=batch)
    expected = [
        nats_by_definition(decoder, tokenizer.encode_documents([document.text])[0].tolist(), sequence)
        for document in documents(12)
    ]
    np.testing.assert_allclose(found.nats, expected, rtol=1e-5)
    assert found.sizes.tolist() == [len(document.text.encode()) for document in documents(12)]


def test_an_even_guess_costs_the_logarithm_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    even = Decoder(ModelConfig(**{**TINY.__dict__, "vocabulary": tokenizer.vocabulary}))
    even.initialise(0)
    with torch.no_grad():
        even.head_VD.zero_()
    found = score_documents(even, tokenizer, documents(), sequence=64)
    np.testing.assert_allclose(found.nats, found.tokens * math.log(tokenizer.vocabulary), rtol=1e-5)


@pytest.mark.parametrize(
    "text", ["two  spaces", " one before", "e\u0301 \ufb01 дом 家\r\n\t", "</s> <unk> <0x41>", "\U0001f600\u200d", ""]
)
def test_a_text_that_comes_back_from_its_tokens_is_not_told(tokenizer: Tokenizer, text: str) -> None:
    assert count_changed(tokenizer, [TextDocument("a", "en", text)]) == 0


def test_texts_of_which_a_tokenizer_leaves_something_out_are_counted() -> None:
    vocabulary = {"[UNK]": 0, "<s>": 1, "</s>": 2, "the": 3}
    words = TokenizerFile(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 (a token of text)
    lossy = read_tokenizer(words.to_str().encode(), "words")
    texts = ["the", "the house", "the"]
    assert count_changed(lossy, [TextDocument(str(number), "en", text) for number, text in enumerate(texts)]) == 1


def test_all_languages_come_first_and_add_up(decoder: Decoder, tokenizer: Tokenizer) -> None:
    whole, *languages = evaluate(decoder, tokenizer, documents(), sequence=64)
    assert whole.language == "all"
    assert whole.documents == sum(score.documents for score in languages) == 30
    bits = sum(score.bits_per_byte * score.bytes for score in languages) / whole.bytes
    assert whole.bits_per_byte == pytest.approx(bits)
    for score in (whole, *languages):
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.bits_per_byte <= score.high


def test_one_document_has_no_interval(decoder: Decoder, tokenizer: Tokenizer) -> None:
    for score in evaluate(decoder, tokenizer, documents(1), sequence=64):
        assert (score.documents, score.low, score.high) == (1, None, None)


@given(nats=st.lists(st.floats(1, 100), min_size=2, max_size=30))
def test_an_interval_holds_what_it_is_of(nats: list[float]) -> None:
    bits, low, high = bits_per_byte(np.array(nats), np.full(len(nats), 10.0))
    assert low is not None
    assert high is not None
    assert min(nats) / 10 / math.log(2) <= low * (1 + 1e-9)
    assert high <= max(nats) / 10 / math.log(2) * (1 + 1e-9)
    assert bits == pytest.approx(sum(nats) / len(nats) / 10 / math.log(2))


def test_more_documents_make_the_interval_narrower() -> None:
    random = np.random.default_rng(0)
    few, many = (resampled(random.uniform(5, 15, count), np.full(count, 10.0)) for count in (20, 2000))
    assert np.ptp(many) < np.ptp(few) / 5


@pytest.mark.slow
def test_a_model_that_knows_the_text_answers_right(tokenizer: Tokenizer) -> None:
    """It is taught four documents by heart; one that was not taught is at chance."""
    from model.losses import LossSettings
    from model.step import Tensors, add_gradients

    taught = documents(60)
    long = [found for found in taught if len(tokenizer.encode([found.text])[0]) > 40 and found.lang == "en"][:6]
    assert len(long) >= 4
    model = Decoder(ModelConfig(**{**TINY.__dict__, "vocabulary": tokenizer.vocabulary}))
    model.initialise(0)
    ids = [torch.from_numpy(found[:37]).long() for found in tokenizer.encode_documents([one.text for one in long])]
    batch = Tensors(
        torch.cat([found[:-1] for found in ids]),
        torch.cat([found[1:] for found in ids]),
        torch.ones(36 * len(ids)),
        torch.arange(0, 36 * len(ids) + 1, 36, dtype=torch.int32),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        add_gradients(model, [batch], LossSettings())
        optimizer.step()
    answers = cloze_answers(model, tokenizer, long)
    assert sorted(answers) == list(range(len(long)))
    assert all(answers.values())


def test_a_language_with_too_few_documents_has_no_questions(decoder: Decoder, tokenizer: Tokenizer) -> None:
    text = "word " * 100
    assert cloze_answers(decoder, tokenizer, [TextDocument(str(n), "en", text) for n in range(3)]) == {}
    assert len(cloze_answers(decoder, tokenizer, [TextDocument(str(n), "en", text) for n in range(4)])) == 4


def test_a_run_gives_what_a_model_of_it_never_saw(place: str) -> None:
    corpus = open_corpus(place)
    everything = list(documents_of_run(corpus, None))
    kept = list(documents_of_run(corpus, 0.1))
    assert len(everything) == 200
    assert 5 < len(kept) < 60
    assert {document.name for document in kept} < {document.name for document in everything}


@pytest.mark.parametrize("share", [None, 0.3])
def test_a_run_gives_each_text_once(tmp_path: Path, share: float | None) -> None:
    documents = make_documents(50)
    copies = [{**document, "id": f"{document['id']}#1", "copy": 1} for document in documents]
    children = [{**document, "id": f"{document['id']}#a1", "parent": document["id"]} for document in documents]
    corpus = open_corpus(write_run(tmp_path / "run", [*documents, *copies, *children]))
    found = [document.name for document in documents_of_run(corpus, share)]
    assert 5 < len(found) <= 50
    assert not [name for name in found if "#" in name]


def test_files_of_any_format_are_read_and_failures_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one", "lang": "en"}\nbroken\n{"text": "two"}\nbroken\n')
    (tmp_path / "b.txt").write_bytes(b"three\n\xff\xfe\xff four\n")
    found, failed = documents_of_files([str(tmp_path)])
    assert [(document.text, document.lang) for document in found] == [("one", "en"), ("two", "und"), ("three", "und")]
    assert [failures.describe() for failures in failed] == [
        "2 in a.jsonl, the first in line 2: the line is not valid JSON",
        "b.txt at 6: the text is not valid UTF-8, and could not surely be repaired",
    ]


def test_a_document_that_goes_on_like_another_is_not_told_from_it(decoder: Decoder, tokenizer: Tokenizer) -> None:
    text = max((document.text for document in documents()), key=len)
    long = " ".join([text] * 4)
    assert cloze_answers(decoder, tokenizer, [TextDocument(str(n), "en", long) for n in range(4)]) == dict.fromkeys(
        range(4), False
    )
