"""Phase `judge`: the verdicts of some stages on a part, in recipe order, and what the next stage observes there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import MIXTURE, Batch, string_buffer
from curator.run.counted import put_tally
from curator.run.edits import Edits, Measures
from curator.run.journal import Journal, crash_rule
from curator.run.part import EDITED, JUDGED_SCHEMA, WITHOUT_TEXT, Part
from curator.run.phases.read import dimensions
from curator.run.pipeline import AnyStage, Pipeline, is_matrix, pipeline_of
from curator.run.states import load_state
from curator.run.store import Outputs
from curator.run.tally import COPIES, HELD, KEPT, Tally, verdict_event
from curator.stage import Columns, State
from curator.storage.ipc import write_table
from curator.text.tokens import count_tokens
from curator.verdict import DROP, REPEAT, VerdictBuilder, Verdicts

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class JudgeTask:
    """Decides on a part for `stages` in order, then observes for `observers`.

    `states` are (stage, file) of fitted states. In the last pass before writing `closes` is set: what is kept is
    counted.
    """

    recipe: str
    stages: tuple[str, ...]
    observers: tuple[str, ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    closes: bool = False
    careful: bool = False

    def carefully(self) -> JudgeTask | None:
        """See `curator.engine.executor.Careful`."""
        return None if self.careful else replace(self, careful=True)

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        pipeline = pipeline_of(self.recipe)
        stages = [pipeline.stage(name) for name in self.stages]
        observers = [pipeline.stage(name) for name in self.observers]
        states = {name: load_state(path) for name, path in self.states}
        record = _Record()
        journal = Journal(outputs.beside("journal")) if self.careful else None
        summaries: dict[str, list[pa.Table]] = {name: [] for name in self.observers}
        text = any(_needs_text(pipeline, stage) for stage in stages) or any(
            _is_late(pipeline, each) for each in observers
        )
        related = any(map(_reads_relations, (*stages, *observers)))
        for view in _views(part, pipeline.recipe.tokenizer, text=text, related=related):
            for stage in stages:
                with outputs.clock.charge(stage.name):
                    state = states.get(stage.name, {})
                    if journal is not None:
                        _sift(pipeline, stage, state, view, journal)
                    _judge(pipeline, stage, state, view)
            for stage in observers:
                rows = view.rows_for(stage)
                with outputs.clock.charge(stage.name):
                    batch = view.batch(rows, text=_is_late(pipeline, stage))
                    summaries[stage.name].append(stage.observe(batch, view.columns_for(stage, rows)))
            record.add(view, stages, closes=self.closes)
        record.write(outputs)
        if journal is not None:
            journal.close()
        for stage in observers:
            write_table(outputs.path(f"{stage.name}.summary"), stage.merge(summaries[stage.name]))
        return {"tally": put_tally(record.tally, outputs), "kept_bytes": record.kept_bytes}


@dataclass
class _View:
    """One batch of a part while it is judged: rows [begin, begin + n) of the part. `edits` are all so far, `edited`
    those of this pass."""

    part: Part
    begin: int
    tokenizer: str | None
    documents: pa.RecordBatch
    plain: pa.RecordBatch
    alive: NDArray[np.bool_]
    measures: Measures
    copies: NDArray[np.int64]
    edits: Edits
    relations: dict[str, pa.Array]
    held_out: NDArray[np.bool_]
    events: list[tuple[str, NDArray[np.int64]]] = field(default_factory=list)
    verdicts: list[pa.Table] = field(default_factory=list)
    edited: Edits = field(default_factory=Edits.none)
    scores: dict[str, pa.Array] = field(default_factory=dict)
    _batches: dict[bool, tuple[NDArray[np.int64], Batch]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.alive)

    def rows_for(self, stage: AnyStage) -> NDArray[np.int64]:
        """The documents that a stage sees: survivors; where it mixes the corpus, those that are not held out."""
        return np.flatnonzero(self.alive & ~self.held_out if stage.repeats else self.alive)

    def batch(self, rows: NDArray[np.int64], *, text: bool) -> Batch:
        """The documents of these rows, with their text as edited so far or without: the batch of the stage before, and
        what was computed of it, where nothing has changed since."""
        before = self._batches.get(text)
        if before is not None and np.array_equal(before[0], rows):
            return before[1]
        documents = self.edits.apply(self.documents) if text else self.documents.select(list(WITHOUT_TEXT))
        mixture = {name: self.plain.column(name) for name in MIXTURE if name in self.plain.schema.names}
        whole = Batch(documents, mixture)
        batch = whole if len(rows) == len(self) else whole.select(rows)
        self._batches[text] = rows, batch
        return batch

    def edit(self, rows: NDArray[np.int64], texts: pa.StringArray, measures: Measures) -> None:
        """Give these rows new texts."""
        self.measures.put(rows, measures)
        self.edits = self.edits.with_later(rows, texts, measures)
        self.edited = self.edited.with_later(rows, texts, measures)
        self._batches.clear()

    def columns_for(self, stage: AnyStage, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """The columns that `stage` may read, for these rows: its own as far as they are there, `tokens`, `units` and
        `bytes`."""
        found: dict[str, pa.Array] = {
            "tokens": pa.array(self.measures.tokens[rows]),
            "units": pa.array(self.measures.units[rows]),
            "bytes": pa.array(self.measures.size[rows]),
        }
        index = pa.array(rows)
        every = len(rows) == len(self)
        for column in stage.columns:
            if is_matrix(column) and not stage.costly:
                width, kind = column.type.list_size, column.type.value_type
                values = self.part.matrix(column.name, np.dtype(kind.to_pandas_dtype()), width)
                flat = np.ascontiguousarray(values[rows + self.begin]).reshape(-1)
                found[column.name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), width)
            elif column.name in self.plain.schema.names:
                plain = self.plain.column(column.name)
                found[column.name] = plain if every else plain.take(index)
        for column in stage.relation:
            found[column.name] = self.relations[column.name].take(index)
        for name in stage.reads:
            found[name] = self.relations[name].take(index)
        return found


@dataclass
class _Record:
    """What a pass over a part leaves."""

    tally: Tally = field(default_factory=Tally)
    kept_bytes: int = 0
    verdicts: list[pa.Table] = field(default_factory=list)
    edits: list[pa.Table] = field(default_factory=list)
    scores: list[pa.RecordBatch] = field(default_factory=list)

    def add(self, view: _View, stages: list[AnyStage], *, closes: bool) -> None:
        groups = dimensions(view.documents) if closes or view.events else {}
        tokens, size = view.measures.tokens, view.measures.size
        for event, rows in view.events:
            mask = np.zeros(len(view), dtype=np.bool_)
            mask[rows] = True
            self.tally.count(event, mask, groups, tokens, size)
        if closes:
            written = view.alive & ~view.held_out
            self.tally.count(KEPT, written, groups, tokens, size)
            self.tally.count(HELD, view.alive & view.held_out, groups, tokens, size)
            extra = np.where(written, view.copies - 1, 0)
            for number in range(1, int(extra.max(initial=0)) + 1):
                self.tally.count(COPIES, extra >= number, groups, tokens, size)
            self.kept_bytes += int((size * (extra + written)).sum())
        self.verdicts.extend(view.verdicts)
        if len(view.edited.rows):
            self.edits.append(view.edited.as_table(view.begin))
        if view.scores:
            self.scores.append(pa.RecordBatch.from_pydict(view.scores))

    def write(self, outputs: Outputs) -> None:
        verdicts = pa.concat_tables(self.verdicts) if self.verdicts else JUDGED_SCHEMA.empty_table()
        if self.edits:
            verdicts = verdicts.replace_schema_metadata({EDITED: b""})
            write_table(outputs.path("edits"), pa.concat_tables(self.edits))
        write_table(outputs.path("verdicts"), verdicts)
        if self.scores:
            write_table(outputs.path("scores"), pa.Table.from_batches(self.scores))


def _needs_text(pipeline: Pipeline, stage: AnyStage) -> bool:
    return stage.edits_text or _is_late(pipeline, stage)


def _is_late(pipeline: Pipeline, stage: AnyStage) -> bool:
    """Whether the stage annotates now, on survivors, and not while reading."""
    return bool(stage.columns) and not pipeline.annotates_early(stage)


def _reads_relations(stage: AnyStage) -> bool:
    return bool(stage.relation or stage.reads)


def _views(part: Part, tokenizer: str | None, *, text: bool, related: bool) -> Iterator[_View]:
    """The batches of a part; with `related`, what stages found between its documents is laid out beside them."""
    part = part.fresh()
    documents = part.documents() if text else part.documents(WITHOUT_TEXT)
    measures = part.measures()
    relations = part.dense_relations() if related else {}
    begin = 0
    for batch, plain in zip(documents, part.columns(), strict=True):
        end = begin + batch.num_rows
        yield _View(
            part=part,
            begin=begin,
            tokenizer=tokenizer,
            documents=batch,
            plain=plain,
            alive=part.alive[begin:end].copy(),
            measures=measures.within(begin, end),
            copies=np.ones(end - begin, dtype=np.int64),
            edits=part.edits.within(begin, end),
            relations={name: array.slice(begin, end - begin) for name, array in relations.items()},
            held_out=part.held_out[begin:end],
        )
        begin = end


def _judge(pipeline: Pipeline, stage: AnyStage, state: State, view: _View) -> None:
    """Let one stage decide on what the ones before it left of a batch."""
    rows = view.rows_for(stage)
    produced, verdicts = _work(pipeline, stage, state, view, rows)
    for column in (*stage.columns, *stage.scored):
        public = not column.internal and column.name not in view.plain.schema.names
        if public:
            view.scores[column.name] = _scatter(produced.get(column.name), rows, len(view), column.type)
    _apply(stage, verdicts, rows, view)


def _work(
    pipeline: Pipeline, stage: AnyStage, state: State, view: _View, rows: NDArray[np.int64]
) -> tuple[Columns, Verdicts]:
    """What a stage says of these documents: the columns that it makes now, and its verdicts."""
    if not len(rows):
        return {}, Verdicts.none()
    batch = view.batch(rows, text=_needs_text(pipeline, stage))
    columns = view.columns_for(stage, rows)
    found: Columns = stage.annotate(batch) if _is_late(pipeline, stage) else {}
    scored: Columns = stage.score(batch, {**columns, **found}, state)
    produced = {**found, **scored}
    return produced, stage.decide(batch, {**columns, **produced}, state)


def _sift(pipeline: Pipeline, stage: AnyStage, state: State, view: _View, journal: Journal) -> None:
    """Drop the documents that kill this process. Each is shown to the stage alone first."""
    place = pipeline.stages.index(stage)
    rows = view.rows_for(stage)
    poison = VerdictBuilder(len(rows))
    for local, row in enumerate(rows.tolist()):
        number = place * view.part.rows + view.begin + row
        if number in journal.poison:
            poison.drop(np.array([local]), crash_rule(stage.name))
            continue
        with journal.about(number):
            _work(pipeline, stage, state, view, rows[local : local + 1])
    _apply(stage, poison.build(), rows, view)


def _apply(stage: AnyStage, verdicts: Verdicts, rows: NDArray[np.int64], view: _View) -> None:
    """Carry out the verdicts on a batch and note them."""
    table = verdicts.table
    if len(table) == 0 and len(verdicts.edits) == 0:
        return
    local = rows[table["row"].to_numpy()]
    actions = table["action"].combine_chunks()
    encoded = pc.dictionary_encode(pc.binary_join_element_wise(actions, table["rule"].combine_chunks(), "/"))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        action, rule = name.split("/", 1)
        view.events.append((verdict_event(stage.name, action, rule), local[codes == code]))
    view.alive[local[_equal(actions, DROP)]] = False
    repeated = _equal(actions, REPEAT)
    view.copies[local[repeated]] = table["copies"].to_numpy()[repeated]
    if len(verdicts.edits):
        texts = verdicts.edits["text"].combine_chunks()
        batch = Batch(pa.RecordBatch.from_arrays([texts], names=["text"]))
        found = Measures(count_tokens(batch, view.tokenizer), batch.units.counts, np.diff(string_buffer(texts)[1]))
        view.edit(rows[verdicts.edits["row"].to_numpy()], texts, found)
    stages = pa.repeat(pa.scalar(stage.name, pa.string()), len(table))
    table = table.set_column(0, "row", pa.array((local + view.begin).astype(np.int32)))
    view.verdicts.append(table.add_column(0, "stage", stages).cast(JUDGED_SCHEMA))


def _equal(actions: pa.StringArray, action: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.equal(actions, action).to_numpy(zero_copy_only=False)
    return found


def _scatter(values: pa.Array | None, rows: NDArray[np.int64], count: int, kind: pa.DataType) -> pa.Array:
    """Values of some rows as a column of all rows, null elsewhere."""
    if values is None:
        return pa.nulls(count, kind)
    place = np.full(count, -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    return values.cast(kind).take(pa.array(place, mask=place < 0))


def candidates(
    part: Part, tokenizer: str | None, stage: AnyStage, state: State
) -> tuple[Batch, dict[str, pa.Array]] | None:
    """The candidates of a deriving stage in one batch, their text as edited, with its columns; None where there are
    none. They are few by the stage's own choice, and are held together so that a translator starts once a part."""
    batches: list[pa.RecordBatch] = []
    columns: dict[str, list[pa.Array]] = {}
    for view in _views(part, tokenizer, text=True, related=_reads_relations(stage)):
        rows = np.flatnonzero(view.alive & ~view.held_out)
        rows = rows[stage.candidates(view.batch(rows, text=False), state)]
        if len(rows):
            batches.append(view.batch(rows, text=True).documents)
            for name, column in view.columns_for(stage, rows).items():
                columns.setdefault(name, []).append(column)
    if not batches:
        return None
    return Batch(pa.concat_batches(batches)), {name: pa.concat_arrays(pieces) for name, pieces in columns.items()}
