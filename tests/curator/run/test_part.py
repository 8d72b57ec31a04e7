"""Edits: the text of one row is what all rows have when they are edited together."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curator.run.part import Edits, Measures


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
