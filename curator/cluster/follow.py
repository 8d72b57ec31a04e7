"""Waiting for a run: by the events of its run directory, and by what Ray says of its job as long as Ray answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from curator.cluster.dashboard import Dashboard, NoAnswer, SubmittedJob
from curator.cluster.records import RunRecord
from curator.cluster.state import Progress, is_worked_in, progress_of
from curator.run.directory import RunDirectory
from curator.run.events import Event, EventReader
from curator.storage.path import AnyPath

LOOK_SECONDS = 0.4
"""How often the run directory is looked at."""

ASK_SECONDS = 2.0
"""How often Ray is asked."""

SILENT_ASKS = 3
"""A run is given up for lost when Ray has not answered so often in a row and nobody holds the run directory."""

_LOST = "the cluster does not answer, and nothing works in the run directory"


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
    if attempt and not directory.is_dir():
        tell(f"{directory} is not seen from here: only the state of the job is followed")
    while True:
        cluster.ask()
        ended = cluster.job is not None and cluster.job.has_ended
        for event in _of_attempt(reader, attempt):
            listener(event)
            if event["kind"] in ("run.finished", "run.stopped"):
                return progress_of(directory)
        if ended:
            return _by_job(directory, cluster.job)
        if cluster.silent >= SILENT_ASKS and not is_worked_in(directory):
            return replace(progress_of(directory), state="lost", message=_LOST)
        time.sleep(LOOK_SECONDS)


def _of_attempt(reader: EventReader, attempt: int) -> Iterator[Event]:
    return (event for event in reader.read() if event["attempt"] == attempt)


def _by_job(directory: AnyPath, job: SubmittedJob | None) -> Progress:
    """How a run ended that said no last word into its directory, or whose directory is not seen from here."""
    if job is not None and job.status == "SUCCEEDED":
        return replace(progress_of(directory), state="finished")
    return progress_of(directory, job)
