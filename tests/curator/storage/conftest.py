"""A real S3 protocol server on a free loopback port, one for all tests of the folder, and a bucket for each test."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs
import pytest
from moto.server import ThreadedMotoServer

from curator.storage.filesystems import s3_options
from curator.storage.objects import put_file
from curator.storage.path import StoragePath
from tests.runs import make_texts, run_stages, write_jsonl

SECRET = "wJalrXUtnFEMI-not-a-real-secret"  # noqa: S105 (made up; looked for in all that a run writes)
KEY_ID = "AKIANOTAREALKEYID"

STAGES = ("dedup: {index: true}", "entropy: {min_bits: 3}", "sampling: {alpha: 0.5}")

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of the server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StoragePath:
    """An empty bucket, the environment in which it is found, and a spool of the test's own (`spool` in its folder)."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CURATOR_SPOOL", str(tmp_path / "spool"))
    return make_bucket()


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `input` and the `run` that it gives."""
    folder = tmp_path_factory.mktemp("local")
    for number in range(3):
        write_jsonl(folder / "input" / f"{number}.jsonl", make_texts(120, seed=number))
    run_stages([folder / "input"], folder / "run", *STAGES)
    return folder


def make_bucket() -> StoragePath:
    """An empty bucket. Our own code never makes one."""
    name = f"bucket-{next(_numbers)}"
    pyarrow.fs.S3FileSystem(**s3_options(os.environ, name), allow_bucket_creation=True).create_dir(name)
    return StoragePath("s3", name)


def upload(folder: Path, target: StoragePath) -> StoragePath:
    """Put the files of a folder."""
    for path in sorted(folder.iterdir()):
        put_file(path, target / path.name)
    return target
