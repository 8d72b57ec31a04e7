"""Replacing files of a finished directory, all of them or none, whenever the process is killed.

New files are written beside, in `.rewrite/`; then a journal says what is to be done, and from there on it will be done:
by this process, or by the next one that looks (`finish`). Without a journal nothing has happened yet, and what lies in
`.rewrite/` is thrown away.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from curator.run.store import OWNER_ONLY, make_folder, publish, put, sync
from curator.storage.path import AnyPath, StoragePath

FOLDER = ".rewrite"
_JOURNAL = "journal.json"
_FILES = "files"


@dataclass
class Rewrite:
    """New files for a directory, until `commit`. `step` is told of each thing that was done, by a word and a name."""

    root: AnyPath
    step: Callable[[str, str], None]
    _replaced: list[str] = field(default_factory=list)
    _removed: list[str] = field(default_factory=list)
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    def __post_init__(self) -> None:
        discard(self.root)
        if isinstance(self.root, Path):
            make_folder(self.root / FOLDER, OWNER_ONLY)
        else:
            self._scratch = tempfile.TemporaryDirectory(prefix="curator-")

    def path(self, name: str) -> Path:
        """Where to write the file that shall stand at `name`."""
        if isinstance(self.root, Path):
            target = self.root / FOLDER / _FILES / name
        elif self._scratch is not None:
            target = Path(self._scratch.name) / name
        make_folder(target.parent)
        return target

    def replace(self, name: str) -> None:
        """Let what was written for `name` take its place; in the order of these calls."""
        if isinstance(self.root, Path):
            sync(self.path(name))
        else:
            publish(self.path(name), self.root / FOLDER / _FILES / name)
        self._replaced.append(name)
        self.step("written", name)

    def remove(self, name: str) -> None:
        """Let the file or folder at `name` go."""
        self._removed.append(name)

    def commit(self, note: Mapping[str, object]) -> None:
        """From here on it will be done. `note` is what `finish` tells whoever comes next."""
        record = {"replace": self._replaced, "remove": self._removed, "note": dict(note)}
        put(self.root / FOLDER / _JOURNAL, json.dumps(record, ensure_ascii=False).encode())
        self.step("journal", "")
        apply(self.root, self.step)

    def close(self) -> None:
        """Remove what was written on this node for a storage."""
        if self._scratch is not None:
            self._scratch.cleanup()


def _ignore(_what: str, _name: str) -> None:
    """The `step` of a rewrite that nobody listens to."""


def pending(root: AnyPath) -> dict[str, object] | None:
    """The note of a rewrite that was begun and is not finished."""
    try:
        record = json.loads((root / FOLDER / _JOURNAL).read_bytes())
    except FileNotFoundError:
        return None
    return cast("dict[str, object]", record["note"])


def apply(root: AnyPath, step: Callable[[str, str], None] = _ignore) -> None:
    """Do what the journal says; what was done already is passed over."""
    record = json.loads((root / FOLDER / _JOURNAL).read_bytes())
    for name in record["remove"]:
        _remove(root / name)
        step("removed", name)
    for name in record["replace"]:
        written = root / FOLDER / _FILES / name
        if written.is_file():
            _move(written, root / name)
            step("replaced", name)


def discard(root: AnyPath) -> None:
    """Forget the journal, then what was written: what it said is done, or nothing was begun."""
    (root / FOLDER / _JOURNAL).unlink(missing_ok=True)
    if isinstance(root, StoragePath):
        from curator.storage.objects import delete_folder

        delete_folder(root / FOLDER)
    else:
        shutil.rmtree(root / FOLDER, ignore_errors=True)


def _remove(path: AnyPath) -> None:
    if isinstance(path, StoragePath):
        from curator.storage.objects import delete_folder

        path.unlink()
        delete_folder(path)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _move(source: AnyPath, target: AnyPath) -> None:
    if isinstance(source, StoragePath) and isinstance(target, StoragePath):
        from curator.storage.objects import copy_object

        copy_object(source, target)  # a second time, should the source stay: with the same bytes
        source.unlink()
    elif isinstance(source, Path):
        source.replace(str(target))
