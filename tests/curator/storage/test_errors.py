"""What goes wrong with a storage is one clear error within seconds, which carries no secret."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.cluster.dashboard import SubmittedJob
from curator.cluster.state import Progress, progress_of, sees
from curator.errors import CuratorError, DataError, TransientError, UserError
from curator.readers.base import InputFile, ReadOptions
from curator.readers.detect import discover
from curator.readers.jsonl import JsonlReader
from curator.readers.streams import read_chunks
from curator.storage import filesystems
from curator.storage.filesystems import _filesystem, azure_options, s3_options
from curator.storage.objects import delete_object, put_object
from curator.storage.path import StoragePath, as_path
from tests.command import curator, told
from tests.curator.storage.conftest import KEY_ID, SECRET
from tests.runs import run_stages

SECONDS = 30
"""On a loaded machine; alone each takes a few seconds at most."""


@pytest.fixture
def denied(bucket: StoragePath, server: str) -> Iterator[StoragePath]:
    """A bucket whose server knows nobody."""
    put_object(bucket / "in" / "a.jsonl", b'{"text": "a"}\n')
    _tell(server, b"0")
    yield bucket
    _tell(server, b"inf")


def _tell(server: str, number: bytes) -> None:
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{server}/moto-api/reset-auth", number, headers)  # noqa: S310 (loopback)
    urllib.request.urlopen(request).close()  # noqa: S310


def refusal(kind: type[CuratorError], inputs: StoragePath | Path, output: StoragePath | Path) -> str:
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        run_stages([inputs], output, "dedup")
    assert time.monotonic() - started < SECONDS
    said = str(caught.value)
    assert SECRET not in said
    assert KEY_ID not in said
    return said


def test_a_bucket_that_is_not_there(bucket: StoragePath, local: Path, tmp_path: Path) -> None:
    missing = StoragePath("s3", "no-such-bucket")
    assert "there is no bucket 'no-such-bucket'" in refusal(UserError, local / "input", missing / "run")
    assert "there is no bucket 'no-such-bucket'" in refusal(UserError, missing / "in", tmp_path / "run")
    assert "there is no bucket 'no-such-bucket'" in refusal(UserError, missing / "*.jsonl", tmp_path / "run")


@pytest.mark.slow
def test_a_run_that_is_nowhere_is_told_as_on_a_disk(bucket: StoragePath) -> None:
    for place in (StoragePath("s3", "no-such-bucket") / "run", bucket / "run"):
        assert f"curator: {place}: there is no such directory (" in told(curator("verify", str(place)))


def test_an_input_that_is_not_there(bucket: StoragePath, tmp_path: Path) -> None:
    assert "does not exist" in refusal(UserError, bucket / "in" / "a.jsonl", tmp_path / "run")
    assert "matches no object" in refusal(UserError, bucket / "in" / "*.jsonl", tmp_path / "run")


def test_access_that_is_denied(denied: StoragePath, local: Path, tmp_path: Path) -> None:
    assert "access is denied (check AWS_ACCESS_KEY_ID" in refusal(UserError, denied / "in" / "a.jsonl", tmp_path / "r")
    assert "access is denied" in refusal(UserError, local / "input", denied / "run")


def test_a_run_in_a_bucket_that_may_not_be_read_is_what_its_job_is(denied: StoragePath) -> None:
    job = SubmittedJob("curator-0123456789ab-1", "RUNNING", "", None, {})
    assert progress_of(denied / "run", job) == Progress("running")
    assert progress_of(denied / "run") == Progress("unknown")
    assert not sees(denied / "run")


@pytest.mark.slow
def test_an_endpoint_that_is_not_reached(
    bucket: StoragePath, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    _filesystem.cache_clear()
    said = refusal(TransientError, bucket / "in", tmp_path / "run")
    assert "the storage cannot be reached (check AWS_ENDPOINT_URL" in said
    assert "the storage cannot be reached" in refusal(TransientError, local / "input", bucket / "run")


def jsonl(bucket: StoragePath, lines: int) -> InputFile:
    put_object(bucket / "a.jsonl", b'{"text": "one line of text"}\n' * lines)
    (file,) = discover([str(bucket / "a.jsonl")])
    return file


@pytest.mark.slow
def test_google_s_storage_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", address)
    monkeypatch.setattr(filesystems, "GOOGLE_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(TransientError, match="check the credentials and the network"):
        as_path("gs://bucket/run").exists()
    assert time.monotonic() - started < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("account", "key", "said"),
    [
        ("", "YWJj", "AZURE_STORAGE_ACCOUNT is not set"),
        ("account:80", "YWJj", "AZURE_STORAGE_ACCOUNT is no name of a storage account"),
        ("account", "", "AZURE_STORAGE_KEY is not set"),
        ("account", "not+the+key", "AZURE_STORAGE_KEY is no key of a storage account"),
        ("account", "not+the+key+\n", "AZURE_STORAGE_KEY is no key of a storage account"),
        ("account", "not+the=key+", "AZURE_STORAGE_KEY is no key of a storage account"),
    ],
)
def test_azure_without_what_it_needs_is_refused_before_arrow_ends_the_process(
    tmp_path: Path, account: str, key: str, said: str
) -> None:
    given = {"AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_KEY": key}
    done = curator("process", "abfs://container/in", "-o", tmp_path / "run", env=given)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"abfs://container: {said} (" in told(done)
    assert "not+the" not in done.stderr


def test_a_name_and_a_key_of_azure_are_handed_on() -> None:
    given = {"AZURE_STORAGE_ACCOUNT": "account1", "AZURE_STORAGE_KEY": "YWJjZA=="}
    assert azure_options(given, "container") == {"account_name": "account1", "account_key": "YWJjZA=="}


@pytest.mark.parametrize("lines", [1, 40_000, 60_000])
def test_an_object_that_changes_while_it_is_read(bucket: StoragePath, lines: int) -> None:
    file = jsonl(bucket, 40_000)
    chunks = read_chunks(file, chunk_bytes=1000)
    next(chunks)
    put_object(bucket / "a.jsonl", b'{"text": "two lines of txt"}\n' * lines)
    with pytest.raises(DataError, match=r"a\.jsonl: is not what it was when the run began"):
        list(chunks)
    with pytest.raises(DataError, match=r"a\.jsonl: is not what it was when the run began"):
        JsonlReader().digest(next(iter(JsonlReader().splits(file, ReadOptions(), 1 << 20))))


@pytest.mark.parametrize("line", [b'{"text": "b"}\n', b'{"text": "longer"}\n', b"{}\n"])
def test_a_small_object_that_changes_before_it_is_read(bucket: StoragePath, line: bytes) -> None:
    put_object(bucket / "a.jsonl", b'{"text": "a"}\n')
    with (bucket / "a.jsonl").open() as file:
        put_object(bucket / "a.jsonl", line)
        with pytest.raises(DataError, match=r"a\.jsonl: is not what it was when the run began"):
            file.read()
    with (bucket / "a.jsonl").open() as file:
        assert file.read() == line


def test_an_object_that_goes_away_while_it_is_read(bucket: StoragePath) -> None:
    file = jsonl(bucket, 40_000)
    chunks = read_chunks(file, chunk_bytes=1000)
    next(chunks)
    delete_object(bucket / "a.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl: cannot be read any more: there is no such object"):
        list(chunks)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("ftp://host/a", "is a URL that cannot be read"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://bucket/a//b", "has an empty part"),
        ("s3://bucket/../b", "has an empty part"),
        ("s3://key:secret@bucket/a", "holds no credentials"),
        ("https://key:secret@host/a", "is a URL that cannot be read"),
    ],
)
def test_a_url_that_names_no_object(place: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        as_path(place)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://host", "http://host/path", "http://me:secret@host"])
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    with pytest.raises(UserError, match="AWS_ENDPOINT_URL_S3") as caught:
        s3_options({"AWS_ENDPOINT_URL_S3": endpoint, "AWS_ENDPOINT_URL": "http://other"}, "bucket")
    assert "secret" not in str(caught.value)


def test_the_usual_variables_say_endpoint_and_region() -> None:
    options = s3_options({"AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_DEFAULT_REGION": "eu-west-3"}, "bucket")
    assert options == {"endpoint_override": "s3.example.org", "scheme": "https", "region": "eu-west-3"}
    assert s3_options({"AWS_REGION": "eu-north-1"}, "bucket") == {"region": "eu-north-1"}
