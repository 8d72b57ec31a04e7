"""Files for reader tests: written, compressed, read back to plain Python."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import zstandard

from curator.readers.base import Failure, InputFile, Reader, ReadOptions, Split
from curator.readers.head import wide_encoding
from curator.readers.streams import compression_of

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@cache
def xz_of_window(data: bytes, window_bytes: int) -> bytes:
    """An .xz file that takes so much memory to unpack, made in the mode that needs a tenth of the time for it."""
    fast = {"mode": lzma.MODE_FAST, "mf": lzma.MF_HC3, "nice_len": 4}
    return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": window_bytes, **fast}])


def input_file(path: Path, format_name: str = "jsonl") -> InputFile:
    """A file as the run would see it."""
    about = path.stat()
    with path.open("rb") as handle:
        compression = compression_of(handle.read(16))
    return InputFile(str(path), path.name, about.st_size, about.st_mtime_ns, format_name, compression)


def is_plain_utf8(data: bytes) -> bool:
    """Whether a file of these bytes is taken for neither compressed nor UTF-16, by accident."""
    return compression_of(data) == "none" and wide_encoding(data) is None


@dataclass(frozen=True)
class Found:
    """What a reader found: (position, text) in the order of delivery, (position, code) of failures and of notes by
    position; and the splits."""

    records: list[tuple[int, bytes]]
    failures: list[tuple[int, str]]
    details: list[Failure]
    rows: list[dict[str, object]]
    splits: list[Split]
    notes: list[tuple[int, str]]


def read_file(reader: Reader, file: InputFile, options: ReadOptions, split_bytes: int = 1 << 20) -> Found:
    """Read a whole file, split by split."""
    found = Found([], [], [], [], [], [])
    for split in reader.splits(file, options, split_bytes):
        found.splits.append(split)
        found.details.extend(split.failures)
        for part in reader.read(split, options):
            rows = part.records.to_pylist()
            found.rows.extend(rows)
            found.records.extend((row["position"], row["text"]) for row in rows)
            found.details.extend(part.failures)
            found.notes.extend((note.position, note.code) for note in part.notes)
    found.details.sort(key=lambda failure: failure.position)
    found.failures.extend((failure.position, failure.code) for failure in found.details)
    return found


def read_bytes(
    reader: Reader, data: bytes, options: ReadOptions, split_bytes: int = 1 << 20, compression: str = "none"
) -> Found:
    """Write `data` (compressed, if asked for) to a file and read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        path.write_bytes(COMPRESS[compression](data))
        return read_file(reader, input_file(path, reader.name), options, split_bytes)
