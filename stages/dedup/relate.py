"""Finding duplicates across the corpus, through the engine's exchange.

    exact    rows (hash, hash, order) meet by hash: all but the first of each group are duplicates of it
    bands    rows (band key, order) of what is left meet by band: candidate pairs
    verify   pairs meet by their later document: repeats fall away, signatures decide where they are sure
    sets     shingle sets of the documents that are left in doubt, extracted part by part
    jaccard  true similarity of the pairs in doubt
    keep     in keeper order, a document is dropped if and only if it is similar to one that is kept

A document is an order: a 64-bit word whose low 40 bits are its row in the corpus and whose high bits rank it, so that
the smaller order is the one that stays. Rows in the exchange: 24 bytes a document for `exact`, 16 bytes a band for
`bands`. The last step holds the similar pairs in memory (20 bytes a pair), nothing else that grows with the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.document import Batch
from curator.run.corpus import Corpus
from curator.run.part import Part, write_table
from curator.run.store import Commit, Outputs
from curator.verdict import round_score
from stages.dedup.keep import candidate_pairs, keep_first
from stages.dedup.minhash import (
    Ragged,
    band_keys,
    choose_bands,
    estimate_jaccard,
    shingle_hashes,
    shingle_sets,
    true_jaccard,
)

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

ROW_BITS = 40
_ROW_MASK = np.uint64((1 << ROW_BITS) - 1)
_LENGTH_MAX = (1 << 22) - 1
_CHILD = np.uint64(1 << 63)

PARTITION_BYTES = 32_000_000
"""What a partition of the exchange holds on average."""

RELATION_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("dedup.keeper", pa.string()),
        pa.field("dedup.similarity", pa.float64()),
        pa.field("dedup.kind", pa.string()),
    ]
)


def find_duplicates(corpus: Corpus, parameters: DedupParameters) -> Path:
    """The relation of duplicates to keepers (see `Stage.relate`)."""
    bands, rows_per_band = choose_bands(parameters.permutations, parameters.threshold, parameters.recall)
    partitions = max(2, -(-corpus.rows * bands * 16 // PARTITION_BYTES))
    ranked = [_Ranked(part, parameters.keeper) for part in corpus.parts]
    query = None
    if corpus.has_children:
        children = [item for item in ranked if item.part.is_derived]
        query = _query(corpus, children, bands, rows_per_band)

    exact = corpus.exchange("exact", _EmitExact(query), _handle_exact, ranked, partitions)
    same = corpus.once("same", lambda path: _write_rows(path, _load(exact, "pairs", 2)))
    same_file = str(same.path("arrow"))

    emit = _EmitBands(same_file, bands, rows_per_band, query)
    handle = _HandleBands(parameters.bucket_representatives)
    found = corpus.exchange("bands", emit, handle, ranked, partitions)
    pairs_partitions = max(2, -(-sum(commit.integer("pairs") for commit in found) * 16 // PARTITION_BYTES))
    pairs = [_Pairs(commit) for commit in found]
    verified = corpus.exchange(
        "verify",
        _emit_pairs,
        _HandleVerify(corpus.parts, parameters.threshold, parameters.verify_band),
        pairs,
        pairs_partitions,
    )
    needed = _needed(corpus, verified)
    sets = corpus.map("sets", _ExtractSets(parameters.shingle_units), needed)
    doubtful = [_Doubtful(commit, tuple(sets)) for commit in verified]
    decided = corpus.map("jaccard", _decide_doubtful(parameters.threshold), doubtful)
    kept = corpus.once("keep", lambda path: _keep(path, corpus, same_file, [*verified, *decided]))
    return kept.path("arrow")


@dataclass(frozen=True)
class _Ranked:
    """A part with the rule that ranks its documents."""

    part: Part
    keeper: str

    @property
    def name(self) -> str:
        return self.part.name

    def orders(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Rows of the part that are alive, and the order of each: (int64[n], uint64[n])."""
        rows = np.flatnonzero(self.part.fresh().alive)
        orders = (rows + self.part.first_row).astype(np.uint64)
        if self.keeper == "longest" and self.part.rows:
            tokens = np.concatenate([batch.column(0).to_numpy() for batch in self.part.columns(["tokens"])])
            shortness = (_LENGTH_MAX - np.minimum(tokens[rows], _LENGTH_MAX)).astype(np.uint64)
            orders |= shortness << np.uint64(ROW_BITS)
        return rows, orders | _CHILD if self.part.is_derived else orders


def _rows_of(orders: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (orders & _ROW_MASK).astype(np.int64)


def _query(corpus: Corpus, children: list[_Ranked], bands: int, rows_per_band: int) -> str:
    """The hashes and band keys of all children, in a file: other documents matter only where they share one."""

    def write(path: Path) -> Mapping[str, object]:
        exact = [_exact(item.part)[item.orders()[0], 0] for item in children]
        banded = [
            band_keys(_signatures(item.part)[item.orders()[0]], bands, rows_per_band).reshape(-1) for item in children
        ]
        keys = np.unique(np.concatenate([*exact, *banded]))
        with path.open("wb") as file:
            np.save(file, keys, allow_pickle=False)
        return {"keys": len(keys)}

    return str(corpus.once("query", write).path("arrow"))


def _asked(keys: NDArray[np.uint64], query: str | None, part: Part) -> NDArray[np.bool_]:
    if query is None or part.is_derived:
        return np.ones(len(keys), dtype=np.bool_)
    return np.isin(keys, np.load(query, allow_pickle=False))


def _exact(part: Part) -> NDArray[np.uint64]:
    return part.matrix("dedup.exact", np.dtype(np.uint64), 2).astype(np.uint64, copy=False)


def _signatures(part: Part) -> NDArray[np.uint32]:
    width = part.path("dedup.signature").stat().st_size // (4 * max(part.rows, 1))
    return part.matrix("dedup.signature", np.dtype(np.uint32), width).astype(np.uint32, copy=False)


@dataclass(frozen=True)
class _EmitExact:
    query: str | None

    def __call__(self, item: _Ranked) -> NDArray[np.uint64]:
        rows, orders = item.orders()
        hashes = np.asarray(_exact(item.part)[rows])
        emitted = np.column_stack([hashes, orders]).astype(np.uint64)
        return emitted[_asked(hashes[:, 0], self.query, item.part)]


def _handle_exact(partition: int, rows: NDArray[np.uint64], outputs: Outputs) -> dict[str, object]:
    """Pairs (duplicate, first of its group): uint64[n, 2]."""
    if len(rows) == 0:
        return _save_pairs(outputs, "pairs", rows)
    begins = np.ones(len(rows), dtype=np.bool_)
    begins[1:] = (rows[1:, 0] != rows[:-1, 0]) | (rows[1:, 1] != rows[:-1, 1])
    first = rows[np.flatnonzero(begins)[np.cumsum(begins) - 1], 2]
    return _save_pairs(outputs, "pairs", np.column_stack([rows[~begins, 2], first[~begins]]))


@dataclass(frozen=True)
class _EmitBands:
    same: str
    bands: int
    rows_per_band: int
    query: str | None

    def __call__(self, item: _Ranked) -> NDArray[np.uint64]:
        rows, orders = item.orders()
        duplicates = np.load(self.same, mmap_mode="r", allow_pickle=False)
        begin, end = np.searchsorted(duplicates[:, 0], [item.part.first_row, item.part.first_row + item.part.rows])
        alive = ~np.isin(rows + item.part.first_row, duplicates[begin:end, 0])
        rows, orders = rows[alive], orders[alive]
        keys = band_keys(np.ascontiguousarray(_signatures(item.part)[rows]), self.bands, self.rows_per_band)
        emitted = np.column_stack([keys.reshape(-1), np.repeat(orders, self.bands)])
        return emitted[_asked(emitted[:, 0], self.query, item.part)]


@dataclass(frozen=True)
class _HandleBands:
    representatives: int

    def __call__(self, partition: int, rows: NDArray[np.uint64], outputs: Outputs) -> dict[str, object]:
        pairs = candidate_pairs(np.ascontiguousarray(rows), self.representatives)
        return _save_pairs(outputs, "pairs", np.unique(pairs, axis=0))


@dataclass(frozen=True)
class _Pairs:
    """The candidate pairs of one partition."""

    commit: Commit

    @property
    def name(self) -> str:
        return self.commit.name


def _emit_pairs(item: _Pairs) -> NDArray[np.uint64]:
    return _load_pairs(item.commit, "pairs", 2)


@dataclass(frozen=True)
class _HandleVerify:
    """Accepts the pairs whose estimated similarity is clearly above the threshold, notes those in doubt."""

    parts: tuple[Part, ...]
    threshold: float
    band: float

    def __call__(self, partition: int, rows: NDArray[np.uint64], outputs: Outputs) -> dict[str, object]:
        pairs = np.unique(rows, axis=0) if len(rows) else rows
        estimate = np.zeros(len(pairs))
        for begin in range(0, len(pairs), 16_384):
            piece = pairs[begin : begin + 16_384]
            late, early = (self._gather(_rows_of(piece[:, side])) for side in (0, 1))
            estimate[begin : begin + len(piece)] = estimate_jaccard(late, early)
        estimate = round_score(estimate)
        sure = estimate >= round(self.threshold + self.band, 6)
        doubtful = ~sure & (estimate >= round(self.threshold - self.band, 6))
        if self.band == 0:
            sure, doubtful = estimate >= self.threshold, np.zeros(len(pairs), dtype=np.bool_)
        accepted = np.column_stack([pairs[sure], estimate[sure].view(np.uint64)]) if len(pairs) else np.zeros((0, 3))
        return {
            **_save_pairs(outputs, "similar", accepted.astype(np.uint64)),
            "doubtful": _save_pairs(outputs, "doubtful", pairs[doubtful])["pairs"],
            "candidates": len(pairs),
        }

    def _gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        found: NDArray[np.uint32] | None = None
        starts = np.array([part.first_row for part in self.parts], dtype=np.int64)
        places = np.searchsorted(starts, rows, side="right") - 1
        for place in np.unique(places).tolist():
            inside = places == place
            signatures = _signatures(self.parts[place])
            if found is None:
                found = np.empty((len(rows), signatures.shape[1]), dtype=np.uint32)
            found[inside] = signatures[rows[inside] - starts[place]]
        return np.zeros((0, 1), dtype=np.uint32) if found is None else found


@dataclass(frozen=True)
class _Needed:
    """Documents of a part whose shingle sets are needed: rows within the part, sorted."""

    part: Part
    rows: NDArray[np.int64]

    @property
    def name(self) -> str:
        return self.part.name


def _needed(corpus: Corpus, verified: list[Commit]) -> list[_Needed]:
    rows = np.unique(_rows_of(_load(verified, "doubtful", 2).reshape(-1)))
    places = corpus.part_of(rows)
    return [
        _Needed(corpus.parts[place], rows[places == place] - corpus.parts[place].first_row)
        for place in np.unique(places).tolist()
    ]


@dataclass(frozen=True)
class _ExtractSets:
    """Writes the shingle sets of some documents: row numbers in the corpus, offsets, values."""

    shingle_units: int

    def __call__(self, item: _Needed, outputs: Outputs) -> dict[str, object]:
        begin = 0
        lengths, values = [], []
        for documents in item.part.documents(["text"]):
            end = begin + documents.num_rows
            inside = item.rows[(item.rows >= begin) & (item.rows < end)] - begin
            if len(inside):
                batch = Batch(documents.take(pa.array(inside)))
                found = shingle_sets(shingle_hashes(batch.units, *batch.text_buffer, self.shingle_units))
                lengths.append(np.diff(found.offsets))
                values.append(found.values)
            begin = end
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        with outputs.path("sets").open("wb") as file:
            for array in (item.rows + item.part.first_row, offsets, np.concatenate(values)):
                np.save(file, array, allow_pickle=False)
        return {"rows": len(item.rows)}


@dataclass(frozen=True)
class _Doubtful:
    """The pairs in doubt of one partition, and where the shingle sets lie."""

    commit: Commit
    sets: tuple[Commit, ...]

    @property
    def name(self) -> str:
        return self.commit.name


@dataclass(frozen=True)
class _decide_doubtful:  # noqa: N801 (a task reads like the function it is)
    threshold: float

    def __call__(self, item: _Doubtful, outputs: Outputs) -> dict[str, object]:
        pairs = _load_pairs(item.commit, "doubtful", 2)
        if len(pairs) == 0:
            return _save_pairs(outputs, "similar", np.zeros((0, 3), np.uint64))
        rows, sets = _load_sets(item.sets, np.unique(_rows_of(pairs.reshape(-1))))
        late, early = (np.searchsorted(rows, _rows_of(pairs[:, side])).astype(np.int64) for side in (0, 1))
        similarity = round_score(true_jaccard(sets, late, early))
        similar = similarity >= self.threshold
        return _save_pairs(outputs, "similar", np.column_stack([pairs[similar], similarity[similar].view(np.uint64)]))


def _load_sets(commits: tuple[Commit, ...], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ragged]:
    """The wanted documents (their rows in the corpus, sorted) and their shingle sets."""
    lengths, pieces, rows_found = [], [], []
    for commit in commits:
        with commit.path("sets").open("rb") as file:
            rows, offsets = (np.load(file, allow_pickle=False) for _ in range(2))
            chosen = np.flatnonzero(np.isin(rows, wanted))
            if len(chosen) == 0:
                continue
            values = np.load(file, allow_pickle=False)
        for place in chosen.tolist():
            pieces.append(values[offsets[place] : offsets[place + 1]].copy())
            lengths.append(len(pieces[-1]))
        rows_found.append(rows[chosen])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return np.concatenate(rows_found), Ragged(offsets, np.concatenate(pieces))


def _keep(path: Path, corpus: Corpus, same_file: str, commits: list[Commit]) -> Mapping[str, object]:
    """The last step: who stays, and the relation file."""
    edges = _load(commits, "similar", 3)
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    dropped, keepers, similarity = keep_first(
        np.ascontiguousarray(edges[:, 0]), np.ascontiguousarray(edges[:, 1]), edges[:, 2].copy().view(np.float64)
    )
    near_rows, near_keepers = _rows_of(dropped), _rows_of(keepers)
    by_row = np.argsort(near_rows)
    near_rows, near_keepers, similarity = near_rows[by_row], near_keepers[by_row], similarity[by_row]

    same = np.load(same_file, allow_pickle=False)
    place = np.searchsorted(near_rows, same[:, 1])
    found = place < len(near_rows)
    found[found] = near_rows[place[found]] == same[found, 1]
    exact_keepers, exact_similarity = same[:, 1].copy(), np.ones(len(same))
    exact_keepers[found], exact_similarity[found] = near_keepers[place[found]], similarity[place[found]]

    rows = np.concatenate([near_rows, same[:, 0]])
    keeper_rows = np.concatenate([near_keepers, exact_keepers])
    scores = np.concatenate([similarity, exact_similarity])
    near = np.concatenate([np.ones(len(near_rows), dtype=np.bool_), found])
    order = np.argsort(rows)
    table = pa.table(
        {
            "row": pa.array(rows[order]),
            "dedup.keeper": _ids(corpus, keeper_rows[order]),
            "dedup.similarity": pa.array(scores[order]),
            "dedup.kind": pa.array(np.where(near[order], "near", "exact").tolist(), pa.string()),
        },
        schema=RELATION_SCHEMA,
    )
    write_table(path, table, compress=False)
    return {"near": len(near_rows), "exact": len(same), "similar_pairs": len(edges)}


def _ids(corpus: Corpus, rows: NDArray[np.int64]) -> pa.Array:
    """The ids of documents given by their row in the corpus."""
    distinct, back = np.unique(rows, return_inverse=True)
    places = corpus.part_of(distinct)
    found: list[pa.Array] = []
    for place in np.unique(places).tolist():
        part = corpus.parts[place]
        local = distinct[places == place] - part.first_row
        begin = 0
        for documents in part.documents(["id"]):
            end = begin + documents.num_rows
            inside = local[(local >= begin) & (local < end)] - begin
            found.append(documents.column(0).take(pa.array(inside)))
            begin = end
    ids = pa.concat_arrays(found) if found else pa.array([], pa.string())
    return ids.take(pa.array(back.reshape(-1)))


def _write_rows(path: Path, pairs: NDArray[np.uint64]) -> Mapping[str, object]:
    """Pairs of orders as rows, sorted by the duplicate: int64[n, 2]."""
    rows = np.column_stack([_rows_of(pairs[:, 0]), _rows_of(pairs[:, 1])])
    with path.open("wb") as file:
        np.save(file, rows[np.argsort(rows[:, 0])], allow_pickle=False)
    return {"pairs": len(rows)}


def _save_pairs(outputs: Outputs, suffix: str, pairs: NDArray[np.uint64]) -> dict[str, object]:
    np.ascontiguousarray(pairs, dtype=np.uint64).tofile(outputs.path(suffix))
    return {"pairs": len(pairs)}


def _load_pairs(commit: Commit, suffix: str, width: int) -> NDArray[np.uint64]:
    return np.fromfile(commit.path(suffix), dtype=np.uint64).reshape(-1, width)


def _load(commits: list[Commit], suffix: str, width: int) -> NDArray[np.uint64]:
    return np.concatenate(
        [np.zeros((0, width), np.uint64), *(_load_pairs(commit, suffix, width) for commit in commits)]
    )
