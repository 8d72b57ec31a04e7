"""`curator` on object storage as people use it, killed in the middle and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from curator.run.execution import INLINE_BYTES
from curator.storage.path import StoragePath
from tests.command import EXECUTABLE, curator, json_of
from tests.curator.storage.conftest import KEY_ID, SECRET, STAGES, upload
from tests.runs import hashes, make_texts, recipe_text, rows, write_jsonl

TASKS_BEFORE_THE_KILL = 3


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_has_the_bytes_of_the_local_one(bucket: StoragePath, tmp_path: Path) -> None:
    for number in range(4):
        write_jsonl(tmp_path / "in" / f"{number}.jsonl", make_texts(200, seed=number, units=(60, 240)))
    source = upload(tmp_path / "in", bucket / "in")
    (tmp_path / "recipe.yaml").write_text(recipe_text(*STAGES))
    options = ["-r", str(tmp_path / "recipe.yaml"), "--workers", "2", "--json"]
    done = curator("process", tmp_path / "in", "-o", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    command = ["process", str(source), "-o", str(bucket / "run"), *options]
    process = subprocess.Popen([EXECUTABLE, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len([*(bucket / "run" / "work").rglob("*.json")]) < TASKS_BEFORE_THE_KILL:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (bucket / "run" / "manifest.json").exists()
    resumed = curator(*command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert json_of(resumed)["resumed"]
    assert hashes(bucket / "run") == hashes(tmp_path / "run")
    assert curator("verify", str(bucket / "run")).returncode == 0
    told = curator("explain", str(bucket / "run"), str(rows(tmp_path / "run", "shards")[0]["id"]))
    assert ": kept" in told.stdout
    assert sum(path.stat().st_size for path in (tmp_path / "in").iterdir()) > INLINE_BYTES  # it had workers
    assert curator("report", str(bucket / "run")).stdout.endswith(f"report: {bucket}/run/report.html\n")
    said = resumed.stdout + resumed.stderr + told.stdout
    assert SECRET not in said
    assert KEY_ID not in said
    assert [*(tmp_path / "spool").iterdir()] == []


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    done = curator("verify", "s3://AKIAXYZ:verysecret@bucket/run", env={**os.environ})
    assert done.returncode == 2
    assert "holds no credentials" in done.stderr
    assert "verysecret" not in done.stderr
    assert "AKIAXYZ" not in done.stderr
