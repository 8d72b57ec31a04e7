"""How far a run is: by the events and the manifest of its run directory, and by what Ray says of its job."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from curator.cluster.dashboard import SubmittedJob, last_line
from curator.errors import INTERRUPTED, Bug, CuratorError, DataError, TransientError, UserError
from curator.run.directory import RunDirectory
from curator.run.events import Event, read_events
from curator.storage.path import AnyPath

State = Literal["waiting", "running", "finished", "stopped", "failed", "lost"]
"""`waiting`: not begun; `stopped`: cancelled or interrupted; `lost`: it ended without a word, as when a node dies."""

_EXIT_CODES: dict[str, int] = {
    **{kind.__name__: kind.exit_code for kind in (UserError, DataError, TransientError, Bug)},
    "KeyboardInterrupt": INTERRUPTED,
}


@dataclass(frozen=True)
class Progress:
    """How far a run is. `attempt` counts its starts; `phase` is the last one that began, number `number` of `phases`;
    `tasks` of it are done; `changed` is the time of the last event, in seconds since 1970; `error` is the class of
    what stopped it, `message` what it said."""

    state: State
    attempt: int = 0
    phase: str = ""
    number: int = 0
    phases: int = 0
    tasks: int = 0
    changed: float | None = None
    error: str | None = None
    message: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the run does nothing any more."""
        return self.state not in ("waiting", "running")

    @property
    def exit_code(self) -> int:
        """What the command line ends with for a run that has ended so."""
        if self.state == "finished":
            return 0
        if self.state in ("failed", "stopped"):
            return exit_code_of(self.error)
        return TransientError.exit_code


def exit_code_of(error: str | None) -> int:
    """The exit code for the class of an exception, given by its name."""
    return _EXIT_CODES.get(error or "", CuratorError.exit_code)


def progress_of(directory: AnyPath, job: SubmittedJob | None = None) -> Progress:
    """How far the run in a directory is. `job` is what Ray says of it, None where Ray says nothing."""
    run = RunDirectory(directory)
    progress = after(read_events(run.events))
    if run.manifest.exists():
        return replace(progress, state="finished", error=None, message=None)
    if job is None or progress.has_ended:
        if job is not None and not job.has_ended:
            return replace(progress, state="waiting")  # another attempt, which has not said anything yet
        return progress
    if not job.has_ended:
        return progress
    if job.status == "STOPPED":
        return replace(progress, state="stopped", error="KeyboardInterrupt")
    return replace(progress, state="lost", message=last_line(job.message))


def after(events: Iterable[Event]) -> Progress:
    """How far a run is that has these events, in order."""
    progress = Progress("waiting")
    for event in events:
        kind = event["kind"]
        if kind == "run.started":
            progress = Progress("running", attempt=cast("int", event["attempt"]))
        elif kind == "phase.started":
            progress = replace(
                progress,
                phase=str(event["phase"]),
                number=cast("int", event["index"]) + 1,
                phases=cast("int", event["phases"]),
                tasks=0,
            )
        elif kind == "task.done":
            progress = replace(progress, tasks=progress.tasks + 1)
        elif kind == "run.finished":
            progress = replace(progress, state="finished")
        elif kind == "run.stopped":
            error = str(event["error"])
            state: State = "stopped" if error == "KeyboardInterrupt" else "failed"
            message = event.get("message")
            progress = replace(
                progress, state=state, error=error, message=message if isinstance(message, str) else None
            )
        progress = replace(progress, changed=cast("float", event["time"]))
    return progress


def is_worked_in(directory: AnyPath) -> bool:
    """Whether a process holds the run directory, as far as its file system tells (see `RunLock`)."""
    if not isinstance(directory, Path):
        return False
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
