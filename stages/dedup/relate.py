"""Finding duplicates across the corpus, through the engine's exchange.

    url      of documents with the same canonical URL the first stays (where the recipe names a field for it)
    exact    of documents with the same folded text the first stays
    near     pairs of what is left that are similar (see `near`)
    keep     in keeper order, a document is dropped if and only if it is similar to one that is kept

In the exchange a document costs 24 bytes for each of `url` and `exact`, and 16 bytes a band for `bands` (400 bytes with
25 bands). Memory: tasks hold blocks of rows; the last step holds a bit for each document and 24 bytes for each that is
dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curator.engine.merge import merge_sorted
from curator.run.corpus import Corpus, part_of
from curator.run.part import Part
from curator.run.store import Outputs
from curator.stage import FACTS
from curator.storage.ipc import write_table
from curator.storage.spool import local_file
from stages.dedup.exact import TEXTS, URLS, Gone, Question, find_same, hashes_of
from stages.dedup.keep import keep_first
from stages.dedup.minhash import band_keys
from stages.dedup.near import SIMILAR_WIDTH, Near, bands_of, find_near, signatures_of
from stages.dedup.orders import Ranked, are_unranked, rows_of

if TYPE_CHECKING:
    from stages.dedup.stage import DedupParameters

EXACT_COLUMN = "dedup.exact"
URL_COLUMN = "dedup.url"
RUN_COLUMN = "dedup.run"
URL, EXACT, NEAR, HOLDOUT = KINDS = ("url", "exact", "near", "holdout")
"""Why a document is dropped; HOLDOUT: its keeper is held out, and it is not."""

KEEP_ROWS = 1 << 20
"""Similar pairs that are held at a time while it is decided who stays."""

RELATION_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("dedup.keeper", pa.string()),
        pa.field("dedup.similarity", pa.float64()),
        pa.field("dedup.kind", pa.string()),
        pa.field("dedup.members", pa.int64()),
    ]
)


@dataclass(frozen=True)
class SameUrl:
    """The documents whose URL an earlier one has, the rows exchanged to find them, and whether there are documents, and
    none of them has a URL."""

    gone: Gone
    exchanged: int
    without: bool = False


def find_same_urls(corpus: Corpus, parameters: DedupParameters, asked: int = 0) -> SameUrl:
    """Who shares a URL with an earlier document, where the recipe names a field for it. Children have none. `asked` is
    for how many documents indexes were asked for a URL before."""
    if parameters.url_field is None or corpus.has_children:
        return SameUrl(Gone(), 0)
    ranked = [Ranked(part, parameters.keeper) for part in corpus.parts]
    file, rows = find_same(corpus, URLS, URL_COLUMN, ranked, Gone(), Question())
    return SameUrl(Gone((file,)), rows, not rows + asked and any(part.fresh().alive.any() for part in corpus.parts))


def find_duplicates(corpus: Corpus, parameters: DedupParameters, same_url: SameUrl) -> Path:
    """The relation of duplicates to keepers (see `Stage.relate`). Those that share a URL take no part in the comparison
    of texts."""
    ranked = [Ranked(part, parameters.keeper) for part in corpus.parts]
    question = Question(_ask(corpus, ranked, parameters) if corpus.has_children else None)
    file, rows = find_same(corpus, TEXTS, EXACT_COLUMN, ranked, same_url.gone, question)
    near = find_near(corpus, parameters, ranked, same_url.gone.with_file(file), question)
    unranked = _count_unranked(corpus, ranked, parameters)
    keep = _Keep(corpus.parts, same_url, file, near, rows, unranked)
    return corpus.once("keep", keep).path("arrow")


@dataclass(frozen=True)
class _Unranked:
    """Documents that are compared, and those of them without what the keeper rule looks at."""

    compared: int
    unranked: int


class _CountUnranked:
    """Counts them in a part."""

    def __call__(self, item: Ranked, outputs: Outputs) -> dict[str, object]:
        _, orders = item.orders()
        return {"compared": len(orders), "unranked": int(np.count_nonzero(are_unranked(orders)))}


def _count_unranked(corpus: Corpus, ranked: Sequence[Ranked], parameters: DedupParameters) -> _Unranked:
    if parameters.keeper_field is None or corpus.has_children:
        return _Unranked(0, 0)
    counts = corpus.map("unranked", _CountUnranked(), ranked)
    compared, unranked = (sum(count.integer(name) for count in counts) for name in ("compared", "unranked"))
    return _Unranked(compared, unranked)


def _ask(corpus: Corpus, ranked: Sequence[Ranked], parameters: DedupParameters) -> str:
    """The hashes and band keys of all children, in a file: other documents matter only where they share one."""
    children = tuple(item for item in ranked if item.part.is_derived)
    return corpus.once("query", partial(_write_question, children, parameters)).place("arrow")


def _write_question(children: Sequence[Ranked], parameters: DedupParameters, path: Path) -> Mapping[str, object]:
    bands, rows_per_band = bands_of(parameters)
    keys = [np.zeros(0, dtype=np.uint64)]
    for item in children:
        rows = item.orders()[0]
        keys.append(hashes_of(item.part, EXACT_COLUMN)[rows, 0])
        keys.append(band_keys(np.ascontiguousarray(signatures_of(item.part)[rows]), bands, rows_per_band).reshape(-1))
    distinct = np.unique(np.concatenate(keys))
    with path.open("wb") as file:
        np.save(file, distinct, allow_pickle=False)
    return {"keys": len(distinct)}


@dataclass(frozen=True)
class _Relation:
    """Documents that are dropped: their rows, the rows of their keepers, the similarity (NaN for a shared URL) and
    why, as the place of the kind in KINDS."""

    rows: NDArray[np.int64]
    keepers: NDArray[np.int64]
    similarity: NDArray[np.float64]
    kinds: NDArray[np.int64]

    def sorted(self) -> _Relation:
        """By row."""
        order = np.argsort(self.rows)
        return _Relation(self.rows[order], self.keepers[order], self.similarity[order], self.kinds[order])

    def joined(self, other: _Relation) -> _Relation:
        """Both, by row."""
        return _Relation(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.keepers, other.keepers]),
            np.concatenate([self.similarity, other.similarity]),
            np.concatenate([self.kinds, other.kinds]),
        ).sorted()

    def places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these rows stand here, -1 for those that do not: int64[n]. Sorted relations only."""
        place = np.searchsorted(self.rows, rows)
        inside = place < len(self.rows)
        inside[inside] = self.rows[place[inside]] == rows[inside]
        return np.where(inside, place, -1)


@dataclass(frozen=True)
class _Keep:
    """The last step: who stays, and the relation file."""

    parts: tuple[Part, ...]
    same_url: SameUrl
    same_text: str
    near: Near
    exchanged_texts: int
    unranked: _Unranked = _Unranked(0, 0)

    def __call__(self, path: Path) -> Mapping[str, object]:
        rows = max((part.first_row + part.rows for part in self.parts), default=0)
        kept = keep_first(merge_sorted(self.near.pieces, SIMILAR_WIDTH, KEEP_ROWS), rows)
        near = _Relation(
            rows_of(kept.dropped), rows_of(kept.keepers), kept.similarity, _kind(NEAR, len(kept.dropped))
        ).sorted()
        by_text = near.joined(_same_text(self.same_text, near))
        relation = by_text
        for file in self.same_url.gone.files:
            relation = relation.joined(_same_url(file))
        # Who shares a URL with a document that was dropped itself is represented by that document's keeper; where that
        # one is of an earlier run, by none of this one.
        place = by_text.places(relation.keepers)
        keepers = relation.keepers.copy()
        keepers[place >= 0] = by_text.keepers[place[place >= 0]]
        keepers = np.delete(keepers, self._dropped_before(keepers, np.flatnonzero(relation.kinds == KINDS.index(URL))))
        relation = self._from_shards(relation)
        roots, members = np.unique(keepers, return_counts=True)
        write_table(path, self._table(relation, roots, members + 1))
        return {"dropped": len(relation.rows)}

    def _dropped_before(self, keepers: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `places` whose keeper an earlier run answered."""
        alive = _flags(self.parts, keepers[places], lambda part: part.alive)
        return places[~alive]

    def _from_shards(self, relation: _Relation) -> _Relation:
        """The relation, with the kind HOLDOUT where a document that is not held out is like one that is."""
        if not any(part.fresh().holds_out for part in self.parts if part.rows):
            return relation
        theirs, own = (
            _flags(self.parts, rows, lambda part: part.held_out) for rows in (relation.keepers, relation.rows)
        )
        drawn_from = theirs & ~own
        return replace(relation, kinds=np.where(drawn_from, KINDS.index(HOLDOUT), relation.kinds))

    def _table(self, relation: _Relation, roots: NDArray[np.int64], members: NDArray[np.int64]) -> pa.Table:
        dropped = len(relation.rows)
        rows = np.concatenate([relation.rows, roots])
        order = np.argsort(rows)
        similarity = pa.array(relation.similarity, from_pandas=True)
        table = pa.Table.from_arrays(
            [
                pa.array(rows),
                pa.concat_arrays([_ids(self.parts, relation.keepers), pa.nulls(len(roots), pa.string())]),
                pa.concat_arrays([similarity, pa.nulls(len(roots), pa.float64())]),
                pa.concat_arrays([pa.array(KINDS).take(pa.array(relation.kinds)), pa.nulls(len(roots), pa.string())]),
                pa.concat_arrays([pa.nulls(dropped, pa.int64()), pa.array(members)]),
            ],
            schema=RELATION_SCHEMA,
        )
        return table.take(pa.array(order)).replace_schema_metadata({FACTS: json.dumps(self._facts(relation, members))})

    def _facts(self, relation: _Relation, members: NDArray[np.int64]) -> dict[str, int]:
        near = dict(self.near.facts)
        pairs = near.pop("exchanged_rows") + near["candidate_pairs"]
        counts = dict(zip(KINDS, np.bincount(relation.kinds, minlength=len(KINDS)).tolist(), strict=True))
        if not counts[HOLDOUT]:
            del counts[HOLDOUT]
        return {
            **counts,
            "clusters": len(members),
            "largest_cluster": int(members.max(initial=1)),
            **near,
            **(asdict(self.unranked) if self.unranked.unranked else {}),
            **({"urls": 0} if self.same_url.without else {}),
            "exchanged_bytes": 24 * (self.same_url.exchanged + self.exchanged_texts) + 16 * pairs,
        }


def _kind(name: str, count: int) -> NDArray[np.int64]:
    return np.full(count, KINDS.index(name), dtype=np.int64)


def _same_text(file: str, near: _Relation) -> _Relation:
    """Copies of a text have its keeper, where the first of them is a near-duplicate itself."""
    same = np.load(local_file(file), allow_pickle=False)
    found = _Relation(same[:, 0], same[:, 1].copy(), np.ones(len(same)), _kind(EXACT, len(same)))
    place = near.places(same[:, 1])
    gone = place >= 0
    found.keepers[gone] = near.keepers[place[gone]]
    found.similarity[gone] = near.similarity[place[gone]]
    found.kinds[gone] = KINDS.index(NEAR)
    return found


def _same_url(file: str) -> _Relation:
    same = np.load(local_file(file), allow_pickle=False)
    return _Relation(same[:, 0], same[:, 1], np.full(len(same), np.nan), _kind(URL, len(same)))


def _flags(
    parts: Sequence[Part], rows: NDArray[np.int64], flags_of: Callable[[Part], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """What `flags_of` a part (bool[rows]) says of documents given by their row in the corpus: bool[n]."""
    found = np.zeros(len(rows), dtype=np.bool_)
    places = part_of(parts, rows)
    for place in np.unique(places).tolist():
        here = places == place
        found[here] = flags_of(parts[place].fresh())[rows[here] - parts[place].first_row]
    return found


def _ids(parts: Sequence[Part], rows: NDArray[np.int64]) -> pa.Array:
    """The ids of documents given by their row in the corpus."""
    distinct, back = np.unique(rows, return_inverse=True)
    places = part_of(parts, distinct)
    found: list[pa.Array] = []
    for place in np.unique(places).tolist():
        part = parts[place]
        local = distinct[places == place] - part.first_row
        begin = 0
        for documents in part.documents(["id"]):
            end = begin + documents.num_rows
            inside = local[(local >= begin) & (local < end)] - begin
            found.append(documents.column(0).take(pa.array(inside)))
            begin = end
    ids = pa.concat_arrays(found) if found else pa.array([], pa.string())
    return ids.take(pa.array(back.reshape(-1)))
