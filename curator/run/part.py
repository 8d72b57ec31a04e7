"""A part: the documents of one split, with everything that was said of them so far.

A part is cut into batches once, when it is read; all its files keep these cuts, so that any of them can be read beside
any other. Rows are numbered within the part; `first_row` makes them numbers within the corpus.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curator.document import DOCUMENT_SCHEMA, string_buffer
from curator.stage import FACTS, WEIGHT
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

IPC_MAGIC = b"ARROW1"
"""An Arrow IPC file begins with it, filled up to eight bytes, and ends with it; behind the beginning stands a whole IPC
stream (Arrow's columnar format, "IPC File Format")."""

EDITED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("units", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Measures:
    """Tokens, units and bytes of UTF-8 of documents: int64[rows] each. Where the recipe names no tokenizer, `tokens`
    are the units."""

    tokens: NDArray[np.int64]
    units: NDArray[np.int64]
    size: NDArray[np.int64]

    def within(self, begin: int, end: int) -> Measures:
        """Those of rows [begin, end), apart from these."""
        return Measures(*(each[begin:end].copy() for each in (self.tokens, self.units, self.size)))

    def put(self, rows: NDArray[np.int64], measures: Measures) -> None:
        """Put `measures` in the place of those of `rows`."""
        self.tokens[rows], self.units[rows], self.size[rows] = measures.tokens, measures.units, measures.size


@dataclass(frozen=True)
class Edits:
    """New texts: `rows` (sorted, within the part), `texts`, and the `measures` of each."""

    rows: NDArray[np.int64]
    texts: pa.StringArray
    measures: Measures

    def within(self, begin: int, end: int) -> Edits:
        """The edits of rows [begin, end), with rows counted from `begin`."""
        if len(self.rows) == 0:
            return self
        first, last = np.searchsorted(self.rows, [begin, end])
        part = slice(first, last)
        return Edits(self.rows[part] - begin, self.texts[first:last], self.measures.within(part.start, part.stop))

    @staticmethod
    @cache
    def none() -> Edits:
        """No edits."""
        return Edits.of(EDITED_SCHEMA.empty_table())

    @staticmethod
    def of(table: pa.Table) -> Edits:
        """The edits of a table of EDITED_SCHEMA; of those of one row the last stands."""
        rows = table["row"].to_numpy().astype(np.int64)
        places = _last_of_each(rows)
        table = table.select(["text", "tokens", "units"]).take(pa.array(places))
        texts = pa.concat_arrays([pa.array([], pa.string()), *table["text"].chunks])
        size = np.diff(string_buffer(texts)[1])
        return Edits(rows[places], texts, Measures(table["tokens"].to_numpy(), table["units"].to_numpy(), size))

    def as_table(self, begin: int) -> pa.Table:
        """A table of EDITED_SCHEMA, its rows counted from `begin` rows earlier."""
        columns = [self.rows + begin, self.texts, self.measures.tokens, self.measures.units]
        return pa.table(
            [pa.array(column, kind) for column, kind in zip(columns, EDITED_SCHEMA.types, strict=True)],
            schema=EDITED_SCHEMA,
        )

    def with_later(self, rows: NDArray[np.int64], texts: pa.StringArray, measures: Measures) -> Edits:
        """These edits with later ones, which take their place in rows that have both."""
        every = np.concatenate([self.rows, rows])
        places = _last_of_each(every)
        own = self.measures
        return Edits(
            every[places],
            pa.concat_arrays([self.texts, texts]).take(pa.array(places)),
            Measures(
                np.concatenate([own.tokens, measures.tokens])[places],
                np.concatenate([own.units, measures.units])[places],
                np.concatenate([own.size, measures.size])[places],
            ),
        )

    def text_of(self, row: int) -> str | None:
        """The new text of a row, None where it has none."""
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows) or self.rows[place] != row:
            return None
        text: str = self.texts[place].as_py()
        return text

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The documents of a batch with their new texts."""
        if len(self.rows) == 0:
            return batch
        mask = np.zeros(batch.num_rows, dtype=np.bool_)
        mask[self.rows] = True
        text = pc.replace_with_mask(batch.column("text"), pa.array(mask), self.texts)
        return batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), text)


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


def _last_of_each(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each distinct row stands last, by row: int64[distinct rows]."""
    _, places = np.unique(rows[::-1], return_index=True)
    return len(rows) - 1 - places


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


class BatchWriter:
    """Writes record batches to an Arrow IPC file, uncompressed: it is mapped, not read."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._sink = pa.OSFile(str(path), "wb")
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
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def relation_facts(path: Path) -> dict[str, object]:
    """What the file of a relation says about itself (see `curator.stage.FACTS`)."""
    with pa.memory_map(str(path)) as source:
        metadata = _stream_in(source).schema.metadata or {}
    found: dict[str, object] = json.loads(metadata.get(FACTS.encode(), b"{}"))
    return found


def read_table(path: Path) -> pa.Table:
    """A whole Arrow IPC file."""
    with pa.memory_map(str(path)) as source:
        return _stream_in(source).read_all()


def _stream_in(source: pa.NativeFile) -> pa.RecordBatchStreamReader:
    """The stream that an IPC file wraps. To open the file as a file hands its footer to another thread and waits for
    it, a hundred times a part in a run: nothing on an idle machine, a turn of the scheduler each on a busy one."""
    source.seek(source.size() - len(IPC_MAGIC))
    if source.read() != IPC_MAGIC:
        raise pa.ArrowInvalid("an Arrow IPC file was cut short")
    source.seek(8)
    return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(use_threads=False))
