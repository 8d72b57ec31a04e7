"""Fitted states as files: named arrays, one behind the other, after one line of JSON that says what they are.

A zip archive of NumPy's would sum up all bytes twice: the forests of a run of 100 MB took 30 ms to write and read.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from curator.stage import State
from curator.storage.spool import local_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALIGNED = 64
"""Each array begins at a multiple of so many bytes."""

_Entry = tuple[str, str, list[int]]
"""An array: name, dtype, shape."""


def load_state(path: str) -> State:
    """A fitted state from the place of its file; each process reads it once. ValueError where the file is damaged."""
    file = local_file(path)
    status = file.stat()
    return _load(str(file), status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=8)
def _load(path: str, _mtime_ns: int, _inode: int) -> State:
    with Path(path).open("rb") as file:
        header = file.readline()
        entries = cast("list[_Entry]", json.loads(header))
        data = np.fromfile(file, dtype=np.uint8)
    state: dict[str, NDArray[np.generic]] = {}
    place = 0
    for name, kind, shape in entries:
        dtype = np.dtype(kind)
        end = place + dtype.itemsize * math.prod(shape)
        state[name] = data[place:end].view(dtype).reshape(shape)
        place = end + _padding(end)
    if place != len(data):
        raise ValueError(f"{path} is no whole state")
    return state


def write_state(path: Path, state: State) -> None:
    """Write a fitted state: the same bytes for the same arrays. TypeError for an array of Python's objects."""
    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in state.items()}
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError("a state has an array of objects")
    entries: list[_Entry] = [(name, array.dtype.str, list(array.shape)) for name, array in arrays.items()]
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(header + b"\n")
        for array in arrays.values():
            array.tofile(file)
            file.write(bytes(_padding(array.nbytes)))


def _padding(size: int) -> int:
    return -size % _ALIGNED
