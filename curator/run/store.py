"""Files of a run: written beside their targets, committed by an atomic rename, or by one put to object storage.

A task may write several files; its commit record, a small JSON file put last, makes them count. A task that is run
twice (a retry, a resume) writes the same bytes again or is not run at all.

What tasks hand to each other are places: a local path or a URL, as a string, which every node understands. A file is
read on the node that needs it through `Commit.path` or `curator.storage.spool.local_file`.
"""

from __future__ import annotations

import json
import os
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from curator.errors import UserError
from curator.run.clock import Spent, TaskClock
from curator.storage.path import AnyPath, StoragePath, as_path
from curator.storage.refused import ELSEWHERE, storage_error
from curator.storage.spool import local_file, local_folder

OWNER_ONLY = 0o700


@dataclass(frozen=True)
class Commit:
    """What a committed task left: its name, its files with their sizes, and its result (JSON). `spent` is what the
    attempt that has just made it took, None for a task that had committed before."""

    folder: str
    name: str
    files: Mapping[str, int]
    result: Mapping[str, object]
    spent: Spent | None = None

    def place(self, suffix: str) -> str:
        """Where the file lies that the task wrote under this suffix: what another task is told."""
        return f"{self.folder}/{self.name}.{suffix}"

    def path(self, suffix: str) -> Path:
        """The file that the task wrote under this suffix, on this node."""
        return local_file(self.place(suffix), self.files.get(suffix))

    def integer(self, name: str) -> int:
        """An integer of the result."""
        return cast("int", self.result[name])


class Outputs:
    """The files of one task attempt."""

    def __init__(self, folder: AnyPath, name: str) -> None:
        self._target = folder
        self._folder = local_folder(folder)
        self._name = name
        self._prefix = f"{self._folder}/.{_writer()}-{name}."
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

    def beside(self, suffix: str) -> Path:
        """A file that outlives the attempt, whatever becomes of it."""
        return self._folder / f"{self._name}.{suffix}"

    def commit(self, result: Mapping[str, object]) -> Commit:
        """Give the files their names, then put the commit record."""
        sizes: dict[str, int] = {}
        self._sweep()
        for suffix in self._suffixes:
            source = self._temporary(suffix)
            sizes[suffix] = source.stat().st_size
            source.replace(f"{self._folder}/{self._name}.{suffix}")
        if isinstance(self._target, StoragePath):
            from curator.storage.objects import put_files

            names = [f"{self._name}.{suffix}" for suffix in self._suffixes]
            put_files([(self._folder / name, self._target / name) for name in names])
        record = {"files": sizes, "result": dict(result)}
        put(self._target / f"{self._name}.json", json.dumps(record, ensure_ascii=False).encode(), durable=False)
        return Commit(str(self._target), self._name, sizes, result, self.clock.spent())

    def discard(self) -> None:
        """Remove what was written so far."""
        self._sweep()
        for suffix in self._suffixes:
            self._temporary(suffix).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for path in self._scratch:
            path.unlink(missing_ok=True)

    def _temporary(self, suffix: str) -> Path:
        return Path(self._prefix + suffix)


def _writer() -> str:
    """This process, told from those of other machines that share the folder."""
    return f"{os.getpid()}.{zlib.crc32(socket.gethostname().encode()):08x}"


def committed(folder: AnyPath, name: str) -> Commit | None:
    """The commit record of a task, None when it has not committed or its files are not as it left them."""
    try:
        record = json.loads((folder / f"{name}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None  # not there, or torn when the power failed
    files: dict[str, int] = record["files"]
    if isinstance(folder, StoragePath):
        from curator.storage.objects import sizes_of

        if sizes_of([folder / f"{name}.{suffix}" for suffix in files]) != [*files.values()]:
            return None
        return Commit(str(folder), name, files, record["result"])
    for suffix, size in files.items():
        try:
            if (folder / f"{name}.{suffix}").stat().st_size != size:
                return None
        except FileNotFoundError:
            return None
    return Commit(str(folder), name, files, record["result"])


def put(path: AnyPath, data: bytes, *, durable: bool = True, mode: int = 0o666) -> None:
    """Write a whole file: it is there with all its bytes, or not at all. A full disk is a TransientError.

    `durable` waits until the bytes are on the disk. Commit records of tasks do without: one that a power failure tears
    does not count, and its task runs again. `mode` are the permissions of a local file, less those of the umask."""
    if isinstance(path, StoragePath):
        from curator.storage.objects import put_object

        put_object(path, data)
        return
    temporary = path.with_name(f".{_writer()}-{path.name}")
    try:
        with open(temporary, "wb", opener=partial(os.open, mode=mode)) as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def publish(source: Path, target: AnyPath) -> None:
    """Give a local file its place in a run directory, where its folder is: it is there whole, or not at all."""
    if isinstance(target, StoragePath):
        from curator.storage.objects import put_file

        put_file(source, target)
        return
    source.replace(target)
    sync(target)


def hand_over(commit: Commit, suffix: str, target: AnyPath) -> None:
    """Give a file of a task its place in the run directory: by a rename, or by a copy within the storage, which leaves
    the task committed."""
    source = as_path(commit.place(suffix))
    if isinstance(source, StoragePath) and isinstance(target, StoragePath):
        from curator.storage.objects import copy_object

        copy_object(source, target)
    elif isinstance(source, Path) and isinstance(target, Path):
        source.replace(target)


def sync(path: Path) -> None:
    """Wait until a file that was written is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: AnyPath, mode: int = 0o777) -> AnyPath:
    """A folder, made if it is not there; a storage has no folders to make. UserError where that is not possible."""
    if isinstance(path, StoragePath):
        return path
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileNotFoundError as error:
        # Its parents were made a moment ago, or cannot be (as in /proc).
        raise UserError("cannot be made a folder", file=str(path), hint=ELSEWHERE) from error
    except (NotADirectoryError, FileExistsError) as error:
        raise UserError("cannot be made a folder: a file is in the way", file=str(path), hint=ELSEWHERE) from error
    except OSError as error:
        raise storage_error(error, path) from error
    return path
