"""Work grows with the text and not with its square, in instructions that Valgrind counts, where no clock is asked.

The same program reads every hostile text at three lengths. Between a short and a long reading lie as many instructions
a byte as between the long one and one that is longer by as much: of quadratic work the second difference would be three
times the first for lengths of 1, 2 and 4 parts, where that of linear work is twice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed (docs/install-programs)"),
]

PART = 5_000
"""Bytes."""


def instructions(folder: Path, length: int) -> int:
    """How many instructions the program executes."""
    command = [sys.executable, "-m", "tests.stages.pii.read_pieces", str(length)]
    # Kernels for any processor, since Valgrind does not know the instructions of the newest; nothing that is random.
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(folder),
        "PYTHONHASHSEED": "0",
    }
    if not any(folder.iterdir()):
        subprocess.run(command, env=environment, check=True)  # compiles them
    counting = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run([*counting, *command], env=environment, check=True, capture_output=True, text=True)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def test_twice_the_bytes_take_twice_the_instructions(tmp_path: Path) -> None:
    one, two, four = (instructions(tmp_path, parts * PART) for parts in (1, 2, 4))
    assert two > one
    growth = (four - two) / (two - one)
    assert growth < 2.2, (one, two, four)
