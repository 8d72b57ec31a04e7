"""The file of a SentencePiece model: read as plain data, and written again with other pieces, scores or marks.

The format is the protocol buffer that the package sentencepiece describes itself (`sentencepiece_model.proto`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

from curator.errors import UserError
from curator.tokenize import INSTALL

SPACE = "▁"
"""How SentencePiece writes a space."""
NFC = "nfc"
"""The normalisation of a model of ours, as its file names it."""
SCORE_STEPS = 128
"""Scores are whole multiples of 1/128, so that sums of float32 (24 bits) are exact up to 131,072."""


class Kind(IntEnum):
    """What a piece is, by the numbers of the format."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Piece:
    """A piece, its score (of BPE: minus the place of its merge; of unigram: log probability), and what it is."""

    text: str
    score: float
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True)
class PieceModel:
    """What a file says: its pieces by id, and how text is made ready for them."""

    algorithm: Literal["unigram", "bpe"]
    pieces: tuple[Piece, ...]
    normalisation: str
    has_rules: bool
    dummy_prefix: bool
    keeps_spaces: bool
    byte_fallback: bool
    unknown: int
    begin: int
    end: int


def read_pieces(data: bytes, file: str) -> PieceModel:
    """The model that the bytes of a file hold. UserError when it is none, or one of words or characters."""
    proto = _parse(data, file)
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    algorithms: dict[int, Literal["unigram", "bpe"]] = {1: "unigram", 2: "bpe"}
    algorithm = algorithms.get(trainer.model_type)
    if algorithm is None:
        raise UserError("is a SentencePiece model of words or characters", file=file, hint="expected unigram or BPE")
    return PieceModel(
        algorithm=algorithm,
        pieces=tuple(Piece(piece.piece, piece.score, Kind(piece.type)) for piece in proto.pieces),
        normalisation=normalizer.name,
        has_rules=bool(normalizer.precompiled_charsmap),
        dummy_prefix=normalizer.add_dummy_prefix,
        keeps_spaces=not normalizer.remove_extra_whitespaces,
        byte_fallback=trainer.byte_fallback,
        unknown=trainer.unk_id,
        begin=trainer.bos_id,
        end=trainer.eos_id,
    )


def finish_training(data: bytes) -> bytes:
    """A trained model with its normalisation named, scores in steps, and without the path of the file of rules."""
    proto = _parse(data, "the trained tokenizer")
    proto.normalizer_spec.name = NFC
    proto.normalizer_spec.normalization_rule_tsv = ""
    for piece in proto.pieces:
        piece.score = round(piece.score * SCORE_STEPS) / SCORE_STEPS
    return _serialise(proto)


def add_pieces(data: bytes, added: Sequence[Piece], file: str) -> bytes:
    """The model with more pieces behind its own, whose ids stay as they are."""
    proto = _parse(data, file)
    for piece in added:
        proto.pieces.add(piece=piece.text, score=piece.score, type=int(piece.kind))
    proto.trainer_spec.vocab_size = len(proto.pieces)
    return _serialise(proto)


def _parse(data: bytes, file: str) -> Any:
    # The module is made when it is imported, from a description: there is nothing that a type could name.
    try:
        from google.protobuf.message import DecodeError

        module = importlib.import_module("sentencepiece.sentencepiece_model_pb2")
    except ModuleNotFoundError as error:
        raise UserError(f"the package {error.name} is not installed", hint=INSTALL) from error
    proto = module.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise UserError("is no model of SentencePiece", file=file, hint="expected one of unigram or BPE") from error
    if not proto.pieces:
        raise UserError("is no model of SentencePiece", file=file, hint="expected one of unigram or BPE")
    return proto


def _serialise(proto: Any) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))


def without_prefix(data: bytes, file: str) -> bytes:
    """The model without the space that it puts before a text: it cuts parts of words as they stand."""
    proto = _parse(data, file)
    proto.normalizer_spec.add_dummy_prefix = False
    return _serialise(proto)
