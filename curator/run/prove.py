"""Proving that a run holds nothing of documents that were forgotten: everything is read again and searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.errors import DataError
from curator.run.directory import RunDirectory
from curator.run.events import read_events
from curator.run.manifest import load_manifest
from curator.run.verify import verify
from curator.stage import Parameters, Stage
from curator.storage.path import matching, readable, relative_name
from curator.storage.spool import fetched

_NAMING = ("id", "keeper", "parent", "detail.parent")
"""Columns, and fields of JSON objects, that name documents by their ids."""


@dataclass
class Proof:
    """What was read and searched, and where something was found."""

    parquet_files: int = 0
    rows: int = 0
    json_documents: int = 0
    left_folders: int = 0
    verified_files: int = 0
    problems: list[str] = field(default_factory=list)

    def raise_if_found(self, directory: RunDirectory) -> None:
        """DataError with the first places where something is left."""
        if self.problems:
            message = f"something is left of what was forgotten: {'; '.join(self.problems[:3])}"
            raise DataError(message, file=str(directory.root), hint="run it again; if it stays, please report this")


def prove(
    directory: RunDirectory, keys: Sequence[bytes], ids: Sequence[str], stages: Sequence[type[Stage[Parameters]]]
) -> Proof:
    """Search a run for the keys and ids (those that no other document has), and hold every file against the manifest.
    A key may stand as `keeper` of a document that was dropped in favour of the forgotten one, nowhere else."""
    proof = Proof()
    wanted_keys, wanted_ids = pa.array(list(keys), pa.binary(16)), pa.array(list(ids), pa.string())
    for path in matching(directory.root, "**/*.parquet"):
        proof.parquet_files += 1
        with pq.ParquetFile(readable(path)) as source:
            for batch in source.iter_batches(use_threads=False):
                proof.rows += batch.num_rows
                for name in _columns_with(batch, wanted_keys, wanted_ids):
                    proof.problems.append(f"{relative_name(path, directory.root)}, column {name}")
    said: list[tuple[str, object]] = [("manifest.json", load_manifest(directory.manifest))]
    said.extend(("events", event) for event in read_events(directory.events))
    for name, value in said:
        proof.json_documents += 1
        proof.problems.extend(f"{name}{place}" for place in _places(value, {*ids}, ""))
    hexadecimal = {key.hex() for key in keys}
    examples = cast("list[dict[str, object]]", cast("dict[str, object]", said[0][1])["examples"])
    proof.problems.extend("manifest.json.examples" for example in examples if example["key"] in hexadecimal)
    for stage in stages:
        if stage.leaves is not None and (directory.root / stage.leaves).is_dir():
            proof.left_folders += 1
            with fetched(directory.root / stage.leaves) as folder:
                proof.problems.extend(stage.holds(folder, keys, ids))
    verified = verify(directory)
    proof.verified_files = verified.files
    proof.problems.extend(verified.problems)
    return proof


def _columns_with(batch: pa.RecordBatch, keys: pa.Array, ids: pa.Array) -> Iterator[str]:
    for name, column in _flat(batch):
        if (name in _NAMING and _any(column, ids)) or (column.type == pa.binary(16) and _any(column, keys)):
            yield name


def _any(column: pa.Array, wanted: pa.Array) -> bool:
    return bool(pc.any(pc.is_in(column, wanted)).as_py())


def _flat(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """The columns, and the fields of structs as columns."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_struct(column.type):
            yield from ((f"{name}.{inner.name}", pc.struct_field(column, inner.name)) for inner in column.type)
        else:
            yield name, column


def _places(value: object, names: set[str], at: str) -> Iterator[str]:
    """Where JSON values name a document by one of these ids or keys. A recipe names none: its `keeper: first` is no
    document whose id is "first"."""
    if isinstance(value, dict):
        for field_name, inner in value.items():
            if field_name == "recipe":
                continue
            if isinstance(inner, str) and field_name in (*_NAMING, "key") and inner in names:
                yield f"{at}.{field_name}"
            yield from _places(inner, names, f"{at}.{field_name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, names, f"{at}[{number}]")
