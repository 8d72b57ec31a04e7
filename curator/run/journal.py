"""Finding the document that kills the process which works on it (a fault in native code, memory without end).

A task whose process died again and again is run once more with a journal: a file that says, before each document is
touched alone, which one that is. The file outlives the process; the next attempt reads in it where the last one ended.
A document at which STRIKES attempts ended is poison: it is left out, and named in `failed/`. One strike proves nothing,
since a process may be killed for another's sake.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STRIKES = 2
"""Deaths at the same document that prove that it is the cause."""

MOST_POISON = 16
"""Documents of one task that are found in this way; with more, the run stops."""

CAREFUL_ATTEMPTS = STRIKES * MOST_POISON + 1
"""How often a task with a journal is begun."""

CRASH = "crash"
"""The error code in `failed/`, and the last part of the rule `STAGE.crash` in `decisions/`."""

CRASH_SENTENCE = "The process that worked on it ended each time; failed/ names it."

_NOTHING = -1


class Journal:
    """Which document a process works on, by any number that names it within the task. The file holds int64: that
    number, or -1; then those at which earlier attempts ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = np.fromfile(path, dtype="<i8").tolist() if path.exists() else [_NOTHING]
        now, *deaths = found or [_NOTHING]
        if now != _NOTHING:
            deaths.append(now)
            np.array([_NOTHING, *deaths], dtype="<i8").tofile(path)
        self.poison = frozenset(number for number, strikes in Counter(deaths).items() if strikes >= STRIKES)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._write(_NOTHING)

    @contextlib.contextmanager
    def about(self, number: int) -> Iterator[None]:
        """Say that the process works on this document alone, until the block ends. An error that the block raises is
        told to whoever runs the task: the process has not died."""
        self._write(number)
        try:
            yield
        finally:
            self._write(_NOTHING)

    def close(self) -> None:
        """Take the journal away: the task is done."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    def _write(self, number: int) -> None:
        os.pwrite(self._descriptor, np.array([number], dtype="<i8").tobytes(), 0)


def crash_rule(stage: str) -> str:
    """The rule under which a document is dropped whose process a stage ended."""
    return f"{stage}.{CRASH}"


def is_crash(rule: str) -> bool:
    """Whether a rule is one of these."""
    return rule.endswith(f".{CRASH}")
