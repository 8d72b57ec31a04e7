"""Files of Arrow's IPC format, uncompressed: what the tasks of a run hand on is mapped, not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

IPC_MAGIC = b"ARROW1"
"""An Arrow IPC file begins with it, filled up to eight bytes, and ends with it; behind the beginning stands a whole IPC
stream (Arrow's columnar format, "IPC File Format")."""


_PIECE_BYTES = 1 << 17
"""Smaller buffers, a hundred in a table of many columns, are written together."""


class BatchWriter:
    """Writes record batches to an Arrow IPC file, uncompressed: it is mapped, not read."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._sink = _open(path)
        self._writer = pa.ipc.new_file(self._sink, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add one batch."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._sink.close()


def read_batches(path: Path, fields: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of an Arrow IPC file, with some of its fields, in the order of `fields`."""
    # Opening costs more than the fields that nobody asked for: these are mapped, and not touched.
    with pa.memory_map(str(path)) as source:
        for batch in _stream_in(source):
            yield batch if fields is None else batch.select(list(fields))


def write_table(path: Path, table: pa.Table) -> None:
    """A table as an Arrow IPC file, uncompressed."""
    with _open(path) as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_table(path: Path) -> pa.Table:
    """A whole Arrow IPC file."""
    with pa.memory_map(str(path)) as source:
        return _stream_in(source).read_all()


def read_schema(path: Path) -> pa.Schema:
    """The schema of an Arrow IPC file, with its metadata."""
    with pa.memory_map(str(path)) as source:
        return _stream_in(source).schema


def _open(path: Path) -> pa.NativeFile:
    return pa.BufferedOutputStream(pa.OSFile(str(path), "wb"), _PIECE_BYTES)


def _stream_in(source: pa.NativeFile) -> pa.RecordBatchStreamReader:
    """The stream that an IPC file wraps. To open the file as a file hands its footer to another thread and waits for
    it, a hundred times a part in a run: nothing on an idle machine, a turn of the scheduler each on a busy one."""
    source.seek(source.size() - len(IPC_MAGIC))
    if source.read() != IPC_MAGIC:
        raise pa.ArrowInvalid("an Arrow IPC file was cut short")
    source.seek(8)
    return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(use_threads=False))
