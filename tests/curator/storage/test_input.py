"""Inputs in object storage: named as local ones are, and read by ranges."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curator.errors import UserError
from curator.readers.detect import discover
from curator.storage import ranges
from curator.storage.objects import put_file, put_object
from curator.storage.path import StoragePath
from curator.storage.ranges import BLOCK_BYTES, CACHE_BLOCKS, ObjectFile, open_object
from tests.runs import hashes, make_texts, run_stages, write_jsonl

LINE = b'{"text": "a line"}\n'
NAMES = (
    "a.jsonl",
    "b.jsonl",
    "x/a.jsonl",
    "x/y/c.jsonl",
    "x/.hidden.jsonl",
    ".z/a.jsonl",
    "x/[1].jsonl",
    "x/é #?%.jsonl",
)
GIVEN = (
    "",
    "/*.jsonl",
    "/**/*.jsonl",
    "/x",
    "/x/*",
    "/x*",
    "/[ab].jsonl",
    "/[!a].jsonl",
    "/?.jsonl",
    "/a.jsonl",
    "/**",
)


MEASURED = """
import sys, tracemalloc
from curator.readers.detect import discover
from curator.readers.streams import read_chunks
(file,) = discover(sys.argv[1:])
tracemalloc.start()
print(sum(len(chunk) for chunk in read_chunks(file)), tracemalloc.get_traced_memory()[1])
"""
"""Run in a process of its own: the server lives in that of the tests."""


@pytest.fixture
def both(bucket: StoragePath, tmp_path: Path) -> tuple[StoragePath, Path]:
    """The same files in a bucket and on the disk."""
    for name in NAMES:
        put_object(bucket / "in" / name, LINE)
        target = tmp_path / "in" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(LINE)
    return bucket / "in", tmp_path / "in"


def test_what_an_input_names_is_as_on_a_disk(both: tuple[StoragePath, Path]) -> None:
    remote, local = both
    for given_ in GIVEN:
        there = [file.name for file in discover([f"{remote}{given_}"])]
        assert there == [file.name for file in discover([f"{local}{given_}"])], given_


def test_of_several_inputs_the_names_are_told_apart_as_on_a_disk(both: tuple[StoragePath, Path]) -> None:
    remote, local = both
    there = discover([f"{remote}/x", f"{remote}/*.jsonl"])
    assert [file.name for file in there] == [file.name for file in discover([f"{local}/x", f"{local}/*.jsonl"])]
    with pytest.raises(UserError, match="is given twice"):
        discover([f"{remote}/a.jsonl", f"{remote}/a.jsonl"])


@pytest.mark.slow
def test_formats_that_are_read_in_every_way_give_the_bytes_of_a_local_run(bucket: StoragePath, tmp_path: Path) -> None:
    source = tmp_path / "in"
    documents = make_texts(60)
    write_jsonl(source / "plain.jsonl", documents[:20])
    (source / "packed.jsonl.gz").write_bytes(gzip.compress(write_jsonl(tmp_path / "x", documents[20:40]).read_bytes()))
    pq.write_table(pa.Table.from_pylist(documents[40:]), source / "table.parquet")
    for path in source.iterdir():
        put_file(path, bucket / "in" / path.name)
    run_stages([source], tmp_path / "local", "dedup")
    run_stages([bucket / "in"], tmp_path / "remote", "dedup")
    assert hashes(tmp_path / "remote") == hashes(tmp_path / "local")


@pytest.mark.slow
def test_the_beginning_of_each_of_many_objects_is_fetched_once(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(21):
        put_object(bucket / "in" / f"{number}.jsonl.gz", gzip.compress(LINE))
    monkeypatch.setattr(ranges, "CACHE_BLOCKS", 8)
    fetched: list[int] = []
    fetch = ObjectFile._fetch

    def counted(file: ObjectFile, number: int, end: int) -> bytes:
        fetched.append(number)
        return fetch(file, number, end)

    monkeypatch.setattr(ObjectFile, "_fetch", counted)
    assert len(discover([str(bucket / "in")])) == 21
    assert fetched == [0] * 21


@pytest.mark.slow
def test_a_large_object_is_read_in_bounded_memory(bucket: StoragePath) -> None:
    size = 3 * CACHE_BLOCKS * BLOCK_BYTES
    put_object(bucket / "large.jsonl", LINE * (size // len(LINE)))
    (file,) = discover([str(bucket / "large.jsonl")])
    done = subprocess.run([sys.executable, "-c", MEASURED, file.path], capture_output=True, text=True)
    read, peak = map(int, done.stdout.split())
    assert read == file.size
    assert peak < 1.7 * CACHE_BLOCKS * BLOCK_BYTES < file.size


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK_BYTES), st.integers(0, 2 * BLOCK_BYTES)), max_size=8))
def test_any_ranges_are_those_of_the_object(ranged: tuple[StoragePath, bytes], ranges: list[tuple[int, int]]) -> None:
    path, data = ranged
    with open_object(path) as file:
        for begin, size in ranges:
            file.seek(begin)
            assert file.read(size) == data[begin : begin + size]
            assert file.tell() == max(begin, min(begin + size, len(data))) or begin > len(data)


@pytest.fixture(scope="module")
def data() -> bytes:
    return bytes(number % 251 for number in range(2 * BLOCK_BYTES + 12345))


@pytest.fixture
def ranged(bucket: StoragePath, data: bytes) -> tuple[StoragePath, bytes]:
    """An object and its bytes."""
    put_object(bucket / "ranged", data)
    return bucket / "ranged", data
