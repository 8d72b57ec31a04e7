"""Histograms of scores, beside NumPy's own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.report.histograms import BINS, bin_edges, count_scores

LANGUAGES = ["de", "oc", "zh"]
_SCORES = st.none() | st.floats(-5, 5) | st.sampled_from([-1.0, 0.0, -0.0, 1.0, 48.0])
_ROWS = st.lists(st.tuples(st.sampled_from([*LANGUAGES, "und"]), _SCORES, _SCORES), max_size=30)


def write(folder: Path, parts: list[list[tuple[str, float | None, float | None]]]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(parts):
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
        kinds = pa.string(), pa.float64(), pa.float32()
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        pq.write_table(pa.table(arrays, ["lang", "bits", "share"]), folder / f"part-{number}.parquet")
    return folder


@pytest.mark.slow
@given(parts=st.lists(_ROWS, max_size=3))
def test_counts_are_those_of_numpy_of_all_documents_and_of_each_language(
    parts: list[list[tuple[str, float | None, float | None]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    scores = write(tmp_path_factory.mktemp("scores"), parts)
    edges = bin_edges(scores, ["bits", "share"])
    counts = count_scores(scores, edges, LANGUAGES)
    rows = [row for part in parts for row in part]
    for place, name in enumerate(("bits", "share"), start=1):
        dtype = (np.float64, np.float32)[place - 1]
        found = [(row[0], dtype(row[place])) for row in rows if row[place] is not None]
        assert (name in edges) == (name in counts) == bool(found)
        if not found:
            continue
        values = [float(value) for _, value in found]
        assert edges[name][0] == min(values)
        assert edges[name][-1] == (max(values) if max(values) > min(values) else min(values) + 1)
        for row, wanted in enumerate([None, *LANGUAGES]):
            kept = np.array([value for language, value in found if wanted in (None, language)], dtype=dtype)
            assert counts[name][row].tolist() == np.histogram(kept, bins=edges[name])[0].tolist()


def test_a_score_that_is_no_number_lies_in_no_bin(tmp_path: Path) -> None:
    scores = write(tmp_path / "scores", [[("de", math.nan, 1.0), ("oc", 2.0, None), ("zh", 3.0, None)]])
    counts = count_scores(scores, bin_edges(scores, ["bits", "share"]), LANGUAGES)
    assert counts["bits"].sum(axis=1).tolist() == [2, 0, 1, 1]
    assert counts["bits"][2, 0] == counts["bits"][3, BINS - 1] == 1
    assert counts["share"].sum(axis=1).tolist() == [1, 1, 0, 0]
