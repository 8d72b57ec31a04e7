"""Phase `read`: from a split of a file to documents with their annotations, in one pass over the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import DOCUMENT_SCHEMA, Batch, Codes, encode
from curator.keys import file_keys
from curator.readers.base import Failure, ReadOptions, Records, Split
from curator.readers.batches import digest_record
from curator.readers.registry import load_reader
from curator.run.clock import TaskClock
from curator.run.fields import has_language
from curator.run.holdout import members
from curator.run.journal import CRASH, Journal
from curator.run.notes import count_notes
from curator.run.part import BatchWriter, write_table
from curator.run.phases.languages import count_contradictions, identify_languages
from curator.run.pipeline import HELD_OUT, UNITS, AnyStage, Pipeline, is_matrix, pipeline_of
from curator.run.store import Outputs
from curator.run.tally import CREATED, FILE, IN, LANGUAGE, SOURCE, Tally
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
class ReadInput:
    """One split; the name puts parts in input order."""

    file_index: int
    split: Split

    @property
    def name(self) -> str:
        """The name of the task."""
        return f"{self.file_index:06d}-{self.split.index:06d}"

    @property
    def held_bytes(self) -> int:
        """Data that travels with it, of a file that one producer reads."""
        return len(self.split.data or b"")


@dataclass(frozen=True)
class ReadTask:
    """Reads a split. Writes documents, columns, matrices, and failures if there are any; counts what came in."""

    recipe: str
    options: ReadOptions
    careful: bool = False

    def carefully(self) -> ReadTask | None:
        """See `curator.engine.executor.Careful`."""
        return None if self.careful else replace(self, careful=True)

    def __call__(self, item: ReadInput, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        journal = Journal(outputs.beside("journal")) if self.careful else None
        pipeline = pipeline_of(self.recipe)
        split = item.split
        reader = load_reader(split.file.format)
        writer = PartWriter(pipeline, outputs)
        failures = list(split.failures)
        noted: dict[str, list[int]] = {}
        tagged = False
        for records in reader.read(split, self.options):
            failures.extend(records.failures)
            if journal is not None:
                records, poison = sift(records, split, pipeline, journal, outputs.clock)
                failures.extend(poison)
            documents, found, languages = ingest(records, split, pipeline, outputs.clock)
            failures.extend(found)
            tagged = tagged or has_language(records.records.column("lang"))
            if records.notes:
                count_notes(noted, records.notes, set(documents.column("position").to_pylist()))
            writer.write(documents, languages, IN)
        writer.close()
        if journal is not None:
            journal.close()
        if failures:
            write_table(outputs.path("failed"), failed_table(split.file.name, failures))
        writer.tally.count_failed(split.file.name, len(failures))
        return {
            **writer.result(),
            "digest": reader.digest(split),
            "failed": len(failures),
            "noted": noted,
            "tagged": tagged,
            "consumed": split.consumed,
        }


class PartWriter:
    """Annotates batches of documents and writes the files of a part. Used for what is read and for children."""

    def __init__(self, pipeline: Pipeline, outputs: Outputs) -> None:
        self._recipe = pipeline.recipe
        self._stages = tuple(pipeline.early())
        declared = [*pipeline.builtin(), *(column for stage in self._stages for column in stage.columns)]
        self._plain = [column for column in declared if not is_matrix(column)]
        self._schema = pa.schema([pa.field(column.name, column.type) for column in self._plain])
        self._documents = BatchWriter(outputs.path("documents"), DOCUMENT_SCHEMA)
        self._columns = BatchWriter(outputs.path("columns"), self._schema)
        matrices = (column.name for column in declared if is_matrix(column))
        self._matrices = {name: outputs.path(name).open("wb") for name in matrices}
        self._clock = outputs.clock
        self._rows = 0
        self._contradicted = self._mixed = 0
        self.tally = Tally()

    def write(self, documents: pa.RecordBatch, languages: Mapping[str, pa.Array], event: str) -> None:
        """Add one batch: its documents, and their columns `language.*`."""
        if documents.num_rows == 0:
            return
        batch = Batch(documents, languages)
        columns = annotate(batch, languages, self._recipe.tokenizer, self._stages, self._clock)
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
        return {"rows": self._rows, "tally": self.tally.rows(), "languages": languages}


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


def sift(
    records: Records, split: Split, pipeline: Pipeline, journal: Journal, clock: TaskClock
) -> tuple[Records, list[Failure]]:
    """The records without those that kill this process, and these as failures. Each is taken through everything alone
    first."""
    raw = records.records
    positions = raw.column("position").to_pylist()
    harmless = np.array([position not in journal.poison for position in positions], dtype=np.bool_)
    failures = []
    for row, position in enumerate(positions):
        if not harmless[row]:
            failures.append(Failure(position, None, CRASH, digest_record(raw.column("text")[row].as_py())))
            continue
        with journal.about(position):
            documents, _, languages = ingest(Records(raw.slice(row, 1), ()), split, pipeline, clock)
            if documents.num_rows:
                annotate(Batch(documents, languages), languages, pipeline.recipe.tokenizer, pipeline.early(), clock)
    return (records if harmless.all() else replace(records, records=raw.filter(pa.array(harmless)))), failures


def dimensions(documents: pa.RecordBatch) -> dict[str, Codes]:
    """What documents are counted by: language as tagged, source group, file."""
    return {
        LANGUAGE: encode(documents.column("lang")),
        SOURCE: Batch(documents).source_groups,
        FILE: encode(documents.column("file")),
    }


def ingest(
    records: Records, split: Split, pipeline: Pipeline, clock: TaskClock
) -> tuple[pa.RecordBatch, list[Failure], dict[str, pa.Array]]:
    """Documents of records: text repaired and normalised, language settled, keys given. Also the failures, and the
    columns `language.*`."""
    from curator.text.normalise import normalise

    recipe = pipeline.recipe
    raw = records.records
    normalised = normalise(raw.column("text"), repair=recipe.input.repair)
    failures = [
        Failure(raw.column("position")[row].as_py(), None, code, digest_record(raw.column("text")[row].as_py()))
        for row, code in enumerate(normalised.codes)
        if code is not None
    ]
    good = np.array([code is None for code in normalised.codes], dtype=np.bool_)
    text = normalised.text
    if failures:
        raw, text = raw.filter(pa.array(good)), text.filter(pa.array(good))
    count = len(text)
    with clock.charge("language"):
        identified = identify_languages(text, recipe.language)
    tags = _languages(raw.column("lang"), identified.detected)
    positions = raw.column("position")
    name = split.file.name
    keys = file_keys(name, positions.to_numpy(zero_copy_only=False).astype(np.int64))
    documents = pa.RecordBatch.from_arrays(
        [
            binary16(keys),
            pc.coalesce(raw.column("id"), pc.binary_join_element_wise(name, positions.cast(pa.string()), ":")),
            text,
            pc.coalesce(raw.column("source"), recipe.input.source),
            tags,
            pa.repeat(pa.scalar(name, pa.string()), count),
            positions,
            pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
            pa.nulls(count, pa.string()),
            raw.column("metadata"),
        ],
        schema=DOCUMENT_SCHEMA,
    )
    return documents, failures, identified.checked(tags)


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
