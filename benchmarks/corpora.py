"""A corpus of the benchmarks: JSON lines, plain or in zstd."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard


def open_corpus(path: Path) -> IO[bytes]:
    """The decompressed bytes of a corpus. A path that is no file ends the program, with a sentence."""
    try:
        file = path.open("rb")
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}; a corpus is a file of JSON lines, plain or .zst (`make bench` builds one)")
    return zstandard.ZstdDecompressor().stream_reader(file) if path.suffix == ".zst" else file


def read_all(path: Path) -> bytes:
    """The decompressed bytes of a corpus, all of them."""
    with open_corpus(path) as stream:
        return stream.read()


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a corpus, one after the other."""
    with open_corpus(path) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            yield json.loads(line)
