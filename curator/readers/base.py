"""What a reader is: it says how a file is cut into splits, and turns a split into records.

Splits depend on the file and the reader's options alone, never on workers or memory. A file that can be entered at any
place (plain JSONL, Parquet) yields splits by place; a stream that can be read only from its beginning (compressed, CSV
whose quotes enclose fields, WARC) yields splits that carry their bytes: one producer reads it, the workers get blocks
of whole records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

RECORD_SCHEMA = pa.schema(
    [
        pa.field("text", pa.binary(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("lang", pa.string()),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("metadata", pa.string()),
    ]
)
"""Records as found: `text` is bytes that should be UTF-8 and may not be; `position` is the byte offset of the record
in the (decompressed) file, or the row number in a Parquet file; `metadata` is a JSON object of the fields asked for."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input: where it lies (a path or a URL), its name relative to the input (part of every key), what it
    was when the run began; `etag` of an object."""

    path: str
    name: str
    size: int
    mtime_ns: int
    format: str
    compression: str
    etag: str | None = None


@dataclass(frozen=True)
class Fields:
    """Which field of a record holds what. A field with dots names a nested one (`meta.url`)."""

    text: str = "text"
    id: str = "id"
    source: str = "source"
    lang: str = "lang"
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """What the recipe says about reading, the same for every file of a run."""

    fields: Fields = field(default_factory=Fields)
    sample_by: str = "line"
    quotes: str = "enclose"
    repair: bool = True
    max_document_bytes: int = 64 << 20
    batch_bytes: int = 4 << 20


@dataclass(frozen=True)
class Split:
    """A piece of a file that one task reads. `begin` and `end` count bytes of the (decompressed) file, or row groups
    of a Parquet file. `data` holds the bytes of a stream's block; None where the reader goes to the file itself.

    `consumed` tells progress: the bytes of the file as it lies that had been read when the split was cut, None where
    the reader cannot tell. `failures` are records that the producer of a stream could not put into a block (a document
    over the limit, the torn end of a truncated file). `size` is about how many bytes there are to read, where neither
    `data` nor `begin` and `end` show it.
    """

    file: InputFile
    index: int
    begin: int
    end: int
    first_line: int | None = None
    data: bytes | None = None
    failures: tuple[Failure, ...] = ()
    consumed: int | None = None
    size: int | None = None

    @property
    def weight(self) -> int:
        """About how many bytes there are to read."""
        if self.size is not None:
            return self.size
        return self.end - self.begin if self.data is None else len(self.data)


@dataclass(frozen=True)
class Failure:
    """A record that could not be read: where it stands, a stable code, the SHA-256 of its bytes; never its content."""

    position: int
    line: int | None
    code: str
    digest: str


@dataclass(frozen=True)
class Note:
    """What was done to a record that was read, or is doubtful about it: where it stands, and a stable code."""

    position: int
    code: str


@dataclass(frozen=True)
class Records:
    """Some records of a split, in order, the failures found between them, and notes on those that were read."""

    records: pa.RecordBatch
    failures: tuple[Failure, ...] = ()
    notes: tuple[Note, ...] = ()


class Reader(Protocol):
    """One format. Found by the entry point group `curator.readers` under the name that a recipe uses."""

    name: str

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """The splits of a file, in order. Lazy: a stream is read as far as the caller asks."""
        ...

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """The records of a split in batches of about `options.batch_bytes` of text."""
        ...

    def digest(self, split: Split) -> str:
        """BLAKE3 (hex) of the bytes of the file that the split covers."""
        ...
