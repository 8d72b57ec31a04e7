"""Taking documents out of an index: what is left is the index that would have been made without them.

Nothing of an erased document stays, neither in its own arrays nor, as band keys, in the tables; the others move up. Its
URL is unknown again. The header counts how many were erased, and has another checksum, so that a run that was begun
with the old index is not resumed with the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.errors import UserError
from curator.stage import Erased
from stages.dedup.build import HashedFile
from stages.dedup.header import HEADER, File, check_files, dump_header
from stages.dedup.index import Index

_CHUNK_ROWS = 1 << 20
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class _Section:
    """Files that say something of the same entries: so many bytes of each, lists (with the type of their values), and
    tables of (key, entry)."""

    fixed: tuple[str, ...]
    ragged: Mapping[str, str]
    tables: tuple[str, ...]


_DOCUMENTS = _Section(("keys", "exact", "signatures"), {"ids": "u1", "shingles": "<u8"}, ("exact", "bands"))
_URLS = _Section(("urls", "urls.owners"), {"urls.ids": "u1"}, ("urls",))


def erase(folder: Path, run: str, keys: Sequence[bytes], target: Path) -> Erased:
    """Write the index in `folder` without the documents of these keys to `target`, those files of it that change. A
    document that was dropped is none of the index, and may still have been the first with its URL. UserError when it is
    not the index of this run: the key of a document says where in its input it stood, so other runs have the same keys
    for other documents. DataError when a file is not as it was written: what is damaged shall not get a new hash."""
    index = Index(folder)
    if index.header.name != run:
        message = f"is the index of {index.header.name}, not of {run}"
        raise UserError(message, stage="dedup", file=str(folder), hint="name a copy of the index of this run")
    gone, gone_urls = (np.flatnonzero(_has_key(there, keys)) for there in (index.keys, index.url_owners))
    if len(gone) + len(gone_urls) == 0:
        return Erased()
    check_files(index.folder, index.header)
    files = {
        **index.header.files,
        **_without(index, _DOCUMENTS, len(index), gone, target),
        **_without(index, _URLS, len(index.urls), gone_urls, target),
    }
    header = index.header
    header = replace(header, documents=len(index) - len(gone), erased=header.erased + len(gone), files=files)
    (target / HEADER).write_bytes(dump_header(header))
    return Erased(len(gone), {"URL": len(gone_urls)} if len(gone_urls) else {})


def _without(index: Index, section: _Section, entries: int, gone: NDArray[np.int64], target: Path) -> dict[str, File]:
    """Write the files of a section without the entries that go, where any does."""
    if len(gone) == 0:
        return {}
    kept = list(_kept_ranges(gone, entries))
    files: dict[str, File] = {}
    for name in section.fixed:
        width = index.header.files[name].bytes // entries
        files[name] = _write(target / name, _bytes(index, name, [(a * width, b * width) for a, b in kept]))
    for name, dtype in section.ragged.items():
        offsets = index.array(f"{name}.offsets", "<i8").astype(np.int64, copy=False)
        width = np.dtype(dtype).itemsize
        ranges = [(int(offsets[a]) * width, int(offsets[b]) * width) for a, b in kept]
        files[name] = _write(target / name, _bytes(index, name, ranges))
        files[f"{name}.offsets"] = _write(target / f"{name}.offsets", _offsets(offsets, kept))
    for table in section.tables:
        for kind in ("keys", "rows"):
            files[f"{table}.{kind}"] = _write(target / f"{table}.{kind}", _table(index, table, kind, gone))
    return files


def holds(folder: Path, keys: Sequence[bytes], ids: Sequence[str]) -> list[str]:
    """Where an index holds one of these keys or ids: one line a place."""
    index = Index(folder)
    sections = [("keys", index.keys, "ids")]
    if index.header.urls:
        sections.append(("urls.owners", index.url_owners, "urls.ids"))
    found: list[str] = []
    for name, there, strings in sections:
        found.extend(f"{name}[{row}]" for row in np.flatnonzero(_has_key(there, keys)).tolist())
        found.extend(f"{strings}[{row}]" for row in _has_string(index, strings, len(there), ids))
    return [f"{index.folder.name}/{place}" for place in found]


def _has_string(index: Index, name: str, entries: int, strings: Sequence[str]) -> Iterator[int]:
    """Entries whose text in the file `name` is one of these."""
    wanted = pa.array([text.encode() for text in strings], pa.large_binary())
    offsets, data = index.array(f"{name}.offsets", "<i8"), index.array(name, "u1")
    for begin in range(0, entries, _CHUNK_ROWS):
        count = min(_CHUNK_ROWS, entries - begin)
        buffers = [None, pa.py_buffer(offsets[begin : begin + count + 1]), pa.py_buffer(data)]
        same = pc.is_in(pa.Array.from_buffers(pa.large_binary(), count, buffers), wanted)
        yield from (np.flatnonzero(same.to_numpy(zero_copy_only=False)) + begin).tolist()


def _has_key(there: NDArray[np.uint64], keys: Sequence[bytes]) -> NDArray[np.bool_]:
    """Which of the keys that are there (uint64[n, 2]) are among `keys`: bool[n]."""
    wanted = pa.array(list(keys), pa.binary(16))
    found = np.zeros(len(there), dtype=np.bool_)
    for begin in range(0, len(there), _CHUNK_ROWS):
        piece = there[begin : begin + _CHUNK_ROWS]
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
