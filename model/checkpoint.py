"""Checkpoints: the whole state of a training after a step, written beside its place and put there by one rename.

    checkpoints/step-00000050/model.safetensors      parameters and router biases
                              optimizer.safetensors  what the optimizer remembers
                              average.safetensors    the average of the parameters, if one is kept
                              state.json             the rest, and the hash of each file; written last

safetensors hold numbers alone, so nothing is run when a checkpoint is read (`torch.distributed.checkpoint` keeps its
metadata as a pickle). Writing happens in a thread, from copies of the tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from curator.errors import AGAIN, DataError, TransientError, UserError
from model.directory import CHECKPOINTS

STATE = "state.json"
FORMAT = 1

_NAME = re.compile(r"step-(\d{8})")

Tensors = Mapping[str, Mapping[str, Tensor]]
"""The tensors of a checkpoint by file (`model`, `optimizer`, `average`), then by name."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that lies in a folder. `state` is what `state.json` holds beside format and hashes."""

    folder: Path
    step: int
    state: Mapping[str, object]
    hashes: Mapping[str, str]

    def tensors(self, kind: str) -> dict[str, Tensor]:
        """The tensors of one file. DataError when it is not as it was written, or holds what is no number."""
        path = self.folder / f"{kind}.safetensors"
        try:
            whole = _sha256(path) == self.hashes.get(path.name)
        except FileNotFoundError as error:
            raise DataError("a file of a checkpoint is missing", file=str(path), hint=EARLIER) from error
        if not whole:
            raise DataError("a checkpoint is not as it was written", file=str(path), hint=EARLIER)
        try:
            tensors = load_file(path)
        except SafetensorError as error:
            raise DataError("a checkpoint cannot be read", file=str(path), hint=EARLIER) from error
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise DataError(f"{name} holds what is no number", file=str(path), hint=EARLIER)
        return tensors


_GO_ON = f"make room, then {AGAIN}: the checkpoint before is whole"
_BEGIN_ANEW = f"make room, then {AGAIN}: it begins anew, as there is no checkpoint before this one"
"""What to do about one that cannot be written."""

EARLIER = "remove this checkpoint's folder to go on from an earlier one"
"""What to do about a checkpoint that cannot be used."""


def checkpoints(model: Path) -> list[Checkpoint]:
    """The checkpoints of a model, by step. DataError when one's state cannot be read."""
    return [_read(path) for path in _paths(model / CHECKPOINTS)]


def _paths(folder: Path) -> list[Path]:
    return sorted(path for path in (folder.iterdir() if folder.is_dir() else ()) if _NAME.fullmatch(path.name))


def latest(model: Path) -> Checkpoint:
    """The last checkpoint of a model. UserError when there is none."""
    found = checkpoints(model)
    if not found:
        raise UserError("holds no checkpoint", file=str(model), hint="train one with `curator train RUN -o MODEL`")
    return found[-1]


def _read(folder: Path) -> Checkpoint:
    path = folder / STATE
    try:
        values = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise DataError("the state of a checkpoint cannot be read", file=str(path), hint=EARLIER) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise DataError(f"is no checkpoint of format {FORMAT}", file=str(path), hint="made by another version?")
    step, state, files = (values.get(name) for name in ("step", "state", "files"))
    if not (isinstance(step, int) and isinstance(state, dict) and isinstance(files, dict)):
        raise DataError("has no step, state and files", file=str(path), hint=EARLIER)
    return Checkpoint(folder, step, state, files)


class CheckpointWriter:
    """Writes checkpoints of one model, one at a time, while the training goes on."""

    def __init__(self, model: Path) -> None:
        self._folder = model / CHECKPOINTS
        self._thread: threading.Thread | None = None
        self._failed: OSError | None = None

    def write(self, step: int, tensors: Tensors, state: Mapping[str, object], keep: set[int] | None = None) -> None:
        """Begin to write the state after `step`, once the one before is written; then remove the checkpoints of steps
        that are not in `keep`. The tensors are the writer's from now on (`model.sharded.host_copies` makes such)."""
        self.wait()
        # The state is turned into text here: its lists go on changing, too.
        text = json.dumps({"format": FORMAT, "step": step, "state": state}, indent=1, sort_keys=True, allow_nan=False)
        self._thread = threading.Thread(target=self._write, args=(step, tensors, text, keep), name="checkpoint")
        self._thread.start()

    def keep(self, steps: set[int]) -> None:
        """Remove the checkpoints of other steps, once what was begun is written."""
        self.wait()
        self._sweep(steps)

    def wait(self) -> None:
        """Wait until what was begun is written. TransientError when it could not be."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failed is not None:
            error, self._failed = self._failed, None
            is_first = not _paths(self._folder)
            raise TransientError(
                f"a checkpoint cannot be written: {error.strerror}",
                file=str(self._folder),
                hint=_BEGIN_ANEW if is_first else _GO_ON,
            ) from error

    def _write(self, step: int, tensors: Tensors, text: str, keep: set[int] | None) -> None:
        target = self._folder / f"step-{step:08d}"
        beside = self._folder / f".{os.getpid()}-{target.name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            hashes = {}
            for kind, found in tensors.items():
                path = beside / f"{kind}.safetensors"
                save_file(dict(found), path)
                _sync(path)
                hashes[path.name] = _sha256(path)
            (beside / STATE).write_text(json.dumps(json.loads(text) | {"files": hashes}, indent=1, sort_keys=True))
            _sync(beside / STATE)
            shutil.rmtree(target, ignore_errors=True)
            beside.rename(target)
            _sync(self._folder)
            self._sweep(keep)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            self._failed = error
        except (SafetensorError, MemoryError) as error:
            shutil.rmtree(beside, ignore_errors=True)
            self._failed = OSError(0, str(error) or "out of memory")

    def _sweep(self, keep: set[int] | None) -> None:
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match and keep is not None and int(match[1]) not in keep:
                # By another name first: a checkpoint that is half removed is none.
                gone = self._folder / f".{os.getpid()}-gone-{path.name}"
                path.rename(gone)
                shutil.rmtree(gone)


def sweep_unfinished(model: Path) -> None:
    """Remove what a training that was killed was writing, or removing."""
    folder = model / CHECKPOINTS
    for path in folder.glob(".*") if folder.is_dir() else ():
        shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
