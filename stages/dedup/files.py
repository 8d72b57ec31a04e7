"""Rows of 64-bit words in files of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from curator.run.store import Commit


def append_rows(file: BinaryIO, rows: NDArray[np.uint64]) -> int:
    """Write rows at the end of a file; how many they are."""
    np.ascontiguousarray(rows, dtype=np.uint64).tofile(file)
    return len(rows)


def load_rows(commits: Sequence[Commit], suffix: str, width: int) -> NDArray[np.uint64]:
    """The rows that several tasks wrote, one task after the other: uint64[n, width]."""
    found = [np.fromfile(commit.path(suffix), dtype=np.uint64).reshape(-1, width) for commit in commits]
    return np.concatenate([np.zeros((0, width), dtype=np.uint64), *found])
