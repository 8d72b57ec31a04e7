"""Ids that repeat: hashes equal to a plain reference on any string, and repeats counted across tasks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.document import DOCUMENT_SCHEMA
from curator.engine.local import LocalExecutor
from curator.run import repeated
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.repeated import Repeated, find_repeated_ids, group_parts, hash_strings
from curator.storage.ipc import write_table

WORD = (1 << 64) - 1


def plain_hash(text: str) -> int:
    """The chain and finaliser of `curator.text.fold` over the bytes, with Python's integers."""
    state = 0x9E3779B97F4A7C15
    for byte in text.encode():
        state = ((state ^ byte) * 0xD6E8FEB86659FD93) & WORD
        state ^= state >> 32
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        state = ((state ^ (state >> 33)) * factor) & WORD
    return state ^ (state >> 33)


@given(st.lists(st.text(max_size=20) | st.sampled_from(["", "\0", "a\0", "\u200d", "e\u0301", "א", "🙂"]), max_size=8))
def test_ids_are_hashed_as_the_plain_reference_does(ids: list[str]) -> None:
    column = pa.array(["before", *ids], pa.string()).slice(1)
    assert hash_strings(column).tolist() == [plain_hash(text) for text in ids]


def part_with_ids(folder: Path, name: str, ids: list[str], first_row: int) -> Part:
    blank = {field.name: "" for field in DOCUMENT_SCHEMA if field.type == pa.string()}
    documents = [{**blank, "key": bytes(16), "position": 0, "id": each} for each in ids]
    write_table(folder / f"{name}.documents", pa.Table.from_pylist(documents, schema=DOCUMENT_SCHEMA))
    return Part(str(folder), name, len(ids), first_row)


def test_ids_are_counted_across_the_tasks_that_hash_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "GROUP_ROWS", 3)
    parts = [
        part_with_ids(tmp_path, "p0", ["a", "b"], 0),
        part_with_ids(tmp_path, "p1", [], 2),
        part_with_ids(tmp_path, "p2", ["c", "d"], 2),
        part_with_ids(tmp_path, "p3", ["e", "d", "a", "a"], 4),
        part_with_ids(tmp_path, "p4", ["f"], 8),
    ]
    assert [[part.name for part in group.parts] for group in group_parts(parts)] == [["p0", "p1", "p2"], ["p3"], ["p4"]]
    found = find_repeated_ids(Corpus(tuple(parts), LocalExecutor(1), tmp_path / "ids"))
    assert found == Repeated(3, "d")
