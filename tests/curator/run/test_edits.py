"""Edits: the text of one row is what all rows have when they are edited together."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.run.edits import Edits, Measures


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=12))
def test_the_text_of_a_row_is_the_one_that_it_has_among_all(changes: list[str | None]) -> None:
    rows = np.array([row for row, text in enumerate(changes) if text is not None], dtype=np.int64)
    texts = pa.array([text for text in changes if text is not None], pa.string())
    none = np.zeros(len(rows), dtype=np.int64)
    edits = Edits(rows, texts, Measures(none, none, none))
    before = pa.RecordBatch.from_pydict({"text": [f"before {row}" for row in range(len(changes))]})
    alone = [edits.text_of(row) for row in range(len(changes))]
    assert alone == changes
    together = edits.apply(before).column("text").to_pylist()
    assert together == [f"before {row}" if text is None else text for row, text in enumerate(alone)]


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.text(max_size=5)), max_size=6), max_size=4))
def test_of_several_edits_of_a_row_the_last_stands(passes: list[list[tuple[int, str]]]) -> None:
    edits, plain, tables = Edits.none(), dict[int, str](), [Edits.none().as_table(0)]
    for changes in passes:
        rows = np.array([row for row, _ in changes], dtype=np.int64)
        texts = pa.array([text for _, text in changes], pa.string())
        size = np.array([len(text.encode()) for _, text in changes], dtype=np.int64)
        edits = edits.with_later(rows, texts, Measures(size + 1, size + 2, size))
        tables.append(Edits.none().with_later(rows, texts, Measures(size + 1, size + 2, size)).as_table(0))
        plain.update(changes)
    for found in (edits, Edits.of(pa.concat_tables(tables))):
        assert dict(zip(found.rows.tolist(), found.texts.to_pylist(), strict=True)) == plain
        assert found.rows.tolist() == sorted(plain)
        sizes = [len(plain[row].encode()) for row in sorted(plain)]
        measures = found.measures
        assert measures.size.tolist() == sizes
        assert measures.tokens.tolist() == [size + 1 for size in sizes]
        assert measures.units.tolist() == [size + 2 for size in sizes]
