"""Batches: a selection of rows is those rows in every view, and costs what is asked of it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.document import DOCUMENT_SCHEMA, MIXTURE, Batch

TAGS = ("de", "fr", "pt-BR", "no language")


def documents(count: int, text: str = "text") -> pa.RecordBatch:
    """Documents that differ in every field that they have."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "key": row.to_bytes(16, "little"),
                "id": f"id-{row}",
                "text": f"{text} {row}",
                "source": f"site{row % 3}:{row}",
                "lang": TAGS[row % len(TAGS)],
                "file": "a.jsonl",
                "position": row,
            }
            for row in range(count)
        ],
        schema=DOCUMENT_SCHEMA,
    )


@pytest.mark.slow
@given(st.lists(st.integers(0, 19), max_size=25), st.lists(st.integers(0, 50), max_size=8))
def test_a_selection_is_those_rows_in_every_view(rows: list[int], again: list[int]) -> None:
    every = documents(20)
    mixture = {name: pa.array([TAGS[row % 4] if row % 2 else None for row in range(20)]) for name in MIXTURE}
    chosen = np.array(rows, dtype=np.int64)
    selection = Batch(every, mixture).select(chosen)
    if rows:
        further = np.array([place % len(rows) for place in again], dtype=np.int64)
        chosen, selection = chosen[further], selection.select(further)
    index = pa.array(chosen)
    taken = Batch(every.take(index), {name: column.take(index) for name, column in mixture.items()})
    assert len(selection) == len(taken) == len(chosen)
    assert [selection.column(name) for name in every.schema.names] == taken.documents.columns
    assert selection.documents == taken.documents
    assert (selection.keys == taken.keys).all()
    for one, other in zip(
        (selection.languages, selection.source_groups, *selection.mixed_languages),
        (taken.languages, taken.source_groups, *taken.mixed_languages),
        strict=True,
    ):
        assert one.names == other.names
        assert (one.codes == other.codes).all()


def test_a_selection_makes_no_column_that_nobody_asks_for() -> None:
    batch = Batch(documents(1000, "long " * 1000))
    before = pa.total_allocated_bytes()
    selection = batch.select(np.arange(0, 1000, 2))
    assert len(selection.languages.codes) == 500
    assert pa.total_allocated_bytes() - before < 100_000
    assert len(selection.text) == 500
    assert pa.total_allocated_bytes() - before > 2_000_000


def test_a_pass_without_text_has_none_in_a_selection_either() -> None:
    without = documents(3).drop_columns(["text"])
    for batch in (Batch(without), Batch(without).select(np.array([1]))):
        with pytest.raises(KeyError):
            batch.text  # noqa: B018 (a property that raises)
