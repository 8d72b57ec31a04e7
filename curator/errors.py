"""The exceptions of Curator.

    CuratorError
    ├── UserError        recipe, path or option is wrong         exit 2, no traceback
    ├── DataError        the input is broken                     exit 3, no traceback
    ├── TransientError   the engine may try again                exit 75 when it gives up
    ├── Stopped          a signal ended the command              exit 130 or 143, no traceback
    └── Bug              an invariant of ours does not hold      exit 70, traceback

An error says what it happened on (`stage`, `file`, `position`), what was expected, and what to do next (`hint`).
It never carries the content of a document: errors are logged, and the log holds no personal data.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended, as shells have it: 128 and the number of the signal."""

AGAIN = "try again"
AGAIN_CHANGED = "try again with that"
"""What hints call it to do the same once more, or with other values. Where that goes on with what was done, whoever
asked is told how instead (`CuratorError.reword`), the longer words first."""

RESUME: Mapping[str, str] = {
    AGAIN_CHANGED: "run the command with that and --resume",
    AGAIN: "run the same command with --resume",
}
"""How a command goes on that has this option."""


class CuratorError(Exception):
    """Base of every exception that Curator raises on purpose."""

    exit_code = 70
    answer: Mapping[str, object] = {}
    """What a command that found this knows besides, for `as_json`."""

    def __init__(
        self,
        message: str,
        *,
        stage: str | None = None,
        file: str | None = None,
        position: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.file = file
        self.position = position
        self.hint = hint

    def reword(self, words: Mapping[str, str]) -> CuratorError:
        """The error itself, with other words in the place of those of its hint."""
        for before, after in words.items():
            self.hint = self.hint and self.hint.replace(before, after)
        return self

    def as_json(self) -> dict[str, object]:
        """The error for a machine, with what else its command found."""
        told = {name: getattr(self, name) for name in ("message", "hint", "stage", "file", "position", "exit_code")}
        return {"error": type(self).__name__, **told, **self.answer}

    def __str__(self) -> str:
        where = self.file or ""
        if self.position is not None:
            where = f"{where} at {self.position}" if where else f"position {self.position}"
        parts = [part for part in (self.stage, where) if part]
        prefix = ": ".join(parts)
        text = f"{prefix}: {self.message}" if prefix else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.stage, self.file, self.position, self.hint))


def _rebuild(
    kind: type[CuratorError],
    message: str,
    stage: str | None,
    file: str | None,
    position: int | None,
    hint: str | None,
) -> CuratorError:
    return kind(message, stage=stage, file=file, position=position, hint=hint)


class UserError(CuratorError):
    """The recipe, a path or an option is wrong; nothing was started or nothing more can be done without a change."""

    exit_code = 2


class DataError(CuratorError):
    """The input is broken beyond what `max_error_rate` allows, or a file of a run is not what the manifest says."""

    exit_code = 3


class TransientError(CuratorError):
    """Something that may go well when tried again: a worker that died, a full disk, a lost connection."""

    exit_code = 75


class Stopped(CuratorError):  # noqa: N818 (no error, but the end that somebody asked for)
    """A signal ended the command. The exit code is what shells have for that: 128 and its number."""

    exit_code = INTERRUPTED

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number

    def __reduce__(self) -> tuple[object, ...]:
        return (Stopped, (self.message, self.exit_code - 128))


class Bug(CuratorError):  # noqa: N818 (the word that the docs use)
    """An invariant of Curator does not hold."""

    exit_code = 70


@contextmanager
def rewording(words: Mapping[str, str]) -> Iterator[None]:
    """Put other words into the hints of errors that are raised within."""
    try:
        yield
    except CuratorError as error:
        error.reword(words)
        raise
