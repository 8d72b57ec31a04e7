"""What a run holds of documents that are to be forgotten: finding it, and writing files without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.document import string_buffer
from curator.errors import UserError
from curator.keys import child_keys
from curator.recipe.model import Recipe
from curator.run.directory import RunDirectory
from curator.run.examples import mask_text
from curator.run.manifest import Manifest
from curator.run.phases.read import dimensions
from curator.run.phases.write import DERIVE, write_parquet
from curator.run.tally import COPIES, ERASED, HELD, KEPT, Tally
from curator.sources import group_metadata
from curator.storage.parquet import parquet_table
from curator.storage.path import AnyPath, matching, readable
from curator.verdict import DROP

RECORDED = ("shards", "heldout", "scores", "decisions")
"""The folders of a run whose files have rows about documents."""

ERASED_NAME = "(erased)"
"""What stands for the id of a document of an earlier run that was forgotten there."""


@dataclass(frozen=True)
class Document:
    """A document that is to be forgotten. `copies` are written besides it; `parent` is the id of the document that it
    was derived from."""

    key: bytes
    id: str
    kept: bool
    copies: int
    parent: str | None = None

    def as_json(self) -> dict[str, object]:
        """The document as JSON values."""
        values: dict[str, object] = {"id": self.id, "key": self.key.hex(), "kept": self.kept, "copies": self.copies}
        return {**values, "parent": self.parent} if self.parent is not None else values


@dataclass(frozen=True)
class Forgotten:
    """What is to be forgotten: `names` as they were given, the documents with their children, `gone`: the ids that no
    other document has; `earlier`: names that are ids of documents of earlier runs."""

    names: tuple[str, ...]
    documents: tuple[Document, ...]
    gone: tuple[str, ...]
    earlier: frozenset[str]

    @property
    def searched(self) -> tuple[str, ...]:
        """The ids that must not be found any more."""
        return (*self.gone, *sorted(self.earlier - {*self.gone}))

    def keys(self) -> pa.Array:
        """The keys: binary(16)[documents]."""
        return pa.array([document.key for document in self.documents], pa.binary(16))

    def new_keeper(self, keeper: str | None, run: str | None) -> str | None:
        """What a decision says instead of a keeper: its key where it is gone."""
        if run is not None:
            return ERASED_NAME if keeper in self.searched else keeper
        if keeper not in self.gone:
            return keeper
        return next(document.key.hex() for document in self.documents if document.id == keeper)


def find_documents(directory: RunDirectory, names: Sequence[str], done: Sequence[str] = ()) -> Forgotten:
    """The documents of these ids or keys, and all their children. UserError when one of them is not there, save those
    that are `done` already."""
    keys = {name: bytes.fromhex(name) for name in names if re.fullmatch("[0-9a-fA-F]{32}", name)}
    rows = _scores(directory, pc.field("id").isin(_strings(names)))
    by_id = {cast("str", row["id"]) for row in rows}
    rows += _scores(directory, pc.field("key").isin(_binary(key for name, key in keys.items() if name not in by_id)))
    there = by_id | {name for name, key in keys.items() if any(row["key"] == key for row in rows)}
    unknown = [name for name in names if name not in there]
    bases = {name: copy[1] for name in unknown if (copy := re.fullmatch(r"(.*)#\d+", name, re.DOTALL))}
    copied = _scores(directory, pc.field("id").isin(_strings(bases.values())))
    there |= {name for name, base in bases.items() if any(row["id"] == base for row in copied)}
    earlier = _earlier_keepers(directory, {*names})
    missing = [name for name in names if name not in there | earlier | {*done}]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UserError(
            f"no document has the id or key {', '.join(map(repr, missing[:3]))}{more}",
            file=str(directory.root),
            hint="nothing was changed; ids stand in scores/, and a record that failed has left no text here",
        )
    originals = {cast("bytes", row["key"]): cast("str", row["id"]) for row in [*rows, *copied]}
    parents = _children(directory, originals)
    children = _scores(directory, pc.field("key").isin(_binary(parents)))
    found = {**originals, **{cast("bytes", row["key"]): cast("str", row["id"]) for row in children}}
    written = _written(directory, found)
    documents = [
        Document(key, name, key in written, max(written.get(key, 0) - 1, 0), parents.get(key))
        for key, name in found.items()
    ]
    others = _scores(
        directory, pc.field("id").isin(_strings(set(found.values()))) & ~pc.field("key").isin(_binary(found))
    )
    gone = sorted({*found.values()} - {cast("str", row["id"]) for row in others})
    return Forgotten(tuple(names), tuple(documents), tuple(gone), frozenset(earlier))


def _binary(keys: Iterable[bytes]) -> pa.Array:
    return pa.array(list(keys), pa.binary(16))


def _strings(names: Iterable[str]) -> pa.Array:
    return pa.array(sorted(names), pa.string())


def _read(folder: AnyPath, columns: Sequence[str], condition: pc.Expression | None = None) -> Iterator[pa.Table]:
    for path in matching(folder, "*.parquet"):
        yield parquet_table(path, columns, condition)


def _scores(directory: RunDirectory, condition: pc.Expression) -> list[dict[str, object]]:
    return [row for table in _read(directory.scores, ["id", "key"], condition) for row in table.to_pylist()]


def _earlier_keepers(directory: RunDirectory, names: AbstractSet[str]) -> set[str]:
    """Those of the names that decisions have as keepers of earlier runs."""
    condition = pc.field("keeper").isin(_strings(names))
    return {
        row["keeper"]
        for table in _read(directory.decisions, ["keeper", "detail"], condition)
        for row in table.to_pylist()
        if row["detail"] and row["detail"]["run"] is not None
    }


def _children(directory: RunDirectory, originals: Mapping[bytes, str]) -> dict[bytes, str]:
    """The keys of the children of these documents, with the ids of their parents. Ids may repeat, so a child is told by
    its key, which follows from that of its parent."""
    ids = set(originals.values())
    claimed: dict[bytes, str] = {}
    for table in _read(directory.decisions, ["key", "detail", "action"], pc.field("action") == DERIVE):
        for row in table.to_pylist():
            if row["detail"]["parent"] in ids:
                claimed[row["key"]] = row["detail"]["parent"]
    children: dict[bytes, str] = {}
    for key, name in originals.items():
        ordinals = np.arange(1, sum(parent == name for parent in claimed.values()) + 1)
        parent = np.frombuffer(key, dtype=np.uint64).reshape(1, 2).repeat(len(ordinals), axis=0)
        own = {child.tobytes() for child in child_keys(parent, ordinals)}
        children |= {child: name for child in claimed if child in own}
    return children


def _written(directory: RunDirectory, keys: Mapping[bytes, object]) -> dict[bytes, int]:
    """How often each of these documents is written, those that are."""
    counts: dict[bytes, int] = {}
    for folder in (directory.shards, directory.heldout):
        for table in _read(folder, ["key"], pc.field("key").isin(_binary(keys))):
            for key in table["key"].to_pylist():
                counts[key] = counts.get(key, 0) + 1
    return counts


@dataclass
class Rows:
    """What writing a file without some documents came to: rows removed, keepers replaced, those of documents that were
    `dropped` among them, what the manifest says of the new file, what is to be taken from `event` (`kept` or `held
    out`) and `copies` in the funnel and what added as `erased`. `groups` are what the recipe maps sources to."""

    event: str
    groups: Mapping[str, Sequence[str]]
    removed: int = 0
    keepers: int = 0
    dropped: int = 0
    described: dict[str, object] = field(default_factory=dict)
    taken: Tally = field(default_factory=Tally)
    erased: Tally = field(default_factory=Tally)

    @property
    def changed(self) -> bool:
        """Whether there is a new file."""
        return self.removed > 0 or self.keepers > 0


def forget_rows(path: AnyPath, target: Path, found: Forgotten, recipe: Recipe) -> Rows:
    """Write a Parquet file of a run of this recipe to `target` without the documents, row group by row group; not at
    all where it holds nothing of them."""
    with pq.ParquetFile(readable(path)) as source:
        names = [name for name in ("key", "keeper", "action", "detail") if name in source.schema_arrow.names]
        event = HELD if path.parent.name == "heldout" else KEPT
        groups = recipe.input.source_groups
        plain = Rows(event, groups)
        for group in range(source.num_row_groups):
            _without(source.read_row_group(group, columns=names, use_threads=False), found, plain)
        if not plain.changed:
            return plain
        result = Rows(event, groups)
        tables = (
            _without(source.read_row_group(group, use_threads=False), found, result)
            for group in range(source.num_row_groups)
        )
        result.described = write_parquet(target, source.schema_arrow, tables, recipe.output.compression)
    return result


def _without(table: pa.Table, found: Forgotten, result: Rows) -> pa.Table:
    gone = pc.is_in(table["key"], found.keys())
    removed = pc.sum(gone).as_py() or 0
    if removed:
        result.removed += removed
        if "text" in table.schema.names:
            _count(table.filter(gone), result)
        table = table.filter(pc.invert(gone))
    if "keeper" in table.schema.names:
        table = _replace_keepers(table, found, result)
    return table


def _replace_keepers(table: pa.Table, found: Forgotten, result: Rows) -> pa.Table:
    named = pc.is_in(table["keeper"], pa.array(found.searched, pa.string()))
    places = np.flatnonzero(named.to_numpy())
    if len(places) == 0:
        return table
    keepers = table["keeper"].to_pylist()
    for place in places.tolist():
        detail = table["detail"][place].as_py() or {}
        keeper = found.new_keeper(keepers[place], detail.get("run"))
        result.keepers += keeper != keepers[place]
        result.dropped += keeper != keepers[place] and table["action"][place].as_py() == DROP
        keepers[place] = keeper
    number = table.schema.get_field_index("keeper")
    return table.set_column(number, table.schema.field(number), pa.array(keepers, pa.string()))


def _count(rows: pa.Table, result: Rows) -> None:
    """Count rows of a shard that are removed: documents by language, source and file, and their copies."""
    file = pc.struct_field(rows["provenance"], "file")
    named = pa.table({"lang": rows["lang"], "source": rows["source"], "file": file}).combine_chunks()
    groups = dimensions(named.to_batches()[0].replace_schema_metadata(group_metadata(result.groups)))
    size = np.diff(string_buffer(rows["text"].combine_chunks())[1])
    tokens, copy = rows["tokens"].to_numpy(), rows["copy"].to_numpy()
    result.taken.count(result.event, copy == 0, groups, tokens, size)
    result.taken.count(COPIES, copy > 0, groups, tokens, size)
    result.erased.count(ERASED, copy == 0, groups, tokens, size)


def forget_examples(manifest: Manifest, found: Forgotten) -> Manifest:
    """The manifest without examples of the documents, nor of those that were dropped in favour of one or repeat it:
    their text is its text. And without their ids elsewhere."""
    keys = {document.key.hex() for document in found.documents}
    examples = []
    for example in cast("list[dict[str, object]]", manifest["examples"]):
        names = {mask_text(name, cast("str", example["lang"])) for name in found.searched}
        if example["key"] not in keys and example["keeper"] not in names:
            examples.append(example)
    warnings = cast("list[str]", manifest["warnings"])
    for name in found.gone:
        warnings = [warning.replace(repr(mask_text(name)), repr(ERASED_NAME)) for warning in warnings]
    return {**manifest, "examples": examples, "warnings": warnings}
