"""CSV and TSV with a header: a document a row.

Where quotes enclose fields, in TSV too, a record's end can only be known from the beginning of the file (a quote may
hold line feeds), so that one producer reads it and hands out blocks of whole records. Where they are letters, each line
is a record and a plain file is cut at fixed byte offsets. Column names are taken as they stand: a dot does not nest. Of
two columns of one name the last counts. Blank lines are no records; an empty id, source or lang is missing; an empty
text is a text. The position is the byte offset of the row.

The text is kept byte for byte, so that normalisation can repair what is not UTF-8; a damaged field other than the text
fails the record with `csv.encoding`. A quote that is never closed takes in the rest of the file, as `csv.quote`; one
that takes in whole records, up to a quote with text behind it, fails with them. Text behind quotes on one line belongs
to the field; since it shows that quotes may be letters, there is the note `csv.text_behind_quote`.

Failures: csv.columns, csv.quote, csv.encoding, document.too_large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from curator.errors import UserError
from curator.readers.base import Fields, InputFile, ReadOptions, Records, Split
from curator.readers.batches import RecordBuilder, only_failures
from curator.readers.blocks import Block, LineEnds, RecordEnds, line_blocks, plain_splits, split_blocks, stream_splits
from curator.readers.csv_fields import (
    BROKEN_FIELD,
    NO_QUOTE,
    PLAIN,
    QUOTE,
    QUOTED,
    QUOTED_FIELD,
    RECORD,
    field_places,
    record_ends,
)
from curator.readers.digests import Digests
from curator.readers.head import UTF8_BOM, check_text_head
from curator.readers.streams import read_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN_QUOTE = "csv.quote"
TEXT_BEHIND_QUOTE = "csv.text_behind_quote"

_HEADER_BYTES = 1 << 16
"""A header longer than this is none."""
_LABELS = ("id", "source", "lang")
_CONVERT = "convert it: CSV has commas between them, TSV tabs"
_DELIMITERS = {
    "\t": ("tabs", "say --set input.format=tsv"),
    ",": ("commas", "say --set input.format=csv"),
    ";": ("semicolons", _CONVERT),
    "|": ("bars", _CONVERT),
}
"""Signs that a header of one name may have between several, and what to do then."""


class CsvReader:
    """Reads CSV."""

    name = "csv"
    delimiter = b","

    def __init__(self) -> None:
        self._digests = Digests()

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`. UserError, at once, when there is no column for the text, or lines end with CR alone."""
        self._header(file, options)
        if options.quotes == "enclose":
            return stream_splits(file, CsvEnds(self._dialect(options)), options, split_bytes)
        if file.compression == "none":
            return plain_splits(file, split_bytes)
        return stream_splits(file, LineEnds(), options, split_bytes)

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        header = self._header(split.file, options)
        if header is None:
            return
        dialect = self._dialect(options)
        for block in self._blocks(split, options, dialect):
            if block.covered is not None:
                self._digests.know(split, block.covered)
            if block.failures:
                yield only_failures(block.failures)
            if block.data:
                yield _read_rows(block, header, options.fields, dialect)

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        return self._digests.of(split)

    def _dialect(self, options: ReadOptions) -> Dialect:
        return Dialect(self.delimiter[0], QUOTE if options.quotes == "enclose" else NO_QUOTE)

    @staticmethod
    def _blocks(split: Split, options: ReadOptions, dialect: Dialect) -> Iterator[Block]:
        if dialect.quote == NO_QUOTE:
            return line_blocks(split, options)
        return split_blocks(split, options, lambda: CsvEnds(dialect, at_start=_data_begin(split) == 0))

    def _header(self, file: InputFile, options: ReadOptions) -> _Header | None:
        """The columns of the file, None when it has no line that is not blank."""
        check_text_head(file)
        head = read_head(file, _HEADER_BYTES)
        mark = len(UTF8_BOM) if head.startswith(UTF8_BOM) else 0
        data = head[mark:]
        dialect = self._dialect(options)
        ends, _ = record_ends(np.frombuffer(data, dtype=np.uint8), dialect.delimiter, dialect.quote, RECORD)
        begin = 0
        for end in [*ends.tolist(), len(data)]:
            if data[begin:end].strip(b" \t\r\n\v\f"):
                if end == _HEADER_BYTES - mark:
                    raise UserError(
                        f"has no line end in its first {_HEADER_BYTES} bytes",
                        file=file.name,
                        hint=f"is this {self.name.upper()} with a header?",
                    )
                return _parse_header(file, data[begin:end], mark + end, options.fields, dialect)
            begin = end
        return None


class TsvReader(CsvReader):
    """Reads TSV."""

    name = "tsv"
    delimiter = b"\t"


@dataclass(frozen=True)
class Dialect:
    """The byte that separates fields, and what is taken for a quote: QUOTE or NO_QUOTE."""

    delimiter: int
    quote: int


class CsvEnds(RecordEnds):
    """Finds where CSV records end (see `RecordEnds`); at the start of a file it passes over a byte order mark."""

    def __init__(self, dialect: Dialect, *, at_start: bool = True) -> None:
        self._dialect = dialect
        self._state = RECORD
        self._mark = UTF8_BOM if at_start else b""

    def ends(self, chunk: bytes) -> NDArray[np.int64]:
        """See `RecordEnds`."""
        passed = 0
        while self._mark and passed < len(chunk):
            if chunk[passed] != self._mark[0]:
                self._state = RECORD if len(self._mark) == len(UTF8_BOM) else PLAIN
                self._mark = b""
                break
            passed += 1
            self._mark = self._mark[1:]
        data = np.frombuffer(chunk, dtype=np.uint8)[passed:]
        ends, self._state = record_ends(data, self._dialect.delimiter, self._dialect.quote, self._state)
        return ends + passed

    def code_at_end(self) -> str:
        """See `RecordEnds`."""
        return OPEN_QUOTE if self._state == QUOTED else super().code_at_end()


@dataclass(frozen=True)
class _Header:
    """What the first row says: how many columns there are, which of them hold what, where the row ends in the file."""

    columns: int
    places: dict[str, int]
    end: int


def _parse_header(file: InputFile, row: bytes, end: int, fields: Fields, dialect: Dialect) -> _Header:
    try:
        names = [_decode_field(field) for field in _split_row(row, dialect)]
    except UnicodeDecodeError:
        raise UserError("has a header that is not UTF-8", file=file.name, hint="convert it with iconv") from None
    if any("\r" in name and "\n" not in name for name in names):
        raise UserError(
            "has carriage returns in its header: lines must end with LF or CR LF",
            file=file.name,
            hint="convert it: tr '\\r' '\\n' writes LF for each CR, and blank lines are no records",
        )
    if fields.text not in names:
        raise UserError(
            f"has no column {fields.text!r} for the text; it has {', '.join(map(repr, names))}",
            file=file.name,
            hint=_other_delimiter(names) or "name one with --set input.fields.text=NAME",
        )
    return _Header(len(names), {name: place for place, name in enumerate(names)}, end)


def _other_delimiter(names: list[str]) -> str | None:
    """What to do about a header of one name that looks like several."""
    for sign, (called, remedy) in _DELIMITERS.items():
        if len(names) == 1 and sign in names[0]:
            return f"where there are {called} between its columns, {remedy}"
    return None


def _split_row(row: bytes, dialect: Dialect) -> list[bytes]:
    """The fields of one record."""
    columns = row.count(dialect.delimiter) + 1
    data = np.frombuffer(row, dtype=np.uint8)
    ends = np.array([len(row)], dtype=np.int64)
    counts, places, kinds, _ = field_places(data, ends, dialect.delimiter, dialect.quote, np.arange(columns))
    return [_field(row, places[0, column], int(kinds[0, column])) for column in range(int(counts[0]))]


def _field(data: bytes, place: NDArray[np.int64], kind: int) -> bytes:
    """The content of a field that `field_places` found."""
    field = data[place[0] : place[1]]
    if kind == QUOTED_FIELD:
        return field.replace(b'""', b'"')
    if kind == BROKEN_FIELD:
        close = _closing_quote(field)
        return field[1:close].replace(b'""', b'"') + field[close + 1 :]
    return field


def _closing_quote(field: bytes) -> int:
    """Where the quote stands that closes the one with which a field begins."""
    close = field.index(b'"', 1)
    while field[close + 1 : close + 2] == b'"':
        close = field.index(b'"', close + 2)
    return close


def _has_text_behind_quote(data: bytes, places: NDArray[np.int64], kinds: NDArray[np.uint8]) -> bool:
    """Whether one of a row's fields shows what no writer of CSV sets: something other than blanks behind its quotes."""
    broken = (data[begin:end] for begin, end in places[kinds == BROKEN_FIELD].tolist())
    return any(field[_closing_quote(field) + 1 :].strip() for field in broken)


def _decode_field(field: bytes) -> str:
    return field.decode()


def _data_begin(split: Split) -> int:
    return split.end - len(split.data or b"")


def _read_rows(block: Block, header: _Header, fields: Fields, dialect: Dialect) -> Records:
    data = block.data
    ends = CsvEnds(dialect, at_start=block.data_begin == 0).ends(data)
    if not len(ends) or ends[-1] != len(data):
        ends = np.append(ends, len(data))
    names = {name: header.places[name] for name in _names(fields) if name in header.places}
    wanted = np.array(sorted(set(names.values())), dtype=np.int64)
    column = {name: int(np.searchsorted(wanted, place)) for name, place in names.items()}
    counts, places, kinds, open_quotes = field_places(
        np.frombuffer(data, dtype=np.uint8), ends, dialect.delimiter, dialect.quote, wanted
    )
    is_broken = (kinds == BROKEN_FIELD).any(axis=1)
    builder = RecordBuilder()
    begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1]))
    for row in np.flatnonzero((counts > 0) & (block.data_begin + begins >= header.end)).tolist():
        begin, end = int(begins[row]), int(ends[row])
        position = block.data_begin + begin
        code = OPEN_QUOTE if open_quotes[row] else "csv.columns" if counts[row] != header.columns else None
        if code is None:
            values = {name: _field(data, places[row, at], int(kinds[row, at])) for name, at in column.items()}
            try:
                _add_row(builder, position, values, fields)
                if is_broken[row] and _has_text_behind_quote(data, places[row], kinds[row]):
                    builder.note(position, TEXT_BEHIND_QUOTE)
            except UnicodeDecodeError:
                code = "csv.encoding"
        if code is not None:
            line = None if block.line is None else block.line + data.count(b"\n", 0, begin)
            builder.fail(position, line, code, data[begin:end])
    return builder.build()


def _names(fields: Fields) -> tuple[str, ...]:
    return (fields.text, fields.id, fields.source, fields.lang, *fields.metadata)


def _add_row(builder: RecordBuilder, position: int, values: dict[str, bytes], fields: Fields) -> None:
    """UnicodeDecodeError when a field other than the text is damaged."""
    labels = {name: values.get(getattr(fields, name), b"").decode() for name in _LABELS}
    metadata = {name: values[name].decode() for name in fields.metadata if name in values}
    builder.add(
        position,
        values[fields.text],
        id=labels["id"],
        source=labels["source"],
        lang=labels["lang"],
        metadata=msgspec.json.encode(metadata).decode() if metadata else None,
    )
