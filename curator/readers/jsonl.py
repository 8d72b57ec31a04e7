"""JSON Lines: one JSON object a line.

A plain file is cut at fixed byte offsets, a compressed one is read by one producer. A line ends with LF; a CR before it
is white space to JSON. Blank lines are no records. Fields that nobody asked for are skipped unread. Of a key that is
there twice, the last counts (as RFC 8259, section 4, says much software does). `NaN` and `Infinity`, which Python's
json writes, are accepted. A number as id becomes its decimal string; an id, source or lang of another type counts as
missing.

Damaged encoding: where only the text is damaged, bytes that are not UTF-8 are kept as they are, so that normalisation
can repair or refuse them; where another field that was asked for is damaged, the record fails with `json.encoding`. An
escape of half a surrogate pair, as cutting an emoji in two leaves, becomes U+FFFD in every field, with the note
`json.surrogate`. Without `repair` it is damage: in the text its three bytes (WTF-8), which normalisation refuses.

Failures: json.invalid, json.not_object, json.encoding, field.missing, field.type, document.too_large.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from curator.errors import UserError
from curator.readers.base import Failure, Fields, InputFile, Note, ReadOptions, Records, Split
from curator.readers.batches import digest_record, make_records, only_failures
from curator.readers.blocks import Block, LineEnds, line_blocks, plain_splits, stream_splits
from curator.readers.digests import Digests
from curator.readers.head import UTF8_BOM, check_text_head
from curator.readers.json_fields import (
    UNSET,
    Paths,
    damaged_bytes,
    has_surrogates,
    identifier,
    label,
    layout,
    metadata_json,
    walk,
    without_halves,
)

_Columns: TypeAlias = "tuple[list[object], list[str | None], list[str | None], list[str | None], list[str | None]]"

SURROGATE = "json.surrogate"

_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JsonlReader:
    """Reads JSON Lines."""

    name = "jsonl"

    def __init__(self) -> None:
        self._digests = Digests()

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`. UserError, at once, for a file that is one JSON array or not UTF-8 but UTF-16."""
        if check_text_head(file).lstrip().startswith(b"["):
            path = shlex.quote(file.path)
            raise UserError(
                "is a JSON array, not one JSON object a line",
                file=file.name,
                hint=f"convert it: jq -c '.[]' {path} > {path.removesuffix('.json')}.jsonl",
            )
        if file.compression == "none":
            return plain_splits(file, split_bytes)
        return stream_splits(file, LineEnds(), options, split_bytes)

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        from curator.readers.json_columns import ColumnParser

        parser = _Parser(options.fields, repair=options.repair)
        columns = ColumnParser(parser.paths)
        for block in line_blocks(split, options):
            if block.covered is not None:
                self._digests.know(split, block.covered)
            if block.failures:
                yield only_failures(block.failures)
            if block.buffer:
                plain = columns.parse(block.buffer, block.data_begin)
                yield parser.parse(block) if plain is None else plain

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        return self._digests.of(split)


class _Row(NamedTuple):
    """One record; its text as damaged bytes or as str without surrogates."""

    text: object
    id: str | None
    source: str | None
    lang: str | None
    metadata: str | None


class _BadRecordError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Parser:
    """Turns lines into records for one choice of fields.

    A line is decoded into a typed struct, which skips what was not asked for; the structs of a block become columns
    together. A line that the struct refuses is read again by itself, which says why, or finds that it is good after
    all.
    """

    def __init__(self, fields: Fields, *, repair: bool) -> None:
        self._repair = repair
        self.paths = Paths.of(fields)
        self._layout = layout(self.paths)
        self._decode_any = msgspec.json.Decoder().decode
        self._decode = _refuse if self._layout is None else msgspec.json.Decoder(self._layout.struct).decode

    def parse(self, block: Block) -> Records:
        """The records of a block, and its failures."""
        data, begin = block.data, block.data_begin
        if begin == 0 and data.startswith(UTF8_BOM):
            data, begin = data[len(UTF8_BOM) :], len(UTF8_BOM)
        lines = data.split(b"\n")
        structs: list[msgspec.Struct] = []
        places: list[int] = []
        alone: list[tuple[int, _Row]] = []
        bad: list[tuple[int, str]] = []
        mended: list[int] = []
        for place, line in enumerate(lines):
            if not line or line.isspace():
                continue
            try:
                structs.append(self._decode(line))
                places.append(place)
            except _DECODE_ERRORS:
                try:
                    row, was_mended = self._read_alone(line)
                except _BadRecordError as error:
                    bad.append((place, error.code))
                    continue
                alone.append((place, row))
                if was_mended:
                    mended.append(place)
        starts = np.zeros(len(lines) + 1, dtype=np.int64)
        starts[1:-1] = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
        starts[-1] = len(data)
        columns, places = self._columns(structs, places, bad)
        if alone:
            columns, places = _merge(columns, places, alone)
        failures = tuple(
            Failure(
                begin + int(starts[place]),
                None if block.line is None else block.line + place,
                code,
                digest_record(data[starts[place] : starts[place + 1]]),
            )
            for place, code in sorted(bad)
        )
        notes = tuple(Note(begin + int(starts[place]), SURROGATE) for place in mended)
        texts, ids, sources, langs, metadata = columns
        return make_records(texts, ids, sources, langs, (starts[places] + begin).tolist(), metadata, failures, notes)

    def _columns(
        self, structs: list[msgspec.Struct], places: list[int], bad: list[tuple[int, str]]
    ) -> tuple[_Columns, list[int]]:
        """The columns of decoded lines and the places of their rows; lines without a text join `bad`."""
        if self._layout is None or not structs:
            return ([], [], [], [], []), []
        values, paths = self._layout.values, self.paths
        texts = values(paths.text, structs)
        if None in texts or UNSET in texts:
            keep = [row for row, text in enumerate(texts) if isinstance(text, str)]
            bad += [(places[row], "field.missing") for row, text in enumerate(texts) if not isinstance(text, str)]
            structs = [structs[row] for row in keep]
            places = [places[row] for row in keep]
            texts = [texts[row] for row in keep]
        metadata: list[str | None] = [None] * len(structs)
        if paths.metadata:
            rows = zip(*(values(path, structs) for path in paths.metadata.values()), strict=True)
            metadata = [metadata_json(dict(zip(paths.metadata, row, strict=True))) for row in rows]
        return (
            texts,
            [identifier(value) for value in values(paths.id, structs)],
            [label(value) for value in values(paths.source, structs)],
            [label(value) for value in values(paths.lang, structs)],
            metadata,
        ), places

    def _read_alone(self, line: bytes) -> tuple[_Row, bool]:
        """One line, whatever the types of its fields, and whether halves of surrogate pairs were replaced in it;
        _BadRecordError says what is wrong with it."""
        damaged = False
        try:
            record: object = self._decode_any(line)
        except _DECODE_ERRORS:
            try:
                decoded = line.decode()
            except UnicodeDecodeError:
                decoded, damaged = line.decode(errors="surrogateescape"), True
            try:
                record = json.loads(decoded)
            except (ValueError, RecursionError):
                raise _BadRecordError("json.invalid") from None
        if not isinstance(record, dict):
            raise _BadRecordError("json.not_object")
        text = walk(record, self.paths.text)
        if text is None or text is UNSET:
            raise _BadRecordError("field.missing")
        if not isinstance(text, str):
            raise _BadRecordError("field.type")
        labels = [walk(record, path) for path in (self.paths.id, self.paths.source, self.paths.lang)]
        values = {name: walk(record, path) for name, path in self.paths.metadata.items()}
        fields = text, labels, values
        try:
            if self._repair:
                text, labels, values = without_halves(fields, escaped_bytes=damaged)
            metadata = metadata_json(values)
        except UnicodeEncodeError:
            raise _BadRecordError("json.encoding") from None
        except RecursionError:
            raise _BadRecordError("json.invalid") from None
        if any(map(has_surrogates, labels)):
            raise _BadRecordError("json.encoding")
        row = _Row(
            damaged_bytes(text, escaped_bytes=damaged) if has_surrogates(text) else text,
            identifier(labels[0]),
            label(labels[1]),
            label(labels[2]),
            metadata,
        )
        return row, (text, labels, values) != fields


def _refuse(_line: bytes) -> msgspec.Struct:
    """Stands for the decoder of a struct where there can be none."""
    raise msgspec.DecodeError


def _merge(columns: _Columns, places: list[int], alone: list[tuple[int, _Row]]) -> tuple[_Columns, list[int]]:
    """Columns with the rows of lines that were read by themselves put between the others, in the order of places."""
    rows = [*zip(places, zip(*columns, strict=True), strict=True), *alone]
    rows.sort(key=lambda row: row[0])
    texts, ids, sources, langs, metadata = map(list, zip(*(row for _, row in rows), strict=True))
    return (texts, ids, sources, langs, metadata), [place for place, _ in rows]
