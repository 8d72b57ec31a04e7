"""Documents against the indexes of earlier runs, before they are compared with each other.

A document of an index was kept, so a document that is similar to one is dropped, as it would have been in one run over
both. Similar means what it means within a run: the same folded text, or an estimated similarity that is clear of the
threshold, or the true one where it is not. The first of the indexes that has a similar document answers; of an index,
the most similar document does, the first of several.

URLs come before texts, those of all indexes and those within the run: what shares its URL with an earlier document
takes no part in the comparison of texts, be that document kept or not.

    against-urls    what has a URL of an index; the first of the indexes that has it answers
    url             of the rest, what has the URL of an earlier document of this run (see `relate`)
    against         of the rest, what is similar to a document of an index
    exact, near     of the rest, what is similar to an earlier document of this run

What an index answers is taken out by a pass of its own, as if a stage had dropped it, so that the comparison within the
run does not see it; all answers together are the relation of the stage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import Batch
from curator.errors import DataError, UserError
from curator.run.corpus import Corpus
from curator.run.part import JUDGED_SCHEMA, Part
from curator.run.relation import facts_in
from curator.run.store import Commit, Outputs
from curator.stage import FACTS, Requirement
from curator.storage.ipc import read_table, write_table
from curator.storage.path import as_path, is_url
from curator.storage.spool import local_file, place_of, release_lasting
from curator.verdict import DROP, round_score
from stages.dedup.exact import Gone, hashes_of
from stages.dedup.header import Scheme, open_index, read_header
from stages.dedup.index import Index
from stages.dedup.minhash import Ragged, estimate_jaccard, jaccard_between, shingle_hashes, shingle_sets
from stages.dedup.near import signatures_of
from stages.dedup.relate import (
    EXACT,
    EXACT_COLUMN,
    NEAR,
    RUN_COLUMN,
    URL,
    URL_COLUMN,
    find_duplicates,
    find_same_urls,
)
from stages.dedup.urls import url_scheme

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

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


def index_requirements(parameters: DedupParameters, scheme: Scheme) -> list[Requirement]:
    """One requirement for each index that a recipe names: met when it is there, whole, made by `scheme`, and not named
    twice."""
    found: list[Requirement] = []
    for path in parameters.against:
        try:
            header = read_header(as_path(path))
        except (UserError, DataError) as error:
            # Which of its files; the name alone, since the place stands beside it.
            name = PurePath(error.file or path).name
            where = "" if name == PurePath(path).name else f"{name} "
            advice = f"; {error.hint}" if error.hint else ""
            found.append(Requirement("index", path, "", f"{where}{error.message}{advice}"))
            continue
        differs = header.scheme.differences(scheme)
        if parameters.url_field is not None and header.urls not in ("", url_scheme()):
            differs.append(f"one form of URLs: {header.urls} there, {url_scheme()} here")
        problem = f"cannot be compared with: {'; '.join(differs)}" if differs else None
        if any(header.name == other.name for other in found):
            problem = f"{path} has the same name; name each index once"
        found.append(Requirement("index", header.name, header.checksum, problem))
    return found


def without_urls(paths: Sequence[str]) -> list[str]:
    """The names of those indexes that have no URLs."""
    return [header.name for header in (read_header(as_path(path)) for path in paths) if not header.urls]


def find_duplicates_across(corpus: Corpus, parameters: DedupParameters, scheme: Scheme) -> Path:
    """The relation of what is asked (all documents, or the children) to the documents of earlier runs, and of the rest
    to each other (see `Stage.relate`)."""
    opened = {_whole(path): open_index(as_path(path)) for path in parameters.against}
    indexes = tuple((path, header.checksum) for path, (_, header) in opened.items())
    with_urls = tuple((path, header.checksum) for path, (_, header) in opened.items() if header.urls)
    answers: list[Commit] = []
    if parameters.url_field is not None and with_urls and not corpus.has_children:
        corpus = _take_out(corpus, "against-urls", _AskUrls(with_urls), answers)
    same_url = find_same_urls(corpus, parameters, sum(commit.integer("asked") for commit in answers))
    rule = Rule(parameters.threshold, parameters.verify_band, parameters.bucket_representatives)
    corpus = _take_out(corpus, "against", _Ask(indexes, rule, scheme, same_url.gone), answers)
    for folder, header in opened.values():
        release_lasting(folder, header.checksum)
    relation = place_of(find_duplicates(corpus, parameters, same_url))
    return corpus.once("joined", partial(_join, relation, tuple(answers))).path("arrow")


def _whole(path: str) -> str:
    """A place that means the same in every process."""
    return path if is_url(path) else str(Path(path).resolve())


def _take_out(corpus: Corpus, name: str, ask: _Ask | _AskUrls, answers: list[Commit]) -> Corpus:
    """The corpus without what indexes answered; the answers are added to `answers`, part by part."""
    asked = [part for part in corpus.parts if part.is_derived or not corpus.has_children]
    answers.extend(corpus.map(name, ask, asked))
    judged = str(corpus.folder / name)
    left = tuple(part.with_judged(judged) if part in asked else part for part in corpus.parts)
    return replace(corpus, parts=left)


def _join(relation: str, answers: Sequence[Commit], path: Path) -> Mapping[str, object]:
    within = read_table(local_file(relation))
    tables = [within, *(read_table(commit.path("answers")) for commit in answers)]
    joined = pa.concat_tables(tables, promote_options="default").sort_by("row")
    answered = sum(commit.integer("answered") for commit in answers)
    facts = {**facts_in(within.schema), "earlier": answered}
    write_table(path, joined.replace_schema_metadata({FACTS: json.dumps(facts)}))
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
    """Asks the indexes (path, checksum), in their order, about the documents of a part that are left. Writes the
    answers, and the verdicts of a pass that drops what was answered."""

    indexes: tuple[tuple[str, str], ...]
    rule: Rule
    scheme: Scheme
    gone: Gone

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        exact, signatures = hashes_of(part, EXACT_COLUMN), signatures_of(part)
        open_ = np.flatnonzero(part.alive)
        open_ = open_[self.gone.leaves(part, open_)]
        answers = []
        pages = 0
        for path, checksum in self.indexes:
            index = Index(as_path(path), checksum)
            left = [np.zeros(0, np.int64)]
            for begin in range(0, len(open_), _PAIRS):
                rows = open_[begin : begin + _PAIRS]
                found = find_similar(
                    index,
                    np.asarray(exact[rows]),
                    np.ascontiguousarray(signatures[rows]),
                    _Sets(part, rows, self.scheme.shingle_units),
                    self.rule,
                )
                ids, kinds = index.ids(found.rows), np.where(found.near, NEAR, EXACT).tolist()
                answers.append(_answers(part, rows[found.places], index, ids, found.similarity, kinds))
                left.append(np.delete(rows, found.places))
            open_ = np.concatenate(left)
            pages += index.pages
        return {"answered": _write_answers(part, answers, outputs), "pages": pages}


@dataclass(frozen=True)
class _AskUrls:
    """Asks the indexes (path, checksum), in their order, about the URLs of the documents of a part; writes what `_Ask`
    writes."""

    indexes: tuple[tuple[str, str], ...]

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        hashes = hashes_of(part, URL_COLUMN)
        open_ = np.flatnonzero(part.alive & hashes.any(axis=1))
        asked, answers = len(open_), []
        pages = 0
        for path, checksum in self.indexes:
            index = Index(as_path(path), checksum)
            places = index.find_urls(np.asarray(hashes[open_]))
            found = places >= 0
            ids, count = index.url_ids(places[found]), int(found.sum())
            answers.append(_answers(part, open_[found], index, ids, np.full(count, np.nan), [URL] * count))
            open_ = open_[~found]
            pages += index.pages
        return {"asked": asked, "answered": _write_answers(part, answers, outputs), "pages": pages}


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


def _answers(
    part: Part,
    rows: NDArray[np.int64],
    index: Index,
    keepers: Sequence[str],
    similarity: NDArray[np.float64],
    kinds: Sequence[str],
) -> pa.Table:
    return pa.table(
        {
            "row": pa.array(rows + part.first_row),
            "dedup.keeper": pa.array(keepers, pa.string()),
            "dedup.similarity": pa.array(similarity, from_pandas=True),
            "dedup.kind": pa.array(kinds, pa.string()),
            RUN_COLUMN: pa.repeat(pa.scalar(index.header.name, pa.string()), len(rows)),
        },
        schema=ANSWER_SCHEMA,
    )


def _write_answers(part: Part, answers: Sequence[pa.Table], outputs: Outputs) -> int:
    """Write the answers about a part, and the files of a pass that drops what was answered; how many they are."""
    table = pa.concat_tables([ANSWER_SCHEMA.empty_table(), *answers]).sort_by("row")
    write_table(outputs.path("answers"), table)
    rows = pa.array((table["row"].to_numpy() - part.first_row).astype(np.int32))
    write_table(outputs.path("verdicts"), _drops(rows))
    return len(table)


def _drops(rows: pa.Array) -> pa.Table:
    """Verdicts that drop these rows; nobody reads them but the comparison within the run."""
    words = {"stage": "dedup", "action": DROP, "rule": "dedup.earlier"}
    columns = {field.name: pa.nulls(len(rows), field.type) for field in JUDGED_SCHEMA}
    columns |= {name: pa.repeat(pa.scalar(word, pa.string()), len(rows)) for name, word in words.items()}
    return pa.table({**columns, "row": rows}, schema=JUDGED_SCHEMA)
