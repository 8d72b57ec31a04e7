"""Local copies of what tasks left in a storage."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from curator.errors import DataError, UserError
from curator.run.store import Outputs, committed
from curator.storage.objects import delete_object, put_object
from curator.storage.path import StoragePath
from curator.storage.spool import fetched, find_file, local_file, local_folder, place_of, release

IDENTITY = "0123456789abcdef"


@pytest.fixture
def tasks(bucket: StoragePath) -> StoragePath:
    """The folder of the tasks of a run."""
    return bucket / "run" / "work" / IDENTITY


def write(tasks: StoragePath, name: str, data: bytes) -> None:
    outputs = Outputs(tasks / "read", name)
    outputs.path("rows").write_bytes(data)
    outputs.path("empty").write_bytes(b"")
    outputs.commit({"rows": len(data)})


def move(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to another node."""
    monkeypatch.setenv("CURATOR_SPOOL", str(tmp_path / name))


def test_a_committed_task_is_found_and_read_on_another_node(
    tasks: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tasks, "a", b"12345678")
    move(tmp_path, "other", monkeypatch)
    commit = committed(tasks / "read", "a")
    assert commit is not None
    assert commit.path("rows").read_bytes() == b"12345678"
    assert commit.path("empty").read_bytes() == b""
    assert commit.path("rows").is_relative_to(tmp_path / "other")
    assert place_of(commit.path("rows")) == commit.place("rows") == f"{tasks}/read/a.rows"


def test_a_task_without_its_record_or_a_file_has_not_committed(tasks: StoragePath) -> None:
    write(tasks, "a", b"1")
    write(tasks, "b", b"1")
    delete_object(tasks / "read" / "a.json")
    put_object(tasks / "read" / "b.rows", b"12")
    assert committed(tasks / "read", "a") is None
    assert committed(tasks / "read", "b") is None


def test_a_file_that_is_gone_from_the_storage_is_a_data_error(tasks: StoragePath) -> None:
    with pytest.raises(DataError, match="a task had left it here"):
        local_file(tasks / "read" / "a.rows")
    assert find_file(tasks / "read" / "a.rows") is None


def test_a_local_path_is_its_own_copy(tmp_path: Path) -> None:
    assert local_file(str(tmp_path / "a")) == tmp_path / "a"
    assert local_folder(tmp_path) == tmp_path
    assert place_of(tmp_path / "a") == str(tmp_path / "a")
    assert find_file(tmp_path / "a") is None
    release(tmp_path)
    assert tmp_path.is_dir()


@pytest.mark.slow
def test_many_who_ask_at_once_get_the_whole_file(
    tasks: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(3 << 20)
    write(tasks, "a", data)
    move(tmp_path, "other", monkeypatch)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(local_file(tasks / "read" / "a.rows").read_bytes()))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [data] * 6


def test_copies_are_readable_by_their_owner_alone(tasks: StoragePath, tmp_path: Path) -> None:
    write(tasks, "a", b"1")
    folders = [tmp_path / "spool", *(path for path in (tmp_path / "spool").rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


def test_the_default_folder_of_somebody_else_is_refused(
    tasks: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CURATOR_SPOOL")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"curator-spool-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(UserError, match="is not a folder of yours alone"):
        write(tasks, "a", b"1")
    (tmp_path / f"curator-spool-{os.getuid()}").rmdir()
    (tmp_path / f"curator-spool-{os.getuid()}").symlink_to(tmp_path / "spool")
    with pytest.raises(UserError, match=r"cannot hold local copies|is not a folder of yours alone"):
        write(tasks, "a", b"1")


def test_releasing_a_run_leaves_nothing_and_what_is_needed_is_fetched_again(tasks: StoragePath, tmp_path: Path) -> None:
    write(tasks, "a", b"1")
    release(tasks / "read")
    assert local_file(tasks / "read" / "a.rows").read_bytes() == b"1"
    release(tasks)
    assert [*(tmp_path / "spool").iterdir()] == []
    assert local_file(tasks / "read" / "a.rows").read_bytes() == b"1"


def test_users_may_share_a_folder_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody, privileged = 65534, os.geteuid() == 0
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o777)
        monkeypatch.setenv("CURATOR_SPOOL", shared)
        (Path(shared) / "theirs").mkdir()
        (Path(shared) / "theirs" / "lock").touch()
        (Path(shared) / "theirs").chmod(0)
        if privileged:
            os.seteuid(nobody)
        try:
            folder = local_folder(StoragePath("s3", f"bucket/shared/work/{IDENTITY}/read"))
            assert folder.is_relative_to(shared)
            assert folder.stat().st_uid == os.geteuid()
        finally:
            if privileged:
                os.seteuid(0)
        assert (Path(shared) / "theirs").is_dir()


def test_what_a_killed_process_left_goes_with_the_next_run_and_what_is_in_use_stays(
    tasks: StoragePath, bucket: StoragePath, tmp_path: Path
) -> None:
    code = (
        "import os, sys; from curator.storage.spool import local_folder; from curator.storage.path import as_path; "
        "(local_folder(as_path(sys.argv[1])) / 'left').write_bytes(b'1'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(bucket / "killed" / "work" / IDENTITY / "read")])
    assert len([*(tmp_path / "spool").rglob("left")]) == 1
    write(tasks, "a", b"1")
    assert [*(tmp_path / "spool").rglob("left")] == []
    write(bucket / "third" / "work" / IDENTITY, "a", b"1")
    assert len([*(tmp_path / "spool").rglob("a.rows")]) == 2


@pytest.mark.slow
def test_a_copy_of_a_folder_that_a_killed_process_left_goes_with_the_next_and_one_in_use_stays(
    bucket: StoragePath, tmp_path: Path
) -> None:
    put_object(bucket / "run" / "index" / "ids", b"1")
    code = (
        "import os, sys; from curator.storage.spool import fetched; from curator.storage.path import as_path\n"
        "with fetched(as_path(sys.argv[1])) as folder: os._exit((folder / 'ids').read_bytes() != b'1')"
    )
    subprocess.run([sys.executable, "-c", code, str(bucket / "run" / "index")], check=True)
    assert len([*(tmp_path / "spool").rglob("ids")]) == 1
    with fetched(bucket / "run" / "index") as first, fetched(bucket / "run" / "index") as second:
        assert {*(tmp_path / "spool").rglob("ids")} == {first / "ids", second / "ids"}
    assert [*(tmp_path / "spool").iterdir()] == []
