"""The corpus view: exact however the corpus is cut, and equal to counting by hand."""

from __future__ import annotations

import collections

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.keys import file_keys
from stages.decontamination.summary import COUNTS, OVERLAP_BINS, fit_summary, merge_summaries, summarise
from tests.stages.decontamination.helpers import index_of

WORDS = [f"w{number}" for number in range(14)]
EXAMPLES = st.lists(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), min_size=1, max_size=5)
PAIRS = st.sets(st.tuples(st.integers(0, 11), st.integers(0, 7)), max_size=60)
"""N-gram and document."""


def summary_of(pairs: list[tuple[int, int]], max_documents: int) -> pa.Table:
    """The summary of these n-grams in documents, as a batch gives it."""
    ngrams, documents = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    keys = file_keys("corpus", np.arange(8))
    return merge_summaries([summarise(ngrams.astype(np.int32), documents, keys)], max_documents)


@pytest.mark.slow
@given(PAIRS, st.integers(1, 4), st.randoms())
def test_a_summary_does_not_depend_on_cuts_and_order(
    pairs: set[tuple[int, int]], most: int, chosen: st.DataObject
) -> None:
    whole = summary_of(sorted(pairs), most)
    by_document = collections.defaultdict(list)
    for ngram, document in sorted(pairs):
        by_document[document].append((ngram, document))
    pieces = [summary_of(piece, most) for piece in by_document.values()]
    chosen.shuffle(pieces)  # type: ignore[attr-defined]
    half = merge_summaries(pieces[: len(pieces) // 2], most)
    assert merge_summaries([half, *pieces[len(pieces) // 2 :]], most).equals(whole)
    counts = collections.Counter(whole["ngram"].to_pylist())
    true = collections.Counter(ngram for ngram, _ in pairs)
    assert counts == {ngram: min(count, most + 1) for ngram, count in true.items()}


@pytest.mark.slow
@given(st.lists(EXAMPLES, min_size=1, max_size=3), st.integers(1, 3), st.data())
def test_what_is_said_of_sets_is_what_counting_says(sets: list[list[str]], most: int, draw: st.DataObject) -> None:
    for examples in sets:
        examples.append(" ".join(WORDS[:9]))  # one that is long enough
    index = index_of(sets, ngram_units=3, min_units=2)
    ngrams = len(index.lengths)
    chosen = draw.draw(st.sets(st.tuples(st.integers(0, ngrams - 1), st.integers(0, 7)), max_size=40))
    state = fit_summary(summary_of(sorted(chosen), most), index, most)

    has: dict[int, list[int]] = collections.defaultdict(list)  # the n-grams of each example, by place
    for ngram in range(ngrams):
        for example in index.examples[index.offsets[ngram] : index.offsets[ngram + 1]].tolist():
            has[example].append(ngram)
    documents_of = collections.defaultdict(set)
    for ngram, document in chosen:
        documents_of[ngram].add(document)
    documents_of.default_factory = None
    common = {ngram for ngram, documents in documents_of.items() if len(documents) > most}
    expected = np.zeros((len(sets), len(COUNTS)), dtype=np.int64)
    overlap = np.zeros((len(sets), OVERLAP_BINS), dtype=np.int64)
    for number in range(len(sets)):
        of_set = np.flatnonzero(index.sets == number).tolist()
        found = {ngram for example in of_set for ngram in has[example]}
        row = dict.fromkeys(COUNTS, 0)
        row |= {"examples": len(of_set), "ngrams": len(found), "common": len(found & common)}
        row["matched"] = len(found & documents_of.keys())
        row["too_short"] = sum(not has[example] for example in of_set)
        row["documents"] = len({document for ngram in found - common for document in documents_of.get(ngram, ())})
        for example in of_set:
            in_document = collections.Counter(
                document for ngram in has[example] if ngram not in common for document in documents_of.get(ngram, ())
            )
            if in_document:
                row["dirty"] += 1
                share = max(in_document.values()) / len(has[example])
                overlap[number, min(int(np.ceil(share * 10 - 1e-9)) - 1, 9)] += 1
            elif common & set(has[example]):
                row["common_only"] += 1
        expected[number] = [row[name] for name in COUNTS]
    assert state["counts"].tolist() == expected.tolist()
    assert state["overlap"].tolist() == overlap.tolist()
    assert state["common"].tolist() == sorted(common)
    assert state["documents"].tolist() == [
        len({document for ngram, documents in documents_of.items() if ngram not in common for document in documents})
    ]
