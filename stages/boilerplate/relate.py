"""Finding boilerplate across a source, through the engine's exchange.

    lines    each part: its lines, and how many of its documents each stands in: one row a line and part, however often
             it occurs
    counts   rows (key, key, first row, count) meet by key: where enough documents have a line, every part that has it
             gets the count of all
    runs     each part: what of its lines is boilerplate by these counts

A row in the exchange has 24 bytes. A key has as many rows as there are parts that have it, never more; nothing that
grows with the corpus is held anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import Batch
from curator.engine.merge import whole_keys
from curator.errors import UserError
from curator.kernel import kernel
from curator.packing import Packing
from curator.run.corpus import Corpus
from curator.run.part import WITHOUT_TEXT, Part
from curator.run.relation import (
    Answers,
    Ids,
    Place,
    asked_places,
    join_relations,
    load_rows,
    read_rows,
    write_answers,
    write_ids,
)
from curator.run.store import Commit, Outputs
from curator.scaling import RowFormat
from curator.storage.ipc import write_table
from curator.storage.spool import local_file
from curator.thresholds import thresholds_of
from curator.verdict import round_score
from stages.boilerplate.lines import Lines, find_lines, mark_boilerplate, source_salts

if TYPE_CHECKING:
    from stages.boilerplate.stage import BoilerplateParameters

COUNT = Packing(row=40, count=24)
"""The first document of a part that has a key, and how many of its documents have it."""
KEYS = RowFormat("counts", 3)
_ODD = np.uint64(1)
_NEVER = 1 << 62
_ANSWER_WIDTH = 4

SPAN = pa.struct(
    [
        ("begin", pa.int32()),
        ("end", pa.int32()),
        ("units", pa.int32()),
        ("documents", pa.int64()),
        ("threshold", pa.int64()),
        ("keeper", pa.string()),
    ]
)
"""Lines that are boilerplate: bytes of the text, their units, the documents that have each of them, how many it takes,
and the id of the document that keeps them."""

RELATION_SCHEMA = pa.schema(
    [pa.field("row", pa.int64(), nullable=False), pa.field("boilerplate.spans", pa.list_(SPAN))]
)


def find_boilerplate(corpus: Corpus, parameters: BoilerplateParameters) -> Path:
    """The relation of documents to their boilerplate (see `Stage.relate`). UserError when one part has more documents
    than a row can count."""
    most = max((part.rows for part in corpus.parts), default=0)
    if most >= COUNT.limit("count"):
        raise UserError(
            f"{most:,} documents were read together, and lines are counted in {COUNT.limit('count') - 1:,} at most",
            stage="boilerplate",
            hint="write the Parquet files again with fewer rows in a row group",
        )
    read = read_rows(corpus, "lines", lambda query: _ReadLines(parameters, query), KEYS.words)
    rows = sum(commit.integer("keys") for commit in read)
    handle = _Answer(_least(parameters), tuple(part.first_row for part in corpus.parts))
    counted = [_Counted(commit) for commit in read]
    counts = Answers.of(corpus.exchange(KEYS, _emit, handle, counted, rows), _ANSWER_WIDTH)
    task = _FindRuns(parameters, counts, Ids.of(read, corpus.parts), read[0].folder if read else "")
    runs = corpus.map("runs", task, asked_places(corpus))
    return corpus.once("relation", partial(join_relations, tuple(runs), RELATION_SCHEMA)).path("arrow")


def _least(parameters: BoilerplateParameters) -> int:
    """The fewest documents that make a line boilerplate under any of the thresholds."""
    given = [parameters, *parameters.sources.values(), *parameters.languages.values()]
    return min((item.min_documents for item in given if item.min_documents is not None), default=_NEVER)


@dataclass(frozen=True)
class _ReadLines:
    """Writes the lines of a part, the rows that it gives to the exchange, and its ids."""

    parameters: BoilerplateParameters
    query: str | None

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        measure, by = self.parameters.measure, self.parameters.by
        pieces: list[Lines] = []
        texts: list[NDArray[np.int64]] = []
        totals: dict[str, int] = {}
        begin = 0
        for documents in part.edited(["text", "source"]):
            end = begin + documents.num_rows
            alive = np.flatnonzero(part.alive[begin:end])
            batch = Batch(documents if len(alive) == documents.num_rows else documents.take(pa.array(alive)))
            groups = batch.source_groups
            salts = source_salts(groups.names)[groups.codes]
            pieces.append(find_lines(*batch.text_buffer, batch.units, salts, measure, by))
            texts.append(alive + begin)
            for name, count in zip(groups.names, np.bincount(groups.codes).tolist(), strict=True):
                totals[name] = totals.get(name, 0) + count
            begin = end
        lines = _join(pieces)
        _save(outputs, lines, np.concatenate([np.zeros(0, np.int64), *texts]))
        rows = np.concatenate([_count_rows(lines, texts, part.first_row), _total_rows(totals, part.first_row)])
        if self.query is not None:
            rows = rows[np.isin(rows[:, 0], np.load(local_file(self.query), allow_pickle=False))]
        rows.tofile(outputs.path("rows"))
        write_ids(part, outputs)
        return {"keys": len(rows)}


def _join(pieces: list[Lines]) -> Lines:
    """The lines of several batches as those of one."""
    if not pieces:
        empty = np.zeros(0, dtype=np.int32)
        nothing = np.zeros((0, 2), dtype=np.uint64)
        return Lines(np.zeros(1, dtype=np.int64), empty, empty, empty, empty, nothing, nothing)
    counts = np.concatenate([np.diff(piece.offsets) for piece in pieces])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    begins, ends, units, mass = (
        np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("begins", "ends", "units", "mass")
    )
    own, pair = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("own", "pair"))
    return Lines(offsets, begins, ends, units, mass, own, pair)


def _save(outputs: Outputs, lines: Lines, texts: NDArray[np.int64]) -> None:
    with outputs.path("lines").open("wb") as file:
        for array in (texts, lines.offsets, lines.begins, lines.ends, lines.units, lines.mass, lines.own, lines.pair):
            np.save(file, array, allow_pickle=False)


def _load(path: Path) -> tuple[NDArray[np.int64], Lines]:
    """The rows of the part whose lines were written, and the lines."""
    with path.open("rb") as file:
        texts, *arrays = (np.load(file, allow_pickle=False) for _ in range(8))
    return texts, Lines(*arrays)


def _count_rows(lines: Lines, texts: list[NDArray[np.int64]], first_row: int) -> NDArray[np.uint64]:
    """In how many documents of the part each line and pair stands: uint64[keys, 3], the last column a COUNT."""
    every = np.concatenate([np.zeros(0, dtype=np.int64), *texts]) + first_row
    ones = COUNT.pack(row=np.repeat(every, np.diff(lines.offsets)), count=1)
    most = 2 * len(ones)
    counted, last = np.empty((most, KEYS.words), dtype=np.uint64), np.empty(most, dtype=np.uint64)
    table = np.full(1 << max(4, (2 * most).bit_length()), -1, dtype=np.int32)
    return counted[: _count_documents(lines.own, lines.pair, ones, table, last, counted)]


def _total_rows(totals: Mapping[str, int], first_row: int) -> NDArray[np.uint64]:
    """How many documents of each source group the part has, under keys whose first word is even."""
    rows = np.empty((len(totals), KEYS.words), dtype=np.uint64)
    rows[:, :2] = _total_keys(list(totals))
    rows[:, 2] = COUNT.pack(row=first_row, count=list(totals.values()))
    return rows


def _total_keys(groups: Sequence[str]) -> NDArray[np.uint64]:
    keys = source_salts(groups).copy()
    keys[:, 0] &= ~_ODD
    return keys


@kernel
def _count_documents(
    own: NDArray[np.uint64],
    pair: NDArray[np.uint64],
    ones: NDArray[np.uint64],
    table: NDArray[np.int32],
    last: NDArray[np.uint64],
    counted: NDArray[np.uint64],
) -> int:
    # `table` has the place of each key in `counted`, found by its first word (a hash); `ones` has for each line
    # the COUNT of its document alone, and ascends.
    count = 0
    mask = np.uint64(table.size - 1)
    for line in range(ones.size):
        for keys in (own, pair):
            low, high = keys[line, 0], keys[line, 1]
            if low == 0:
                continue
            slot = (low >> _ODD) & mask
            while True:
                place = table[slot]
                if place < 0:
                    table[slot] = count
                    counted[count, 0] = low
                    counted[count, 1] = high
                    counted[count, 2] = ones[line]
                    last[count] = ones[line]
                    count += 1
                    break
                if counted[place, 0] == low and counted[place, 1] == high:
                    if last[place] != ones[line]:
                        last[place] = ones[line]
                        counted[place, 2] += _ODD
                    break
                slot = (slot + _ODD) & mask
    return count


@dataclass(frozen=True)
class _Counted:
    """What a part gives to the exchange."""

    commit: Commit

    @property
    def name(self) -> str:
        return self.commit.name


def _emit(item: _Counted) -> NDArray[np.uint64]:
    return load_rows(item.commit, KEYS.words)


@dataclass(frozen=True)
class _Answer:
    """Answers every part that has a line of at least `least` documents: (key, key, documents, first of them)."""

    least: int
    first_rows: tuple[int, ...]

    def __call__(self, partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
        parts, answers = [np.zeros(0, dtype=np.int64)], [np.zeros((0, _ANSWER_WIDTH), dtype=np.uint64)]
        for rows in whole_keys(blocks):  # a part has counted its own documents: a key has a row a part at most
            asked, found = self._answer(rows)
            parts.append(asked)
            answers.append(found)
        every = np.concatenate(parts)
        order = np.argsort(every, kind="stable")
        write_answers(outputs, every[order], np.concatenate(answers)[order])
        return {"answers": len(every)}

    def _answer(self, rows: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """For whole keys: the part that each answer is for, and the answers."""
        begins = np.ones(len(rows), dtype=np.bool_)
        begins[1:] = (rows[1:, 0] != rows[:-1, 0]) | (rows[1:, 1] != rows[:-1, 1])
        starts = np.flatnonzero(begins)
        row = COUNT.unpack(rows[:, 2], "row")
        documents, first = np.add.reduceat(COUNT.unpack(rows[:, 2], "count"), starts), row[starts]
        is_total = rows[starts, 0] & _ODD == 0
        group = np.cumsum(begins) - 1
        wanted = np.flatnonzero((is_total | (documents >= self.least))[group])
        group = group[wanted]
        parts = np.searchsorted(self.first_rows, row[wanted], side="right") - 1
        found = np.column_stack([documents[group], first[group]]).astype(np.uint64)
        return parts, np.column_stack([rows[wanted, :2], found])


@dataclass(frozen=True)
class _FindRuns:
    """Writes the relation of a part: what of its lines is boilerplate."""

    parameters: BoilerplateParameters
    answers: Answers
    ids: Ids
    folder: str

    def __call__(self, place: Place, outputs: Outputs) -> dict[str, object]:
        part, parameters = place.part, self.parameters
        texts, lines = _load(local_file(f"{self.folder}/{part.name}.lines"))
        answers = self.answers.for_part(place.number)
        own, own_first = _look_up(answers, lines.own)
        pair, pair_first = _look_up(answers, lines.pair)
        if parameters.keep == "first":
            line_rows = np.repeat(texts + part.first_row, np.diff(lines.offsets))
            own[own_first == line_rows] = 0
            pair[pair_first == line_rows] = 0
        needed = _needed(part, parameters, answers)[texts]
        runs = mark_boilerplate(lines.offsets, lines.mass, own, pair, needed, parameters.measure)
        first, behind, documents = np.ascontiguousarray(runs.T)
        text = np.searchsorted(lines.offsets, first, side="right") - 1
        until = np.concatenate([[0], np.cumsum(lines.units, dtype=np.int64)])
        keepers = pa.nulls(len(runs), pa.string())
        if parameters.keep == "first":
            # A short line at the beginning of a run is there by its pair with the next one.
            keepers = self.ids.look_up(np.where(own[first] >= needed[text], own_first[first], pair_first[first]))
        spans = pa.StructArray.from_arrays(
            [
                pa.array(lines.begins[first]),
                pa.array(lines.ends[behind - 1]),
                pa.array((until[behind] - until[first]).astype(np.int32)),
                pa.array(documents),
                pa.array(needed[text]),
                keepers,
            ],
            fields=list(SPAN),
        )
        rows, starts = np.unique(texts[text], return_index=True)
        offsets = pa.array(np.append(starts, len(runs)).astype(np.int32))
        columns = [pa.array(rows + part.first_row), pa.ListArray.from_arrays(offsets, spans)]
        write_table(outputs.path("relation"), pa.Table.from_arrays(columns, schema=RELATION_SCHEMA))
        return {"runs": len(runs)}


def _look_up(answers: NDArray[np.uint64], keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The documents of each key, 0 where there is no answer, and the first of them."""
    found = np.zeros((2, len(keys)), dtype=np.int64)
    if len(answers):
        places = np.searchsorted(answers[:, 0], keys[:, 0])
        _pick(answers, keys, places, found)
    return found[0], found[1]


@kernel
def _pick(
    answers: NDArray[np.uint64], keys: NDArray[np.uint64], places: NDArray[np.int64], found: NDArray[np.int64]
) -> None:
    for key in range(keys.shape[0]):
        place = places[key]
        while place < answers.shape[0] and answers[place, 0] == keys[key, 0]:
            if answers[place, 1] == keys[key, 1]:
                found[0, key] = np.int64(answers[place, 2])
                found[1, key] = np.int64(answers[place, 3])
                break
            place += 1


def _needed(part: Part, parameters: BoilerplateParameters, answers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many documents of its source must have a line that is boilerplate, for each document of a part."""
    if parameters.min_documents is not None and not (
        parameters.sources or parameters.languages or parameters.min_share
    ):
        return np.full(part.rows, parameters.min_documents, dtype=np.int64)
    found = [np.zeros(0, dtype=np.int64)]
    for documents in part.documents(WITHOUT_TEXT):
        batch = Batch(documents)
        groups = batch.source_groups
        count = thresholds_of(batch, parameters, "min_documents")
        share = np.nan_to_num(thresholds_of(batch, parameters, "min_share"))
        totals = _look_up(answers, _total_keys(groups.names))[0][groups.codes]
        # Rounded as scores are, so that 0.1 of 30 documents is 3.
        needed = np.fmax(count, np.ceil(round_score(share * totals)))
        found.append(np.where(np.isnan(count), _NEVER, needed).astype(np.int64))
    return np.concatenate(found)
