"""Phase `read`: from splits of files to documents with their annotations, in one pass over the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import DOCUMENT_SCHEMA, Batch, Codes, encode
from curator.keys import file_keys
from curator.readers.base import Failure, Note, ReadOptions
from curator.run.clock import TaskClock
from curator.run.counted import put_tally
from curator.run.fields import has_language
from curator.run.holdout import members
from curator.run.journal import CRASH, Journal
from curator.run.notes import CODE_PAGE, count_notes
from curator.run.phases.gathering import Gathering, Raw
from curator.run.phases.inputs import ReadInput, read_splits
from curator.run.phases.languages import count_contradictions, identify_languages
from curator.run.pipeline import HELD_OUT, UNITS, AnyStage, Pipeline, is_matrix, pipeline_of
from curator.run.store import Outputs
from curator.run.tally import CREATED, FILE, IN, LANGUAGE, SOURCE, Tally
from curator.sources import group_metadata
from curator.storage.ipc import BatchWriter, write_table
from curator.text.tokens import count_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAILED_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("line", pa.int64()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("code", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class ReadTask:
    """Reads splits. Writes documents, columns, matrices, and failures if there are any; counts what came in."""

    recipe: str
    options: ReadOptions
    careful: bool = False

    def carefully(self) -> ReadTask | None:
        """See `curator.engine.executor.Careful`."""
        return None if self.careful else replace(self, careful=True)

    def __call__(self, item: ReadInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        journal = Journal(outputs.beside("journal")) if self.careful else None
        taken = _Part(pipeline_of(self.recipe), outputs, journal)
        gathered = Gathering(self.options.batch_bytes)
        digests = []
        for reading in read_splits(item.splits, self.options):
            file = reading.split.file.name
            taken.fail(file, reading.split.failures)
            for records in reading.records:
                taken.fail(file, records.failures)
                for full in gathered.add(file, records):
                    taken.take(full)
            digests.append((file, reading.digest()))
        for rest in gathered.close():
            taken.take(rest)
        if journal is not None:
            journal.close()
        return {**taken.close(), "digests": digests, "consumed": item.consumed}


class _Part:
    """What a task of `read` leaves: a part, what could not be read, and what it says of both."""

    def __init__(self, pipeline: Pipeline, outputs: Outputs, journal: Journal | None) -> None:
        self._pipeline = pipeline
        self._outputs = outputs
        self._journal = journal
        self._writer = PartWriter(pipeline, outputs)
        self._failures: dict[str, list[Failure]] = {}
        self._noted: dict[str, dict[str, list[int]]] = {}
        self._tagged = False
        self._seen = 0

    def fail(self, file: str, failures: Sequence[Failure]) -> None:
        """Count records of a file that could not be read."""
        if failures:
            self._failures.setdefault(file, []).extend(failures)

    def take(self, raw: Raw) -> None:
        """Make documents of records, and write them."""
        seen, self._seen = self._seen, self._seen + len(raw)
        if self._journal is not None:
            raw = self._sift(raw, seen, self._journal)
        found = ingest(raw, self._pipeline, self._outputs.clock)
        documents = found.documents
        for file, failure in found.failures:
            self.fail(file, (failure,))
        for file, note in found.notes:
            count_notes(self._noted.setdefault(file, {}), (note,), {note.position})
        self._tagged = self._tagged or has_language(raw.records.column("lang"))
        for file, notes in raw.notes.items():
            own = documents.filter(pc.equal(documents.column("file"), file))
            count_notes(self._noted.setdefault(file, {}), notes, set(own.column("position").to_pylist()))
        self._writer.write(documents, found.languages, IN)

    def close(self) -> dict[str, object]:
        """Finish the files; returns what the commit record says of them."""
        self._writer.close()
        if self._failures:
            tables = [failed_table(file, failures) for file, failures in self._failures.items()]
            write_table(self._outputs.path("failed"), pa.concat_tables(tables))
        for file, failures in self._failures.items():
            self._writer.tally.count_failed(file, len(failures))
        return {
            **self._writer.result(),
            "failed": sum(map(len, self._failures.values())),
            "noted": list(self._noted.items()),
            "tagged": self._tagged,
        }

    def _sift(self, raw: Raw, seen: int, journal: Journal) -> Raw:
        """The records without those that kill this process, and these as failures. Each is taken through everything
        alone first."""
        pipeline, clock = self._pipeline, self._outputs.clock
        harmless = np.ones(len(raw), dtype=np.bool_)
        for row in range(len(raw)):
            one = raw.only(slice(row, row + 1))
            if seen + row in journal.poison:
                harmless[row] = False
                self.fail(one.file_of(0), (one.failure(0, CRASH),))
                continue
            with journal.about(seen + row):
                found = ingest(one, pipeline, clock)
                if found.documents.num_rows:
                    batch = Batch(found.documents, found.languages)
                    annotate(batch, found.languages, pipeline.recipe.tokenizer, pipeline.early(), clock)
        return raw if harmless.all() else raw.only(harmless)


class PartWriter:
    """Annotates batches of documents and writes the files of a part. Used for what is read and for children."""

    def __init__(self, pipeline: Pipeline, outputs: Outputs) -> None:
        self._recipe = pipeline.recipe
        self._stages = tuple(pipeline.early())
        declared = [*pipeline.builtin(), *(column for stage in self._stages for column in stage.columns)]
        self._plain = [column for column in declared if not is_matrix(column)]
        self._schema = pa.schema([pa.field(column.name, column.type) for column in self._plain])
        self._metadata = group_metadata(pipeline.recipe.input.source_groups)
        self._documents = BatchWriter(outputs.path("documents"), DOCUMENT_SCHEMA.with_metadata(self._metadata))
        self._columns = BatchWriter(outputs.path("columns"), self._schema)
        matrices = (column.name for column in declared if is_matrix(column))
        self._matrices = {name: outputs.path(name).open("wb") for name in matrices}
        self._outputs = outputs
        self._rows = 0
        self._contradicted = self._mixed = 0
        self.tally = Tally()

    def write(self, documents: pa.RecordBatch, languages: Mapping[str, pa.Array], event: str) -> None:
        """Add one batch: its documents, and their columns `language.*`."""
        if documents.num_rows == 0:
            return
        documents = documents.replace_schema_metadata(self._metadata)
        batch = Batch(documents, languages)
        columns = annotate(batch, languages, self._recipe.tokenizer, self._stages, self._outputs.clock)
        if self._recipe.holdout is not None:
            held_out = members(batch, self._recipe.holdout, self._recipe.seed)
            columns[HELD_OUT.name] = pa.array(held_out & (event != CREATED))
        tokens, size = (columns[name].to_numpy() for name in ("tokens", "bytes"))
        for name, file in self._matrices.items():
            np.ascontiguousarray(columns[name].flatten().to_numpy(zero_copy_only=False)).tofile(file)
        arrays = [_cast(columns[column.name], column.type) for column in self._plain]
        self._documents.write(documents)
        self._columns.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        everything = np.ones(len(batch), dtype=np.bool_)
        self.tally.count(event, everything, dimensions(documents), tokens, size)
        self._rows += len(batch)
        self._contradicted += count_contradictions(languages, documents.column("lang"))
        self._mixed += int(pc.count(languages["language.second"]).as_py())

    def close(self) -> None:
        """Finish the files."""
        self._documents.close()
        self._columns.close()
        for file in self._matrices.values():
            file.close()

    def result(self) -> dict[str, object]:
        """What the commit record says of the part."""
        languages = {"contradicted": self._contradicted, "mixed": self._mixed}
        return {"rows": self._rows, "tally": put_tally(self.tally, self._outputs), "languages": languages}


def annotate(
    batch: Batch,
    languages: Mapping[str, pa.Array],
    tokenizer: str | None,
    stages: Iterable[AnyStage],
    clock: TaskClock,
) -> dict[str, pa.Array]:
    """The columns of a batch: its measures, those of its languages, and those that these stages declare."""
    units = batch.units.counts
    tokens = units
    if tokenizer is not None:
        with clock.charge("tokenizer"):
            tokens = count_tokens(batch, tokenizer)
    columns: dict[str, pa.Array] = {
        "tokens": pa.array(tokens),
        UNITS.name: pa.array(units),
        "bytes": pa.array(np.diff(batch.text_buffer[1])),
        **languages,
    }
    for stage in stages:
        with clock.charge(stage.name):
            columns.update(stage.annotate(batch))
    return columns


def dimensions(documents: pa.RecordBatch) -> dict[str, Codes]:
    """What documents are counted by: language as tagged, source group, file."""
    return {
        LANGUAGE: encode(documents.column("lang")),
        SOURCE: Batch(documents).source_groups,
        FILE: encode(documents.column("file")),
    }


@dataclass(frozen=True)
class Ingested:
    """Documents of records, their columns `language.*`, and, each with its file, the records that are no documents and
    the notes on those that are."""

    documents: pa.RecordBatch
    languages: Mapping[str, pa.Array]
    failures: Sequence[tuple[str, Failure]]
    notes: Sequence[tuple[str, Note]]


def ingest(raw: Raw, pipeline: Pipeline, clock: TaskClock) -> Ingested:
    """Documents of records: text repaired and normalised, language settled, keys given."""
    from curator.text.normalise import normalise

    recipe = pipeline.recipe
    normalised = normalise(raw.records.column("text"), repair=recipe.input.repair)
    text = normalised.text
    failures = [
        (raw.file_of(row), raw.failure(row, code)) for row, code in enumerate(normalised.codes) if code is not None
    ]
    notes = [
        (raw.file_of(row), Note(raw.records.column("position")[row].as_py(), CODE_PAGE))
        for row in np.flatnonzero(normalised.code_pages).tolist()
    ]
    if failures:
        good = np.array([code is None for code in normalised.codes], dtype=np.bool_)
        raw, text = raw.only(good), text.filter(pa.array(good))
    records, files = raw.records, raw.file_column()
    count = len(text)
    with clock.charge("language"):
        identified = identify_languages(text, recipe.language)
    tags = _languages(records.column("lang"), identified.detected)
    positions = records.column("position")
    documents = pa.RecordBatch.from_arrays(
        [
            binary16(raw.keys()),
            pc.coalesce(records.column("id"), pc.binary_join_element_wise(files, positions.cast(pa.string()), ":")),
            text,
            pc.coalesce(records.column("source"), recipe.input.source),
            tags,
            files,
            positions,
            pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
            records.column("metadata"),
        ],
        schema=DOCUMENT_SCHEMA,
    )
    return Ingested(documents, identified.checked(tags), failures, notes)


def binary16(keys: NDArray[np.uint64]) -> pa.Array:
    """Keys as binary(16)."""
    buffer = pa.py_buffer(np.ascontiguousarray(keys).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, buffer])


def failed_table(file: str, failures: Sequence[Failure]) -> pa.Table:
    """Failures as rows of `failed/`."""
    positions = np.array([failure.position for failure in failures], dtype=np.int64)
    return pa.table(
        {
            "key": binary16(file_keys(file, positions)),
            "file": pa.array([file] * len(failures), pa.string()),
            "position": pa.array(positions),
            "line": pa.array([failure.line for failure in failures], pa.int64()),
            "stage": pa.array(["read"] * len(failures), pa.string()),
            "code": pa.array([failure.code for failure in failures], pa.string()),
            "sha256": pa.array([failure.digest for failure in failures], pa.string()),
        },
        schema=FAILED_SCHEMA,
    )


def _languages(given: pa.StringArray, detected: pa.Array) -> pa.Array:
    """The tag that the record carries, normalised; else the language that was identified."""
    from curator.language.tags import normalise_tag

    encoded = pc.dictionary_encode(given)
    tags = [normalise_tag(name) if name.strip() else None for name in encoded.dictionary.to_pylist()]
    return pc.coalesce(pa.array(tags, pa.string()).take(encoded.indices), detected)


def _cast(array: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array if array.type == kind else array.cast(kind)
