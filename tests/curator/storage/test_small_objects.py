"""Small objects are read several at a time, and give what files give."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.errors import UserError
from curator.readers.base import ReadOptions, Records, Split
from curator.readers.jsonl import JsonlReader
from curator.run.phases import inputs
from curator.storage.objects import put_object
from curator.storage.path import StoragePath
from tests.curator.run.small_files import LEAST_WEIGHT, write_small_files
from tests.curator.storage.conftest import upload
from tests.runs import hashes, run_stages

STAGES = ("dedup", "entropy: {min_bits: 3}", "pii")


@pytest.fixture(autouse=True)
def small_files_together(part_for_each_file: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LEAST_WEIGHT", LEAST_WEIGHT)


@pytest.mark.slow
def test_small_objects_give_the_bytes_of_small_files(
    bucket: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = 0
    most = 0
    lock = threading.Lock()
    read = JsonlReader.read

    def counted(self: JsonlReader, split: Split, options: ReadOptions) -> Iterator[Records]:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        yield from read(self, split, options)
        with lock:
            reading -= 1

    files = write_small_files(tmp_path / "in")
    source = upload(files, bucket / "in")
    local = run_stages([files], tmp_path / "local", *STAGES, max_error_rate=0.5)
    monkeypatch.setattr(JsonlReader, "read", counted)
    run_stages([source], tmp_path / "remote", *STAGES, max_error_rate=0.5)
    assert hashes(tmp_path / "remote") == hashes(local.directory.root)
    assert most > 1


def test_the_first_of_several_objects_that_will_not_do_is_named(bucket: StoragePath, tmp_path: Path) -> None:
    put_object(bucket / "in" / "a.jsonl", b'{"text": "good"}\n')
    for name in ("b", "c"):
        put_object(bucket / "in" / f"{name}.jsonl", b'[{"text": "an array"}]\n')
    with pytest.raises(UserError, match=r"b\.jsonl: is a JSON array"):
        run_stages([bucket / "in"], tmp_path / "run", "dedup")
