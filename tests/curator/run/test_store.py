"""Atomic files and commit records."""

from pathlib import Path

import pytest

from curator.errors import TransientError, UserError
from curator.run.store import Outputs, committed, make_folder, put
from curator.storage.refused import storage_error


def test_nothing_counts_before_the_commit(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, "t")
    outputs.path("data").write_bytes(b"half")
    assert committed(tmp_path, "t") is None
    assert not (tmp_path / "t.data").exists()
    commit = outputs.commit({"rows": 4})
    assert commit.path("data").read_bytes() == b"half"
    again = committed(tmp_path, "t")
    assert again is not None
    assert again.integer("rows") == 4


def test_a_file_that_is_gone_or_cut_undoes_the_commit(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, "t")
    outputs.path("data").write_bytes(b"whole")
    commit = outputs.commit({})
    commit.path("data").write_bytes(b"who")
    assert committed(tmp_path, "t") is None
    commit.path("data").unlink()
    assert committed(tmp_path, "t") is None


def test_discarded_outputs_leave_nothing(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, "t")
    outputs.path("data").write_bytes(b"x")
    outputs.discard()
    assert list(tmp_path.iterdir()) == []


def test_put_replaces_a_file_whole(tmp_path: Path) -> None:
    put(tmp_path / "a", b"one")
    put(tmp_path / "a", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"two"


def test_a_full_disk_is_said_with_what_to_do() -> None:
    full = Path("/dev/full")
    with pytest.raises(OSError, match="No space") as caught, full.open("wb", buffering=0) as file:
        file.write(b"x")
    error = storage_error(caught.value, full)
    assert isinstance(error, TransientError)
    assert error.hint == "free some space, then try again"


def test_a_folder_below_a_file_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError):
        make_folder(tmp_path / "file" / "below")
