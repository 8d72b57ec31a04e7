"""Rows of Arrow batches as records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.document import string_buffer
from curator.errors import UserError
from curator.readers.base import RECORD_SCHEMA, Failure, Fields, ReadOptions, Records
from curator.readers.batches import digest_record
from curator.readers.blocks import TOO_LARGE

BAD_ENCODING = "parquet.encoding"
MISSING = "field.missing"

_ENCODING_ERRORS = (UnicodeDecodeError, pa.ArrowInvalid)


@dataclass(frozen=True)
class Columns:
    """Where in a schema the fields are: a column, and the structs inside it that lead to the field."""

    text: tuple[str, ...]
    id: tuple[str, ...] | None
    source: tuple[str, ...] | None
    lang: tuple[str, ...] | None
    metadata: Mapping[str, tuple[str, ...]]

    @staticmethod
    def find(schema: pa.Schema, fields: Fields, file: str) -> Columns:
        """The places of the fields. UserError when there is no text, or it is none."""
        text = _find(schema, fields.text)
        if text is None:
            raise UserError(
                f"has no column {fields.text!r} for the text; it has {', '.join(map(repr, schema.names))}",
                file=file,
                hint="name one with --set input.fields.text=NAME",
            )
        kind = _type_at(schema, text)
        if not _is_text(kind):
            raise UserError(
                f"has no text in column {fields.text!r} but {kind}",
                file=file,
                hint=f"name another of {', '.join(map(repr, schema.names))} with --set input.fields.text=NAME",
            )
        metadata = {name: _find(schema, name) for name in fields.metadata}
        return Columns(
            text,
            _find(schema, fields.id),
            _find(schema, fields.source),
            _find(schema, fields.lang),
            {name: path for name, path in metadata.items() if path is not None},
        )

    @property
    def text_path(self) -> str:
        """Where the text is, as Parquet names it."""
        return ".".join(self.text)

    @property
    def names(self) -> list[str]:
        """What to read, as Parquet names it."""
        paths = (self.text, self.id, self.source, self.lang, *self.metadata.values())
        return sorted({".".join(path) for path in paths if path is not None})


def read_rows(batch: pa.RecordBatch, columns: Columns, row: int, options: ReadOptions) -> Iterator[Records]:
    """The records of a batch whose first row has number `row`, in pieces of about `options.batch_bytes` of text."""
    texts = _column(batch, columns.text)
    begin = 0
    before = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(_lengths(texts))))
    while begin < batch.num_rows:
        end = int(np.searchsorted(before, before[begin] + options.batch_bytes, side="left"))
        end = min(max(end, begin + 1), batch.num_rows)
        piece = _as_binary(texts.slice(begin, end - begin))
        yield _read_piece(batch.slice(begin, end - begin), piece, columns, row + begin, options)
        begin = end


def _read_piece(batch: pa.RecordBatch, texts: pa.Array, columns: Columns, row: int, options: ReadOptions) -> Records:
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    codes: dict[int, str] = dict.fromkeys(
        np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False)).tolist(), MISSING
    )
    codes.update(dict.fromkeys(np.flatnonzero(lengths > options.max_document_bytes).tolist(), TOO_LARGE))
    labels = []
    for path, kind in ((columns.id, _identifiers), (columns.source, _labels), (columns.lang, _labels)):
        values = pa.nulls(batch.num_rows, pa.string()) if path is None else kind(_column(batch, path))
        values, damaged = _only_utf8(values)
        codes.update(dict.fromkeys(damaged, BAD_ENCODING))
        labels.append(pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values))
    metadata, damaged = _metadata(batch, columns)
    codes.update(dict.fromkeys(damaged, BAD_ENCODING))
    positions = pa.array(np.arange(row, row + batch.num_rows))
    records = pa.RecordBatch.from_arrays([texts, *labels, positions, metadata], names=RECORD_SCHEMA.names)
    failures = tuple(
        Failure(row + place, None, code, digest_record(texts[place].as_py() or b""))
        for place, code in sorted(codes.items())
    )
    if codes:
        good = np.ones(batch.num_rows, dtype=np.bool_)
        good[list(codes)] = False
        records = records.filter(pa.array(good))
    return Records(records.cast(RECORD_SCHEMA), failures)


def _find(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    for path in ((name,), tuple(name.split("."))):
        if _type_at(schema, path) is not None:
            return path
    return None


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    if schema.get_field_index(path[0]) < 0:
        return None
    kind = schema.field(path[0]).type
    for name in path[1:]:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _column(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    column = batch.column(path[0])
    return pc.struct_field(column, list(path[1:])) if len(path) > 1 else column


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(test(kind) for test in tests)


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    """The bytes of each text, 0 for null: int64[rows]."""
    if pa.types.is_dictionary(texts.type):
        lengths = pc.binary_length(_as_binary(texts.dictionary)).take(texts.indices)
    else:
        lengths = pc.binary_length(_as_binary(texts))
    found: NDArray[np.int64] = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _as_binary(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.binary_view())
    return column.cast(pa.binary())


def _labels(column: pa.Array) -> pa.Array:
    """A source or lang as strings that may not be UTF-8; null where the column is not text."""
    if not _is_text(column.type):
        return pa.nulls(len(column), pa.string())
    binary = _as_binary(column)
    return pa.Array.from_buffers(pa.string(), len(binary), binary.buffers(), offset=binary.offset)


def _identifiers(column: pa.Array) -> pa.Array:
    """Numbers in decimal, UUIDs in their usual form; null for what is neither of these nor text, nor a number."""
    if isinstance(column.type, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return column.cast(pa.string()) if any(test(column.type) for test in numbers) else _labels(column)


def _only_utf8(values: pa.StringArray) -> tuple[pa.StringArray, list[int]]:
    """The strings, with null for those that are not UTF-8; and their rows."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        pass
    else:
        return values, []
    data, offsets = string_buffer(values)
    damaged = []
    for place in range(len(values)):
        try:
            data[offsets[place] : offsets[place + 1]].tobytes().decode()
        except UnicodeDecodeError:
            damaged.append(place)
    bad = np.zeros(len(values), dtype=np.bool_)
    bad[damaged] = True
    return pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), values), damaged


def _metadata(batch: pa.RecordBatch, columns: Columns) -> tuple[pa.Array, list[int]]:
    """A JSON object a row, and the rows whose values are not UTF-8. Dates become ISO 8601, bytes base64, NaN null."""
    if not columns.metadata:
        return pa.nulls(batch.num_rows, pa.string()), []
    arrays = {name: _column(batch, path) for name, path in columns.metadata.items()}
    values: list[str | None] = []
    damaged = []
    for place in range(batch.num_rows):
        try:
            row = {name: array[place].as_py() for name, array in arrays.items()}
            values.append(msgspec.json.encode(row).decode())
        except _ENCODING_ERRORS:
            values.append(None)
            damaged.append(place)
    return pa.array(values, pa.string()), damaged
