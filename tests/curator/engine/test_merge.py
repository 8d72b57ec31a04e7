"""Merging sorted pieces in blocks."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.engine.merge import Piece, merge_sorted, pieces_of, sort_rows, whole_keys
from curator.run.store import Commit

ROW = st.tuples(st.integers(0, 3), st.integers(0, 2**64 - 1), st.integers(0, 2))


@pytest.mark.slow
@given(st.lists(ROW, max_size=50))
def test_rows_are_sorted_by_all_columns(rows: list[tuple[int, int, int]]) -> None:
    array = np.array(rows, dtype=np.uint64).reshape(-1, 3)
    assert [tuple(row) for row in sort_rows(array).tolist()] == sorted(rows)


@pytest.mark.slow
@given(st.lists(st.lists(ROW, max_size=40), max_size=5), st.integers(1, 60))
def test_pieces_are_merged_as_one_sort_would_whatever_the_block(
    pieces: list[list[tuple[int, int, int]]], block_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("curator.engine.merge.LEAST_ROWS", 2)
        path = Path(folder) / "rows"
        begin, found = 0, []
        with path.open("wb") as file:
            for piece in pieces:
                np.array(sorted(piece), dtype=np.uint64).reshape(-1, 3).tofile(file)
                found.append(Piece(str(path), begin, len(piece)))
                begin += len(piece)
        blocks = list(merge_sorted(found, 3, block_rows))
        assert [tuple(row) for block in blocks for row in block.tolist()] == sorted(row for p in pieces for row in p)
        assert all(len(block) <= max(block_rows, 2 * len(pieces)) for block in blocks)


def test_a_file_is_cut_into_pieces_that_cover_it(tmp_path: Path) -> None:
    np.arange(20, dtype=np.uint64).tofile(tmp_path / "task.rows")
    commit = Commit(str(tmp_path), "task", {"rows": 160}, {})
    pieces = pieces_of(commit, "rows", 2, 4)
    assert [(piece.begin, piece.rows) for piece in pieces] == [(0, 4), (4, 4), (8, 2)]
    assert pieces[2].read(1, 9, 2).tolist() == [[18, 19]]


@given(st.lists(st.integers(0, 5), max_size=40), st.lists(st.integers(1, 8), min_size=1, max_size=40))
def test_whole_keys_are_not_split_and_nothing_is_lost(keys: list[int], sizes: list[int]) -> None:
    rows = np.array([(key, place) for place, key in enumerate(sorted(keys))], dtype=np.uint64).reshape(-1, 2)
    cuts = [min(cut, len(rows)) for cut in np.cumsum(sizes).tolist()]
    blocks = [block for block in np.split(rows, sorted(set(cuts))) if len(block)]
    found = list(whole_keys(blocks))
    assert [tuple(row) for block in found for row in block.tolist()] == [tuple(row) for row in rows.tolist()]
    groups = [set(block[:, 0].tolist()) for block in found]
    assert sum(map(len, groups)) == len(set().union(*groups))
