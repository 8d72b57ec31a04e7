"""JSON lines straight into columns, where nothing about them is unusual.

Arrow's parser reads a block of lines four times as fast as one decoder call a line does, but one bad line spoils its
block, and it does not say which. So a block is taken only when everything that the slower way would treat in its own
manner is ruled out; else the slower way reads it again. The two give the same records.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.readers.base import RECORD_SCHEMA, Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from curator.readers.json_fields import Paths

MAX_BLOCK_BYTES = 1 << 30
"""Of a larger block the offsets of a string column might not fit into 32 bits."""

MAX_REFUSED = 2
"""After so many blocks in a row that were refused, the rest of a split is not tried: it is of another kind."""

MAX_DEPTH = 500
"""Deeper nesting is left to the slower way, which refuses what is deeper than Python's recursion limit."""

_FEED, _RETURN, _OPEN, _CLOSE = b"\n\r{}"
_NOT_CASE, _BRACKET = np.uint8(0xDF), np.uint8(0x5B)
"""`[` and `{` without the bit in which they differ."""
_PIECE_BYTES = 256 << 10
_BRACKETS = re.compile(rb"[\[\]{}]")
_INFINITY = re.compile(rb"Inf[ \t\r]*[],}]")
"""`Inf`, a number to Arrow alone, and what may follow a value."""


class ColumnParser:
    """Reads blocks of plain records: top-level fields alone, all of them strings."""

    def __init__(self, paths: Paths) -> None:
        self._names = {"text": paths.text, "id": paths.id, "source": paths.source, "lang": paths.lang}
        flat = all(len(path) == 1 for path in self._names.values())
        distinct = len(set(self._names.values())) == len(self._names)
        self._usable = flat and distinct and not paths.metadata
        self._refused = 0

    def parse(self, data: bytes | memoryview, begin: int) -> Records | None:
        """The records of whole lines that begin at byte `begin` of the file; None when the block is not plain."""
        if not self._usable or self._refused >= MAX_REFUSED or len(data) > MAX_BLOCK_BYTES:
            return None
        starts = None if _INFINITY.search(data) else line_starts(data)
        records = None if starts is None else self._read(data, starts, begin)
        self._refused = self._refused + 1 if records is None else 0
        return records

    def _read(self, data: bytes | memoryview, starts: NDArray[np.int64], begin: int) -> Records | None:
        from pyarrow import json

        fields = {name: path[0] for name, path in self._names.items()}
        options = json.ParseOptions(
            explicit_schema=pa.schema([(field, pa.string()) for field in fields.values()]),
            unexpected_field_behavior="ignore",
        )
        try:
            table = json.read_json(
                pa.BufferReader(data),
                read_options=json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=options,
            )
        except pa.ArrowInvalid:
            return None
        if len(table) != len(starts) or table[fields["text"]].null_count:
            return None
        # One block is one chunk; to combine one is to copy it.
        columns = {name: table[field].chunk(0) for name, field in fields.items()}
        try:
            # Arrow takes bytes that are not UTF-8, and lone low surrogates, as they are.
            for column in columns.values():
                column.validate(full=True)
        except pa.ArrowInvalid:
            return None
        batch = pa.RecordBatch.from_arrays(
            [
                columns["text"].cast(pa.binary()),
                *(_unless_empty(columns[name]) for name in ("id", "source", "lang")),
                pa.array(starts + begin),
                pa.nulls(len(starts), pa.string()),
            ],
            schema=RECORD_SCHEMA,
        )
        return Records(batch, ())


def line_starts(data: bytes | memoryview) -> NDArray[np.int64] | None:
    """Where each line begins, None unless each of them looks like one object: `{` first, `}` last, no deep nesting.

    Two objects in a line and one object in two lines, which Arrow would read, could hide each other in the number of
    rows. But an object cannot be cut where `}` stands before the line end and `{` behind it: between the two there
    would have to be a comma. Brackets in strings count along; they only make the answer None more often.
    """
    array = np.frombuffer(data, dtype=np.uint8)
    ends = _places(array, lambda piece: piece == _FEED)
    if len(array) and array[-1] != _FEED:
        ends = np.append(ends, len(array))
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    last = ends - 1
    if len(ends) == 0 or (last <= starts).any():
        return None
    last = last - (array[last] == _RETURN)
    plain = (last > starts) & (array[starts] == _OPEN) & (array[last] == _CLOSE)
    if not plain.all():
        return None
    opens = _places(array, lambda piece: piece & _NOT_CASE == _BRACKET)
    deep = np.flatnonzero(np.diff(np.searchsorted(opens, np.append(starts, len(array)))) > MAX_DEPTH)
    too_deep = any(_depth(data[starts[line] : ends[line]]) > MAX_DEPTH for line in deep.tolist())
    return None if too_deep else starts


def _places(array: NDArray[np.uint8], mask: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Where `mask` holds. By pieces: masks of a whole block would be megabytes of new memory each, three quarters of
    the time."""
    found = [np.empty(0, np.int64)]
    for begin in range(0, len(array), _PIECE_BYTES):
        found.append(np.flatnonzero(mask(array[begin : begin + _PIECE_BYTES])) + begin)
    return np.concatenate(found)


def _depth(line: bytes | memoryview) -> int:
    """How deep the brackets of a line are nested, those in strings counted along."""
    depth = most = 0
    for bracket in _BRACKETS.finditer(line):
        depth = depth + 1 if bracket[0] in b"[{" else max(depth - 1, 0)
        most = max(most, depth)
    return most


def _unless_empty(column: pa.StringArray) -> pa.StringArray:
    """The column with null for empty strings."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
