"""The Parquet reader: row groups as splits, any type of column, damage, memory."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import UserError
from curator.readers.base import Fields, ReadOptions
from curator.readers.parquet import ParquetReader
from tests.curator.readers.reader_files import COMPRESS, Found, input_file, read_bytes, read_file
from tests.curator.readers.test_streams import peak_of

READER = ParquetReader()


def parquet_bytes(table: pa.Table, row_group_size: int = 100) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=row_group_size)
    return sink.getvalue()


def read_table(table: pa.Table, fields: Fields | None = None, row_group_size: int = 100) -> Found:
    return read_bytes(READER, parquet_bytes(table, row_group_size), ReadOptions(fields=fields or Fields()))


@pytest.mark.slow
@settings(max_examples=60)
@given(
    texts=st.lists(st.none() | st.text(max_size=20), max_size=60),
    row_group_size=st.integers(1, 20),
    split_bytes=st.integers(1, 2000),
    batch_bytes=st.integers(1, 200),
    compression=st.sampled_from(["none", "none", "gzip", "zstd"]),
)
def test_every_row_is_read_once_under_its_number_at_any_split_size(
    texts: list[str | None], row_group_size: int, split_bytes: int, batch_bytes: int, compression: str
) -> None:
    data = parquet_bytes(pa.table({"text": pa.array(texts, pa.string())}), row_group_size)
    found = read_bytes(READER, data, ReadOptions(batch_bytes=batch_bytes), split_bytes, compression)
    assert found.records == [(row, text.encode()) for row, text in enumerate(texts) if text is not None]
    assert found.failures == [(row, "field.missing") for row, text in enumerate(texts) if text is None]


def test_small_row_groups_share_a_split_large_ones_have_their_own_and_larger_ones_are_cut() -> None:
    data = parquet_bytes(pa.table({"text": [f"{row} " * 1000 for row in range(100)]}), 10)
    size = pq.read_metadata(io.BytesIO(data)).row_group(0).total_byte_size
    assert len(read_bytes(READER, data, ReadOptions(), 1 << 30).splits) == 1
    assert len(read_bytes(READER, data, ReadOptions(), size // 2).splits) == 10
    assert len(read_bytes(READER, data, ReadOptions(), size // 10).splits) == 100


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.large_binary(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
)
def test_text_may_be_of_any_type_of_strings(kind: pa.DataType) -> None:
    texts = ["one", "", "drei é", "one"]
    table = pa.table({"text": pa.array(texts).cast(kind), "lang": pa.array(["de", None, "", "fr"]).cast(kind)})
    found = read_table(table)
    assert [text for _, text in found.records] == [text.encode() for text in texts]
    assert [row["lang"] for row in found.rows] == ["de", None, None, "fr"]


def test_a_number_as_id_becomes_its_decimal_string_and_labels_of_other_types_are_missing() -> None:
    found = read_table(pa.table({"text": ["a", "b"], "id": [7, None], "lang": [1, 2], "source": [[1], []]}))
    assert [(row["id"], row["lang"], row["source"]) for row in found.rows] == [("7", None, None), (None, None, None)]


def test_a_number_that_is_none_is_no_id() -> None:
    ids = pa.array([1.5, float("nan"), float("inf"), None], pa.float64(), from_pandas=False)
    found = read_table(pa.table({"text": ["a", "b", "c", "d"], "id": ids}))
    assert [row["id"] for row in found.rows] == ["1.5", None, None, None]


def test_a_uuid_as_id_is_written_as_usual() -> None:
    ids = pa.array([uuid.UUID(int=7).bytes, None], pa.uuid())
    found = read_table(pa.table({"text": ["a", "b"], "id": ids}))
    assert [row["id"] for row in found.rows] == ["00000000-0000-0000-0000-000000000007", None]


def test_fields_with_dots_are_columns_of_that_name_or_stand_in_structs() -> None:
    table = pa.table(
        {
            "doc": [{"body": "a", "meta": {"lang": "de"}}, {"body": "b", "meta": None}, None],
            "doc.url": ["u1", "u2", "u3"],
            "date": [datetime.date(2020, 1, 2)] * 3,
        }
    )
    found = read_table(table, Fields(text="doc.body", lang="doc.meta.lang", metadata=("doc.url", "date", "none")))
    assert found.records == [(0, b"a"), (1, b"b")]
    assert [row["lang"] for row in found.rows] == ["de", None]
    assert json.loads(str(found.rows[0]["metadata"])) == {"doc.url": "u1", "date": "2020-01-02"}
    assert found.failures == [(2, "field.missing")]


@pytest.mark.parametrize("damage", [b"\xff", b"\xed\xa0\xbd"], ids=["no UTF-8", "half a surrogate pair"])
def test_a_damaged_text_keeps_its_bytes_and_other_damage_fails_the_row(damage: bytes) -> None:
    broken = pa.array([damage, b"ok", b"ok"], pa.binary())
    as_string = pa.Array.from_buffers(pa.string(), 3, broken.buffers())
    table = pa.table({"text": as_string, "lang": ["de"] * 3})
    assert [text for _, text in read_table(table).records] == [damage, b"ok", b"ok"]
    found = read_table(pa.table({"text": ["a", "b", "c"], "id": as_string}))
    assert found.records == [(1, b"b"), (2, b"c")]
    assert found.failures == [(0, "parquet.encoding")]
    assert found.details[0].digest == hashlib.sha256(b"a").hexdigest()
    in_metadata = read_table(pa.table({"text": ["a", "b", "c"], "url": as_string}), Fields(metadata=("url",)))
    assert in_metadata.failures == [(0, "parquet.encoding")]


def test_a_text_over_the_limit_fails_alone() -> None:
    data = parquet_bytes(pa.table({"text": ["a", "b" * 100, "c"]}))
    found = read_bytes(READER, data, ReadOptions(max_document_bytes=50))
    assert found.records == [(0, b"a"), (2, b"c")]
    assert found.failures == [(1, "document.too_large")]
    assert found.details[0].digest == hashlib.sha256(b"b" * 100).hexdigest()


def test_a_missing_text_column_is_refused_with_the_columns_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), path)
    with pytest.raises(UserError, match=r"a\.parquet: has no column 'text' for the text; it has 'body', 'n'"):
        READER.splits(input_file(path, "parquet"), ReadOptions(), 100)
    with pytest.raises(UserError, match=r"has no text in column 'n' but int64"):
        READER.splits(input_file(path, "parquet"), ReadOptions(fields=Fields(text="n")), 100)


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("data", [b"PAR1 and then nothing", b"no parquet at all", b"PAR1"])
def test_a_file_that_is_no_parquet_is_one_failure(compression: str, data: bytes) -> None:
    found = read_bytes(READER, data, ReadOptions(), compression=compression)
    assert found.failures == [(0, "parquet.invalid")]
    assert found.records == []


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_name_of_a_column_that_is_not_utf8_is_one_failure(compression: str) -> None:
    data = parquet_bytes(pa.table({"text": ["a"], "damaged": ["b"]})).replace(b"damaged", b"\xe1amaged")
    found = read_bytes(READER, data, ReadOptions(), compression=compression)
    assert (found.records, found.failures) == ([], [(0, "parquet.invalid")])


def test_a_truncated_parquet_file_is_one_failure(tmp_path: Path) -> None:
    data = parquet_bytes(pa.table({"text": ["some text"] * 1000}))
    assert read_bytes(READER, data[:-100], ReadOptions()).failures == [(0, "parquet.invalid")]
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(COMPRESS["gzip"](data)[:-20])
    found = read_file(READER, input_file(path, "parquet"), ReadOptions())
    assert [code for _, code in found.failures] == ["stream.truncated"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_damaged_row_group_fails_and_the_others_are_read(compression: str) -> None:
    texts = [f"some text number {n * n}" for n in range(300)]
    whole = parquet_bytes(pa.table({"text": texts}), 100)
    about = pq.ParquetFile(io.BytesIO(whole)).metadata.row_group(1).column(0)
    begin = about.dictionary_page_offset or about.data_page_offset
    data = whole[:begin] + b"\xff" * about.total_compressed_size + whole[begin + about.total_compressed_size :]
    found = read_bytes(READER, data, ReadOptions(), compression=compression)
    assert found.failures == [(100, "parquet.row_group")]
    assert found.records == [(n, texts[n].encode()) for n in [*range(100), *range(200, 300)]]


def test_an_empty_file_and_a_table_without_rows_have_no_records() -> None:
    assert read_bytes(READER, b"", ReadOptions()).splits == []
    assert read_table(pa.table({"text": pa.array([], pa.string())})).records == []


def test_the_digest_of_a_split_is_that_of_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"text {n}" for n in range(300)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=100)
    size = pq.read_metadata(path).row_group(0).total_byte_size
    splits = list(READER.splits(input_file(path, "parquet"), ReadOptions(), size // 2))
    before = [READER.digest(split) for split in splits]
    assert len(set(before)) == 3
    begin = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[begin + 20] ^= 1
    path.write_bytes(data)
    after = [READER.digest(split) for split in splits]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]


READ_ALL = """
    import os, sys
    from curator.readers.base import InputFile, ReadOptions
    from curator.readers.parquet import ParquetReader
    path = sys.argv[1]
    about = os.stat(path)
    file = InputFile(path, "data", about.st_size, about.st_mtime_ns, "parquet", sys.argv[2])
    reader, options = ParquetReader(), ReadOptions(batch_bytes=1 << 20)
    records = 0
    for split in reader.splits(file, options, 16 << 20):
        for part in reader.read(split, options):
            assert part.records.nbytes < 3 << 20
            records += part.records.num_rows
    assert records == 60_000, records
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
def test_one_large_row_group_is_read_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    words = [f"word{n} " * 300 for n in range(200)]
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema, use_dictionary=False, compression="zstd") as writer:
        texts = pa.array([f"{n} {words[n % 200]}" for n in range(60_000)])
        writer.write_table(pa.table({"text": texts}, schema=schema), row_group_size=60_000)
    about = pq.ParquetFile(path).metadata
    assert about.num_row_groups == 1
    assert about.row_group(0).total_byte_size > 120 << 20
    assert peak_of(READ_ALL, str(path), "none") < 300 << 20  # a process that compiles kernels first takes 270 MB


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_texts_that_stand_in_many_rows_are_held_once(compression: str, tmp_path: Path) -> None:
    texts = pa.array([f"word{n} " * 1000 for n in range(50)])
    data = parquet_bytes(pa.table({"text": texts.take(pa.array(n % 50 for n in range(60_000)))}), 60_000)
    assert len(data) < 2 << 20
    path = tmp_path / "a.parquet"
    path.write_bytes(COMPRESS[compression](data))
    assert peak_of(READ_ALL, str(path), compression) < 300 << 20  # the texts of all rows have 400 MB


@pytest.mark.slow
def test_texts_of_a_dictionary_are_read_as_others() -> None:
    """Of any type, inside a struct, damaged, missing, and in batches that end within the row group."""
    texts = pa.array([b"one" * 40, b"", b"drei \xc3\xa9", b"no \xff"], pa.binary())
    column = texts.take(pa.array([0, 1, None, 2, 3] * 2000, pa.int32()))
    as_string = pa.Array.from_buffers(pa.string(), len(column), column.buffers())
    for array in (column, as_string, column.cast(pa.large_binary())):
        table = pa.table({"doc": pa.StructArray.from_arrays([array], ["body"]), "id": pa.array(range(10_000))})
        data = parquet_bytes(table, 10_000)
        assert len(data) < 100_000
        options = ReadOptions(fields=Fields(text="doc.body"), batch_bytes=5000)
        for compression in ("none", "gzip"):
            found = read_bytes(READER, data, options, 1 << 20, compression)
            rows = [(row, text) for row, text in enumerate(column.to_pylist()) if text is not None]
            assert found.records == rows
            assert [row["id"] for row in found.rows] == [str(row) for row, _ in rows]
            assert found.failures == [(row, "field.missing") for row in range(2, 10_000, 5)]
