"""Finding repeats across the corpus, through the engine's exchange.

    anchors   each part: the anchors of its documents (see `anchors.py`)
    meet      rows (anchor, place) meet by anchor: where several documents have one, the first places, its
              representatives, go back to every part that has it
    extract   each part: the units of its documents that share an anchor, and which of its places meet which
              representatives
    match     each part: its places are compared with their representatives, unit by unit, and extended to maximal
              repeats; the units of a document are mapped from the file of its part

A place is a document and a unit in it: as many as a document of 1 GiB can have. A row of the exchange has 16 bytes; of
one anchor a part sends at most `representatives`, so that the anchor of a text that is everywhere fills no
memory, and each of its places is compared with so many others.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from curator.run.part import Part
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
from stages.substrings.anchors import Measure, find_anchors, mass_of, unit_values
from stages.substrings.match import Texts, choose_repeats, extend_matches

if TYPE_CHECKING:
    from stages.substrings.stage import SubstringsParameters

PAIRS_TOGETHER = 1 << 18
"""Pairs of places that are compared at a time: about 80 bytes each."""

PLACE = Packing(row=35, unit=29)
ANCHORS = RowFormat("meet", 2)

SPAN = pa.struct([("begin", pa.int32()), ("end", pa.int32()), ("keeper", pa.string())])
"""A repeat: units of the document, and the id of the document in which it stood before."""

RELATION_SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("substrings.spans", pa.list_(SPAN))])


def find_repeats(corpus: Corpus, parameters: SubstringsParameters) -> Path:
    """The relation of documents to what they repeat (see `Stage.relate`). UserError when there are more documents than
    a place can number."""
    if corpus.rows > PLACE.limit("row"):
        raise UserError(
            f"the corpus has {corpus.rows:,} documents, and repeats are found among {PLACE.limit('row'):,} at most",
            stage="substrings",
            hint="process the corpus in several runs",
        )
    measure, limit = parameters.measure, parameters.representatives
    read = read_rows(corpus, "anchors", lambda query: _ReadAnchors(measure, query), ANCHORS.words)
    rows = sum(commit.integer("anchors") for commit in read)
    first_rows = tuple(part.first_row for part in corpus.parts)
    emitted = [_Anchors(commit, limit) for commit in read]
    met = corpus.exchange(ANCHORS, _emit, _Answer(limit, parameters.within, first_rows), emitted, rows)
    folder = read[0].folder if read else ""
    places = [Place(part, number) for number, part in enumerate(corpus.parts)]
    extracted = corpus.map("extract", _Extract(Answers.of(met, ANCHORS.words), folder), places)
    units = Units(extracted[0].folder if extracted else "", tuple(commit.name for commit in extracted), first_rows)
    match = _Match(measure, parameters.within, units, Ids.of(read, corpus.parts))
    matched = corpus.map("match", match, asked_places(corpus))
    return corpus.once("relation", partial(join_relations, tuple(matched), RELATION_SCHEMA)).path("arrow")


@dataclass(frozen=True)
class _ReadAnchors:
    """Writes the anchors of a part, sorted by hash and place, and its ids."""

    measure: Measure
    query: str | None

    def __call__(self, part: Part, outputs: Outputs) -> dict[str, object]:
        part = part.fresh()
        pieces = [np.zeros((0, ANCHORS.words), dtype=np.uint64)]
        begin = 0
        for documents in part.edited(["text"]):
            end = begin + documents.num_rows
            alive = np.flatnonzero(part.alive[begin:end])
            batch = Batch(documents if len(alive) == documents.num_rows else documents.take(pa.array(alive)))
            keys, texts, units = find_anchors(unit_values(batch.units), batch.units.offsets, self.measure)
            places = PLACE.pack(row=alive[texts] + begin + part.first_row, unit=units)
            pieces.append(np.column_stack([keys, places]))
            begin = end
        rows = np.concatenate(pieces)
        if self.query is not None:
            rows = rows.compress(np.isin(rows[:, 0], np.load(local_file(self.query), allow_pickle=False)), axis=0)
        # Rows of two are taken, not indexed: a sixth of the time.
        rows = rows.take(np.argsort(rows[:, 0], kind="stable"), axis=0)
        rows.tofile(outputs.path("rows"))
        write_ids(part, outputs)
        return {"anchors": len(rows)}


@dataclass(frozen=True)
class _Anchors:
    """The anchors of a part; of each, the first `limit` go to the exchange."""

    commit: Commit
    limit: int

    @property
    def name(self) -> str:
        return self.commit.name


def _emit(item: _Anchors) -> NDArray[np.uint64]:
    rows = load_rows(item.commit, ANCHORS.words)
    begins = np.ones(len(rows), dtype=np.bool_)
    begins[1:] = rows[1:, 0] != rows[:-1, 0]
    starts = np.flatnonzero(begins)
    rank = np.arange(len(rows)) - starts[np.cumsum(begins) - 1] if len(rows) else starts
    return rows.compress(rank < item.limit, axis=0)


@dataclass(frozen=True)
class _Answer:
    """Answers every part that has an anchor of several documents (or, `within`, several places) with the first `limit`
    places of the anchor, as far as they are in the part or in one before it: (anchor, place)."""

    limit: int
    within: bool
    first_rows: tuple[int, ...]

    def __call__(self, partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
        asked, answers = [np.zeros(0, dtype=np.int64)], [np.zeros((0, ANCHORS.words), dtype=np.uint64)]
        for rows in whole_keys(blocks):  # a part has given `limit` places of an anchor at most
            rows = np.ascontiguousarray(rows)
            documents = _rows_of(rows[:, 1])
            parts = np.searchsorted(self.first_rows, documents, side="right") - 1
            nothing, none = np.zeros((0, ANCHORS.words), dtype=np.uint64), np.zeros(0, dtype=np.int64)
            count = _answer(rows, documents, parts, self.limit, self.within, nothing, none)
            answers.append(np.empty((count, ANCHORS.words), dtype=np.uint64))
            asked.append(np.empty(count, dtype=np.int64))
            _answer(rows, documents, parts, self.limit, self.within, answers[-1], asked[-1])
        every = np.concatenate(asked)
        order = np.argsort(every, kind="stable")
        write_answers(outputs, every[order], np.concatenate(answers).take(order, axis=0))
        return {"answers": len(every)}


@kernel
def _answer(
    rows: NDArray[np.uint64],
    documents: NDArray[np.int64],
    parts: NDArray[np.int64],
    limit: int,
    within: bool,
    answers: NDArray[np.uint64],
    asked: NDArray[np.int64],
) -> int:
    # Counts, and writes as far as there is room: called once without, then once with it.
    count = 0
    begin = 0
    size = rows.shape[0]
    while begin < size:
        end = begin + 1
        while end < size and rows[end, 0] == rows[begin, 0]:
            end += 1
        several = documents[begin] != documents[end - 1]
        if several or (within and end - begin > 1):
            for row in range(begin, end):
                if row > begin and parts[row] == parts[row - 1]:
                    continue
                for other in range(begin, min(begin + limit, end)):
                    if parts[other] > parts[row]:
                        break
                    if asked.size:
                        answers[count] = rows[other]
                        asked[count] = parts[row]
                    count += 1
        begin = end
    return count


def _rows_of(places: NDArray[np.uint64]) -> NDArray[np.int64]:
    return PLACE.unpack(places, "row")


def _units_of(places: NDArray[np.uint64]) -> NDArray[np.int64]:
    return PLACE.unpack(places, "unit")


@dataclass(frozen=True)
class _Extract:
    """Writes the places of a part that meet representatives, and the units of its documents that share an anchor."""

    answers: Answers
    folder: str

    def __call__(self, place: Place, outputs: Outputs) -> dict[str, object]:
        part = place.part.fresh()
        answers = self.answers.for_part(place.number)
        flat = np.fromfile(local_file(f"{self.folder}/{part.name}.rows"), dtype=np.uint64).reshape(-1, ANCHORS.words)
        first = np.searchsorted(answers[:, 0], flat[:, 0], side="left")
        behind = np.searchsorted(answers[:, 0], flat[:, 0], side="right")
        met = np.flatnonzero(behind > first)
        met = met[np.argsort(flat[met, 1])]
        with outputs.path("places").open("wb") as file:
            for array in (flat[met, 1], first[met], behind[met], np.ascontiguousarray(answers[:, 1])):
                np.save(file, array, allow_pickle=False)
        rows = np.unique(_rows_of(flat[met, 1])) - part.first_row
        counts, pieces = [np.zeros(0, dtype=np.int64)], []
        begin = 0
        for documents in part.edited(["text"]) if len(rows) else ():
            end = begin + documents.num_rows
            inside = rows[(rows >= begin) & (rows < end)] - begin
            if len(inside):
                units = Batch(documents.take(pa.array(inside))).units
                counts.append(units.counts)
                pieces.append(unit_values(units))
            begin = end
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        with outputs.path("units").open("wb") as file:
            for array in (np.array([len(rows)]), rows + part.first_row, offsets, *pieces):
                file.write(np.ascontiguousarray(array).tobytes())
        return {"documents": len(rows), "places": len(met)}


@dataclass(frozen=True)
class Units:
    """Where the units of the documents lie that share an anchor: a file for each part of the corpus."""

    folder: str
    names: tuple[str, ...]
    first_rows: tuple[int, ...]

    def part_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of the part of each row: int64[n]."""
        found: NDArray[np.int64] = np.searchsorted(self.first_rows, rows, side="right") - 1
        return found

    def texts(self, number: int) -> Texts:
        """The units of a part, mapped from its file."""
        words = np.memmap(local_file(f"{self.folder}/{self.names[number]}.units"), dtype=np.int64, mode="r")
        count = int(words[0])
        rows, offsets = np.asarray(words[1 : 1 + count]), np.asarray(words[1 + count : 2 + 2 * count])
        return Texts(rows, offsets, np.asarray(words[2 + 2 * count :]).view(np.uint64))


@dataclass(frozen=True)
class _Match:
    """Writes the relation of a part: what its documents repeat."""

    measure: Measure
    within: bool
    units: Units
    ids: Ids

    def __call__(self, place: Place, outputs: Outputs) -> dict[str, object]:
        later = self.units.texts(place.number)
        mass = mass_of(later.values, self.measure)
        with local_file(f"{self.units.folder}/{place.part.name}.places").open("rb") as file:
            here, first, behind, representatives = (np.load(file, allow_pickle=False) for _ in range(4))
        found = [np.zeros((0, 4), dtype=np.int64)]
        until = np.concatenate([[0], np.cumsum(behind - first)])
        begin = 0
        while begin < len(here):
            end = max(begin + 1, int(np.searchsorted(until, until[begin] + PAIRS_TOGETHER, side="right")) - 1)
            there = _expand(first[begin:end], behind[begin:end])
            own = np.repeat(here[begin:end], behind[begin:end] - first[begin:end])
            found.append(self._compare(later, mass, own, representatives[there]))
            begin = end
        repeats = choose_repeats(np.concatenate(found))
        _write_relation(repeats, later.rows, self.ids, outputs)
        return {"repeats": len(repeats)}

    def _compare(
        self, later: Texts, mass: NDArray[np.int64], own: NDArray[np.uint64], other: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        """Repeats (document of `later`, begin, end, row of the earlier document) among pairs of places."""
        before = other < own if self.within else _rows_of(other) < _rows_of(own)
        own, other = own[before], other[before]
        parts = self.units.part_of(_rows_of(other))
        order = np.argsort(parts, kind="stable")
        own, other, parts = own[order], other[order], parts[order]
        found = [np.zeros((0, 4), dtype=np.int64)]
        for number in np.unique(parts).tolist():
            begin, end = np.searchsorted(parts, [number, number + 1]).tolist()
            earlier = self.units.texts(number)
            here, there = own[begin:end], other[begin:end]
            columns = [
                later.places(_rows_of(here)),
                _units_of(here),
                earlier.places(_rows_of(there)),
                _units_of(there),
            ]
            repeats = extend_matches(
                later, mass, earlier, np.column_stack(columns), self.measure.gram, self.measure.whole
            )
            repeats[:, 3] = earlier.rows[repeats[:, 3]]
            found.append(repeats)
        return np.concatenate(found)


def _expand(first: NDArray[np.int64], behind: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of all ranges [first, behind), one after the other."""
    counts = behind - first
    starts = np.cumsum(counts) - counts
    numbers: NDArray[np.int64] = np.arange(int(counts.sum())) - np.repeat(starts - first, counts)
    return numbers


def _write_relation(repeats: NDArray[np.int64], rows: NDArray[np.int64], ids: Ids, outputs: Outputs) -> None:
    spans = pa.StructArray.from_arrays(
        [
            pa.array(repeats[:, 1].astype(np.int32)),
            pa.array(repeats[:, 2].astype(np.int32)),
            ids.look_up(np.ascontiguousarray(repeats[:, 3])),
        ],
        fields=list(SPAN),
    )
    texts, starts = np.unique(repeats[:, 0], return_index=True)
    offsets = pa.array(np.append(starts, len(repeats)).astype(np.int32))
    columns = [pa.array(rows[texts]), pa.ListArray.from_arrays(offsets, spans)]
    write_table(outputs.path("relation"), pa.Table.from_arrays(columns, schema=RELATION_SCHEMA))
