"""Asking a limited process for what stands in files: of a run, the beginnings of inputs, those that a recipe names.

A Parquet file of a few bytes can claim gigabytes (apache/arrow#49955), and a fault in native code ends the process that
reads it. Neither may be this one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from pydantic import ValidationError

from curator.allocator import MALLOC, POOL_VARIABLE
from serve.environment import without_secrets
from serve.guarded.read import Answer, Question
from serve.packages import Fault
from serve.problems import ProblemError
from serve.settings import Limits

OUTPUT_BYTES = 16 << 20
"""What an answer may have."""

WAIT_SECONDS = 20.0
"""How long a question waits for its turn."""

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
    POOL_VARIABLE: MALLOC,
}
"""Arrow's own allocator takes a gibibyte at once where it may, which leaves too little of the memory to all else."""


class Guard:
    """Asks; so many questions at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = threading.BoundedSemaphore(limits.guarded)

    def ask(self, question: Question, descriptors: Sequence[int] = ()) -> object:
        """The answer, as JSON values. The process that gives it has these `descriptors`. ProblemError where there is
        none, or the limits were reached, TransientError where object storage does not answer."""
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise ProblemError("service.busy", "others read files just now", headers={"Retry-After": "5"})
        try:
            return self._ask(question, descriptors)
        finally:
            self._turns.release()

    def _ask(self, question: Question, descriptors: Sequence[int]) -> object:
        memory, seconds = self._limits.guarded_memory_bytes, self._limits.guarded_seconds
        limits = (memory, int(seconds) + 1, OUTPUT_BYTES, question.mapped_bytes, question.written_bytes)
        # A bare name in a recipe is not held against the roots: where it is looked for there is nothing.
        with tempfile.TemporaryDirectory(prefix="curator-") as nowhere:
            return self._answer(question, limits, nowhere, descriptors)

    def _answer(self, question: Question, limits: Sequence[int], folder: str, descriptors: Sequence[int]) -> object:
        seconds = self._limits.guarded_seconds
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", question.process, *map(str, limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=descriptors,
            cwd=folder,
            env=without_secrets() | _ENVIRONMENT | {"PYTHONPATH": _import_path()},
        )
        try:
            out, _ = process.communicate(question.model_dump_json().encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise _failed(f"it took longer than {seconds:g} s") from None
        if process.returncode != 0:
            raise _failed("the process that read them ended: it may have needed too much memory or time")
        try:
            answer = Answer.model_validate_json(out)
        except ValidationError as error:
            raise _failed("the process that read them gave no answer") from error
        if answer.trace:
            raise Fault(answer.detail, answer.trace).as_problem()
        if answer.error is not None:
            raise answer.error.as_error()
        if answer.code is not None:
            raise ProblemError(answer.code, answer.detail, hint=answer.hint)
        return answer.value


def _import_path() -> str:
    """Where this process finds its packages, so that one that works in another folder finds them too."""
    return os.pathsep.join(dict.fromkeys(map(os.path.abspath, sys.path)))


def _failed(detail: str) -> ProblemError:
    return ProblemError("preview.failed", detail, hint="`curator verify` tells whether the files are as written")
