"""Near-duplicates: candidates by MinHash LSH, verified by signatures, and by shingles where those are unsure.

    bands    rows (band key, order) meet by band: candidate pairs, 16 bytes a band of each document
    verify   pairs meet by their later document: repeats fall away, signatures decide where they are sure
    sets     shingle sets of the documents that are left in doubt, extracted part by part
    jaccard  true similarity of the pairs in doubt

Memory of a task is bounded: rows and pairs come in blocks, shingle sets are read for as many pairs as fit.
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
from curator.engine.merge import Piece, pieces_of, sort_rows
from curator.keys import child_keys
from curator.run.corpus import Corpus, part_of
from curator.run.part import Part
from curator.run.store import Commit, Outputs
from curator.scaling import PARTITION_BYTES, RowFormat
from curator.storage.spool import local_file
from curator.verdict import round_score
from stages.dedup.exact import Gone, Question
from stages.dedup.files import append_rows
from stages.dedup.keep import Buckets
from stages.dedup.minhash import (
    Ragged,
    band_keys,
    choose_bands,
    estimate_jaccard,
    shingle_hashes,
    shingle_sets,
    true_jaccard,
)
from stages.dedup.orders import Ranked, is_child, rows_of

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

SIGNATURE_COLUMN = "dedup.signature"

BANDS, PAIRS = RowFormat("bands", 2), RowFormat("verify", 2)

VERIFIED_TOGETHER = 16_384
"""Pairs whose signatures are read at a time: 32 MB."""

SET_BYTES = 64_000_000
"""Shingle sets that are read at a time, about."""

SIMILAR_WIDTH = 3

MOST_CHILDREN = 64
"""Children of one document whose parent is known by their keys: one in its language, one in each that it feeds."""


@dataclass(frozen=True)
class Near:
    """The similar pairs: sorted pieces of rows (later, earlier, bits of the similarity), and how they were found."""

    pieces: tuple[Piece, ...]
    facts: dict[str, int]


def bands_of(parameters: DedupParameters) -> tuple[int, int]:
    """How many bands, of how many rows each."""
    return choose_bands(parameters.permutations, parameters.threshold, parameters.recall)


def find_near(
    corpus: Corpus, parameters: DedupParameters, ranked: Sequence[Ranked], gone: Gone, question: Question
) -> Near:
    """The pairs of documents that are left whose Jaccard similarity is at least the threshold."""
    bands, rows_per_band = bands_of(parameters)
    emit = _EmitBands(gone, question, bands, rows_per_band)
    found = corpus.exchange(BANDS, emit, _Pair(parameters.bucket_representatives), ranked, corpus.rows * bands)
    candidates = sum(commit.integer("pairs") for commit in found)
    verify = _Verify(corpus.parts, parameters.threshold, parameters.verify_band)
    groups = [group for commit in found for group in _groups(commit, "pairs", 2)]
    verified = corpus.exchange(PAIRS, _emit_pairs, verify, groups, candidates)
    needed = corpus.once("needed", partial(_write_needed, verified))
    extract = _ExtractSets(parameters.shingle_units, needed.place("arrow"))
    sets = corpus.map("sets", extract, _needed(corpus, needed.path("arrow")))
    doubtful = [_Doubtful(commit, tuple(sets)) for commit in verified if commit.integer("doubtful")]
    decided = corpus.map("jaccard", _Decide(parameters.threshold), doubtful)
    facts = {
        "exchanged_rows": sum(commit.integer("rows") for commit in found),
        "candidate_pairs": sum(commit.integer("candidates") for commit in verified),
        "pairs_in_doubt": sum(commit.integer("doubtful") for commit in verified),
        "similar_pairs": sum(commit.integer("similar") for commit in (*verified, *decided)),
        "large_buckets": sum(commit.integer("cut") for commit in found),
        "beyond_representatives": sum(commit.integer("beyond") for commit in found),
    }
    commits = [*verified, *decided]
    everything = 1 << 62
    pieces = [piece for commit in commits for piece in pieces_of(commit, "similar", SIMILAR_WIDTH, everything)]
    return Near(tuple(pieces), facts)


def signatures_of(part: Part) -> NDArray[np.uint32]:
    """The signatures of a part: uint32[rows, permutations]."""
    width = part.path(SIGNATURE_COLUMN).stat().st_size // (4 * max(part.rows, 1))
    return part.matrix(SIGNATURE_COLUMN, np.dtype(np.uint32), width).astype(np.uint32, copy=False)


@dataclass(frozen=True)
class _EmitBands:
    gone: Gone
    question: Question
    bands: int
    rows_per_band: int

    def __call__(self, item: Ranked) -> NDArray[np.uint64]:
        rows, orders = self.gone.rest(item)
        keys = band_keys(np.ascontiguousarray(signatures_of(item.part)[rows]), self.bands, self.rows_per_band)
        emitted = np.column_stack([keys.reshape(-1), np.repeat(orders, self.bands)])
        return emitted.compress(self.question.matters(emitted[:, 0], item.part), axis=0)


@dataclass(frozen=True)
class _Pair:
    """Writes the candidate pairs of a partition of buckets."""

    representatives: int

    def __call__(self, partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
        buckets = Buckets(self.representatives)
        count = rows = 0

        def counted() -> Iterator[NDArray[np.uint64]]:
            nonlocal rows
            for block in blocks:
                rows += len(block)
                yield np.ascontiguousarray(block)

        with outputs.path("pairs").open("wb") as file:
            for pairs in buckets.pairs(counted()):
                count += append_rows(file, _distinct(sort_rows(pairs)))
        return {"pairs": count, "rows": rows, "cut": buckets.cut, "beyond": buckets.beyond}


def _distinct(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted rows without repeats."""
    if not len(rows):
        return rows
    return rows.compress(np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)]), axis=0)


@dataclass(frozen=True)
class _Group:
    """Some rows that a task wrote."""

    name: str
    piece: Piece


def _groups(commit: Commit, suffix: str, width: int) -> list[_Group]:
    pieces = pieces_of(commit, suffix, width, PARTITION_BYTES // (8 * width))
    return [_Group(f"{commit.name}-{number:05d}", piece) for number, piece in enumerate(pieces)]


def _emit_pairs(group: _Group) -> NDArray[np.uint64]:
    return group.piece.read(0, group.piece.rows, 2)


@dataclass(frozen=True)
class _Verify:
    """Accepts the pairs whose estimated similarity is clearly above the threshold, notes those in doubt."""

    parts: tuple[Part, ...]
    threshold: float
    band: float

    def __call__(self, partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
        candidates = accepted = doubtful = 0
        last = np.zeros((0, 2), dtype=np.uint64)
        with outputs.path("similar").open("wb") as similar_file, outputs.path("doubtful").open("wb") as doubtful_file:
            for block in blocks:
                distinct = _distinct(np.concatenate([last, block]))[len(last) :]
                last = block[-1:]
                candidates += len(distinct)
                for begin in range(0, len(distinct), VERIFIED_TOGETHER):
                    pairs = self._without_own_parents(distinct[begin : begin + VERIFIED_TOGETHER])
                    estimate, sure, unsure = self._judge(pairs)
                    similar = np.column_stack([pairs[sure], estimate[sure].view(np.uint64)])
                    accepted += append_rows(similar_file, similar)
                    doubtful += append_rows(doubtful_file, pairs[unsure])
        return {"similar": accepted, "doubtful": doubtful, "candidates": candidates}

    def _without_own_parents(self, pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The pairs without those of a child and its parent: that they are alike is how the child was made."""
        rows = np.flatnonzero(is_child(pairs[:, 0]))
        if not len(rows):
            return pairs
        children, others = (self._keys(rows_of(pairs[rows, side])) for side in (0, 1))
        own = np.zeros(len(rows), dtype=np.bool_)
        for ordinal in range(1, MOST_CHILDREN + 1):
            own |= (child_keys(others, np.full(len(rows), ordinal)) == children).all(axis=1)
        return np.delete(pairs, rows[own], axis=0)

    def _keys(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        found = np.empty((len(rows), 2), dtype=np.uint64)
        places = part_of(self.parts, rows)
        for place in np.unique(places).tolist():
            part = self.parts[place].fresh()
            keys = np.concatenate([Batch(batch).keys for batch in part.documents(["key"])])
            inside = places == place
            found[inside] = keys[rows[inside] - part.first_row]
        return found

    def _judge(self, pairs: NDArray[np.uint64]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Estimates, which pairs are surely similar, and which are in doubt."""
        late, early = (self._gather(rows_of(pairs[:, side])) for side in (0, 1))
        estimate = round_score(estimate_jaccard(late, early))
        if self.band == 0:
            return estimate, estimate >= self.threshold, np.zeros(len(pairs), dtype=np.bool_)
        sure = estimate >= round(self.threshold + self.band, 6)
        return estimate, sure, ~sure & (estimate >= round(self.threshold - self.band, 6))

    def _gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        found: NDArray[np.uint32] | None = None
        places = part_of(self.parts, rows)
        for place in np.unique(places).tolist():
            inside = places == place
            signatures = signatures_of(self.parts[place])
            if found is None:
                found = np.empty((len(rows), signatures.shape[1]), dtype=np.uint32)
            found[inside] = signatures[rows[inside] - self.parts[place].first_row]
        return np.zeros((0, 1), dtype=np.uint32) if found is None else found


@dataclass(frozen=True)
class _Needed:
    """Documents of a part whose shingle sets are needed: where they stand among all of these."""

    part: Part
    begin: int
    end: int

    @property
    def name(self) -> str:
        return self.part.name


def _write_needed(verified: Sequence[Commit], path: Path) -> Mapping[str, object]:
    """The documents of all pairs in doubt: int64, sorted. Some 24 bytes for each in memory."""
    rows = np.zeros(0, dtype=np.int64)
    waiting: list[NDArray[np.int64]] = []
    for group in (group for commit in verified for group in _groups(commit, "doubtful", 2)):
        waiting.append(np.unique(rows_of(_emit_pairs(group).reshape(-1))))
        # Joined when they are as many as all before: each document is sorted a few times, not in each turn.
        if sum(map(len, waiting)) > len(rows):
            rows, waiting = np.unique(np.concatenate([rows, *waiting])), []
    rows = np.unique(np.concatenate([rows, *waiting]))
    rows.tofile(path)
    return {"rows": len(rows)}


def _read_needed(path: Path) -> NDArray[np.int64]:
    return np.memmap(path, dtype=np.int64, mode="r") if path.stat().st_size else np.zeros(0, dtype=np.int64)


def _needed(corpus: Corpus, path: Path) -> list[_Needed]:
    rows = _read_needed(path)
    bounds = [np.searchsorted(rows, [part.first_row, part.first_row + part.rows]).tolist() for part in corpus.parts]
    return [_Needed(part, begin, end) for part, (begin, end) in zip(corpus.parts, bounds, strict=True) if begin < end]


@dataclass(frozen=True)
class _ExtractSets:
    """Writes the shingle sets of some documents: `index` (row in the corpus, where its set begins, and a last row that
    says where all end), `values`."""

    shingle_units: int
    needed: str

    def __call__(self, item: _Needed, outputs: Outputs) -> dict[str, object]:
        begin = total = 0
        rows = _read_needed(local_file(self.needed))[item.begin : item.end] - item.part.first_row
        index: list[NDArray[np.int64]] = []
        with outputs.path("values").open("wb") as values:
            for documents in item.part.documents(["text"]):
                end = begin + documents.num_rows
                inside = rows[(rows >= begin) & (rows < end)]
                if len(inside):
                    batch = Batch(documents.take(pa.array(inside - begin)))
                    found = shingle_sets(shingle_hashes(batch.units, *batch.text_buffer, self.shingle_units))
                    index.append(np.column_stack([inside + item.part.first_row, found.offsets[:-1] + total]))
                    found.values.tofile(values)
                    total += len(found.values)
                begin = end
        index.append(np.array([[-1, total]], dtype=np.int64))
        with outputs.path("index").open("wb") as file:
            np.save(file, np.concatenate(index), allow_pickle=False)
        return {"rows": len(rows)}


@dataclass(frozen=True)
class _Doubtful:
    """The pairs in doubt of one partition, and where the shingle sets lie."""

    commit: Commit
    sets: tuple[Commit, ...]

    @property
    def name(self) -> str:
        return self.commit.name


@dataclass(frozen=True)
class _Decide:
    """Writes the pairs in doubt that are similar after all."""

    threshold: float

    def __call__(self, item: _Doubtful, outputs: Outputs) -> dict[str, object]:
        wanted = np.zeros(0, dtype=np.int64)
        for group in _groups(item.commit, "doubtful", 2):
            wanted = np.unique(np.concatenate([wanted, rows_of(_emit_pairs(group).reshape(-1))]))
        sets = _Sets.open(item.sets, wanted)
        count = 0
        with outputs.path("similar").open("wb") as file:
            for group in _groups(item.commit, "doubtful", 2):
                for pairs in sets.split(_emit_pairs(group)):
                    similarity = round_score(sets.jaccard(pairs))
                    similar = similarity >= self.threshold
                    count += append_rows(file, np.column_stack([pairs[similar], similarity[similar].view(np.uint64)]))
        return {"similar": count}


@dataclass(frozen=True)
class _Sets:
    """The shingle sets that were extracted: which rows (sorted), in which file, from where to where in it."""

    rows: NDArray[np.int64]
    file: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    places: tuple[str, ...]

    @staticmethod
    def open(commits: Sequence[Commit], wanted: NDArray[np.int64]) -> _Sets:
        """Those of the documents `wanted` (their rows, sorted): what is held grows with these alone."""
        rows: list[NDArray[np.int64]] = []
        file: list[NDArray[np.int64]] = []
        begins: list[NDArray[np.int64]] = []
        ends: list[NDArray[np.int64]] = []
        for number, commit in enumerate(commits):
            index = np.load(commit.path("index"), mmap_mode="r", allow_pickle=False)
            first, last = np.searchsorted(wanted, [index[0, 0], index[-2, 0] + 1])
            places = np.searchsorted(index[:-1, 0], wanted[first:last])
            rows.append(wanted[first:last])
            file.append(np.full(len(places), number))
            begins.append(index[places, 1])
            ends.append(index[places + 1, 1])
        return _Sets(
            np.concatenate(rows),
            np.concatenate(file),
            np.concatenate(begins),
            np.concatenate(ends),
            tuple(commit.place("values") for commit in commits),
        )

    def split(self, pairs: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
        """Pairs in groups whose sets together take about SET_BYTES; one pair at least."""
        sizes = 8 * (self.ends - self.begins)
        each = sum(sizes[np.searchsorted(self.rows, rows_of(pairs[:, side]))] for side in (0, 1))
        groups = np.cumsum(each) // SET_BYTES
        yield from np.split(pairs, np.flatnonzero(np.diff(groups)) + 1)

    def jaccard(self, pairs: NDArray[np.uint64]) -> NDArray[np.float64]:
        """The true similarity of pairs: float64[n]."""
        wanted = np.unique(rows_of(pairs.reshape(-1)))
        places = np.searchsorted(self.rows, wanted)
        found = []
        for number in np.unique(self.file[places]).tolist():
            values = np.memmap(local_file(self.places[number]), dtype=np.uint64, mode="r")
            for place in places[self.file[places] == number].tolist():
                found.append(np.asarray(values[self.begins[place] : self.ends[place]]))
        offsets = np.concatenate([[0], np.cumsum([len(values) for values in found])]).astype(np.int64)
        late, early = (np.searchsorted(wanted, rows_of(pairs[:, side])).astype(np.int64) for side in (0, 1))
        return true_jaccard(Ragged(offsets, np.concatenate(found)), late, early)
