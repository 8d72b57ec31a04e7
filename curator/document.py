"""Documents, and the batches in which stages see them.

A document never changes. What a stage says of it (columns, verdicts) stands beside it, joined by row. A batch is an
Arrow record batch of documents, cut by bytes at places that depend on the input alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.sources import group_sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units

DOCUMENT_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("parent", pa.string()),
        pa.field("method", pa.string()),
        pa.field("engine", pa.string()),
        pa.field("metadata", pa.string()),
    ]
)
"""One row a document. `lang` is a BCP 47 tag, a tag kept verbatim, or `und`; `source` is what the record named, else
the recipe's; `file` is relative to the input; `position` is the record's place in it (see the readers); `parent` is
the id of the document that a child was derived from, `method` and `engine` how; `metadata` is JSON. Where the recipe
maps sources to groups, the schema of its documents says so in its metadata (see `curator.sources`)."""

UNDETERMINED = "und"


@dataclass(frozen=True)
class Codes:
    """A column of few distinct strings, dictionary-encoded: row i has `names[codes[i]]`."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Rows that have this name: bool[rows]."""
        if name not in self.names:
            return np.zeros(len(self.codes), dtype=np.bool_)
        found: NDArray[np.bool_] = self.codes == self.names.index(name)
        return found

    def lookup(self, values: Sequence[float]) -> NDArray[np.float64]:
        """For each row the entry of `values` (one per name): float64[rows]."""
        return np.asarray(values, dtype=np.float64)[self.codes] if self.names else np.zeros(0)


MIXTURE = ("language.dominant", "language.second")
"""The columns that name the two languages of most letters of a document that mixes several, null elsewhere."""


class Batch:
    """Documents as stages see them, with the views that several stages share, each computed once. `languages` are the
    columns `language.*` of these rows, as far as the caller has them.

    Of a selection of rows only those columns are made that somebody asks for: a stage asks for few of them.
    """

    def __init__(self, documents: pa.RecordBatch, languages: Mapping[str, pa.Array] | None = None) -> None:
        self._source = documents
        self._mixture = {name: languages[name] for name in MIXTURE if name in languages} if languages else {}
        self._rows: pa.Array | None = None
        self._columns: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return int(self._source.num_rows if self._rows is None else len(self._rows))

    @cached_property
    def documents(self) -> pa.RecordBatch:
        """All columns; `column` makes less work where one is enough."""
        if self._rows is None:
            return self._source
        return pa.RecordBatch.from_arrays([*map(self.column, self._source.schema.names)], schema=self._source.schema)

    def column(self, name: str) -> pa.Array:
        """One column of the documents. KeyError where there is none."""
        if name not in self._columns:
            column = self._source.column(name)
            self._columns[name] = column if self._rows is None else column.take(self._rows)
        return self._columns[name]

    @property
    def text(self) -> pa.StringArray:
        """The texts: string[rows]. Absent (KeyError) in a pass whose stages declared that they need no text."""
        return self.column("text")

    @cached_property
    def text_buffer(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The UTF-8 bytes of all texts, and where each begins: (uint8[bytes], int64[rows + 1]). Offsets index the bytes
        array directly; they need not begin at 0."""
        return string_buffer(self.text)

    @cached_property
    def units(self) -> Units:
        """The units (see `curator.text.segment`) of all texts, segmented once for every stage that needs them."""
        from curator.text.segment import segment

        return segment(*self.text_buffer)

    @cached_property
    def content_hashes(self) -> NDArray[np.uint64]:
        """A 128-bit hash of what each text says, made once for all that ask: uint64[rows, 2]."""
        from curator.text.content import content_hashes

        return content_hashes(self.units, *self.text_buffer)

    @cached_property
    def languages(self) -> Codes:
        """The language by which lists, thresholds and models are chosen: the primary subtag of `lang`, `und` where the
        tag is not valid BCP 47."""
        encoded = encode(self.column("lang"))
        return _rename(encoded, [_list_name(name) for name in encoded.names])

    @cached_property
    def mixed_languages(self) -> tuple[Codes, ...]:
        """The languages that documents demonstrably mix, as `languages` has them, `und` in documents that mix none.
        Empty where nobody looked."""
        found = []
        for every in self._mixture.values():
            column = every if self._rows is None else every.take(self._rows)
            encoded = encode(pc.fill_null(column, UNDETERMINED))
            found.append(_rename(encoded, [_list_name(name) for name in encoded.names]))
        return tuple(found)

    @cached_property
    def source_groups(self) -> Codes:
        """The groups of the sources (see `curator.sources`)."""
        return encode(group_sources(self.column("source"), self._source.schema.metadata))

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """The keys as two 64-bit words: uint64[rows, 2]."""
        column = self.column("key")
        raw = np.frombuffer(column.buffers()[1], dtype=np.uint64)
        return raw[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)

    def select(self, rows: NDArray[np.int64] | NDArray[np.int32]) -> Batch:
        """The batch of these rows."""
        index = pa.array(rows)
        batch = Batch(self._source, self._mixture)
        batch._rows = index if self._rows is None else self._rows.take(index)
        return batch


def string_buffer(column: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The UTF-8 bytes behind a string column without nulls, and its offsets into them: (uint8[bytes], int64[rows +
    1])."""
    _, offsets_buffer, data_buffer = column.buffers()
    if len(column) == 0:
        return np.zeros(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    wide = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    every = np.frombuffer(offsets_buffer, dtype=np.int64 if wide else np.int32)
    offsets: NDArray[np.int64] = every[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, dtype=np.uint8)
    return data, offsets


def encode(column: pa.StringArray) -> Codes:
    """A string column, dictionary-encoded."""
    encoded = pc.dictionary_encode(column)
    return Codes(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32), tuple(encoded.dictionary.to_pylist()))


def _list_name(tag: str) -> str:
    from curator.language.tags import list_language

    return list_language(tag)


def _rename(encoded: Codes, names: Sequence[str]) -> Codes:
    distinct = list(dict.fromkeys(names))
    number = {name: place for place, name in enumerate(distinct)}
    place = np.array([number[name] for name in names], dtype=np.int32)
    codes = place[encoded.codes] if len(names) else encoded.codes
    return Codes(codes, tuple(distinct))
