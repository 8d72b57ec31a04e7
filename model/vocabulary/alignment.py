"""The file of an alignment: groups of pieces of a tokenizer that mean the same in several languages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.errors import DataError, UserError
from curator.tokenize import Tokenizer
from curator.validation import first_problem

FORMAT = 1


@dataclass(frozen=True)
class Pair:
    """A piece of a language, the piece of the pivot language that it is like, and the cosine of their vectors."""

    token: int
    piece: str
    language: str
    pivot_token: int
    pivot_piece: str
    similarity: float


@dataclass(frozen=True)
class Alignment:
    """Which pieces of a tokenizer are alike. No piece is in two pairs as the first, and no first piece is a pivot."""

    tokenizer: str
    pivot: str
    threshold: float
    pairs: tuple[Pair, ...]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Token ids that are alike, the pivot's first."""
        found: dict[int, list[int]] = {}
        for pair in self.pairs:
            found.setdefault(pair.pivot_token, [pair.pivot_token]).append(pair.token)
        return tuple(tuple(found[token]) for token in sorted(found))

    def dump(self) -> bytes:
        """The bytes of its file, the same for the same pairs."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=1, ensure_ascii=False) + "\n").encode()


class _Written(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal[1]
    tokenizer: str
    pivot: str
    threshold: float
    pairs: tuple[Pair, ...]


def read_alignment(path: Path, tokenizer: Tokenizer) -> Alignment:
    """The alignment of a file. UserError when it is none or of another tokenizer, DataError when a pair is wrong."""
    hint = "`curator tokenizer align` writes one"
    try:
        data = path.read_bytes()
        values = json.loads(data)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=str(path), hint=hint) from error
    except ValueError as error:
        raise UserError("is no alignment", file=str(path), hint=hint) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise UserError("is no alignment", file=str(path), hint=hint)
    if values.get("tokenizer") != tokenizer.sha256:
        raise UserError("is the alignment of another tokenizer", file=str(path), hint="align this one")
    try:
        written = _Written.model_validate_json(data)
    except ValidationError as error:
        raise DataError(f"is not as it was written: {first_problem(error)}", file=str(path), hint=hint) from error
    found = Alignment(written.tokenizer, written.pivot, written.threshold, written.pairs)
    tokens = [pair.token for pair in found.pairs]
    pivots = {pair.pivot_token for pair in found.pairs}
    inside = all(0 <= token < tokenizer.vocabulary for token in (*tokens, *pivots))
    if not inside or len(set(tokens)) < len(tokens) or pivots & set(tokens):
        raise DataError("has a piece in two groups, or one that the tokenizer has not", file=str(path), hint=hint)
    return found
