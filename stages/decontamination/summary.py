"""What the corpus says of the n-grams that were found: which are common phrases, and which examples are dirty.

The summary holds, for each n-gram that was found, the documents that have it, up to one more than `max_documents`. That
one more says that the n-gram is a common phrase; of all others every document is known, so that what is counted from
them is exact. It is bounded by the evaluation sets: at most 20 bytes times `max_documents` + 1 for each n-gram of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.stage import State
    from stages.decontamination.index import Index

SUMMARY_SCHEMA = pa.schema(
    [
        pa.field("ngram", pa.int32(), nullable=False),
        pa.field("key_low", pa.uint64(), nullable=False),
        pa.field("key_high", pa.uint64(), nullable=False),
    ]
)
"""N-grams and the documents that have them, ordered by all three; of each n-gram those with the least keys."""

OVERLAP_BINS = 10
"""Bins of the share of an example that one document has: above 0 to 10%, …, above 90 to 100%."""

COUNTS = ("examples", "too_short", "ngrams", "matched", "common", "dirty", "common_only", "documents")
"""What is counted for each set, see `count_sets`."""


def summarise(ngrams: NDArray[np.int32], rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> pa.Table:
    """The summary of a batch: n-gram `ngrams[i]` was found in the document of row `rows[i]`; `keys` is uint64[rows,
    2]."""
    pairs = np.unique(np.stack([ngrams.astype(np.int64), rows]), axis=1)
    found = keys[pairs[1]]
    return pa.table(
        {"ngram": pairs[0].astype(np.int32), "key_low": found[:, 0], "key_high": found[:, 1]}, schema=SUMMARY_SCHEMA
    )


def merge_summaries(summaries: Sequence[pa.Table], max_documents: int) -> pa.Table:
    """One summary of several."""
    table = pa.concat_tables([SUMMARY_SCHEMA.empty_table(), *summaries]).combine_chunks()
    ngram, low, high = (table[name].to_numpy() for name in SUMMARY_SCHEMA.names)
    order = np.lexsort((high, low, ngram))
    _, begins, sizes = np.unique(ngram[order], return_index=True, return_counts=True)
    within = np.arange(len(order)) - np.repeat(begins, sizes)
    return table.take(pa.array(order[within <= max_documents])).combine_chunks()


@dataclass(frozen=True)
class _Found:
    """N-grams that are not common, and the documents (numbered) that have them: int64[n] each."""

    ngrams: NDArray[np.int64]
    documents: NDArray[np.int64]


def fit_summary(summary: pa.Table, index: Index, max_documents: int) -> State:
    """`common` int32[n]: the n-grams that are common phrases, ascending; `counts` int64[sets, len(COUNTS)] and
    `overlap` int64[sets, OVERLAP_BINS]; `documents` int64[1]: those that have any other n-gram."""
    ngram = summary["ngram"].to_numpy()
    seen, sizes = np.unique(ngram, return_counts=True)
    common = seen[sizes > max_documents]
    kept = ~np.isin(ngram, common)
    keys = np.stack([summary["key_low"].to_numpy()[kept], summary["key_high"].to_numpy()[kept]])
    distinct, documents = np.unique(keys, axis=1, return_inverse=True)
    found = _Found(ngram[kept].astype(np.int64), documents.reshape(-1).astype(np.int64))
    counts, overlap = count_sets(found, common.astype(np.int64), seen.astype(np.int64), index)
    return {
        "common": common.astype(np.int32),
        "counts": counts,
        "overlap": overlap,
        "documents": np.array([distinct.shape[1]], dtype=np.int64),
    }


def count_sets(
    found: _Found, common: NDArray[np.int64], seen: NDArray[np.int64], index: Index
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each set, in the order of COUNTS: its examples; those too short to be looked for; its distinct n-grams; of
    these, found in documents; of these, common phrases; examples with an n-gram that was found and is not common
    (dirty); other examples with a common phrase; documents with an n-gram that is not common. And for each set how
    many dirty examples have which share of their n-grams in one document, the one that has most."""
    sets, total = len(index.identities), len(index.sets)
    which, examples = index.occurrences(found.ngrams)
    documents = int(found.documents.max(initial=-1)) + 1
    pairs, matched = np.unique(examples * np.int64(max(documents, 1)) + found.documents[which], return_counts=True)
    example, document = pairs // max(documents, 1), pairs % max(documents, 1)
    most = np.zeros(total, dtype=np.int64)
    np.maximum.at(most, example, matched)
    dirty = most > 0
    has_common = np.zeros(total, dtype=np.bool_)
    has_common[index.occurrences(common)[1]] = True
    in_sets = np.unique(index.sets[example] * np.int64(max(documents, 1)) + document) // max(documents, 1)
    columns = [
        index.sets,
        index.sets[index.places == 0],
        _sets_of(np.arange(len(index.lengths)), index),
        _sets_of(seen, index),
        _sets_of(common, index),
        index.sets[dirty],
        index.sets[has_common & ~dirty],
        in_sets,
    ]
    counts = np.stack([np.bincount(column, minlength=sets) for column in columns], axis=1).astype(np.int64)
    # Integers: the bin of a share m / n is the least whole number not below 10 m / n, less one.
    bins = (OVERLAP_BINS * most[dirty] + index.places[dirty] - 1) // index.places[dirty] - 1
    overlap = np.bincount(index.sets[dirty] * OVERLAP_BINS + bins, minlength=sets * OVERLAP_BINS)
    return counts, overlap.reshape(sets, OVERLAP_BINS).astype(np.int64)


def _sets_of(ngrams: NDArray[np.int64], index: Index) -> NDArray[np.int64]:
    """The set of each n-gram; one that several sets have counts for each."""
    which, examples = index.occurrences(ngrams)
    sets = len(index.identities)
    return np.unique(which * np.int64(sets) + index.sets[examples]) % sets


def describe_sets(state: State, names: Sequence[str], index: Index) -> list[Mapping[str, object]]:
    """The counts of each set as JSON values."""
    rows = zip(names, state["counts"].tolist(), state["overlap"].tolist(), strict=True)
    described: list[Mapping[str, object]] = []
    for place, (name, counts, overlap) in enumerate(rows):
        row = dict(zip(COUNTS, counts, strict=True))
        described.append(
            {
                "set": name,
                **row,
                "clean": row["examples"] - row["too_short"] - row["dirty"],
                "overlap": overlap,
                "ngram_units": index.set_units[place],
                "ngram_characters": index.set_characters[place],
            }
        )
    return described
