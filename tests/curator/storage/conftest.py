"""A real S3 protocol server on a free loopback port, one for all tests of the folder, and a bucket for each test."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from curator.storage.filesystems import _filesystem, filesystem_of
from curator.storage.path import StoragePath

_numbers = itertools.count(1)

SECRET = "wJalrXUtnFEMI-not-a-real-secret"  # noqa: S105 (made up; looked for in all that a run writes)
KEY_ID = "AKIANOTAREALKEYID"


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
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> StoragePath:
    """An empty bucket, with the environment in which it is found and a spool of the test's own."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CURATOR_SPOOL", str(tmp_path_factory.mktemp("spool")))
    _filesystem.cache_clear()
    path = StoragePath("s3", f"bucket-{next(_numbers)}")
    make_bucket(path.key)
    return path


def make_bucket(name: str) -> None:
    """Make a bucket, which our own code never does."""
    import os

    import pyarrow.fs

    from curator.storage.filesystems import s3_options

    pyarrow.fs.S3FileSystem(**s3_options(os.environ, name), allow_bucket_creation=True).create_dir(name)
    assert filesystem_of(StoragePath("s3", name))
