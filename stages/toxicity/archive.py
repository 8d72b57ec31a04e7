"""Model files: .npz archives of plain arrays with a digest. Nothing in one is run (no pickle)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3

from curator.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What reading a damaged archive raises: wrong header, size, flags, method, checksum."""


@dataclass(frozen=True)
class ModelFile:
    """What a kind of model file is called in an error (`called`), and what to do about one that cannot be used."""

    called: str
    hint: str

    def unusable(self, path: Path, what: str) -> UserError:
        """The error that says what is wrong with a file."""
        return UserError(f"{self.called} {what}", stage="toxicity", file=str(path), hint=self.hint)

    def read(self, path: Path, names: set[str]) -> dict[str, NDArray[np.generic]]:
        """The arrays of a file, which must be `names` and agree with the digest. UserError if the file is missing,
        damaged, altered, unsafe (pickle), or has other arrays."""
        try:
            if not zipfile.is_zipfile(path) and path.exists():
                raise self.unusable(path, "is not an .npz file")
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except FileNotFoundError as error:
            raise self.unusable(path, "does not exist") from error
        except _DAMAGE as error:
            raise self.unusable(path, "is not an .npz file of plain arrays") from error
        expected = names | {"digest"}
        if set(arrays) != expected:
            raise self.unusable(path, f"has the arrays {sorted(arrays)}, expected are {sorted(expected)}")
        return arrays

    def check_digest(self, path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
        """UserError if the arrays are not those that were written; takes the digest out of them."""
        if arrays.pop("digest").tolist() != _digest(arrays):
            raise self.unusable(path, "is not what was written: its contents do not match its digest")


def write_archive(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Write arrays and their digest. The same arrays give the same bytes."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, digest=np.array(_digest(arrays)))


def _digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    hasher = blake3()
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return str(hasher.hexdigest())
