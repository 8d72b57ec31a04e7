"""Inputs in a bucket that are submitted to the service: the compressed ones are unpacked by its limited process, which
finds the storage by the same variables."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from functools import partial

import pytest

from curator.errors import DataError, TransientError
from curator.readers import streams
from curator.readers.detect import discover
from curator.storage.objects import put_object
from curator.storage.path import StoragePath
from serve.guarded.call import Guard
from serve.guarded.heads import read_guarded_heads
from serve.places import Places
from serve.settings import Limits
from tests.curator.readers.reader_files import COMPRESS

LINE = b'{"text": "a line"}\n'


@pytest.mark.slow
def test_compressed_objects_are_told_apart_without_being_unpacked_here(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        put_object(bucket / "in" / f"{number}.jsonl", LINE)
        put_object(bucket / "in" / f"part-{number}", gzip.compress(LINE))
        put_object(bucket / "in" / f"page-{number}.zst", COMPRESS["zstd"](b"<!doctype html>"))
    given = [str(bucket / "in")]
    expected = discover(given)

    def fail(*_: object) -> Iterator[bytes]:
        raise AssertionError("this process unpacks an input")

    monkeypatch.setattr(streams, "_decompressed", fail)
    guard = Guard(Limits())
    found = Places((str(bucket / "in"),)).discover(given, "auto", partial(read_guarded_heads, guard))
    assert found == expected
    assert {file.format for file in found} == {"jsonl", "html"}


@pytest.mark.slow
def test_what_the_storage_says_to_the_limited_process_is_told_as_said_here(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_object(bucket / "a.jsonl.gz", gzip.compress(LINE))
    files = discover([str(bucket / "a.jsonl.gz")])
    guard = Guard(Limits())
    assert read_guarded_heads(guard, files) == [LINE]
    put_object(bucket / "a.jsonl.gz", gzip.compress(LINE * 2))
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: is not what it was"):
        read_guarded_heads(guard, files)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="cannot be reached"):
        read_guarded_heads(guard, files)
