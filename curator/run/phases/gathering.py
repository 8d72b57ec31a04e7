"""Records of several files in one batch: everything that is done with a batch costs the same for one record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.keys import file_keys
from curator.readers.base import RECORD_SCHEMA, Failure, Note, Records
from curator.readers.batches import digest_record

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Raw:
    """Records (RECORD_SCHEMA) of some files, in input order: those of row i are of `files[places[i]]`, and `places`
    never fall. `notes` are those on records of a file."""

    records: pa.RecordBatch
    files: Sequence[str]
    places: NDArray[np.int32]
    notes: Mapping[str, Sequence[Note]]

    def __len__(self) -> int:
        """The number of records."""
        rows: int = self.records.num_rows
        return rows

    def only(self, rows: slice | NDArray[np.bool_]) -> Raw:
        """Some of the rows."""
        if isinstance(rows, slice):
            records = self.records.slice(rows.start, rows.stop - rows.start)
        else:
            records = self.records.filter(pa.array(rows))
        return replace(self, records=records, places=self.places[rows])

    def file_of(self, row: int) -> str:
        """The file of a record."""
        return self.files[int(self.places[row])]

    def failure(self, row: int, code: str) -> Failure:
        """That a record did not become a document."""
        records = self.records
        return Failure(
            records.column("position")[row].as_py(), None, code, digest_record(records.column("text")[row].as_py())
        )

    def file_column(self) -> pa.StringArray:
        """The file of every record."""
        return pa.DictionaryArray.from_arrays(self.places, pa.array(self.files, pa.string())).dictionary_decode()

    def keys(self) -> NDArray[np.uint64]:
        """The keys of the records: uint64[rows, 2]."""
        positions = self.records.column("position").to_numpy(zero_copy_only=False).astype(np.int64)
        bounds = np.searchsorted(self.places, np.arange(len(self.files) + 1))
        keys = np.empty((len(self), 2), dtype=np.uint64)
        for file, begin, end in zip(self.files, bounds[:-1], bounds[1:], strict=True):
            keys[begin:end] = file_keys(file, positions[begin:end])
        return keys


class Gathering:
    """Gathers what readers give, file after file, as long as it stays within `batch_bytes` of text together."""

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes
        self._pending: list[tuple[str, Records]] = []
        self._size = 0

    def add(self, file: str, records: Records) -> Iterator[Raw]:
        """Add records of a file; gives those before them where they have become enough."""
        if records.records.num_rows == 0:
            return
        size = records.records.column("text").nbytes
        if self._size + size > self._batch_bytes:
            yield from self.close()
        self._pending.append((file, records))
        self._size += size

    def close(self) -> Iterator[Raw]:
        """What was gathered since."""
        pending, self._pending, self._size = self._pending, [], 0
        if not pending:
            return
        files = list(dict.fromkeys(file for file, _ in pending))
        place = {file: number for number, file in enumerate(files)}
        rows = [records.records.num_rows for _, records in pending]
        notes: dict[str, list[Note]] = {}
        for file, records in pending:
            if records.notes:
                notes.setdefault(file, []).extend(records.notes)
        yield Raw(
            _joined([records.records for _, records in pending]),
            files,
            np.repeat(np.array([place[file] for file, _ in pending], dtype=np.int32), rows),
            notes,
        )


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.RecordBatch.from_arrays(
        [pa.concat_arrays([batch.column(name) for batch in batches]) for name in RECORD_SCHEMA.names],
        schema=RECORD_SCHEMA,
    )
