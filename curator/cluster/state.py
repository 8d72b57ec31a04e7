"""How far a run is: by the events and the manifest of its run directory, and by what Ray says of its job."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from curator.cluster.dashboard import JobStatus, SubmittedJob, last_line
from curator.errors import INTERRUPTED, Bug, CuratorError, DataError, TransientError, UserError
from curator.run.directory import RunDirectory
from curator.run.events import Event, read_events
from curator.storage.path import AnyPath

State = Literal["waiting", "running", "finished", "stopped", "failed", "lost", "unknown"]
"""`waiting`: not begun; `stopped`: cancelled or interrupted; `lost`: it ended without a word, as when a node dies;
`unknown`: neither its directory nor its cluster is seen from here."""

_EXIT_CODES: dict[str, int] = {
    **{kind.__name__: kind.exit_code for kind in (UserError, DataError, TransientError, Bug)},
    "KeyboardInterrupt": INTERRUPTED,
}

_BY_JOB: dict[JobStatus, State] = {
    "PENDING": "waiting",
    "RUNNING": "running",
    "STOPPED": "stopped",
    "SUCCEEDED": "finished",
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
        return self.state not in ("waiting", "running", "unknown")

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
    """How far the run in a directory is. `job` is what Ray says of it, None where Ray says nothing; that alone counts
    where the directory is not seen from here, as on a machine that has not mounted it or may not read its bucket."""
    run = RunDirectory(directory)
    try:
        progress = after(read_events(run.events))
        if run.manifest.exists():
            return replace(progress, state="finished", error=None, message=None)
        is_seen = progress.changed is not None or directory.exists()
    except (UserError, TransientError, OSError):  # the storage denies access, or is not reached
        progress, is_seen = Progress("waiting"), False
    if not is_seen:
        return _by_job(progress, job) if job is not None else replace(progress, state="unknown")
    if job is None:
        return progress
    if not job.has_ended:
        # Another attempt, which has not said anything yet.
        return replace(progress, state="waiting") if progress.has_ended else progress
    return progress if progress.has_ended else _by_job(progress, job)


def sees(path: AnyPath) -> bool:
    """Whether a run directory, or a file of one, is there and may be looked at from here."""
    try:
        return path.exists()
    except (UserError, TransientError, OSError):
        return False


def _by_job(progress: Progress, job: SubmittedJob) -> Progress:
    """How far a run is whose directory says no last word. The driver ends with the exit code of what went wrong."""
    if job.status in _BY_JOB:
        error = "KeyboardInterrupt" if job.status == "STOPPED" else None
        return replace(progress, state=_BY_JOB[job.status], error=error)
    kinds = [kind for kind, code in _EXIT_CODES.items() if code == job.exit_code and code != INTERRUPTED]
    if kinds:
        return replace(progress, state="failed", error=kinds[0])
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
    """Whether a process holds the run directory, as far as its file system tells (see `RunLock`). For one on object
    storage this takes as long as its lease is watched (see `curator.storage.lease`)."""
    if not isinstance(directory, Path):
        from curator.storage.lease import is_renewed

        return is_renewed(directory)
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
