"""The Triton kernels in Triton's interpreter: they compute what their references do, and a wrong one is found.

Triton decides when it is imported whether it interprets, so each of these runs in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.model.kernels.mutants import MUTANTS

ROOT = Path(__file__).parents[3]
SAMPLE = list({(mutant.module, mutant.case): name for name, mutant in MUTANTS.items()}.values())
"""One mutant of each file and case: those in the normal suite."""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_kernels_compute_what_their_references_do_in_the_interpreter() -> None:
    done = _run("-m", "pytest", "tests/model/kernels/test_parity.py", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout, done.stdout


def _unnoticed(names: list[str]) -> list[str]:
    done = _run("-W", "ignore", "-m", "tests.model.kernels.mutants", *names)
    assert done.returncode == 0, done.stderr[-4000:]
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["mutant"] for result in results] == names
    return [result["mutant"] for result in results if not result["noticed"]]


@pytest.mark.slow
def test_parity_notices_kernels_that_are_wrong() -> None:
    assert _unnoticed(SAMPLE) == []


@pytest.mark.long
def test_parity_notices_every_kernel_that_is_wrong() -> None:
    assert _unnoticed(list(MUTANTS)) == []
