"""Inputs in a bucket that are submitted to the service: the compressed ones are unpacked by its limited process, which
finds the storage by the same variables."""

from __future__ import annotations

import bz2
import gzip
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from curator.errors import DataError, TransientError, UserError
from curator.readers import streams
from curator.readers.detect import discover
from curator.storage import ranges
from curator.storage.filesystems import _filesystem
from curator.storage.objects import put_object
from curator.storage.path import StoragePath
from curator.storage.ranges import version_of
from serve.guarded.call import Guard
from serve.guarded.heads import read_guarded_heads
from serve.guarded.read import ExplainQuestion
from serve.places import Places
from serve.settings import Limits
from tests.curator.readers.reader_files import COMPRESS, xz_of_window
from tests.serve.servers import SMALL, make_settings, running

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
    assert read_guarded_heads(guard, files) == [LINE]  # as it was when it was looked at
    ranges._cache.cache_clear()
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: is not what it was"):
        read_guarded_heads(guard, files)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="cannot be reached"):
        read_guarded_heads(guard, files)


@pytest.mark.slow
def test_objects_that_were_looked_at_are_unpacked_without_going_to_the_storage_again(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        put_object(bucket / "in" / f"{number:02d}.jsonl.gz", gzip.compress(b"%d" % number * 50_000))
    files = discover([str(bucket / "in")])[-48:]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # of the limited process; here there are connections
    assert read_guarded_heads(Guard(Limits()), files) == [(b"%d" % number * 1024)[:1024] for number in range(12, 60)]


@pytest.mark.slow
def test_an_object_whose_first_block_does_not_tell_is_gone_to(bucket: StoragePath) -> None:
    noise = random.Random(1).randbytes(900_000)
    skipped = b"\x50\x2a\x4d\x18" + (400_000).to_bytes(4, "little") + bytes(400_000)
    samples = {
        "a.bz2": bz2.compress(b"WARC/1.0\r\n" + noise),
        "b.zst": skipped + COMPRESS["zstd"](b"<!doctype html>"),
        "c.gz": gzip.compress(LINE),
        "d.jsonl.zst": skipped + b"not zstd",
    }
    for name, data in samples.items():
        put_object(bucket / "in" / name, data)
    given = [str(bucket / "in")]
    expected = discover(given)
    assert [file.format for file in expected] == ["warc", "html", "jsonl", "jsonl"]
    assert discover(given, heads=partial(read_guarded_heads, Guard(Limits()))) == expected


@pytest.mark.slow
def test_of_several_objects_that_will_not_do_the_first_is_told(bucket: StoragePath) -> None:
    skipped = b"\x50\x2a\x4d\x18" + (400_000).to_bytes(4, "little") + bytes(400_000)
    put_object(bucket / "a.zst", skipped + COMPRESS["zstd"](LINE))
    put_object(bucket / "b.xz", xz_of_window(LINE, 1 << 30))
    files = discover([str(bucket / "a.zst")])
    (small,) = [replace(file, name="b.xz", path=str(bucket / "b.xz"), compression="xz") for file in files]
    both = [*files, replace(small, size=version_of(bucket / "b.xz").size, etag=version_of(bucket / "b.xz").etag)]
    with pytest.raises(UserError, match=r"b\.xz: needs more memory"):
        read_guarded_heads(Guard(Limits()), both)
    put_object(bucket / "a.zst", b"another")
    with pytest.raises(DataError, match=r"a\.zst: is not what it was"):
        read_guarded_heads(Guard(Limits()), both)


@pytest.mark.slow
def test_a_storage_that_does_not_answer_is_no_limit_and_not_the_store(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put_object(bucket / "in" / "a.jsonl", LINE)
    settings = make_settings(tmp_path)
    places = Places((str(bucket),), settings.places.output_roots)
    with running(replace(settings, places=places), work=False) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(TransientError, match="cannot be reached"):
            Guard(Limits()).ask(ExplainQuestion(run=str(bucket / "run"), document="a"))
        _filesystem.cache_clear()
        with server.http() as client:
            body = {"inputs": [str(bucket / "in")], "output": "x", "recipe": SMALL}
            answer = client.post("/v1/runs", json=body)
        _filesystem.cache_clear()
    told = answer.json()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert (told["code"], told["detail"]) == (
        "storage.unavailable",
        f"{bucket}/in: the storage cannot be reached",
    )
