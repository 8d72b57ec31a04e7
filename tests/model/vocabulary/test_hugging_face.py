"""A fast tokenizer gives the ids of the SentencePiece model that it was made of, for every text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TokenizerSection
from model.data.shards import open_corpus
from model.tokenizer_training import train_tokenizer
from model.vocabulary.hugging_face import fast_tokenizer
from model.vocabulary.pieces import Piece, add_pieces

Pair = tuple[Tokenizer, Tokenizer]

WORDS = st.sampled_from(
    ["the", "house", " ", "  ", "дом", "घर", "le", "▁", "2026", "e\u0323\u0302", "</s>", "<0x41>", "\n"]
)
TEXTS = st.one_of(
    st.text(max_size=40),  # with halves of surrogate pairs, control characters, and what has no token
    st.lists(WORDS, max_size=20).map("".join),
    st.text(alphabet="theaous ", max_size=60),
)


def pair_of(place: str, kind: str) -> Pair:
    section = TokenizerSection.model_validate({"vocabulary": 420, "sample_bytes": 100_000, "kind": kind})
    ours = read_tokenizer(train_tokenizer([open_corpus(place)], section, 0).data, "ours.model")
    return ours, read_tokenizer(fast_tokenizer(ours.data, "ours.model")["tokenizer.json"], "tokenizer.json")


@pytest.fixture(scope="module")
def bpe(place: str) -> Pair:
    return pair_of(place, "bpe")


@pytest.fixture(scope="module")
def unigram(place: str) -> Pair:
    return pair_of(place, "unigram")


@given(text=TEXTS)
@example(text="a\ud800b")
@example(text="<unk></s> <s>")
def test_bpe_has_the_same_ids(bpe: Pair, text: str) -> None:
    ours, theirs = bpe
    assert theirs.encode([text])[0].tolist() == ours.encode([text])[0].tolist()


@given(text=TEXTS)
@example(text="<unk></s> <s><0x0A>")
def test_unigram_has_the_same_ids(unigram: Pair, text: str) -> None:
    ours, theirs = unigram
    assert theirs.encode([text])[0].tolist() == ours.encode([text])[0].tolist()


@given(text=TEXTS)
def test_ids_become_the_same_text(bpe: Pair, text: str) -> None:
    ours, theirs = bpe
    ids = ours.encode([text])[0].tolist()
    assert theirs.decode(ids) == ours.decode(ids)


def test_the_marks_are_the_same(bpe: Pair) -> None:
    ours, theirs = bpe
    assert (theirs.begin, theirs.end, theirs.unknown) == (ours.begin, ours.end, ours.unknown)
    assert theirs.vocabulary == ours.vocabulary
    assert theirs.pieces() == ours.pieces()
    assert theirs.parts_of_characters().tolist() == ours.parts_of_characters().tolist()


@pytest.mark.parametrize("middle", ["ab", "b", "bab"])
def test_the_leftmost_of_equal_merges_comes_first(middle: str) -> None:
    """`ababa` can be cut as ab+aba, aba+ba and aba|ba: where two overlap, SentencePiece takes the left one."""
    added = [Piece(text, -float(place)) for place, text in enumerate(["ab", "ba", "aba", "bab", "ababa", "babab"])]
    ours = read_tokenizer(add_pieces(letters(), added, "it"), "it")
    theirs = read_tokenizer(fast_tokenizer(ours.data, "it")["tokenizer.json"], "it")
    texts = [begin + middle * times + end for begin in ("", "a", "ab") for end in ("", "a", "ba") for times in range(9)]
    assert [ids.tolist() for ids in theirs.encode(texts)] == [ids.tolist() for ids in ours.encode(texts)]


def letters(**changes: object) -> bytes:
    """A model of BPE that knows a, b and the space."""
    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    options: dict[str, Any] = {
        "sentence_iterator": iter(["a", "b"] * 9),
        "model_writer": model,
        "vocab_size": 262,
        "model_type": "bpe",
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "byte_fallback": True,
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    SentencePieceTrainer.train(**(options | changes))
    return model.getvalue()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"normalization_rule_name": "nmt_nfkc"}, "rules of its own .nmt_nfkc"),
        ({"remove_extra_whitespaces": True}, "removes spaces"),
        ({"byte_fallback": False, "vocab_size": 6}, "has no bytes"),
        ({"user_defined_symbols": "ab", "vocab_size": 263}, "1 pieces that are user-defined"),
        ({"model_type": "char"}, "words or characters"),
        ({"model_type": "unigram"}, "has no pieces for / 0 1"),
    ],
)
def test_a_model_without_an_exact_counterpart_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        fast_tokenizer(letters(**changes), "other.model")


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"{}"])
def test_a_file_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="is no model of SentencePiece"):
        fast_tokenizer(data, "some.file")


@pytest.mark.long
def test_transformers_loads_the_folder(bpe: Pair, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    for name, data in fast_tokenizer(bpe[0].data, "it").items():
        (tmp_path / name).write_bytes(data)
    loaded = AutoTokenizer.from_pretrained(str(tmp_path))
    for text in ("the house</s> 12 家", "  le  chat", ""):
        assert loaded(text, add_special_tokens=False)["input_ids"] == bpe[0].encode([text])[0].tolist()
    assert (loaded.bos_token_id, loaded.eos_token_id) == (bpe[0].begin, bpe[0].end)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["split_special_tokens"] is True
