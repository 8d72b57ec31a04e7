"""A run whose driver is a job of a Ray cluster, seen from the process of the attempt, which follows it.

The id of the run is that of its jobs (`curator.cluster.submit`), so the cluster itself refuses a second. An attempt
that comes after one whose process was killed finds the job and follows it: what runs is not started again. Where the
cluster does not answer, the lock of the run directory says whether something works there.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curator.cluster.dashboard import Dashboard, NoAnswer
from curator.cluster.follow import follow
from curator.cluster.job import reports_of, without_reports
from curator.cluster.records import STATE_VARIABLE
from curator.cluster.specification import Specification
from curator.cluster.state import Progress
from curator.cluster.submit import Submitted, jobs_of, submit
from curator.errors import INTERRUPTED, TransientError, UserError
from curator.run.directory import RunDirectory
from curator.run.events import Event
from curator.run.store import put
from curator.storage.path import as_path
from serve.runner.task import ADOPTED, Outcome

ANSWER_SECONDS = 600.0
"""So long an attempt waits for a cluster that does not answer: a head that is started anew takes minutes."""
STOP_SECONDS = 15.0
"""How long a job may take to end when it is told to; Ray kills its driver after three."""
LOG_SECONDS = 5.0

_POLL_SECONDS = 0.5
_QUIET_LOOKS = 3


def run_as_job(address: str, run: str, specification: Specification, folder: Path) -> Outcome | None:
    """Submit a run, or find its job, and follow it; how it ended, None where it was lost.

    UserError where the cluster cannot run it, TransientError where it does not answer, KeyboardInterrupt where it was
    told to end and has."""
    os.environ[STATE_VARIABLE] = str(folder)  # the record of the submission belongs to this attempt
    dashboard = Dashboard(address)
    try:
        _await_answer(dashboard)
        submitted = _submit(address, specification, run)
        submission = submitted.record.submission
        _tell(f"job {submission} of {address}: {submitted.standing}")
        if submitted.standing == "running before":
            put(folder / ADOPTED, submission.encode())
        if submitted.standing == "finished":
            return Outcome(exit_code=0)
        with _copied_log(dashboard, submission):
            progress = follow(submitted.record, submitted.attempt, _pass_over, _tell)
    except KeyboardInterrupt:
        _stop(dashboard, run)
        if RunDirectory(as_path(specification.output)).manifest.exists():
            return Outcome(exit_code=0)
        raise
    return _outcome(dashboard, submission, progress)


def _await_answer(dashboard: Dashboard) -> None:
    """Wait for a cluster with a node that can do something: a new head answers before it has any."""
    end = time.monotonic() + ANSWER_SECONDS
    told = ""
    while True:
        try:
            dashboard.ray_version()
            if any(node.cpus for node in dashboard.nodes()) or time.monotonic() > end:
                return
            why = f"{dashboard.address} has no node with a CPU"
        except NoAnswer as error:
            if time.monotonic() > end:
                raise
            why = error.message
        if why != told:
            told = why
            _tell(f"waits: {why}")
        time.sleep(_POLL_SECONDS)


def _submit(address: str, specification: Specification, run: str) -> Submitted:
    try:
        return submit(address, specification, run, _tell)
    except UserError as error:
        if isinstance(error.__cause__, NoAnswer):
            raise error.__cause__ from error
        raise


def _outcome(dashboard: Dashboard, submission: str, progress: Progress) -> Outcome | None:
    """How it ended: by the driver's last word, else by the run directory and the state of the job."""
    if progress.state == "finished":
        return Outcome(exit_code=0)
    try:
        said = [report for report in reports_of(dashboard.logs(submission)) if report.exit_code]
    except NoAnswer:
        said = []
    if said and said[-1].exit_code != INTERRUPTED:
        return Outcome(exit_code=said[-1].exit_code, error=progress.error, message=said[-1].message)
    if progress.state == "failed":
        return Outcome(exit_code=progress.exit_code, error=progress.error, message=progress.message)
    return None


def _stop(dashboard: Dashboard, run: str) -> None:
    """End the job of a run, also one that was just being submitted. TransientError where that cannot be seen to."""
    end = time.monotonic() + STOP_SECONDS
    told: set[str] = set()
    quiet = 0
    while quiet < _QUIET_LOOKS:
        live = [job.submission for job in jobs_of(dashboard, run) if not job.has_ended]
        for submission in live:
            if submission not in told:
                dashboard.stop(submission)
                told.add(submission)
        quiet = 0 if live else quiet + 1
        if live and time.monotonic() > end:
            raise TransientError(
                f"job {live[0]} has not ended within {STOP_SECONDS:.0f} s", hint="`ray job stop` ends it"
            )
        time.sleep(_POLL_SECONDS)


@contextmanager
def _copied_log(dashboard: Dashboard, submission: str) -> Iterator[None]:
    """What the driver writes for people is written here too, while the job is followed and to its end."""
    ended = threading.Event()
    copied = 0

    def copy() -> None:
        nonlocal copied
        try:
            text = without_reports(dashboard.logs(submission))
        except (NoAnswer, UserError):
            return
        sys.stdout.write(text[copied:])
        sys.stdout.flush()
        copied = max(copied, len(text))

    def go_on() -> None:
        while not ended.wait(LOG_SECONDS):
            copy()

    thread = threading.Thread(target=go_on, name="log", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        copy()


def _pass_over(_event: Event) -> None:
    """The server reads the events of the run directory itself."""


def _tell(sentence: str) -> None:
    sys.stderr.write(f"curator: {sentence}\n")
    sys.stderr.flush()
