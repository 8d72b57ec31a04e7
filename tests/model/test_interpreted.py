"""A training through Triton's kernels alone, interpreted, has the losses of the CPU's path: attention backward, the
router's gradient and AdamW among them. Triton binds its choice for a whole process, so each has one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def losses(steps: int, *, interpreted: bool) -> list[float]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"TRITON_INTERPRET": "1"} if interpreted else {})
    command = [sys.executable, "-m", "tests.model.interpreted", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["interpreted"] is interpreted
    found: list[float] = told["losses"]
    return found


def compare(steps: int) -> None:
    expected, found = (losses(steps, interpreted=interpreted) for interpreted in (False, True))
    # Floats are added in another order; a step moves the loss by a thousand times more.
    assert found == pytest.approx(expected, rel=1e-5)
    assert len(set(expected)) == steps


@pytest.mark.slow
def test_two_steps_through_the_interpreter() -> None:
    compare(2)


@pytest.mark.long
def test_twenty_steps_through_the_interpreter() -> None:
    compare(20)
