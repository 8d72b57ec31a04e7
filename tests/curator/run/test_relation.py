"""Relations, answers and ids: what stages that relate documents share."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curator.run.part import Part
from curator.run.relation import Answers, Ids, join_relations, write_answers
from curator.run.store import Outputs
from curator.storage.ipc import write_table
from curator.verdict import Spans, VerdictBuilder

SCHEMA = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("x.value", pa.string())])


def test_a_part_reads_its_own_rows_of_a_relation_of_many_batches(tmp_path: Path) -> None:
    bounds = [0, 3, 3, 10, 11, 20]
    rows = [0, 2, 4, 9, 10, 19]
    commits = []
    for begin, end in itertools.pairwise(bounds):
        inside = [row for row in rows if begin <= row < end]
        outputs = Outputs(tmp_path, f"{begin}-{end}")
        table = pa.table({"row": inside, "x.value": [str(row) for row in inside]}, schema=SCHEMA)
        write_table(outputs.path("relation"), table)
        commits.append(outputs.commit({}))
    file = tmp_path / "relation"
    assert join_relations(commits, SCHEMA, file) == {"rows": len(rows)}
    for begin in range(21):
        for end in range(begin, 21):
            part = Part("", "", end - begin, begin)
            found = part.relation(str(file))
            expected = [row for row in rows if begin <= row < end]
            assert found["row"].to_pylist() == [row - begin for row in expected]
            assert found["x.value"].to_pylist() == [str(row) for row in expected]


def test_a_relation_without_rows_is_one(tmp_path: Path) -> None:
    assert join_relations([], SCHEMA, tmp_path / "relation") == {"rows": 0}
    assert len(Part("", "", 5, 0).relation(str(tmp_path / "relation"))) == 0


def test_a_part_reads_its_own_answers_alone(tmp_path: Path) -> None:
    commits = []
    given_answers = [([1, 1, 4], [[5, 1], [3, 2], [9, 3]]), ([], []), ([0, 1], [[7, 4], [3, 1]])]
    for number, (parts, rows) in enumerate(given_answers):
        outputs = Outputs(tmp_path, f"{number:05d}")
        write_answers(outputs, np.array(parts, dtype=np.int64), np.array(rows, dtype=np.uint64).reshape(-1, 2))
        commits.append(outputs.commit({}))
    answers = Answers.of(commits, 2)
    found = {part: answers.for_part(part).tolist() for part in range(6)}
    assert found == {0: [[7, 4]], 1: [[3, 2], [3, 1], [5, 1]], 2: [], 3: [], 4: [[9, 3]], 5: []}


def test_ids_are_looked_up_in_the_part_that_has_them(tmp_path: Path) -> None:
    parts = [Part("", "a", 2, 0), Part("", "b", 3, 2)]
    commits = []
    for part, names in zip(parts, (["x", "y"], ["é", "", "z"]), strict=True):
        outputs = Outputs(tmp_path, part.name)
        write_table(outputs.path("ids"), pa.table({"id": names}))
        commits.append(outputs.commit({}))
    ids = Ids.of(commits, parts)
    assert ids.look_up(np.array([4, 0, 2, 4, 3])).to_pylist() == ["z", "x", "é", "z", ""]
    assert ids.look_up(np.array([], dtype=np.int64)).to_pylist() == []


def test_an_edit_of_spans_needs_a_span() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match="at least one replaced span"):
        VerdictBuilder(3).edit_spans(np.array([1]), pa.array(["x"]), Spans(nothing, nothing, nothing), "a.b", "line")
