"""Fitted states as files: arrays in NumPy's own format one behind the other, the first of which has their names.

A zip archive (`.npz`) would sum up all bytes twice: the forests of a run of 100 MB took 30 ms to write and read.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from curator.stage import State
from curator.storage.spool import local_file


def load_state(path: str) -> State:
    """A fitted state from the place of its file; each process reads it once. ValueError where the file is damaged."""
    file = local_file(path)
    status = file.stat()
    return _load(str(file), status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=8)
def _load(path: str, _mtime_ns: int, _inode: int) -> State:
    with Path(path).open("rb") as file:
        names = np.lib.format.read_array(file, allow_pickle=False).tolist()
        state = {name: np.lib.format.read_array(file, allow_pickle=False) for name in names}
        if file.read(1):
            raise ValueError(f"{path} goes on behind its last array")
    return state


def write_state(path: Path, state: State) -> None:
    """Write a fitted state: the same bytes for the same arrays. ValueError for an array of Python's objects."""
    with path.open("wb") as file:
        for array in (np.array(list(state), dtype=np.str_), *map(np.asarray, state.values())):
            np.lib.format.write_array(file, array, allow_pickle=False)
