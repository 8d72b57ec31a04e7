"""How a command ends, and what is told of an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from curator.errors import UserError
from tests.command import EXECUTABLE, curator, json_of
from tests.runs import recipe_text, write_jsonl

CODE = """
import atexit, sys, threading, time
from curator.cli.ending import leave

atexit.register(print, "registered")
print("written", end=" ")
{watched}
try:
    leave(3)
except SystemExit:
    print("left to Python", end=" ")
    raise
"""


def _end(watched: str) -> tuple[int, str]:
    command = [sys.executable, "-c", CODE.format(watched=watched)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_what_was_written_and_registered_is_done() -> None:
    assert _end("") == (3, "written registered\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("watched", "said"),
    [
        ("threading.Thread(target=lambda: (time.sleep(1), print('thread', end=' '))).start()", "thread "),
        ("sys.setprofile(lambda *_: None)", ""),
        ("sys.settrace(lambda *_: None)", ""),
    ],
)
def test_a_process_with_threads_or_that_is_watched_is_left_to_python(watched: str, said: str) -> None:
    assert _end(watched) == (3, f"written left to Python {said}registered\n")


def test_a_stream_that_nobody_reads_hides_no_exit_code() -> None:
    command = [sys.executable, "-c", "from curator.cli.ending import leave\nprint('x')\nleave(4)"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=buffered) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("process", "nowhere", "-o", "run"),
            {"message": "does not exist", "hint": "check the name", "file": "nowhere"},
        ),
        (("process", "--bad"), {"message": "No such option: --bad (Possible options: --ray)"}),
        (("nonsense",), {"message": "No such command 'nonsense'."}),
    ],
)
def test_a_refusal_is_the_one_json_document(arguments: tuple[str, ...], told: dict[str, str], tmp_path: Path) -> None:
    done = curator(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == UserError.exit_code
    nothing = dict.fromkeys(("hint", "stage", "file", "position"))
    assert json_of(done) == {"error": "UserError", "exit_code": UserError.exit_code, **nothing, **told}


@pytest.mark.slow
def test_without_json_a_refusal_leaves_standard_output_empty(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "a text"}])
    done = curator("process", source, "-o", source, "--", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (UserError.exit_code, "")


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_were_closed_before_the_start_take_nothing_into_a_file(closed: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "in.jsonl", [{"text": "a text"}])
    (tmp_path / "r.yaml").write_text(recipe_text("dedup"))
    command = f"exec {EXECUTABLE} process in.jsonl -o run -r r.yaml --workers 1 {closed}"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert curator("verify", tmp_path / "run").returncode == 0
