"""What is made once on a machine and kept beside the source, in `__pycache__`, or in a folder of `NUMBA_CACHE_DIR`, as
Numba's own files are.

A file is a hash of the rest, and the rest. Nothing depends on that it can be written; one that is damaged is as if it
were not there. Whoever may write there says what is run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path

from blake3 import blake3

_DIGEST_BYTES = 16
_HEAD_BYTES = 48


def folder_beside(source: Path) -> Path:
    """Where that is kept which is made from a source file."""
    sources = source.absolute().parent
    kept = os.environ.get("NUMBA_CACHE_DIR")
    return Path(kept, f"{sources.name}_{digest(bytes(sources))}") if kept else sources / "__pycache__"


def digest(content: bytes) -> str:
    """A hash for a name, hexadecimal."""
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def read_kept(path: Path) -> memoryview:
    """What was written there, which begins at a multiple of 16 bytes in memory, and may be written over; nothing where
    nothing is, or not as it was written."""
    try:
        with path.open("rb") as file:
            whole = bytearray(os.fstat(file.fileno()).st_size)
            file.readinto(whole)
    except OSError:
        return memoryview(b"")
    rest = memoryview(whole)[_HEAD_BYTES:]
    return rest if whole[:_HEAD_BYTES] == _head(rest) else memoryview(b"")


def write_kept(path: Path, content: bytes) -> None:
    """Keep what was made, where that can be written."""
    beside = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(_head(content) + content)
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()


def _head(content: bytes | memoryview) -> bytes:
    return blake3(content).hexdigest(length=_DIGEST_BYTES).encode().ljust(_HEAD_BYTES - 1) + b"\n"
