"""JSON lines straight into columns, where nothing about them is unusual.

A kernel reads a block of lines several times as fast as one decoder call a line does, but one bad line spoils its
block, and it does not say what is wrong. So a block is taken only when everything that the slower way would treat in
its own manner is ruled out; else the slower way reads it again. The two give the same records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.readers.base import RECORD_SCHEMA, Records
from curator.readers.json_lines import FIELDS, FULL, MAX_DEPTH, read_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.readers.json_fields import Paths

MAX_BLOCK_BYTES = 1 << 30
"""Of a larger block the offsets of a string column might not fit into 32 bits."""

MAX_REFUSED = 2
"""After so many blocks in a row that were refused, the rest of a split is not tried: it is of another kind."""


TYPICAL_LINE, TYPICAL_SHARE = 256, 10
"""Room is made for lines of so many bytes, and for labels of one in so many bytes of a block; where that is too little,
the block is read again with room for any."""
LEAST_LINE = 8
"""Bytes of the shortest line with a text: `{"":""}` and its end."""


class ColumnParser:
    """Reads blocks of plain records: top-level fields alone, all of them strings."""

    def __init__(self, paths: Paths) -> None:
        wanted = (paths.text, paths.id, paths.source, paths.lang)
        flat = all(len(path) == 1 for path in wanted)
        distinct = len(set(wanted)) == len(wanted)
        self._usable = flat and distinct and not paths.metadata
        names = [path[0].encode() for path in wanted]
        self._names = np.frombuffer(b"".join(names), dtype=np.uint8)
        self._bounds = np.cumsum([0, *map(len, names)], dtype=np.int64)
        self._refused = 0

    def parse(self, data: bytes | memoryview, begin: int) -> Records | None:
        """The records of whole lines that begin at byte `begin` of the file; None when the block is not plain."""
        if not self._usable or self._refused >= MAX_REFUSED or not 0 < len(data) <= MAX_BLOCK_BYTES:
            return None
        records = self._read(np.frombuffer(data, dtype=np.uint8), begin)
        self._refused = self._refused + 1 if records is None else 0
        return records

    def _read(self, data: NDArray[np.uint8], begin: int) -> Records | None:
        texts = pa.allocate_buffer(len(data))
        written = np.frombuffer(texts, dtype=np.uint8)
        nested = np.empty(MAX_DEPTH, dtype=np.bool_)
        for line, share in ((TYPICAL_LINE, TYPICAL_SHARE), (LEAST_LINE, 1)):
            most = len(data) // line + 1
            labels = np.empty((FIELDS - 1, len(data) // share), dtype=np.uint8)
            offsets = np.empty((FIELDS, most + 1), dtype=np.int32)
            offsets[:, 0] = 0
            starts = np.empty(most, dtype=np.int64)
            rows = read_lines(data, self._names, self._bounds, written, labels, offsets, starts, nested)
            if rows != FULL:
                break
        if rows < 0:
            return None
        of_text, *of_labels = (row[: rows + 1].copy() for row in offsets)
        columns = [_strings(label[: ends[-1]].copy(), ends) for label, ends in zip(labels, of_labels, strict=True)]
        try:
            for column in columns:
                column.validate(full=True)
        except pa.ArrowInvalid:  # not UTF-8
            return None
        batch = pa.RecordBatch.from_arrays(
            [
                pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(of_text), texts]),
                *columns,
                pa.array(starts[:rows] + begin),
                pa.nulls(rows, pa.string()),
            ],
            schema=RECORD_SCHEMA,
        )
        return Records(batch, ())


def _strings(data: NDArray[np.uint8], offsets: NDArray[np.int32]) -> pa.StringArray:
    """Strings, null where they are empty."""
    valid = np.packbits(offsets[1:] > offsets[:-1], bitorder="little")
    buffers = [pa.py_buffer(buffer) for buffer in (valid, offsets, data)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
