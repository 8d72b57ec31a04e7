"""What the system refuses is a line that names the place, whichever command meets it and wherever."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from curator.errors import TransientError, UserError
from curator.storage.refused import refusal
from tests.command import curator, told, unprivileged
from tests.runs import make_texts, run_stages, write_jsonl


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    run_stages([write_jsonl(folder / "in.jsonl", make_texts(40))], folder / "run", "dedup: {index: true}", "entropy")
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("verify",), "index/keys"),
        (("index", "verify"), "index/keys"),
        (("forget",), "shards/part-00000.parquet"),
        (("explain",), "scores/part-00000.parquet"),
        (("report",), "scores/part-00000.parquet"),
        (("calibrate",), "scores/part-00000.parquet"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, tuple) else "",
)
def test_a_file_of_a_run_that_may_not_be_read_is_one_line(run: Path, command: tuple[str, ...], name: str) -> None:
    (run / name).chmod(0)
    done = unprivileged(*command, run, *(("d0",) if command[0] in ("forget", "explain") else ()))
    assert told(done) == f"curator: {run / name}: cannot be opened: Permission denied (check its permissions)"
    assert done.returncode == 2


@pytest.mark.slow
def test_scores_that_are_damaged_are_told_where_a_report_is_made(run: Path) -> None:
    path = run / "scores" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    done = curator("report", run)
    assert told(done) == f"curator: {path}: cannot be read (`curator verify` tells what is damaged)"
    assert done.returncode == 3


def test_a_full_disk_may_be_tried_again_and_a_disk_for_reading_may_not() -> None:
    full = refusal(OSError(errno.ENOSPC, "No space left on device", "/runs/a"))
    assert isinstance(full, TransientError)
    assert str(full) == "/runs/a: cannot be written: No space left on device (free some space, then try again)"
    large = refusal(
        OSError(errno.EFBIG, "File too large")
    )  # as a write to a file that is open tells it, without a name
    assert isinstance(large, TransientError)
    assert str(large) == "cannot be written: File too large (free some space, then try again)"
    fixed = refusal(OSError(errno.EROFS, "Read-only file system", b"/runs/a"))
    assert isinstance(fixed, UserError)
    assert str(fixed) == "/runs/a: cannot be opened: Read-only file system (choose another place)"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file or directory", "/runs/a"),
        OSError(errno.EACCES, "Permission denied"),
        OSError(errno.EACCES, "Permission denied", 7),
        OSError("not as others"),
    ],
    ids=["missing", "no name", "a descriptor", "no number"],
)
def test_what_may_be_a_fault_of_ours_is_no_refusal(error: OSError) -> None:
    assert refusal(error) is None
