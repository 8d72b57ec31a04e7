"""A part: the documents of one split, with everything that was said of them so far.

A part is cut into batches once, when it is read; all its files keep these cuts, so that any of them can be read beside
any other. Rows are numbered within the part; `first_row` makes them numbers within the corpus.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.document import DOCUMENT_SCHEMA
from curator.run.edits import Edits, Measures
from curator.stage import WEIGHT
from curator.storage.ipc import read_batches, read_table
from curator.storage.spool import find_file, local_file
from curator.verdict import DROP, REPEAT, VERDICT_SCHEMA

WITHOUT_TEXT = tuple(name for name in DOCUMENT_SCHEMA.names if name != "text")

UNITS_NAME = "units"
"""A column of the parts of a recipe that names a tokenizer."""

HELD_OUT_NAME = "holdout.member"
"""A column of the parts of a recipe that holds documents out."""

JUDGED_SCHEMA = pa.schema([pa.field("stage", pa.string(), nullable=False), *VERDICT_SCHEMA])
"""The verdicts of a pass: which stage, and what it decided. `row` counts within the part."""

EDITED = b"edited"
"""Metadata of the verdicts of a pass that also left new texts: without it there is no file of edits to look for."""


@dataclass(frozen=True)
class Part:
    """Where the files of a part lie. `judged` are the folders of the passes that decided on it, in order; `relations`
    are (stage, file) of what stages found between documents; `is_derived` parts hold children; `failures` counts the
    records that could not be read, which have a file where there are any. Folders and files are places (see
    `curator.run.store`)."""

    folder: str
    name: str
    rows: int
    first_row: int
    is_derived: bool = False
    judged: tuple[str, ...] = ()
    relations: tuple[tuple[str, str], ...] = ()
    failures: int = 0

    def fresh(self) -> Part:
        """The part without what was read from its files: a task keeps nothing beyond its end."""
        return replace(self)

    def path(self, suffix: str) -> Path:
        """A file of the pass that read the part, on this node."""
        return local_file(f"{self.folder}/{self.name}.{suffix}")

    def with_judged(self, folder: str) -> Part:
        """The part after one more pass decided on it."""
        return replace(self, judged=(*self.judged, folder))

    def with_relation(self, stage: str, file: str) -> Part:
        """The part with one more relation."""
        return replace(self, relations=(*self.relations, (stage, file)))

    def documents(self, fields: Sequence[str] = DOCUMENT_SCHEMA.names) -> Iterator[pa.RecordBatch]:
        """The documents, batch by batch, with these fields alone."""
        return read_batches(self.path("documents"), fields)

    def columns(self, names: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The columns that were annotated while reading, batch by batch; their file is opened once."""
        chosen = None if names is None else list(names)
        yield from self._columns if chosen is None else (batch.select(chosen) for batch in self._columns)

    @cached_property
    def _columns(self) -> list[pa.RecordBatch]:
        return list(read_batches(self.path("columns")))

    def matrix(self, name: str, dtype: np.dtype[np.generic], width: int) -> NDArray[np.generic]:
        """A fixed-width internal column of the whole part, mapped from its file: dtype[rows, width]."""
        if self.rows == 0:
            return np.zeros((0, width), dtype=dtype)
        # Mapped by Arrow, in a fifth of the time that `np.memmap` takes.
        with pa.memory_map(str(self.path(name))) as source:
            values: NDArray[np.generic] = np.frombuffer(source.read_buffer(), dtype, self.rows * width)
        return values.reshape(self.rows, width)

    def edited(self, fields: Sequence[str] = DOCUMENT_SCHEMA.names) -> Iterator[pa.RecordBatch]:
        """The documents with these fields, `text` among them, as edited so far."""
        begin = 0
        for batch in self.documents(fields):
            end = begin + batch.num_rows
            yield self.edits.within(begin, end).apply(batch)
            begin = end

    def relation(self, file: str) -> pa.Table:
        """The rows of a relation that concern this part; their `row` counts within the part."""
        with pa.memory_map(str(local_file(file))) as source:
            table = _rows_between(pa.ipc.open_file(source), self.first_row, self.first_row + self.rows)
            rows = table["row"].to_numpy()
            begin, end = np.searchsorted(rows, [self.first_row, self.first_row + self.rows]).tolist()
            piece = table.slice(begin, end - begin)
            return piece.set_column(0, "row", pa.array(rows[begin:end] - self.first_row))

    def dense_relations(self) -> dict[str, pa.Array]:
        """The columns of all relations, one row a document, null where a document has none."""
        dense: dict[str, pa.Array] = {}
        for _, file in self.relations:
            table = self.relation(file).combine_chunks()
            place = np.full(self.rows, -1, dtype=np.int64)
            place[table["row"].to_numpy()] = np.arange(len(table))
            index = pa.array(place, mask=place < 0)
            for name in table.schema.names[1:]:
                column = table[name].combine_chunks() if len(table) else pa.array([], table.schema.field(name).type)
                dense[name] = column.take(index)
        return dense

    @cached_property
    def verdicts(self) -> pa.Table:
        """All verdicts so far (JUDGED_SCHEMA), in the order of the passes."""
        return pa.concat_tables(self._judgements) if self.judged else JUDGED_SCHEMA.empty_table()

    @cached_property
    def _judgements(self) -> list[pa.Table]:
        return [read_table(local_file(f"{folder}/{self.name}.verdicts")) for folder in self.judged]

    def _rows_with(self, action: str) -> pa.Table:
        # By a mask: a filter by an expression starts a query engine, which takes longer than the filter.
        return self.verdicts.filter(pc.equal(self.verdicts["action"], action))

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """Documents that no stage dropped so far: bool[rows]."""
        alive = np.ones(self.rows, dtype=np.bool_)
        alive[self._rows_with(DROP)["row"].to_numpy()] = False
        return alive

    def kept_by(self, stages: Sequence[str]) -> NDArray[np.bool_]:
        """Documents that none of these stages dropped: bool[rows]."""
        kept = np.ones(self.rows, dtype=np.bool_)
        dropped = self._rows_with(DROP)
        named = pc.is_in(dropped["stage"], pa.array(stages, pa.string()))
        kept[dropped.filter(named)["row"].to_numpy()] = False
        return kept

    @cached_property
    def copies(self) -> NDArray[np.int64]:
        """How often each document is written: int64[rows], 0 for dropped ones."""
        copies = self.alive.astype(np.int64)
        repeated = self._rows_with(REPEAT)
        copies[repeated["row"].to_numpy()] *= repeated["copies"].to_numpy().astype(np.int64)
        return copies

    @cached_property
    def held_out(self) -> NDArray[np.bool_]:
        """Documents that do not go into the shards, but into `heldout/`, if they are kept: bool[rows]."""
        if not self.holds_out:
            return np.zeros(self.rows, dtype=np.bool_)
        columns = [batch.column(0) for batch in self.columns([HELD_OUT_NAME])]
        held: NDArray[np.bool_] = pa.concat_arrays(columns).to_numpy(zero_copy_only=False)
        return held

    @cached_property
    def holds_out(self) -> bool:
        """Whether the recipe holds documents out, and there is one here that it could."""
        first = next(self.columns(), None)
        return first is not None and HELD_OUT_NAME in first.schema.names

    @cached_property
    def edits(self) -> Edits:
        """The texts as edited so far; the last edit of a document stands."""
        tables = [
            read_table(local_file(f"{folder}/{self.name}.edits"))
            for folder, verdicts in zip(self.judged, self._judgements, strict=True)
            if EDITED in (verdicts.schema.metadata or {})
        ]
        return Edits.of(pa.concat_tables(tables)) if tables else Edits.none()

    def measures(self) -> Measures:
        """The measures of every document, as edited so far."""
        batches = list(self.columns())
        if not batches:
            return Measures(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        table = pa.Table.from_batches(batches)
        units = UNITS_NAME if UNITS_NAME in table.schema.names else "tokens"
        measures = Measures(*(table[name].to_numpy().copy() for name in ("tokens", units, "bytes")))
        measures.put(self.edits.rows, self.edits.measures)
        return measures

    def scores(self) -> pa.Table | None:
        """The scored columns of all passes, one row a document; None where no stage scored."""
        paths = [find_file(f"{folder}/{self.name}.scores") for folder in self.judged]
        tables = [read_table(path) for path in paths if path is not None]
        columns = {name: table[name] for table in tables for name in table.schema.names}
        return pa.table(columns) if columns else None

    def weights(self) -> NDArray[np.float32]:
        """The weight of each document in training: float32[rows]."""
        scores = self.scores()
        if scores is None or WEIGHT not in scores.schema.names:
            return np.ones(self.rows, dtype=np.float32)
        weights: NDArray[np.float32] = pc.fill_null(scores[WEIGHT], 1.0).to_numpy().astype(np.float32)
        return weights


def _rows_between(reader: pa.RecordBatchFileReader, begin: int, end: int) -> pa.Table:
    """The batches of a relation, sorted by `row`, that have rows of [begin, end): no other is looked at."""
    count = reader.num_record_batches
    first = bisect.bisect_left(range(count), begin, key=lambda index: reader.get_batch(index)["row"][-1].as_py())
    found = []
    for index in range(first, count):
        batch = reader.get_batch(index)
        if batch["row"][0].as_py() >= end:
            break
        found.append(batch)
    return pa.Table.from_batches(found, reader.schema)
