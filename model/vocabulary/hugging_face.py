"""Writes a SentencePiece model as a fast tokenizer of Hugging Face that gives the same ids for every text.

`tokenizer.json` names no special tokens: it would find them in text (`</s>` as one token), where SentencePiece spells
them. `tokenizer_config.json` names them for `transformers`, with `split_special_tokens`, which leaves text alone.

BPE in SentencePiece merges the neighbours whose union has the best score, the leftmost of equals; a `tokenizer.json`
has a list of merges, the first the best. So every way to cut a piece in two is a merge, in the order of scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from curator.errors import UserError
from model.vocabulary.pieces import NFC, SPACE, Kind, Piece, PieceModel, read_pieces

FILES = ("tokenizer.json", "tokenizer_config.json")
NEVER = -1e6
"""Score of what is no text: below that of any spelling of it."""


def fast_tokenizer(data: bytes, file: str, *, begins: bool = False) -> dict[str, bytes]:
    """The contents of FILES for a SentencePiece model; `begins`: each text begins with the mark for it, as documents of
    a training do. UserError for one that has no exact counterpart."""
    model = read_pieces(data, file)
    _refuse_inexact(model, file)
    texts = [piece.text for piece in model.pieces]
    if len(set(texts)) < len(texts):
        raise UserError("has a piece twice", file=file, hint="a fast tokenizer tells tokens by their text")
    tokenizer: dict[str, object] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": _normalizer(model),
        "pre_tokenizer": None,
        "post_processor": _mark(texts[model.begin], model.begin) if begins else None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if model.dummy_prefix else []),
            ],
        },
        "model": _bpe(model) if model.algorithm == "bpe" else _unigram(model),
    }
    names = {"unk_token": model.unknown, "bos_token": model.begin, "eos_token": model.end}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        **{name: texts[token] for name, token in names.items() if token >= 0},
    }
    return {FILES[0]: _dump(tokenizer), FILES[1]: _dump(config)}


def _mark(begin: str, token: int) -> Mapping[str, object]:
    mark = {"SpecialToken": {"id": begin, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [mark, first],
        "pair": [mark, first, mark, second],
        "special_tokens": {begin: {"id": begin, "ids": [token], "tokens": [begin]}},
    }


def _refuse_inexact(model: PieceModel, file: str) -> None:
    hint = "expected a model that `curator tokenizer train` or `extend` wrote"
    if model.has_rules and model.normalisation != NFC:
        raise UserError(f"normalises text by rules of its own ({model.normalisation})", file=file, hint=hint)
    if not model.keeps_spaces:
        raise UserError("removes spaces from text", file=file, hint=hint)
    odd = [piece for piece in model.pieces if piece.kind in (Kind.USER_DEFINED, Kind.UNUSED)]
    if odd:
        raise UserError(f"has {len(odd):,} pieces that are user-defined or unused", file=file, hint=hint)
    if not model.byte_fallback:
        raise UserError("has no bytes for what has no piece", file=file, hint=hint)
    texts = {piece.text for piece in model.pieces}
    missing = set(spelled_characters(model.pieces)) - texts
    if model.algorithm == "unigram" and missing:
        told = " ".join(sorted(missing))
        raise UserError(
            f"has no pieces for {told}, so {model.pieces[0].text} would be found in text", file=file, hint=hint
        )


def _normalizer(model: PieceModel) -> Mapping[str, object]:
    steps: list[Mapping[str, object]] = [{"type": "NFC"}] if model.has_rules else []
    if model.dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    return {"type": "Sequence", "normalizers": steps}


def _bpe(model: PieceModel) -> Mapping[str, object]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": model.pieces[model.unknown].text,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {piece.text: token for token, piece in enumerate(model.pieces)},
        "merges": list(_merges(model.pieces)),
    }


def _merges(pieces: Sequence[Piece]) -> Iterator[list[str]]:
    texts = {piece.text for piece in pieces if piece.kind is Kind.NORMAL}
    merged = [piece for piece in pieces if piece.kind is Kind.NORMAL and len(piece.text) > 1]
    for piece in sorted(merged, key=lambda piece: -piece.score):
        for cut in _cuts(piece.text):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in texts and right in texts:
                yield [left, right]


def _cuts(text: str) -> list[int]:
    """The places where a piece can be cut, so that the leftmost of two overlapping merges into it comes first.

    `A B C` with `A B` and `B C` both the piece: then `B` is its end and its beginning, so the cuts are at |A| and |B|.
    """
    cuts = list(range(1, len(text)))
    for cut in range(1, (len(text) + 1) // 2):
        other = len(text) - cut
        if text[:cut] == text[other:] and text[cut:] != text[:other]:
            # B is the shorter part: first the cut that leaves it on the right.
            cuts[cut - 1], cuts[other - 1] = other, cut
    return cuts


def spelled_characters(pieces: Sequence[Piece]) -> str:
    """The characters in the names of marks and bytes: a text that looks like one of them is spelled by these."""
    return "".join(sorted({letter for piece in pieces if piece.kind is not Kind.NORMAL for letter in piece.text}))


def _unigram(model: PieceModel) -> Mapping[str, object]:
    """Marks and bytes are found in text here, unlike in SentencePiece: their score is below that of any spelling. It
    lowers the score of unknown characters, too, which no segmentation can avoid."""
    return {
        "type": "Unigram",
        "unk_id": model.unknown,
        "vocab": [[piece.text, piece.score if piece.kind is Kind.NORMAL else NEVER] for piece in model.pieces],
        "byte_fallback": True,
    }


def _dump(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
