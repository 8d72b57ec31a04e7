"""Phase `write`: shards, scores, decisions and failures of consecutive parts, as Parquet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.document import UNDETERMINED
from curator.keys import random_words
from curator.readers.batches import digest_record
from curator.run.examples import Example, mask_examples
from curator.run.journal import CRASH, crash_rule
from curator.run.part import Part
from curator.run.phases.read import FAILED_SCHEMA
from curator.run.pipeline import Pipeline, pipeline_of
from curator.run.store import Outputs, sync
from curator.storage.ipc import read_table
from curator.storage.path import AnyPath
from curator.verdict import DETAIL, REPEAT

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW_GROUP_BYTES = 16_000_000
"""Text after which a row group of a shard is closed: what a reader holds at a time."""

TABLE_ROW_GROUP = 65_536
"""Rows in a row group of scores and decisions."""

EXAMPLES_PER_RULE = 2

DIGEST_BYTES = 1 << 20
"""Bytes of a file that are read at a time to be hashed."""

PROVENANCE = pa.struct(
    [
        ("file", pa.string()),
        ("position", pa.int64()),
        ("method", pa.string()),
        ("engine", pa.string()),
        ("metadata", pa.string()),
    ]
)

SHARD_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("copy", pa.int32(), nullable=False),
        pa.field("parent", pa.string()),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("provenance", PROVENANCE),
    ]
)

DECISION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("lang", pa.string(), nullable=False),
        pa.field("keeper", pa.string()),
        pa.field("detail", DETAIL),
    ]
)

DERIVE = "derive"

_NAMED = ["id", "key", "lang", "source"]
"""What `scores/` says of a document beside its scores."""

_OF_ORIGIN = ["id", "key", "lang", "parent", "method", "engine"]
"""What `decisions/` says of a document beside what was decided."""


@dataclass(frozen=True)
class Group:
    """Consecutive parts that become one file of each kind."""

    index: int
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The name of the task."""
        return f"part-{self.index:05d}"


@dataclass(frozen=True)
class WriteTask:
    """Writes the Parquet files of a group: `{name}.shards`, `.heldout`, `.scores`, `.decisions`, `.failed` (those that
    have rows)."""

    recipe: str

    def __call__(self, group: Group, outputs: Outputs) -> dict[str, object]:
        """Run the task."""
        pipeline = pipeline_of(self.recipe)
        files = _Files(pipeline, outputs)
        chosen: list[Example] = []
        taken: Counter[tuple[str, str, str]] = Counter()
        for part in map(Part.fresh, group.parts):  # each is read once, for all kinds
            files.add(part)
            chosen += _choose(_examples_of(part, pipeline, taken), taken)
        return {"files": files.close(), "examples": [example.as_json() for example in mask_examples(chosen)]}


class _Files:
    """The files of a group, one of each kind."""

    def __init__(self, pipeline: Pipeline, outputs: Outputs) -> None:
        compression = pipeline.recipe.output.compression

        def file(kind: str, schema: pa.Schema, full: int = TABLE_ROW_GROUP) -> _GroupedFile:
            return _GroupedFile(outputs, kind, schema, compression, full)

        self._shards = file("shards", SHARD_SCHEMA, ROW_GROUP_BYTES)
        self._held_out = file("heldout", SHARD_SCHEMA, ROW_GROUP_BYTES)
        self._holds_out = pipeline.recipe.holdout is not None
        self._scores = file("scores", _score_schema(pipeline))
        self._decisions = file("decisions", DECISION_SCHEMA)
        self._failed = file("failed", FAILED_SCHEMA)

    def add(self, part: Part) -> None:
        """Write what a part has of each kind, behind the parts before it."""
        documents = list(part.documents())
        _add_shard_rows(self._shards, part, documents, np.where(part.held_out, 0, part.copies))
        if self._holds_out and part.holds_out:
            _add_shard_rows(self._held_out, part, documents, np.where(part.held_out, part.copies, 0))
        self._scores.add_rows(_scores_of(part, documents, self._scores.schema))
        self._decisions.add_rows(_decisions_of(part, documents))
        self._failed.add_rows(_failed_of(part))

    def close(self) -> dict[str, object]:
        """Finish the files; describes each by its kind."""
        files = (self._shards, self._held_out, self._scores, self._decisions, self._failed)
        described = {file.kind: file.close() for file in files}
        return {kind: found for kind, found in described.items() if found is not None}


class _GroupedFile:
    """A file of a task that there is once it has rows, which are gathered until a row group is full."""

    def __init__(self, outputs: Outputs, kind: str, schema: pa.Schema, compression: str, full: int) -> None:
        self.kind = kind
        self.schema = schema
        self.filled = 0
        """How full the row group is, as the sizes of what was added say."""
        self._outputs = outputs
        self._compression = compression
        self._full = full
        self._pending: list[pa.Table] = []
        self._file: TableFile | None = None

    def add(self, table: pa.Table, size: int) -> None:
        """Add rows of some size."""
        self._pending.append(table)
        self.filled += size
        if self.filled >= self._full:
            self._flush()

    def add_rows(self, table: pa.Table) -> None:
        """Add rows, each of which counts one."""
        if len(table):
            self.add(table.cast(self.schema), len(table))

    def close(self) -> dict[str, object] | None:
        """Finish the file; describes it (see `TableFile`), None where there is none."""
        if self._pending:
            self._flush()
        return None if self._file is None else self._file.close()

    def _flush(self) -> None:
        if self._file is None:
            self._file = TableFile(self._outputs.path(self.kind), self.schema, self._compression)
        self._file.write(pa.concat_tables(self._pending))
        self._pending, self.filled = [], 0


class TableFile:
    """A Parquet file that is being written, one row group a table."""

    def __init__(self, path: Path, schema: pa.Schema, compression: str) -> None:
        self._path = path
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression=compression, store_schema=True)
        self._counted = "tokens" in schema.names
        self._rows = self._tokens = 0

    def write(self, table: pa.Table) -> None:
        """Add a table as a row group, if it has rows."""
        if len(table):
            self._writer.write_table(table.cast(self._schema), row_group_size=len(table))
            self._rows += len(table)
            self._tokens += pc.sum(table["tokens"]).as_py() if self._counted else 0

    def close(self) -> dict[str, object]:
        """Finish the file and read it back. Returns rows, tokens (where there are), bytes, sha256."""
        self._writer.close()
        sync(self._path)
        size = self._path.stat().st_size
        described: dict[str, object] = {"rows": self._rows, "bytes": size, "sha256": file_sha256(self._path)}
        return {**described, "tokens": self._tokens} if self._counted else described


def write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], compression: str) -> dict[str, object]:
    """Write tables as row groups, one each; describes the file (see `TableFile`)."""
    file = TableFile(path, schema, compression)
    for table in tables:
        file.write(table)
    return file.close()


def file_sha256(path: AnyPath) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(DIGEST_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _add_shard_rows(
    file: _GroupedFile, part: Part, documents: Sequence[pa.RecordBatch], written: NDArray[np.int64]
) -> None:
    """Add the documents of a part, in input order, each as often as `written` says (int64[rows]), copies beside each
    other."""
    if not written.any():
        return
    measures = part.measures()
    tokens, size = measures.tokens, measures.size
    weights = part.weights()
    begin = 0
    for batch in documents:
        end = begin + batch.num_rows
        copies = written[begin:end]
        rows = np.repeat(np.arange(len(copies)), copies)
        edited = part.edits.within(begin, end).apply(batch) if len(rows) else batch
        copy = (np.arange(len(rows)) - (np.cumsum(copies) - copies)[rows]).astype(np.int32)
        # Many copies of long texts are cut before they are made: a string column holds 2 GiB at most.
        filled = (file.filled + np.cumsum(size[begin:end][rows])) // ROW_GROUP_BYTES
        for piece in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(filled)) + 1):
            if len(piece):
                table = _shard_rows(edited, rows[piece], copy[piece], tokens[begin:end], weights[begin:end])
                file.add(table, int(size[begin:end][rows[piece]].sum()))
        begin = end


def _shard_rows(
    documents: pa.RecordBatch,
    rows: NDArray[np.int64],
    copy: NDArray[np.int32],
    tokens: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> pa.Table:
    taken = documents.take(pa.array(rows))
    suffix = pc.if_else(pa.array(copy > 0), pc.binary_join_element_wise("#", pa.array(copy).cast(pa.string()), ""), "")
    ids = pc.binary_join_element_wise(taken.column("id"), suffix, "")
    provenance = pa.StructArray.from_arrays([taken.column(field.name) for field in PROVENANCE], fields=list(PROVENANCE))
    return pa.Table.from_arrays(
        [
            ids,
            taken.column("key"),
            taken.column("text"),
            taken.column("lang"),
            taken.column("source"),
            pa.array(tokens[rows]),
            pa.array(copy),
            taken.column("parent"),
            pa.array(weights[rows]),
            provenance,
        ],
        schema=SHARD_SCHEMA,
    )


def _score_schema(pipeline: Pipeline) -> pa.Schema:
    columns = [pa.field(column.name, column.type) for column in pipeline.public_columns()]
    return pa.schema([SHARD_SCHEMA.field(name) for name in _NAMED] + columns)


def _scores_of(part: Part, documents: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    sources = [[batch.select(_NAMED) for batch in documents], list(part.columns())]
    scores = part.scores()
    columns: dict[str, pa.ChunkedArray] = {}
    if scores is not None:
        columns.update({name: scores[name] for name in scores.schema.names})
    for batches in sources:
        if batches:
            table = pa.Table.from_batches(batches)
            columns.update({name: table[name] for name in table.schema.names})
    arrays = [columns.get(field.name, pa.chunked_array([pa.nulls(part.rows, field.type)])) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _decisions_of(part: Part, documents: Sequence[pa.RecordBatch]) -> pa.Table:
    """The verdicts of a part by document and then in the order of the stages; the origin of children first."""
    if not documents:
        return DECISION_SCHEMA.empty_table()
    whole = pa.Table.from_batches([batch.select(_OF_ORIGIN) for batch in documents])
    verdicts = part.verdicts
    order = np.argsort(verdicts["row"].to_numpy(), kind="stable")
    verdicts = verdicts.take(pa.array(order))
    named = whole.take(verdicts["row"])
    repeated = pc.equal(verdicts["action"], REPEAT)
    score = pc.if_else(repeated, verdicts["copies"].cast(pa.float64()), verdicts["score"])
    table = pa.Table.from_arrays(
        [
            named["id"],
            named["key"],
            *(verdicts[name] for name in ("stage", "action", "rule")),
            score,
            verdicts["threshold"],
            named["lang"],
            verdicts["keeper"],
            verdicts["detail"],
        ],
        schema=DECISION_SCHEMA,
    )
    return pa.concat_tables([_origins(whole), table]) if part.is_derived else table


def _origins(documents: pa.Table) -> pa.Table:
    """One decision for each child: where it comes from."""
    count = len(documents)
    parents, methods, engines = (documents[name].to_pylist() for name in ("parent", "method", "engine"))
    details = [
        {"kind": "child", "begin": None, "end": None, "parent": parent, "method": method, "engine": engine}
        for parent, method, engine in zip(parents, methods, engines, strict=True)
    ]
    constants = {"stage": "augmentation", "action": DERIVE}
    columns: dict[str, object] = {
        "id": documents["id"],
        "key": documents["key"],
        **{name: pa.repeat(pa.scalar(value, pa.string()), count) for name, value in constants.items()},
        "rule": pa.array([f"augmentation.{method}" for method in methods], pa.string()),
        "score": pa.nulls(count, pa.float64()),
        "threshold": pa.nulls(count, pa.float64()),
        "lang": documents["lang"],
        "keeper": pa.nulls(count, pa.string()),
        "detail": pa.array(details, DETAIL),
    }
    return pa.table(columns, schema=DECISION_SCHEMA)


def _failed_of(part: Part) -> pa.Table:
    """What could not be read of a part, then the documents that killed the process that judged them."""
    unread = read_table(part.path("failed")) if part.failures else FAILED_SCHEMA.empty_table()
    verdicts = part.verdicts
    crashed = verdicts.filter(pc.ends_with(verdicts["rule"], pattern=crash_rule("")))
    if not len(crashed):
        return unread
    documents = pa.Table.from_batches(list(part.documents(["key", "file", "position", "text"])))
    named = documents.take(crashed["row"])
    count = len(named)
    values = {
        **{name: named[name] for name in ("key", "file", "position")},
        "line": pa.nulls(count, pa.int64()),
        "stage": crashed["stage"],
        "code": pa.repeat(pa.scalar(CRASH, pa.string()), count),
        "sha256": pa.array([digest_record(text.encode()) for text in named["text"].to_pylist()], pa.string()),
    }
    return pa.concat_tables([unread, pa.table(values, schema=FAILED_SCHEMA)])


def _choose(examples: Sequence[Example], taken: Counter[tuple[str, str, str]]) -> Iterator[Example]:
    """Of the documents of a part those that a rule still lacks; they count as `taken`."""
    for example in examples:
        rule = (example.stage, example.action, example.rule)
        if taken[rule] < EXAMPLES_PER_RULE:
            taken[rule] += 1
            yield example


def _examples_of(part: Part, pipeline: Pipeline, taken: Counter[tuple[str, str, str]]) -> list[Example]:
    """A few documents of a part for each rule of which not enough were `taken` before, chosen by hash of (seed, rule,
    key)."""
    decisions = part.verdicts
    made = _children_of(part) if part.is_derived else []
    if len(decisions) == 0:
        return made
    encoded = pc.dictionary_encode(
        pc.binary_join_element_wise(decisions["stage"], decisions["action"], decisions["rule"], "/")
    ).combine_chunks()
    wanted = [
        (code, name)
        for code, name in enumerate(encoded.dictionary.to_pylist())
        if taken[_rule_of(name)] < EXAMPLES_PER_RULE
    ]
    if not wanted:
        return made
    picks: list[int] = []
    keys = np.concatenate([np.asarray(_keys(batch)) for batch in part.documents(["key"])])
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    rows = decisions["row"].to_numpy()
    for code, name in wanted:
        places = np.flatnonzero(codes == code)
        order = np.argsort(random_words(pipeline.recipe.seed, name, keys[rows[places]]), kind="stable")
        _, first = np.unique(rows[places[order]], return_index=True)
        picks += places[order[np.sort(first)[:EXAMPLES_PER_RULE]]].tolist()
    return [*made, *_fetch(part, decisions.drop_columns(["detail"]).take(pa.array(picks, pa.int64())).to_pylist())]


def _rule_of(name: str) -> tuple[str, str, str]:
    stage, action, rule = name.split("/", 2)
    return stage, action, rule


def _children_of(part: Part) -> list[Example]:
    """Children of the part that are kept, with the text of their parent."""
    parents = {parent["row"]: parent for parent in read_table(part.path("parents")).to_pylist()}
    documents = pa.Table.from_batches(list(part.edited())).slice(0, len(parents))
    kept = [row for row in range(len(documents)) if part.copies[row] > 0][:EXAMPLES_PER_RULE]
    return [
        Example(
            stage="augmentation",
            action=DERIVE,
            rule=f"augmentation.{document['method']}",
            key=document["key"].hex(),
            id=document["id"],
            lang=document["lang"] or UNDETERMINED,
            score=None,
            threshold=None,
            keeper=None,
            copies=None,
            excerpt=document["text"],
            beside=parents[row]["text"],
            beside_lang=parents[row]["lang"],
        )
        for row, document in zip(kept, documents.take(pa.array(kept, pa.int64())).to_pylist(), strict=True)
    ]


def _fetch(part: Part, decisions: Sequence[dict[str, Any]]) -> list[Example]:
    """The texts of the documents of these decisions, reading only the batches that hold one."""
    wanted = {decision["row"] for decision in decisions}
    found: dict[int, dict[str, Any]] = {}
    begin = 0
    for batch in part.documents(["key", "id", "lang", "text"]):
        end = begin + batch.num_rows
        inside = sorted(row for row in wanted if begin <= row < end)
        if inside:
            edits = part.edits.within(begin, end)
            local = batch.take(pa.array([row - begin for row in inside]))
            for row, document in zip(inside, local.to_pylist(), strict=True):
                edited = edits.text_of(row - begin)
                found[row] = document if edited is None else {**document, "text": edited}
        begin = end
    return [_example(decision, found[decision["row"]]) for decision in decisions]


def _example(decision: dict[str, Any], document: dict[str, Any]) -> Example:
    return Example(
        **{name: decision[name] for name in ("stage", "action", "rule", "score", "threshold", "keeper", "copies")},
        key=document["key"].hex(),
        id=document["id"],
        lang=document["lang"] or UNDETERMINED,
        excerpt=document["text"],
    )


def _keys(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    from curator.document import Batch

    return Batch(batch).keys
