"""Making the index of a run (see `stages.dedup.index`), in tasks whose memory is bounded.

    pieces     of each part, the documents that deduplication kept: keys, hashes, signatures, ids, shingle sets
    exact      rows (first word of the hash, document) meet by word: the table of exact hashes, a piece a partition
    bands      rows (band key, document) meet by key: the table of bands, a piece a partition
    firsts     of each part, the documents that were the first with their URL: its hash, their keys and ids
    urls       rows (first word of the hash, place) meet by word: the table of URLs, a piece a partition
    assemble   the pieces, one behind the other, and the header

The engine puts rows into partitions by the high bits of their mixed keys, so the partitions of a table, each sorted by
mixed key, follow each other in one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3
from numpy.typing import NDArray

from curator.document import Batch, string_buffer
from curator.errors import UserError
from curator.keys import mix64
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.scaling import RowFormat
from curator.stage import Left
from stages.dedup.exact import hashes_of
from stages.dedup.header import FOLDER, HEADER, File, Header, Scheme, dump_header
from stages.dedup.index import MAX_DOCUMENTS
from stages.dedup.minhash import Ragged, band_keys, shingle_hashes, shingle_sets
from stages.dedup.near import signatures_of
from stages.dedup.relate import EXACT_COLUMN, URL_COLUMN

_CHUNK_BYTES = 1 << 24
_CHUNK_ROWS = 16_384
"""Documents whose signatures are held at a time: 16 MB."""
_PLAIN = ("keys", "exact", "signatures", "ids", "shingles")
_RAGGED = ("ids", "shingles")
_URLS_PLAIN = ("urls", "urls.owners", "urls.ids")


def build_index(corpus: Corpus, name: str, scheme: Scheme, urls: str, through: Sequence[str]) -> Left:
    """The index of the originals that the stages `through`, deduplication the last of them, kept; with the URLs of
    those that it compared, where it compared URLs (`urls` is the scheme of these, else empty)."""
    parts = [part for part in corpus.parts if not part.is_derived]
    pieces = corpus.map("pieces", _Extract(scheme, tuple(through)), parts)
    documents = count_rows(pieces)
    tables = {
        "exact": _make_table(corpus, "exact", scheme, pieces, documents),
        "bands": _make_table(corpus, "bands", scheme, pieces, documents * scheme.bands),
    }
    firsts: list[Commit] = []
    if urls:
        firsts = corpus.map("firsts", _ExtractUrls(tuple(through)), parts)
        tables["urls"] = _make_table(corpus, "urls", scheme, firsts, count_rows(firsts))
    everything = _Everything(tuple(pieces), tuple(firsts), tables)
    (commit,) = corpus.map("assemble", _Assemble(name, scheme, urls), [everything])
    return Left(FOLDER, {suffix: commit.path(suffix) for suffix in commit.files}, documents)


def count_rows(pieces: Sequence[Commit]) -> int:
    """Documents in all pieces, or URLs. UserError when they are more than 32 bits number."""
    documents = sum(piece.integer("rows") for piece in pieces)
    if documents >= MAX_DOCUMENTS:
        raise UserError(
            f"the index of this run would have {documents:,} documents or URLs, and it can number {MAX_DOCUMENTS:,}",
            stage="dedup",
            hint="set index: false, or process the corpus in several runs, each against the indexes of those before",
        )
    return documents


def _make_table(corpus: Corpus, table: str, scheme: Scheme, pieces: Sequence[Commit], rows: int) -> tuple[Commit, ...]:
    """The pieces of a table of so many rows."""
    begins = np.cumsum([0, *(piece.integer("rows") for piece in pieces)])[:-1].tolist()
    placed = [_Piece(piece, begin) for piece, begin in zip(pieces, begins, strict=True)]
    return tuple(corpus.exchange(RowFormat(table, 2), _EmitTable(table, scheme), _handle_table, placed, rows))


@dataclass(frozen=True)
class _Extract:
    """Writes what the index has of the documents of a part."""

    scheme: Scheme
    through: tuple[str, ...]

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        rows = np.flatnonzero(part.kept_by(self.through))
        for name, matrix in (("exact", hashes_of(part, EXACT_COLUMN)), ("signatures", signatures_of(part))):
            with outputs.path(name).open("wb") as file:
                for begin in range(0, len(rows), _CHUNK_ROWS):
                    np.ascontiguousarray(matrix[rows[begin : begin + _CHUNK_ROWS]]).tofile(file)
        plain = {name: outputs.path(name) for name in ("keys", *_RAGGED)}
        lengths: dict[str, list[NDArray[np.int64]]] = {name: [] for name in _RAGGED}
        with plain["keys"].open("wb") as keys, plain["ids"].open("wb") as ids, plain["shingles"].open("wb") as values:
            for batch, sets in _documents(part, rows, self.scheme.shingle_units):
                np.ascontiguousarray(batch.keys).tofile(keys)
                data, offsets = string_buffer(batch.documents.column("id"))
                data[offsets[0] : offsets[-1]].tofile(ids)
                sets.values.tofile(values)
                lengths["ids"].append(np.diff(offsets))
                lengths["shingles"].append(np.diff(sets.offsets))
        for name, found in lengths.items():
            np.concatenate([np.zeros(0, np.int64), *found]).tofile(outputs.path(f"{name}.lengths"))
        return {"rows": len(rows)}


def _documents(part: Part, rows: NDArray[np.int64], shingle_units: int) -> Iterator[tuple[Batch, Ragged]]:
    """The documents of a part in these rows, batch by batch, with their shingle sets."""
    begin = 0
    for documents in part.documents(["key", "id", "text"]):
        end = begin + documents.num_rows
        inside = rows[(rows >= begin) & (rows < end)] - begin
        if len(inside):
            batch = Batch(documents.take(pa.array(inside)))
            yield batch, shingle_sets(shingle_hashes(batch.units, *batch.text_buffer, shingle_units))
        begin = end


@dataclass(frozen=True)
class _ExtractUrls:
    """Writes what the index has of the URLs of a part: of each that no earlier document had, here or in an index, be
    its document kept or not."""

    through: tuple[str, ...]

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        hashes = hashes_of(part, URL_COLUMN)
        first = part.kept_by(self.through[:-1]) & hashes.any(axis=1)
        first[_same_url(part, self.through[-1])] = False
        rows = np.flatnonzero(first)
        np.ascontiguousarray(hashes[rows]).tofile(outputs.path("urls"))
        lengths = [np.zeros(0, np.int64)]
        with outputs.path("urls.owners").open("wb") as owners, outputs.path("urls.ids").open("wb") as ids:
            begin = 0
            for documents in part.documents(["key", "id"]):
                end = begin + documents.num_rows
                inside = rows[(rows >= begin) & (rows < end)] - begin
                if len(inside):
                    batch = Batch(documents.take(pa.array(inside)))
                    np.ascontiguousarray(batch.keys).tofile(owners)
                    data, offsets = string_buffer(batch.documents.column("id"))
                    data[offsets[0] : offsets[-1]].tofile(ids)
                    lengths.append(np.diff(offsets))
                begin = end
        np.concatenate(lengths).tofile(outputs.path("urls.ids.lengths"))
        return {"rows": len(rows)}


def _same_url(part: Part, stage: str) -> NDArray[np.int64]:
    """Rows of a part whose documents were dropped since an earlier one had their URL: they have a keeper, and no
    similarity with it."""
    found = part.relation(dict(part.relations)[stage])
    same = pc.and_(pc.is_valid(found["dedup.kind"]), pc.is_null(found["dedup.similarity"]))
    rows: NDArray[np.int64] = found.filter(same)["row"].to_numpy()
    return rows


@dataclass(frozen=True)
class _Piece:
    """What was extracted from a part, and the number of its first document in the index."""

    commit: Commit
    begin: int

    @property
    def name(self) -> str:
        return self.commit.name


@dataclass(frozen=True)
class _EmitTable:
    table: str
    scheme: Scheme

    def __call__(self, piece: _Piece) -> NDArray[np.uint64]:
        documents = np.arange(piece.begin, piece.begin + piece.commit.integer("rows"), dtype=np.uint64)
        if len(documents) == 0:
            return np.zeros((0, 2), dtype=np.uint64)
        if self.table != "bands":
            return np.column_stack([np.fromfile(piece.commit.path(self.table), dtype=np.uint64)[::2], documents])
        scheme = self.scheme
        shape = (len(documents), scheme.permutations)
        signatures = np.memmap(piece.commit.path("signatures"), dtype=np.uint32, mode="r", shape=shape)
        rows = np.empty((len(documents), scheme.bands, 2), dtype=np.uint64)
        rows[:, :, 1] = documents[:, None]
        for begin in range(0, len(documents), _CHUNK_ROWS):
            some = np.array(signatures[begin : begin + _CHUNK_ROWS])
            rows[begin : begin + _CHUNK_ROWS, :, 0] = band_keys(some, scheme.bands, scheme.rows_per_band)
        return rows.reshape(-1, 2)


def _handle_table(partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
    """The table of one partition, by mixed key and then by document. It is held whole: documents that were kept share
    few keys, so that partitions are alike in size."""
    rows = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *blocks])
    mixed = mix64(np.ascontiguousarray(rows[:, 0]))
    order = np.argsort(mixed, kind="stable")  # rows come sorted by key and document
    mixed[order].tofile(outputs.path("keys"))
    rows[order, 1].astype("<u4").tofile(outputs.path("rows"))
    return {"rows": len(rows)}


@dataclass(frozen=True)
class _Everything:
    """All pieces: of the parts, of their URLs, and of the tables."""

    pieces: tuple[Commit, ...]
    firsts: tuple[Commit, ...]
    tables: Mapping[str, tuple[Commit, ...]]
    name: str = "index"


@dataclass(frozen=True)
class _Assemble:
    """Writes the files of the index."""

    name: str
    scheme: Scheme
    urls: str

    def __call__(self, item: _Everything, outputs: Outputs) -> dict[str, object]:
        documents = sum(piece.integer("rows") for piece in item.pieces)
        pieces = dict.fromkeys(_PLAIN, item.pieces) | (dict.fromkeys(_URLS_PLAIN, item.firsts) if self.urls else {})
        files = {name: join(outputs.path(name), [piece.path(name) for piece in pieces[name]]) for name in pieces}
        for name in (*_RAGGED, "urls.ids") if self.urls else _RAGGED:
            lengths = [piece.path(f"{name}.lengths") for piece in pieces[name]]
            files[f"{name}.offsets"] = join_offsets(outputs.path(f"{name}.offsets"), lengths)
        for table, commits in item.tables.items():
            for kind in ("keys", "rows"):
                files[f"{table}.{kind}"] = join(
                    outputs.path(f"{table}.{kind}"), [commit.path(kind) for commit in commits]
                )
        header = Header(self.name, self.scheme, documents, 0, files, self.urls)
        outputs.path(HEADER).write_bytes(dump_header(header))
        return {"rows": documents}


class HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hasher = blake3()
        self._bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self._hasher.update(data)
        self._bytes += self._file.write(data)

    def entry(self) -> File:
        """What the header says of the file."""
        return File(self._bytes, self._hasher.hexdigest())


def join(path: Path, pieces: Sequence[Path]) -> File:
    """Write files one behind the other."""
    with path.open("wb") as file:
        target = HashedFile(file)
        for piece in pieces:
            with piece.open("rb") as source:
                while data := source.read(_CHUNK_BYTES):
                    target.write(data)
        return target.entry()


def join_offsets(path: Path, lengths: Sequence[Path]) -> File:
    """Write int64[n + 1] offsets of lists whose lengths (int64) stand in these files."""
    with path.open("wb") as file:
        target = HashedFile(file)
        end = 0
        target.write(np.zeros(1, np.int64).tobytes())
        for piece in lengths:
            offsets = end + np.cumsum(np.fromfile(piece, dtype=np.int64))
            target.write(offsets.tobytes())
            end = int(offsets[-1]) if len(offsets) else end
        return target.entry()
