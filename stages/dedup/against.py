"""Documents against the indexes of earlier runs, before they are compared with each other.

A document of an index was kept, so a document that is similar to one is dropped, as it would have been in one run over
both. Similar means what it means within a run: the same folded text, or an estimated similarity that is clear of the
threshold, or the true one where it is not. The first of the indexes that has a similar document answers; of an index,
the most similar document does, the first of several.

What is answered here is taken out by a pass of its own, as if a stage had dropped it, so that the comparison within the
run does not see it; both answers together are the relation of the stage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import Batch
from curator.errors import DataError, UserError
from curator.run.corpus import Corpus
from curator.run.part import EDITED_SCHEMA, JUDGED_SCHEMA, Part, read_table, write_table
from curator.run.store import Commit, Outputs
from curator.stage import FACTS, Requirement
from curator.storage.path import is_url
from curator.storage.spool import local_file, place_of
from curator.verdict import DROP, round_score
from stages.dedup.header import Scheme, read_header
from stages.dedup.index import Index
from stages.dedup.minhash import Ragged, estimate_jaccard, jaccard_between, shingle_hashes, shingle_sets

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

RUN_COLUMN = "dedup.run"

ANSWER_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("dedup.keeper", pa.string()),
        pa.field("dedup.similarity", pa.float64()),
        pa.field("dedup.kind", pa.string()),
        pa.field(RUN_COLUMN, pa.string()),
    ]
)

_PAIRS = 16_384
"""Pairs, and documents, whose signatures are held at a time: 32 MB."""


def index_requirements(paths: Sequence[str], scheme: Scheme) -> list[Requirement]:
    """One requirement for each index that a recipe names: met when it is there, whole, made by `scheme`, and not named
    twice."""
    found: list[Requirement] = []
    for path in paths:
        if is_url(path):
            found.append(Requirement("index", path, "", "is a URL; an index is read from a disk: copy it there"))
            continue
        try:
            header = read_header(Path(path))
        except (UserError, DataError) as error:
            file = Path(error.file or path)
            where = "" if file == Path(path) else f"{file.name} "
            advice = f"; {error.hint}" if error.hint else ""
            found.append(Requirement("index", path, "", f"{where}{error.message}{advice}"))
            continue
        differs = header.scheme.differences(scheme)
        problem = f"cannot be compared with: {'; '.join(differs)}" if differs else None
        if any(header.name == other.name for other in found):
            problem = f"{path} has the same name; name each index once"
        found.append(Requirement("index", header.name, header.checksum, problem))
    return found


def find_earlier(corpus: Corpus, parameters: DedupParameters, scheme: Scheme) -> tuple[Corpus, list[Commit]]:
    """Hold what is asked (all documents, or the children) against the indexes. Returns the corpus without what they
    answered, and the answers part by part."""
    indexes = tuple((str(Path(path).resolve()), read_header(Path(path)).checksum) for path in parameters.against)
    asked = [part for part in corpus.parts if part.is_derived or not corpus.has_children]
    rule = Rule(parameters.threshold, parameters.verify_band, parameters.bucket_representatives)
    commits = corpus.map("against", _Ask(indexes, rule, scheme), asked)
    judged = str(corpus.folder / "against")
    left = tuple(part.with_judged(judged) if part in asked else part for part in corpus.parts)
    return replace(corpus, parts=left), commits


def join_answers(corpus: Corpus, relation: Path, answers: list[Commit]) -> Path:
    """One relation of what was found within the run and what earlier runs answered."""
    return corpus.once("joined", partial(_join, place_of(relation), tuple(answers))).path("arrow")


def _join(relation: str, answers: Sequence[Commit], path: Path) -> Mapping[str, object]:
    within = read_table(local_file(relation))
    tables = [within, *(read_table(commit.path("answers")) for commit in answers)]
    joined = pa.concat_tables(tables, promote_options="default").sort_by("row")
    answered = sum(commit.integer("answered") for commit in answers)
    facts = json.loads((within.schema.metadata or {}).get(FACTS.encode(), b"{}"))
    write_table(path, joined.replace_schema_metadata({FACTS: json.dumps({**facts, "earlier": answered})}))
    return {"answered": answered}


@dataclass(frozen=True)
class Rule:
    """When two documents are similar: see `DedupParameters`."""

    threshold: float
    verify_band: float
    bucket_representatives: int


@dataclass(frozen=True)
class Found:
    """For some documents (places, ascending) the similar document of an index, and how similar."""

    places: NDArray[np.int64]
    rows: NDArray[np.int64]
    similarity: NDArray[np.float64]
    near: NDArray[np.bool_]


def find_similar(
    index: Index,
    exact: NDArray[np.uint64],
    signatures: NDArray[np.uint32],
    sets_of: Callable[[NDArray[np.int64]], Ragged],
    rule: Rule,
) -> Found:
    """The documents that are similar to one of the index. `sets_of` gives the shingle sets of documents by their
    places, ascending; it is asked for those alone whose signatures leave it in doubt."""
    same = index.find_exact(exact)
    open_ = np.flatnonzero(same < 0)
    pairs = index.candidates(signatures[open_], rule.bucket_representatives)
    pairs[:, 0] = open_[pairs[:, 0]]
    similarity = _similarity(index, pairs, signatures, sets_of, rule)
    near = similarity >= 0
    pairs, similarity = pairs[near], similarity[near]
    order = np.lexsort((pairs[:, 1], -similarity, pairs[:, 0]))
    pairs, similarity = pairs[order], similarity[order]
    _, first = np.unique(pairs[:, 0], return_index=True)
    equal = np.flatnonzero(same >= 0)
    places = np.concatenate([equal, pairs[first, 0]])
    rows = np.concatenate([same[equal], pairs[first, 1]])
    values = np.concatenate([np.ones(len(equal)), similarity[first]])
    by_place = np.argsort(places)
    return Found(places[by_place], rows[by_place], values[by_place], by_place >= len(equal))


def _similarity(
    index: Index,
    pairs: NDArray[np.int64],
    signatures: NDArray[np.uint32],
    sets_of: Callable[[NDArray[np.int64]], Ragged],
    rule: Rule,
) -> NDArray[np.float64]:
    """The similarity of each pair (place, document of the index) that is similar, -1 of the others: float64[pairs]."""
    estimate = np.zeros(len(pairs))
    for begin in range(0, len(pairs), _PAIRS):
        piece = pairs[begin : begin + _PAIRS]
        there = np.ascontiguousarray(index.signatures[piece[:, 1]])
        estimate[begin : begin + _PAIRS] = estimate_jaccard(signatures[piece[:, 0]], there)
    estimate = round_score(estimate)
    if rule.verify_band == 0:
        return np.where(estimate >= rule.threshold, estimate, -1.0)
    sure = estimate >= round(rule.threshold + rule.verify_band, 6)
    doubtful = np.flatnonzero(~sure & (estimate >= round(rule.threshold - rule.verify_band, 6)))
    similarity = np.where(sure, estimate, -1.0)
    if len(doubtful):
        asked, place = np.unique(pairs[doubtful, 0], return_inverse=True)
        sets, rows = index.shingles, pairs[doubtful, 1]
        index.check_spans("shingles.offsets", sets.offsets, rows, len(sets.values))
        true = round_score(jaccard_between(sets_of(asked), sets, place.reshape(-1), rows))
        similarity[doubtful] = np.where(true >= rule.threshold, true, -1.0)
    return similarity


@dataclass(frozen=True)
class _Ask:
    """Asks the indexes (path, checksum), in their order, about the documents of a part. Writes the answers, and the
    verdicts of a pass that drops what was answered."""

    indexes: tuple[tuple[str, str], ...]
    rule: Rule
    scheme: Scheme

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        exact = part.matrix("dedup.exact", np.dtype(np.uint64), 2).astype(np.uint64, copy=False)
        signatures = part.matrix("dedup.signature", np.dtype(np.uint32), self.scheme.permutations)
        open_ = np.flatnonzero(part.alive)
        answers = [ANSWER_SCHEMA.empty_table()]
        pages = 0
        for path, checksum in self.indexes:
            index = Index(Path(path), checksum)
            left = [np.zeros(0, np.int64)]
            for begin in range(0, len(open_), _PAIRS):
                rows = open_[begin : begin + _PAIRS]
                found = find_similar(
                    index,
                    np.asarray(exact[rows]),
                    np.ascontiguousarray(signatures[rows].astype(np.uint32, copy=False)),
                    _Sets(part, rows, self.scheme.shingle_units),
                    self.rule,
                )
                answers.append(_answers(part, rows[found.places], found, index))
                left.append(np.delete(rows, found.places))
            open_ = np.concatenate(left)
            pages += index.pages
        table = pa.concat_tables(answers).sort_by("row")
        write_table(outputs.path("answers"), table)
        rows = pa.array((table["row"].to_numpy() - part.first_row).astype(np.int32))
        write_table(outputs.path("verdicts"), _drops(rows))
        write_table(outputs.path("edits"), EDITED_SCHEMA.empty_table())
        return {"answered": len(table), "pages": pages}


@dataclass(frozen=True)
class _Sets:
    """The shingle sets of documents of a part: `rows` are those that places count in."""

    part: Part
    rows: NDArray[np.int64]
    shingle_units: int

    def __call__(self, places: NDArray[np.int64]) -> Ragged:
        wanted = self.rows[places]
        lengths, values = [np.zeros(1, np.int64)], [np.zeros(0, np.uint64)]
        begin = 0
        for documents in self.part.documents(["text"]):
            end = begin + documents.num_rows
            inside = wanted[(wanted >= begin) & (wanted < end)] - begin
            if len(inside):
                batch = Batch(documents.take(pa.array(inside)))
                sets = shingle_sets(shingle_hashes(batch.units, *batch.text_buffer, self.shingle_units))
                lengths.append(np.diff(sets.offsets))
                values.append(sets.values)
            begin = end
        return Ragged(np.cumsum(np.concatenate(lengths)), np.concatenate(values))


def _answers(part: Part, rows: NDArray[np.int64], found: Found, index: Index) -> pa.Table:
    return pa.table(
        {
            "row": pa.array(rows + part.first_row),
            "dedup.keeper": pa.array(index.ids(found.rows), pa.string()),
            "dedup.similarity": pa.array(found.similarity),
            "dedup.kind": pa.array(np.where(found.near, "near", "exact").tolist(), pa.string()),
            RUN_COLUMN: pa.repeat(pa.scalar(index.header.name, pa.string()), len(rows)),
        },
        schema=ANSWER_SCHEMA,
    )


def _drops(rows: pa.Array) -> pa.Table:
    """Verdicts that drop these rows; nobody reads them but the comparison within the run."""
    words = {"stage": "dedup", "action": DROP, "rule": "dedup.earlier"}
    columns = {field.name: pa.nulls(len(rows), field.type) for field in JUDGED_SCHEMA}
    columns |= {name: pa.repeat(pa.scalar(word, pa.string()), len(rows)) for name, word in words.items()}
    return pa.table({**columns, "row": rows}, schema=JUDGED_SCHEMA)
