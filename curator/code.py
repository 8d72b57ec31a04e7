"""The source code that results depend on, hashed: what a stage's scores were made with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import blake3

from curator.stage import Parameters, Stage


def stage_files(stage: type[Stage[Parameters]]) -> list[Path]:
    """The files of a stage: its module, or its folder where it has one of its own, data included."""
    module = sys.modules[stage.__module__]
    file = Path(module.__file__ or "")
    return files_below(file.parent) if module.__name__.count(".") >= 2 else [file]


def files_below(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, sorted, less what Python compiles; none where it is no folder."""
    return sorted(_below(folder)) if folder.is_dir() else []


def _below(folder: Path | str) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _below(entry.path)
            elif entry.is_file():
                yield Path(entry.path)


def hash_files(paths: Sequence[Path]) -> str:
    """BLAKE3 of the names and bytes of files."""
    hasher = blake3.blake3()
    for path in paths:
        data = path.read_bytes()
        hasher.update(f"{path.name}\0{len(data)}\0".encode())
        hasher.update(data)
    return hasher.hexdigest()
