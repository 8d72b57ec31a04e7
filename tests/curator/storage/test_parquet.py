"""Parquet files as tables, read by one thread."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curator.storage.objects import put_file
from curator.storage.parquet import parquet_table, parquet_tables
from curator.storage.path import StoragePath


def _write(path: Path, rows: int) -> pa.Table:
    table = pa.table({"id": [f"{number}" for number in range(rows)], "value": pa.array(range(rows), pa.int32())})
    pq.write_table(table, path, row_group_size=7)
    return table


@pytest.mark.parametrize("rows", [0, 1, 7, 40])
def test_a_whole_file(tmp_path: Path, rows: int) -> None:
    table = _write(tmp_path / "a.parquet", rows)
    assert parquet_table(tmp_path / "a.parquet").equals(table)
    assert parquet_table(tmp_path / "a.parquet", ["value"]).equals(table.select(["value"]))


@pytest.mark.parametrize("below", [0, 3, 20, 99])
def test_rows_of_a_condition(tmp_path: Path, below: int) -> None:
    table = _write(tmp_path / "a.parquet", 40)
    condition = pc.field("value") < below
    assert parquet_table(tmp_path / "a.parquet", None, condition).equals(table.filter(condition))
    found = [row for part in parquet_tables(tmp_path / "a.parquet", ["value"], condition) for row in part.to_pylist()]
    assert found == [{"value": value} for value in range(min(below, 40))]


def test_an_object_is_read_too(bucket: StoragePath, tmp_path: Path) -> None:
    table = _write(tmp_path / "a.parquet", 40)
    put_file(tmp_path / "a.parquet", bucket / "a.parquet")
    assert parquet_table(bucket / "a.parquet").equals(table)
