"""Waiting for a run: by the events of its run directory, and by what Ray says of its job as long as Ray answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from curator.cluster.dashboard import Dashboard, NoAnswer, SubmittedJob
from curator.cluster.job import reports_of
from curator.cluster.records import RunRecord
from curator.cluster.state import Progress, is_worked_in, progress_of, sees
from curator.errors import TransientError, UserError
from curator.run.directory import RunDirectory
from curator.run.events import Event, EventReader

LOOK_SECONDS = 0.4
"""How often the run directory is looked at."""

ASK_SECONDS = 2.0
"""How often Ray is asked."""

SILENT_ASKS = 3
"""A run is given up for lost when Ray has not answered so often in a row and nobody holds the run directory."""

_LOST = "the cluster does not answer, and nothing works in the run directory"
_UNSEEN = "the cluster does not answer, and the run directory is not seen from here"


@dataclass
class _Cluster:
    """What is known of the job, and since when Ray is silent."""

    dashboard: Dashboard
    submission: str
    tell: Callable[[str], None]
    silent: int = 0
    asked: float = 0.0
    job: SubmittedJob | None = None

    def ask(self) -> None:
        """Ask Ray, if it is time; tells once when it falls silent and once when it answers again."""
        if time.monotonic() - self.asked < ASK_SECONDS:
            return
        try:
            job = self.dashboard.job(self.submission)
        except NoAnswer:
            job = None
        self.asked = time.monotonic()
        if job is None:
            self.silent += 1
            if self.silent == 1:
                self.tell("the cluster does not answer; going on with what the run directory says")
            return
        if self.silent:
            self.tell("the cluster answers again")
        self.silent, self.job = 0, job


def follow(record: RunRecord, attempt: int, listener: Callable[[Event], None], tell: Callable[[str], None]) -> Progress:
    """Wait until an attempt of a run has ended, handing its events to `listener`; how it ended. `tell` gets sentences
    for the user. An attempt of 0 has no events: its run was finished before."""
    directory = record.directory
    reader = EventReader(RunDirectory(directory).events)
    cluster = _Cluster(Dashboard(record.address), record.submission, tell)
    is_seen = sees(directory)
    if attempt and not is_seen:
        tell(f"{directory} is not seen from here: only the state of the job is followed")
    while True:
        cluster.ask()
        ended = cluster.job is not None and cluster.job.has_ended
        for event in _of_attempt(reader, attempt) if is_seen else ():
            listener(event)
            if event["kind"] in ("run.finished", "run.stopped"):
                return progress_of(directory)
        if ended:
            return with_last_word(progress_of(directory, cluster.job), cluster.dashboard, cluster.submission)
        if cluster.silent >= SILENT_ASKS:
            if not (is_seen or sees(directory)):
                return replace(progress_of(directory), state="unknown", message=_UNSEEN)
            if not is_worked_in(directory):
                return replace(progress_of(directory), state="lost", message=_LOST)
        time.sleep(LOOK_SECONDS)


def _of_attempt(reader: EventReader, attempt: int) -> Iterator[Event]:
    with contextlib.suppress(TransientError):  # a storage that is not reached now is asked again at the next look
        yield from (event for event in reader.read() if event["attempt"] == attempt)


def with_last_word(progress: Progress, dashboard: Dashboard, submission: str) -> Progress:
    """With what the driver told in its log, where a run failed whose directory does not say why."""
    if progress.state != "failed" or progress.message is not None:
        return progress
    try:
        said = [report.message for report in reports_of(dashboard.logs(submission)) if report.message]
    except (NoAnswer, UserError):
        return progress
    return replace(progress, message=said[-1]) if said else progress
