"""Arrow IPC files: read as written, and refused when something is missing at their end."""

from pathlib import Path

import pyarrow as pa
import pytest

from curator.storage.ipc import BatchWriter, read_batches, read_schema, read_table, write_table


def test_batches_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "batches"
    batches = [
        pa.RecordBatch.from_pydict({"row": [1, 2], "text": ["a", "b"]}),
        pa.RecordBatch.from_pydict({"row": [3], "text": [""]}),
    ]
    writer = BatchWriter(path, batches[0].schema)
    for batch in batches:
        writer.write(batch)
    writer.close()
    assert list(read_batches(path)) == batches
    assert [batch.to_pydict() for batch in read_batches(path, ["text"])] == [{"text": ["a", "b"]}, {"text": [""]}]
    assert read_table(path) == pa.Table.from_batches(batches)
    assert read_schema(path) == batches[0].schema


def test_a_file_that_was_cut_between_two_batches_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_table(path, pa.table({"row": list(range(1000))}))
    assert len(read_table(path)) == 1000
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(pa.ArrowInvalid, match="cut short"):
        read_table(path)
    with pytest.raises(pa.ArrowInvalid, match="cut short"):
        list(read_batches(path))
