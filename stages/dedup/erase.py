"""Taking documents out of an index: what is left is the index that would have been made without them.

Nothing of an erased document stays, neither in its own arrays nor, as band keys, in the tables; the others move up. The
header counts how many were erased, and has another checksum, so that a run that was begun with the old index is not
resumed with the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.errors import UserError
from stages.dedup.build import HashedFile
from stages.dedup.header import HEADER, File, check_files, dump_header, index_folder
from stages.dedup.index import Index

_CHUNK_ROWS = 1 << 20
_CHUNK_BYTES = 1 << 24

_FIXED = ("keys", "exact", "signatures")
_RAGGED = {"ids": "u1", "shingles": "<u8"}
_TABLES = ("exact", "bands")


def erase(folder: Path, run: str, keys: Sequence[bytes], target: Path) -> int:
    """Write the index in `folder` without the documents of these keys to `target`, all files of it. Returns how many
    documents were taken out; with 0 nothing is written. UserError when it is not the index of this run: the key of a
    document says where in its input it stood, so other runs have the same keys for other documents. DataError when a
    file is not as it was written: what is damaged shall not get a new hash."""
    index = Index(folder)
    if index.header.name != run:
        message = f"is the index of {index.header.name}, not of {run}"
        raise UserError(message, stage="dedup", file=str(folder), hint="name a copy of the index of this run")
    gone = np.flatnonzero(_has_key(index, keys))
    if len(gone) == 0:
        return 0
    check_files(index.folder, index.header)
    kept = list(_kept_ranges(gone, len(index)))
    files: dict[str, File] = {}
    for name in _FIXED:
        width = index.header.files[name].bytes // len(index)
        files[name] = _write(target / name, _bytes(index, name, [(a * width, b * width) for a, b in kept]))
    for name, dtype in _RAGGED.items():
        offsets = index.array(f"{name}.offsets", "<i8").astype(np.int64, copy=False)
        width = np.dtype(dtype).itemsize
        ranges = [(int(offsets[a]) * width, int(offsets[b]) * width) for a, b in kept]
        files[name] = _write(target / name, _bytes(index, name, ranges))
        files[f"{name}.offsets"] = _write(target / f"{name}.offsets", _offsets(offsets, kept))
    for table in _TABLES:
        for kind in ("keys", "rows"):
            files[f"{table}.{kind}"] = _write(target / f"{table}.{kind}", _table(index, table, kind, gone))
    header = index.header
    header = replace(header, documents=len(index) - len(gone), erased=header.erased + len(gone), files=files)
    (target / HEADER).write_bytes(dump_header(header))
    return len(gone)


def holds(folder: Path, keys: Sequence[bytes], ids: Sequence[str]) -> list[str]:
    """Where an index holds one of these keys or ids: one line a place."""
    index = Index(folder)
    found = [f"keys[{row}]" for row in np.flatnonzero(_has_key(index, keys)).tolist()]
    wanted = pa.array([name.encode() for name in ids], pa.large_binary())
    offsets, data = index.array("ids.offsets", "<i8"), index.array("ids", "u1")
    for begin in range(0, len(index), _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, len(index) - begin)
        buffers = [None, pa.py_buffer(offsets[begin : begin + count + 1]), pa.py_buffer(data)]
        same = pc.is_in(pa.Array.from_buffers(pa.large_binary(), count, buffers), wanted)
        rows = np.flatnonzero(same.to_numpy(zero_copy_only=False)) + begin
        found.extend(f"ids[{row}]" for row in rows.tolist())
    return [f"{index_folder(folder).name}/{place}" for place in found]


def _has_key(index: Index, keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """Documents that have one of the keys: bool[n]."""
    wanted = pa.array(list(keys), pa.binary(16))
    found = np.zeros(len(index), dtype=np.bool_)
    for begin in range(0, len(index), _CHUNK_ROWS):
        piece = index.keys[begin : begin + _CHUNK_ROWS]
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(piece), [None, pa.py_buffer(piece)])
        found[begin : begin + len(piece)] = pc.is_in(column, wanted).to_numpy(zero_copy_only=False)
    return found


def _kept_ranges(gone: NDArray[np.int64], documents: int) -> Iterator[tuple[int, int]]:
    """The runs of documents between those that go: half-open."""
    begin = 0
    for end in [*gone.tolist(), documents]:
        if end > begin:
            yield begin, end
        begin = end + 1


def _bytes(index: Index, name: str, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    data = index.array(name, "u1")
    for begin, end in ranges:
        for place in range(begin, end, _CHUNK_BYTES):
            yield data[place : min(place + _CHUNK_BYTES, end)].tobytes()


def _offsets(offsets: NDArray[np.int64], kept: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    end = 0
    yield np.zeros(1, "<i8").tobytes()
    for first, last in kept:
        shift = end - int(offsets[first])
        for begin in range(first, last, _CHUNK_ROWS):
            yield (offsets[begin + 1 : min(begin + _CHUNK_ROWS, last) + 1] + shift).astype("<i8").tobytes()
        end += int(offsets[last] - offsets[first])


def _table(index: Index, table: str, kind: str, gone: NDArray[np.int64]) -> Iterator[bytes]:
    """The keys or the documents of a table without those that go; the others get their new numbers."""
    keys, rows = index.array(f"{table}.keys", "<u8"), index.array(f"{table}.rows", "<u4")
    for begin in range(0, len(rows), _CHUNK_ROWS):
        documents = rows[begin : begin + _CHUNK_ROWS].astype(np.int64)
        before = np.searchsorted(gone, documents)
        stays = gone[np.minimum(before, len(gone) - 1)] != documents
        if kind == "keys":
            yield keys[begin : begin + _CHUNK_ROWS][stays].tobytes()
        else:
            yield (documents - before)[stays].astype("<u4").tobytes()


def _write(path: Path, pieces: Iterator[bytes]) -> File:
    with path.open("wb") as file:
        target = HashedFile(file)
        for piece in pieces:
            target.write(piece)
        return target.entry()
