"""The shards of a finished run as a corpus: row groups of Parquet files, each file held against its manifest."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.errors import DataError, UserError
from curator.keys import file_keys
from curator.run.directory import RunDirectory
from curator.run.manifest import load_manifest
from curator.run.phases.write import file_sha256
from curator.storage.path import as_path, readable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.storage.path import AnyPath

ORIGIN = ("key", "parent", "provenance.file", "provenance.position")
"""What says which record of the input a document was made of."""

COLUMNS = (*ORIGIN, "text", "lang", "weight")
"""What a training needs of a document."""

_VERIFY = "`curator verify` says what is wrong with the run"


@dataclass(frozen=True)
class Shard:
    """A file of shards, as the manifest describes it. `name` is relative to the run."""

    path: AnyPath
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RowGroup:
    """A row group: which shard, which number in it, its rows and the bytes of its texts, not compressed."""

    shard: int
    number: int
    rows: int
    text_bytes: int


@dataclass
class Corpus:
    """The shards of one run. `read` checks a shard's hash when it is first read, by whichever thread, and when the file
    was written since."""

    name: str
    root: str
    fingerprint: str
    shards: tuple[Shard, ...]
    groups: tuple[RowGroup, ...]
    _checked: dict[int, int] = field(default_factory=dict)
    """When each shard was last written, as it was then."""
    _text_bytes_in: dict[tuple[str, ...], int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def text_bytes(self) -> int:
        """Bytes of all texts as Parquet holds them, before compression."""
        return sum(group.text_bytes for group in self.groups)

    def text_bytes_in(self, languages: tuple[str, ...]) -> int:
        """Bytes of the texts in these languages; of all, as `text_bytes`, if none are named."""
        if languages and languages not in self._text_bytes_in:
            tables = (self.read(group, ("lang", "text")) for group in self.groups)
            texts = (table.filter(pc.is_in(table["lang"], pa.array(languages)))["text"] for table in tables)
            self._text_bytes_in[languages] = sum(pc.sum(pc.binary_length(text)).as_py() or 0 for text in texts)
        return self._text_bytes_in[languages] if languages else self.text_bytes

    @property
    def identity(self) -> str:
        """A hash of the names and hashes of the shards: what a checkpoint is bound to."""
        listed = json.dumps([[shard.name, shard.sha256] for shard in self.shards])
        return hashlib.sha256(listed.encode()).hexdigest()

    def read(self, group: RowGroup, columns: Sequence[str] = COLUMNS) -> pa.Table:
        """The rows of a row group. DataError when its shard is not what the manifest says."""
        shard = self.shards[group.shard]
        self._check(group.shard)
        with pq.ParquetFile(readable(shard.path)) as file:
            return file.read_row_group(group.number, columns=list(columns), use_threads=False)

    @staticmethod
    def keys_of(table: pa.Table) -> NDArray[np.uint64]:
        """The keys of rows: uint64[n, 2]."""
        column = pa.concat_arrays(table["key"].chunks) if len(table) else pa.array([], pa.binary(16))
        if not len(column):
            return np.empty((0, 2), np.uint64)
        words = np.frombuffer(column.buffers()[1], np.uint64, 2 * len(column), column.offset * column.type.byte_width)
        return words.reshape(-1, 2)

    @staticmethod
    def origins_of(table: pa.Table) -> NDArray[np.uint64]:
        """The keys of the records that rows were made of, for a child that of its parent: uint64[n, 2]. The table has
        the columns of ORIGIN."""
        keys = Corpus.keys_of(table).copy()
        children = np.flatnonzero(table["parent"].is_valid().to_numpy())
        # A child has the place of its parent in the input, of which the parent's key is a hash.
        places = table["provenance"].take(pa.array(children))
        files = np.array(pc.struct_field(places, "file").to_pylist(), object)
        positions = pc.struct_field(places, "position").to_numpy()
        for file in set(files.tolist()):
            keys[children[files == file]] = file_keys(file, positions[files == file])
        return keys

    def _check(self, number: int) -> None:
        shard = self.shards[number]
        with self._lock:
            try:
                found = shard.path.stat()
            except FileNotFoundError as error:
                raise DataError("a shard is missing", file=str(shard.path), hint=_VERIFY) from error
            # Storage does not tell this of objects: they are looked at once.
            written = found.st_mtime_ns if isinstance(found, os.stat_result) else 0
            if self._checked.get(number) == written:
                return
            if found.st_size != shard.bytes or file_sha256(shard.path) != shard.sha256:
                raise DataError("a shard is not as its run wrote it", file=str(shard.path), hint=_VERIFY)
            self._checked[number] = written


def open_corpus(place: str) -> Corpus:
    """The shards of a finished run. UserError when it is none or kept nothing, DataError when a shard changed."""
    directory = RunDirectory(as_path(place))
    manifest = load_manifest(directory.manifest)
    shards: list[Shard] = []
    groups: list[RowGroup] = []
    for entry in cast("list[dict[str, object]]", manifest["files"]):
        name = cast("str", entry["path"])
        if not name.startswith("shards/"):
            continue
        path = directory.root / name
        shard = Shard(path, name, cast("int", entry["bytes"]), cast("str", entry["sha256"]))
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise DataError("a shard is not as its run wrote it", file=str(path), hint=_VERIFY)
        groups.extend(_row_groups(shard, len(shards)))
        shards.append(shard)
    if not groups:
        raise UserError("the run kept no document", file=str(directory.root), hint="`curator report` says why")
    recipe = cast("dict[str, object]", manifest["recipe"])
    return Corpus(
        cast("str", recipe["name"]), str(place), cast("str", manifest["fingerprint"]), tuple(shards), tuple(groups)
    )


def need_languages(corpora: Sequence[Corpus], languages: Sequence[str]) -> None:
    """Make sure that each of these tags has a document in one of the corpora. UserError names those that have none."""
    missing = set(languages)
    for corpus in corpora:
        for group in corpus.groups:
            if not missing:
                return
            missing -= set(corpus.read(group, ("lang",))["lang"].unique().to_pylist())
    if missing:
        raise UserError(
            f"there is no document in {', '.join(sorted(missing))}",
            file=", ".join(corpus.root for corpus in corpora),
            hint="check data.languages: `curator report` names those of a run",
        )


def _row_groups(shard: Shard, number: int) -> list[RowGroup]:
    try:
        metadata = pq.read_metadata(readable(shard.path))
    except pa.ArrowInvalid as error:
        raise DataError(
            "a shard is no Parquet file", file=str(shard.path), hint="`curator verify` says more"
        ) from error
    text = next(place for place in range(metadata.num_columns) if metadata.schema.column(place).path == "text")
    return [
        RowGroup(number, group, found.num_rows, found.column(text).total_uncompressed_size)
        for group in range(metadata.num_row_groups)
        if (found := metadata.row_group(group)).num_rows
    ]
