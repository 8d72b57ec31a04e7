"""What a pass over a part reads, and what it computes again: only what it needs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curator.run.edits import Measures
from curator.run.part import Part
from curator.run.phases.judge import _View, _views
from tests.runs import write_part


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return write_part(tmp_path)


def test_the_columns_of_a_part_are_opened_once(part: Part) -> None:
    assert sum(batch.num_rows for batch in part.columns()) == 6
    part.path("columns").unlink()
    assert part.measures().tokens.tolist() == [2] * 6
    assert not part.held_out.any()
    assert [batch.column(0).to_pylist() for batch in part.columns(["bytes"])] == [[6] * 3] * 2
    with pytest.raises(FileNotFoundError):
        part.fresh().measures()


def test_relations_are_read_where_a_stage_asks_for_them_alone(part: Part) -> None:
    related = part.with_relation("dedup", f"{part.folder}/there-is-none")
    assert sum(map(len, _views(related, None, text=False, related=False))) == 6
    with pytest.raises(FileNotFoundError):
        list(_views(related, None, text=False, related=True))


def _texts(view: _View, rows: list[int]) -> list[str]:
    found: list[str] = view.batch(np.array(rows), text=True).text.to_pylist()
    return found


def test_stages_that_see_the_same_documents_share_a_batch_until_a_text_is_edited(part: Part) -> None:
    _, view = _views(part, None, text=True, related=False)
    batch = view.batch(np.array([0, 2]), text=True)
    assert batch.text.to_pylist() == ["text 3", "text 5"]
    assert view.batch(np.array([0, 2]), text=True) is batch
    assert view.batch(np.array([0, 2]), text=False) is not batch
    assert _texts(view, [1, 2]) == ["text 4", "text 5"]
    for text in ("first", "second"):
        view.edit(np.array([2]), pa.array([text]), Measures(*(np.array([number]) for number in (1, 1, len(text)))))
        assert _texts(view, [1, 2]) == ["text 4", text]
    assert view.measures.size.tolist() == [6, 6, 6]
    assert view.edited.as_table(view.begin).to_pylist() == [{"row": 5, "text": "second", "tokens": 1, "units": 1}]
