"""Runs from and into object storage: the same bytes as on a local disk, and all that can be done with a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.run.verify import verify
from curator.storage.objects import put_file
from curator.storage.path import StoragePath
from tests.runs import hashes, make_texts, run_stages, write_jsonl

STAGES = ("dedup: {index: true}", "entropy: {min_bits: 3}", "sampling: {alpha: 0.5}")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `input` and the `run` that it gives."""
    folder = tmp_path_factory.mktemp("local")
    for number in range(3):
        write_jsonl(folder / "input" / f"{number}.jsonl", make_texts(120, seed=number))
    run_stages([folder / "input"], folder / "run", *STAGES)
    return folder


def upload(folder: Path, target: StoragePath) -> StoragePath:
    """Put the files of a folder."""
    for path in sorted(folder.iterdir()):
        put_file(path, target / path.name)
    return target


def test_a_run_from_s3_into_s3_has_the_bytes_of_the_local_one(bucket: StoragePath, local: Path) -> None:
    source = upload(local / "input", bucket / "in" / "input")
    outcome = run_stages([source], bucket / "out" / "run", *STAGES)
    assert hashes(bucket / "out" / "run") == hashes(local / "run")
    assert verify(outcome.directory).problems == []
