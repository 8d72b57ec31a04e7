"""Which job begins next: what the `local` engine decides, without a process.

Every worker is kept busy with one job waiting behind it. A job whose worker died is begun again, before those that have
not begun; what must be done carefully is done at the end, one after the other: no worker ends then for another's sake.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic

from curator.engine.executor import InputT
from curator.engine.job import Job
from curator.errors import AGAIN, TransientError
from curator.run.journal import CAREFUL_ATTEMPTS

MAX_ATTEMPTS = 3
"""How often a task may lose its worker before the run gives up."""


@dataclass(frozen=True)
class Attempt(Generic[InputT]):
    """A job, its place among the results, and how often it has been begun."""

    index: int
    job: Job[InputT]
    number: int = 1
    is_careful: bool = False

    def another(self) -> Attempt[InputT]:
        """The next one, after its worker died: a careful one after MAX_ATTEMPTS. TransientError after the last."""
        if self.number < (CAREFUL_ATTEMPTS if self.is_careful else MAX_ATTEMPTS):
            return replace(self, number=self.number + 1)
        careful = self.job.carefully()
        if careful is not None:
            return Attempt(self.index, careful, is_careful=True)
        raise TransientError(
            f"a worker process died {self.number} times on {self.job.input.name} (killed for memory?)",
            hint=f"free some memory, or let fewer workers share it, then {AGAIN}",
        )


class Schedule(Generic[InputT]):
    """The attempts at the jobs of one folder: those that run, and those that wait. Jobs are drawn one by one."""

    def __init__(self, jobs: Iterator[tuple[int, Job[InputT]]], workers: int) -> None:
        self._new = (Attempt(index, job) for index, job in jobs)
        self._most = 2 * workers
        self._running: dict[int, Attempt[InputT]] = {}
        self._again: deque[Attempt[InputT]] = deque()
        self._alone: deque[Attempt[InputT]] = deque()

    @property
    def waits(self) -> bool:
        """Whether there is an attempt that did not begin, or must begin again."""
        return bool(self._again or self._alone)

    def begin(self) -> Attempt[InputT] | None:
        """The attempt that begins now, None while none may, and when there is none."""
        if len(self._running) >= self._most:
            return None
        attempt = self._again.popleft() if self._again else next(self._new, None)
        if attempt is None and self._alone and not self._running:
            attempt = self._alone.popleft()
        if attempt is not None:
            self._running[attempt.index] = attempt
        return attempt

    def put_back(self, attempt: Attempt[InputT]) -> None:
        """It could not begin, and is the next to begin."""
        del self._running[attempt.index]
        (self._alone if attempt.is_careful else self._again).appendleft(attempt)

    def end(self, attempt: Attempt[InputT]) -> None:
        """It has committed."""
        del self._running[attempt.index]

    def die(self, attempt: Attempt[InputT]) -> None:
        """Its worker died. TransientError when it may not be begun once more."""
        del self._running[attempt.index]
        another = attempt.another()
        (self._alone if another.is_careful else self._again).append(another)

    def interrupt(self) -> None:
        """The workers of all that run were ended, through no fault of theirs."""
        self._again.extend(self._running.values())
        self._running.clear()
