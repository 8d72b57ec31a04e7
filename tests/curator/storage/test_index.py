"""Indexes that lie in a bucket: asked, shown and verified as those on a disk are."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from curator.errors import DataError, UserError
from curator.run.directory import RunDirectory
from curator.run.forget import forget
from curator.run.verify import verify
from curator.storage.objects import delete_object, put_file, put_object
from curator.storage.path import StoragePath
from stages.dedup.index import Index
from tests.command import curator
from tests.runs import hashes, rows, run_stages, write_jsonl
from tests.stages.dedup.dumps import make_dumps

KEYS: dict[str, Any] = {"language": "off", "input": {"metadata": ["url"]}}


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dumps, a run `autumn` over the first that leaves an index, and `winter`, the second held against it."""
    folder = tmp_path_factory.mktemp("dumps")
    for number, dump in enumerate(make_dumps(3, 120, 120)):
        for place, document in enumerate(dump):
            document["url"] = f"https://a.example/{place if place % 5 == 0 else document['id']}"
        write_jsonl(folder / f"{number}.jsonl", dump)
    run_stages([folder / "0.jsonl"], folder / "autumn", dedup(), **KEYS)
    run_stages([folder / "1.jsonl"], folder / "winter", dedup(folder / "autumn"), **KEYS)
    return folder


@pytest.fixture
def autumn(bucket: StoragePath, dumps: Path) -> StoragePath:
    """The run `autumn`, in a bucket."""
    for path in dumps.joinpath("autumn").rglob("*"):
        if path.is_file():
            put_file(path, bucket / "autumn" / path.relative_to(dumps / "autumn").as_posix())
    return bucket / "autumn"


def dedup(*against: object, url: str | None = "url") -> str:
    return f"dedup: {json.dumps({'index': True, 'against': [str(run) for run in against], 'url_field': url})}"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_against_an_index_in_a_bucket_has_the_bytes_of_one_against_a_copy(
    autumn: StoragePath, dumps: Path, tmp_path: Path, workers: int
) -> None:
    run_stages([dumps / "1.jsonl"], tmp_path / "winter", dedup(autumn), **KEYS, workers=workers)
    found = {str(row["rule"]) for row in rows(tmp_path / "winter", "decisions")}
    assert found >= {"dedup.exact_earlier", "dedup.near_earlier", "dedup.url_earlier"}
    expected, got = hashes(dumps / "winter"), hashes(tmp_path / "winter")
    # The recipe in the manifest names the place.
    assert {name: got[name] for name in got if name != "manifest.json"} == {
        name: expected[name] for name in expected if name != "manifest.json"
    }
    assert verify(RunDirectory(tmp_path / "winter")).problems == []


@pytest.mark.slow
def test_no_copy_is_left_on_the_node(autumn: StoragePath, dumps: Path, tmp_path: Path) -> None:
    run_stages([dumps / "1.jsonl"], tmp_path / "winter", dedup(autumn, url=None), **KEYS)
    assert [*(tmp_path / "spool").glob("*")] == []


@pytest.mark.slow
def test_it_is_shown_and_verified_where_it_lies(autumn: StoragePath, dumps: Path) -> None:
    for command in ("show", "verify"):
        there, here = (curator("index", command, str(run)) for run in (autumn, dumps / "autumn"))
        assert there.returncode == here.returncode == 0, there.stderr
        assert there.stdout.replace(str(autumn), "") == here.stdout.replace(str(dumps / "autumn"), "")


def test_to_open_it_is_to_read_its_header_and_to_list_its_files(
    autumn: StoragePath, caplog: pytest.LogCaptureFixture
) -> None:
    bucket, folder = f"/{autumn.key.split('/')[0]}", f"/{autumn.key}/index"
    opened = [f"HEAD {folder}/header", f"GET {folder}/header", f"GET {bucket}"]
    for path, expected in ((autumn, opened), (autumn / "index", [f"HEAD {folder}/index/header", *opened])):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="werkzeug"):
            assert Index(path).folder == autumn / "index"
        assert re.findall(r"(?:HEAD|GET) [^ ?]+", "\n".join(caplog.messages)) == expected


def test_one_that_is_not_there_or_not_whole_is_refused_before_anything_is_read(
    autumn: StoragePath, dumps: Path, tmp_path: Path
) -> None:
    nowhere = autumn.parent / "nowhere"
    with pytest.raises(UserError, match=r"there is no index"):
        run_stages([dumps / "1.jsonl"], tmp_path / "run", dedup(nowhere), **KEYS)
    delete_object(autumn / "index" / "signatures")
    with pytest.raises(UserError, match=r"signatures is missing"):
        run_stages([dumps / "1.jsonl"], tmp_path / "run", dedup(autumn), **KEYS)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_file_that_is_not_as_it_was_written_is_told_when_it_is_fetched(
    autumn: StoragePath, dumps: Path, tmp_path: Path
) -> None:
    file = autumn / "index" / "signatures"
    data = file.read_bytes()
    put_object(file, bytes(len(data)))
    with pytest.raises(DataError, match=r"is not as it was written") as raised:
        run_stages([dumps / "1.jsonl"], tmp_path / "run", dedup(autumn), **KEYS)
    assert raised.value.file == str(file)
    shown = curator("index", "verify", str(autumn))
    assert shown.returncode == DataError.exit_code
    assert "index/signatures" in shown.stderr
    # Mended, the run goes on: what was fetched before was not kept.
    put_object(file, data)
    run_stages([dumps / "1.jsonl"], tmp_path / "run", dedup(autumn), resume=True, **KEYS)
    assert hashes(tmp_path / "run")["decisions/part-00000.parquet"]


@pytest.mark.slow
def test_after_documents_were_erased_the_new_state_is_asked(autumn: StoragePath, dumps: Path, tmp_path: Path) -> None:
    shutil.copytree(dumps / "autumn", tmp_path / "autumn")
    decisions = rows(dumps / "winter", "decisions")
    owner = next(str(row["keeper"]) for row in decisions if row["rule"] == "dedup.exact_earlier")
    for run in (autumn, tmp_path / "autumn"):
        forget(RunDirectory(run), [owner])
    for name, run in (("there", autumn), ("here", tmp_path / "autumn")):
        run_stages([dumps / "1.jsonl"], tmp_path / name, dedup(run), **KEYS)
    assert rows(tmp_path / "there", "decisions") == rows(tmp_path / "here", "decisions")
    assert rows(tmp_path / "there", "decisions") != decisions
