"""The directory of a model: what it is, its tokenizer, its checkpoints, and what happened in its training.

MODEL/
  training.json           configuration, shape, tokenizer, and the runs that it is trained on; written first
  beginning.json          where first parameters come from and which pieces are tied, if any (`model.beginning`)
  tokenizer.model|json    written last of these: with it the training has begun
  checkpoints/            see `model.checkpoint`
  events/                 numbered pieces, as those of a run
  tensorboard/
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import BaseModel, ValidationError

from curator.errors import DataError, UserError
from curator.run.store import make_folder, put
from curator.tokenize import Tokenizer, read_tokenizer
from curator.training import TrainingConfig, parse_training_config
from curator.validation import first_problem
from model.build import model_config
from model.config import ModelConfig

if TYPE_CHECKING:
    import torch

    from model.data.shards import Corpus
    from model.decoder import Decoder

FORMAT = 1
CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in a model's directory."""

_FREE = {
    "steps",
    "seconds",
    "accumulation",
    "recompute",
    "parallel",
    "threads",
    "alarms",
    "checkpoint",
    "validation",
    "data.threads",
    "tokenizer",
}
"""Keys that may differ when a training goes on: they change when it ends, what is looked at, or how it is computed."""


@dataclass(frozen=True)
class ModelDirectory:
    """The paths of a model."""

    root: Path

    @property
    def description(self) -> Path:
        """`training.json`, written first."""
        return self.root / "training.json"

    @property
    def beginning(self) -> Path:
        """What the first parameters were, where they were not drawn."""
        return self.root / "beginning.json"

    @property
    def events(self) -> Path:
        """Numbered pieces of the event log."""
        return self.root / "events"

    @property
    def tensorboard(self) -> Path:
        """What TensorBoard reads."""
        return self.root / "tensorboard"

    def remove_unless_begun(self, tokenizer_file: str) -> None:
        """Undo the beginning of a training that left no checkpoint: the folder is as it was before."""
        if (self.root / CHECKPOINTS).exists():
            return
        for path in (self.description, self.beginning, self.root / tokenizer_file):
            path.unlink(missing_ok=True)
        for folder in (self.events, self.tensorboard):
            shutil.rmtree(folder, ignore_errors=True)
        # It may have been removed meanwhile, which is what the training failed of.
        if self.root.is_dir() and not any(self.root.iterdir()):
            self.root.rmdir()

    def is_used(self) -> bool:
        """Whether anything lies here."""
        return self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir()))

    def is_begun(self) -> bool:
        """Whether a training has begun here that `--resume` goes on with."""
        return self.description.exists() and not self.is_half_begun()

    def is_half_begun(self) -> bool:
        """Whether a training was killed here before all was there that it begins with: nothing is lost by beginning
        anew."""
        there = (self.root / name for name in ("tokenizer.model", "tokenizer.json", CHECKPOINTS))
        return self.description.exists() and not any(path.exists() for path in there)


@dataclass(frozen=True)
class Source:
    """A run that a model is trained on: where it lay, its recipe's name, its fingerprint, a hash of its shards."""

    place: str
    recipe: str
    fingerprint: str
    shards: str


@dataclass(frozen=True)
class Description:
    """What `training.json` says."""

    config: TrainingConfig
    shape: ModelConfig
    tokenizer_file: str
    tokenizer_sha256: str
    sources: tuple[Source, ...]

    def is_of(self, corpus: Corpus) -> bool:
        """Whether the model is trained on a run. One of which documents were forgotten since has other shards, and the
        fingerprint that it had."""
        return any(
            source.shards == corpus.identity or source.fingerprint == corpus.fingerprint for source in self.sources
        )


class _WrittenTokenizer(BaseModel):
    file: Literal["tokenizer.model", "tokenizer.json"]
    sha256: str


class _Written(BaseModel):
    config: dict[str, object]
    shape: ModelConfig
    tokenizer: _WrittenTokenizer
    sources: tuple[Source, ...]


def write_description(directory: ModelDirectory, description: Description) -> None:
    """Put the description. UserError when the directory cannot be written."""
    values = {
        "format": FORMAT,
        "config": description.config.model_dump(mode="json"),
        "shape": asdict(description.shape),
        "tokenizer": {"file": description.tokenizer_file, "sha256": description.tokenizer_sha256},
        "sources": [asdict(source) for source in description.sources],
    }
    make_folder(directory.root)
    put(directory.description, (json.dumps(values, indent=1, sort_keys=True) + "\n").encode())


def read_description(directory: ModelDirectory) -> Description:
    """What a model is. UserError when it is none, DataError when its description cannot be read."""
    path = directory.description
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "is this a model? `curator train RUN -o MODEL` makes one"
        raise UserError("there is no training.json", file=str(directory.root), hint=hint) from error
    except PermissionError:
        raise
    except (OSError, ValueError) as error:
        raise DataError("cannot be read", file=str(path)) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"is no model of format {FORMAT}", file=str(path), hint="made by another version?")
    try:
        written = _Written.model_validate(values)
    except ValidationError as error:
        raise DataError(first_problem(error), file=str(path), hint="was it changed by hand?") from error
    return Description(
        parse_training_config(written.config, str(path)),
        written.shape,
        written.tokenizer.file,
        written.tokenizer.sha256,
        written.sources,
    )


def read_own_tokenizer(directory: ModelDirectory, description: Description) -> Tokenizer:
    """The tokenizer of a model. DataError when it is not the one that it was trained with."""
    path = directory.root / description.tokenizer_file
    try:
        tokenizer = read_tokenizer(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise DataError("the tokenizer of the model is missing", file=str(path)) from error
    if tokenizer.sha256 != description.tokenizer_sha256:
        raise DataError(
            f"is not the tokenizer that the model was trained with (it has {tokenizer.vocabulary:,} tokens, the model "
            f"{description.shape.vocabulary:,})",
            file=str(path),
            hint="put the file back that lay here",
        )
    return tokenizer


def refuse_other_training(before: Description, now: Description, root: Path) -> None:
    """UserError when a training would go on as another one: the keys that differ are named."""
    old, new = (_flat(description.config.model_dump(mode="json")) for description in (before, now))
    changed = [key for key in new if old.get(key) != new[key] and not _is_free(key)]
    if changed:
        raise UserError(
            f"the checkpoint is of another configuration: {', '.join(changed)} changed",
            file=str(root),
            hint="go on with the same, or choose another output",
        )
    if before.tokenizer_sha256 != now.tokenizer_sha256:
        raise UserError(
            f"the model has another tokenizer (of {before.shape.vocabulary:,} tokens, not {now.shape.vocabulary:,})",
            file=str(root),
            hint="leave out --tokenizer to go on with its own",
        )
    if [source.shards for source in before.sources] != [source.shards for source in now.sources]:
        raise UserError(
            "the model is trained on other shards",
            file=str(root),
            hint="give the runs that it was begun with, in their order",
        )


def load_decoder(
    directory: ModelDirectory, device: torch.device, *, best: bool = False
) -> tuple[Decoder, Tokenizer, Description, int]:
    """A model to be used: its average where it has one; with its tokenizer, description, and the step it is of.

    UserError when there is no checkpoint, DataError when something is not as it was written.
    """
    from model.checkpoint import checkpoints, latest
    from model.decoder import Decoder

    description = read_description(directory)
    tokenizer = read_own_tokenizer(directory, description)
    checkpoint = latest(directory.root)
    if best:
        step = cast("Mapping[str, int]", checkpoint.state["best"]).get("step")
        named = [found for found in checkpoints(directory.root) if found.step == step]
        if not named:
            raise UserError("keeps no best checkpoint", file=str(directory.root), hint="leave out --best")
        checkpoint = named[0]
    decoder = Decoder(description.shape)
    tensors = checkpoint.tensors("model")
    if description.config.average is not None:
        tensors |= checkpoint.tensors("average")
    fill(dict(decoder.state_dict()), tensors, str(checkpoint.folder))
    return decoder.to(device).eval(), tokenizer, description, checkpoint.step


def fill(targets: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], file: str) -> None:
    """Copy tensors into those of the same names, or this rank's part of them. DataError when names or shapes
    differ."""
    from model.sharded import assign

    wrong = sorted(set(targets) ^ set(tensors)) or [
        name for name, target in targets.items() if target.shape != tensors[name].shape
    ]
    if wrong:
        raise DataError(
            f"the checkpoint is of another model: {', '.join(wrong[:3])}", file=file, hint="was training.json changed?"
        )
    for name, target in targets.items():
        assign(target, tensors[name])


def describe(config: TrainingConfig, tokenizer: Tokenizer, sources: Sequence[Source]) -> Description:
    """The description of a training that begins."""
    name = f"tokenizer{tokenizer.suffix}"
    return Description(config, model_config(config, tokenizer.vocabulary), name, tokenizer.sha256, tuple(sources))


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(f"{free}.") for free in _FREE)
