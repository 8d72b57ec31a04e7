"""Files of a run: written beside their targets, committed by an atomic rename.

A task may write several files; its commit record, a small JSON file put last, makes them count. A task that is run
twice (a retry, a resume) writes the same bytes again or is not run at all.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from curator.errors import TransientError, UserError
from curator.run.clock import Spent, TaskClock

OWNER_ONLY = 0o700

_OTHER_OUTPUT = "choose another output folder"
_NEVER = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)
"""What trying again does not mend."""


@dataclass(frozen=True)
class Commit:
    """What a committed task left: its name, its files with their sizes, and its result (JSON). `spent` is what the
    attempt that has just made it took, None for a task that had committed before."""

    folder: str
    name: str
    files: Mapping[str, int]
    result: Mapping[str, object]
    spent: Spent | None = None

    def path(self, suffix: str) -> Path:
        """The file that the task wrote under this suffix."""
        return Path(self.folder) / f"{self.name}.{suffix}"

    def integer(self, name: str) -> int:
        """An integer of the result."""
        return cast("int", self.result[name])


class Outputs:
    """The files of one task attempt."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._suffixes: list[str] = []
        self._scratch: list[Path] = []
        self.clock = TaskClock()

    def path(self, suffix: str) -> Path:
        """Where to write the file of this suffix; it takes its name when the task commits."""
        if suffix not in self._suffixes:
            self._suffixes.append(suffix)
        return self._temporary(suffix)

    def scratch(self, suffix: str) -> Path:
        """Where to write a file that goes away with the attempt."""
        path = self._temporary(f"{suffix}.scratch")
        self._scratch.append(path)
        return path

    def commit(self, result: Mapping[str, object]) -> Commit:
        """Give the files their names, then put the commit record."""
        sizes: dict[str, int] = {}
        self._sweep()
        for suffix in self._suffixes:
            source = self._temporary(suffix)
            sizes[suffix] = source.stat().st_size
            source.replace(self._folder / f"{self._name}.{suffix}")
        record = {"files": sizes, "result": dict(result)}
        put(self._folder / f"{self._name}.json", json.dumps(record, ensure_ascii=False).encode(), durable=False)
        return Commit(str(self._folder), self._name, sizes, result, self.clock.spent())

    def discard(self) -> None:
        """Remove what was written so far."""
        self._sweep()
        for suffix in self._suffixes:
            self._temporary(suffix).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for path in self._scratch:
            path.unlink(missing_ok=True)

    def _temporary(self, suffix: str) -> Path:
        return self._folder / f".{os.getpid()}-{self._name}.{suffix}"


def committed(folder: Path, name: str) -> Commit | None:
    """The commit record of a task, None when it has not committed or its files are not as it left them."""
    try:
        record = json.loads((folder / f"{name}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None  # not there, or torn when the power failed
    files: dict[str, int] = record["files"]
    for suffix, size in files.items():
        try:
            if (folder / f"{name}.{suffix}").stat().st_size != size:
                return None
        except FileNotFoundError:
            return None
    return Commit(str(folder), name, files, record["result"])


def put(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a whole file: it is there with all its bytes, or not at all. A full disk is a TransientError.

    `durable` waits until the bytes are on the disk. Commit records of tasks do without: one that a power failure tears
    does not count, and its task runs again."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def sync(path: Path) -> None:
    """Wait until a file that was written is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o777) -> Path:
    """A folder, made if it is not there. UserError where that is not possible."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # Its parents were made a moment ago, or cannot be (as in /proc).
        raise UserError("cannot be made a folder", file=str(path), hint=_OTHER_OUTPUT) from error
    except (NotADirectoryError, FileExistsError) as error:
        raise UserError("cannot be made a folder: a file is in the way", file=str(path), hint=_OTHER_OUTPUT) from error
    except OSError as error:
        raise storage_error(error, path) from error
    return path


def storage_error(error: OSError, path: Path) -> TransientError | UserError:
    """The error of ours that an error of the file system is. One without a number is NumPy's for a short write."""
    said = os.strerror(error.errno) if error.errno else "the disk takes no more"
    if error.errno in _NEVER:
        return UserError(f"cannot be written: {said}", file=str(path), hint=_OTHER_OUTPUT)
    full = error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    then = "run the same command with --resume"
    return TransientError(
        f"cannot be written: {said}", file=str(path), hint=f"free some space, then {then}" if full else then
    )
