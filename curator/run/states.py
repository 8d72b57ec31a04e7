"""Fitted states as files: named arrays in an .npz archive, read without pickle."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from curator.stage import State
from curator.storage.spool import local_file


def load_state(path: str) -> State:
    """A fitted state from the place of its file; each process reads it once."""
    file = local_file(path)
    status = file.stat()
    return _load(str(file), status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=8)
def _load(path: str, _mtime_ns: int, _inode: int) -> State:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def write_state(path: Path, state: State) -> None:
    """Write a fitted state: the same bytes for the same arrays."""
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        name: np.asarray(array) for name, array in state.items()
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
