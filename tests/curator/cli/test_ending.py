"""The end of the process of a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
