"""Counting and keeping extremes: equal to sorting everything, however documents are cut into batches."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.calibrate.sample import Group, Rule, Scores, count, extremes
from curator.document import Batch
from curator.run.pipeline import AnyStage
from curator.stage import Stage
from tests.curator.test_thresholds import COLUMNS, LimitParameters

LOW, HIGH = Rule("limits", "low"), Rule("limits", "high")


class Limited(Stage[LimitParameters]):
    name = "limits"
    about = "drops what is out of its limits"
    parameters_type = LimitParameters
    columns = COLUMNS


Row = tuple[str, str, float | None, float | None]

rows_of = st.lists(
    st.tuples(
        st.sampled_from(["books:1", "books:2", "web", ""]),
        st.sampled_from(["de", "de-AT", "fr", "pt_br", "udhr-x", "und"]),
        st.none() | st.integers(-5, 5).map(float) | st.floats(-1e9, 1e9),
        st.none() | st.sampled_from([0.0, -0.0, 1.5, 2.5]),
    ),
    max_size=60,
)


def scores(rows: list[Row], cuts: list[int]) -> Scores:
    """The rows in batches that end at `cuts`."""
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    batches = []
    for begin, end in pairwise(edges):
        source, lang, a, b = zip(*rows[begin:end], strict=True)
        documents = pa.RecordBatch.from_pydict({"source": pa.array(source), "lang": pa.array(lang)})
        columns = {"a": pa.array(a, pa.float64()), "b": pa.array(b, pa.float64())}
        batches.append((Batch(documents), {**columns, "c": pa.nulls(end - begin, pa.float64())}))
    return lambda: iter(batches)


def plain(rows: list[Row], *, by_source: bool) -> dict[tuple[Group, Rule], list[float]]:
    """All scores that a rule looks at, from the most extreme on: the reference."""
    found: dict[tuple[Group, Rule], list[float]] = {}
    languages = {"de": "de", "de-AT": "de", "fr": "fr", "pt_br": "pt", "udhr-x": "und", "und": "und"}
    for source, lang, a, b in rows:
        group = Group(source.split(":")[0] if by_source else None, languages[lang])
        if a is not None:
            found.setdefault((group, LOW), []).append(a)
        if b is not None and (lang != "fr" or not source.startswith("books")):
            found.setdefault((group, HIGH), []).append(b)
    return {at: sorted(values, reverse=at[1] == HIGH) for at, values in found.items()}


OFF = LimitParameters.model_validate({"sources": {"books": {"languages": {"fr": {"high": None}}}}})
STAGES = (cast("AnyStage", Limited(OFF)),)


@pytest.mark.slow
@given(rows_of, st.lists(st.integers(0, 100), max_size=4), st.booleans(), st.integers(1, 5))
def test_counts_and_extremes_are_those_of_sorting_all(
    rows: list[Row], cuts: list[int], by_source: bool, size: int
) -> None:
    expected = plain(rows, by_source=by_source)
    counts = count(scores(rows, cuts), STAGES, 1, by_source=by_source)
    assert counts.judged == {at: len(values) for at, values in expected.items()}
    assert sum(counts.documents.values()) == len(rows)
    assert counts.rules == {group: sum(at[0] == group for at in expected) for group in counts.documents}
    large = {group for group, documents in counts.documents.items() if documents >= size}
    only_large = count(scores(rows, cuts), STAGES, size, by_source=by_source)
    assert only_large.judged == {at: number for at, number in counts.judged.items() if at[0] in large}
    assert (only_large.documents, only_large.rules) == (counts.documents, counts.rules)
    wanted = {at: min(size, len(values)) for at, values in expected.items()}
    found = extremes(scores(rows, cuts), STAGES, wanted, by_source=by_source)
    assert {at: values.tolist() for at, values in found.items()} == {
        at: values[: wanted[at]] for at, values in expected.items()
    }


def test_a_rule_that_is_off_somewhere_has_the_limits_of_where_it_is_on() -> None:
    rows: list[Row] = [("books", "fr", 1.0, 1.0), ("web", "fr", 1.0, 1.0)]
    counts = count(scores(rows, []), STAGES, 1, by_source=False)
    assert counts.judged == {(Group(None, "fr"), LOW): 2, (Group(None, "fr"), HIGH): 1}
    assert counts.limits[Group(None, "fr"), HIGH] == (9.0, 9.0)


def test_many_equal_scores_are_kept_as_often_as_they_are_wanted() -> None:
    rows: list[Row] = [("web", "de", score, None) for score in [3.0] * 500 + [2.0] * 3]
    at = (Group("web", "de"), LOW)
    found = extremes(scores(rows, list(range(0, 500, 50))), STAGES, {at: 5}, by_source=True)
    np.testing.assert_array_equal(found[at], [2, 2, 2, 3, 3])
