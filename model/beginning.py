"""How a training begins other than by drawing its parameters: from another model, with aligned pieces, or both.

It stands in `beginning.json` of the model, so that a training that goes on begins, and ties, as it did before.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from curator.errors import DataError, UserError
from curator.run.store import put
from curator.tokenize import Tokenizer
from curator.validation import first_problem
from model.checkpoint import latest
from model.directory import ModelDirectory, read_description, read_own_tokenizer
from model.initialise import initialise_from, share_rows, tie_embedding
from model.vocabulary.alignment import read_alignment

if TYPE_CHECKING:
    from model.trainer import Trainer


@dataclass(frozen=True)
class Origin:
    """The model whose parameters were taken over: where it lies, its step, a hash of its checkpoint's description."""

    place: str
    step: int
    sha256: str


@dataclass(frozen=True)
class Beginning:
    """Where first parameters come from, and which pieces are alike; each may be nothing.

    `tied` are the groups without pieces that have a row in the origin, save the first: what was learned stays.
    """

    origin: Origin | None = None
    groups: tuple[tuple[int, ...], ...] = ()
    tied: tuple[tuple[int, ...], ...] = ()

    def write(self, directory: ModelDirectory) -> None:
        """Keep it in a model's directory; there is no file where there is nothing to keep."""
        if self == Beginning():
            directory.beginning.unlink(missing_ok=True)
        else:
            put(directory.beginning, (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode())

    @torch.no_grad()
    def apply(self, trainer: Trainer, tokenizer: Tokenizer, *, restores: bool) -> None:
        """Set the parameters, unless a checkpoint is to be restored, and tie what is aligned.

        UserError when the origin has another shape, DataError when it is not what it was.
        """
        model = trainer.model
        if not restores:
            if self.origin is not None:
                origin = ModelDirectory(Path(self.origin.place))
                if _origin(origin.root) != self.origin:
                    hint = "begin anew, with another output"
                    raise DataError(
                        "is not the model any more that this one began from", file=str(origin.root), hint=hint
                    )
                initialise_from(model, tokenizer, origin)
            share_rows(model, self.tied)
            parameters = dict(model.named_parameters())
            for name, average in trainer.average.items():
                average.copy_(parameters[name])
        tie_embedding(model, self.tied)


class _Written(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    origin: Origin | None
    groups: tuple[tuple[int, ...], ...]
    tied: tuple[tuple[int, ...], ...]


def choose_beginning(
    origin: Path | None, alignment: Path | None, directory: ModelDirectory, tokenizer: Tokenizer, *, resuming: bool
) -> Beginning:
    """What options say, or when a training goes on what it began with.

    UserError where these differ, or the alignment is of another tokenizer."""
    groups = () if alignment is None else read_alignment(alignment, tokenizer).groups
    asked = Beginning(None if origin is None else _origin(origin), groups, _untaught(groups, tokenizer, origin))
    if not resuming:
        return asked
    began = _read(directory)
    for option, given, was in (
        ("--initialise-from", asked.origin, began.origin),
        ("--align", asked.groups, began.groups),
    ):
        if given and given != was:
            hint = f"leave out {option} to go on as it began"
            raise UserError(f"the training began with another {option}", file=str(directory.root), hint=hint)
    return began


def _untaught(
    groups: tuple[tuple[int, ...], ...], tokenizer: Tokenizer, origin: Path | None
) -> tuple[tuple[int, ...], ...]:
    """The groups of two or more that are left without what the origin has learned, save the first of each."""
    if origin is None or not groups:
        return groups
    directory = ModelDirectory(origin)
    known = set(read_own_tokenizer(directory, read_description(directory)).pieces())
    pieces = tokenizer.pieces()
    left = [(first, *(token for token in others if pieces[token] not in known)) for first, *others in groups]
    return tuple(group for group in left if len(group) > 1)


def _origin(place: Path) -> Origin:
    checkpoint = latest(place)
    listed = json.dumps(sorted(checkpoint.hashes.items()))
    return Origin(str(place.absolute()), checkpoint.step, hashlib.sha256(listed.encode()).hexdigest())


def _read(directory: ModelDirectory) -> Beginning:
    try:
        written = _Written.model_validate_json(directory.beginning.read_bytes())
    except FileNotFoundError:
        return Beginning()
    except OSError as error:
        raise DataError("cannot be read", file=str(directory.beginning)) from error
    except ValidationError as error:
        hint = "was it changed by hand?"
        raise DataError(first_problem(error), file=str(directory.beginning), hint=hint) from error
    return Beginning(written.origin, written.groups, written.tied)
