"""`curator runs`: the runs that were submitted from here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from curator.cli.output import counted, print_json, print_line, print_note, print_table
from curator.cluster.dashboard import Dashboard, NoAnswer, SubmittedJob
from curator.cluster.records import RunRecord, find_record, read_records
from curator.cluster.state import Progress, progress_of, sees
from curator.errors import DataError, TransientError, UserError

CANCEL_SECONDS = 60.0
"""How long a job may take to end; Ray kills its driver after three seconds."""

_POLL_SECONDS = 0.2

_Row = tuple[RunRecord, Progress, SubmittedJob | None, bool]
"""A run, how far it is, its job where Ray tells, and whether Ray answers."""


def runs_list_command(as_json: bool) -> None:
    """List the runs, the last one first, and name those that cannot be read."""
    records = read_records()
    unreadable = list(records.damaged.values())
    rows: list[_Row] = []
    silent: set[str] = set()
    for record in records.runs:
        try:
            rows.append((record, *_look(record, silent)))
        except DataError as error:
            unreadable.append(error)
    if as_json:
        print_json([_values(record, progress, job, answers) for record, progress, job, answers in rows])
    elif rows:
        _print_runs(rows)
    elif not unreadable:
        print_note("no run was submitted from here; `curator submit` does that")
    for found in unreadable:
        print_note(f"curator: {found}")
    if unreadable:
        raise SystemExit(DataError.exit_code)


def _print_runs(rows: Sequence[_Row]) -> None:
    table = [
        [
            record.id,
            record.specification.recipe.name,
            progress.state,
            _at(progress),
            _time(record.submitted),
            record.specification.output,
        ]
        for record, progress, _, _ in rows
    ]
    print_table(["run", "recipe", "state", "phase", "submitted", "directory"], table, left=6)


def runs_show_command(run: str, as_json: bool) -> None:
    """Show how far a run is."""
    record = find_record(run)
    progress, job, answers = _look(record, set())
    if answers:
        from curator.cluster.follow import with_last_word

        progress = with_last_word(progress, Dashboard(record.address), record.submission)
    if as_json:
        print_json(_values(record, progress, job, answers))
        return
    unseen = "" if sees(record.directory) else " (not seen from here)"
    cluster = "does not answer" if not answers else "has no such job any more" if job is None else job.status.lower()
    rows: list[list[object]] = [
        ["recipe", record.specification.recipe.name],
        ["state", progress.state],
        ["phase", _at(progress)],
        ["attempt", progress.attempt or ""],
        ["last event", _time(progress.changed)],
        ["error", " ".join(filter(None, (progress.error and f"{progress.error}:", progress.message)))],
        ["directory", f"{record.specification.output}{unseen}"],
        ["cluster", record.address],
        ["job", f"{record.submission}: {cluster}"],
        ["submitted", _time(record.submitted)],
    ]
    print_table(["run", record.id], [row for row in rows if row[1] != ""], left=2)


def runs_logs_command(run: str, size: int, as_json: bool) -> None:
    """Print the end of what the driver of a run wrote, at most `size` bytes of it."""
    from curator.cluster.job import without_reports

    record = find_record(run)
    dashboard = Dashboard(record.address)
    log = dashboard.logs(record.submission)
    if not log and (job := dashboard.job(record.submission)) is not None and job.has_ended:
        print_note("curator: Ray cannot read the log, which lies on the node where the driver ran")
    data = without_reports(log).encode()
    tail = data[-size:]
    text = tail.decode(errors="ignore")
    if as_json:
        print_json({"id": record.id, "bytes": len(data), "from": len(data) - len(tail), "text": text})
        return
    if len(tail) < len(data):
        print_note(f"curator: the last {len(tail):,} of {len(data):,} bytes")
    print_line(text.rstrip("\n"))


def runs_cancel_command(run: str, as_json: bool) -> None:
    """End a run; returns when its job has ended."""
    record = find_record(run)
    dashboard = Dashboard(record.address)
    job = dashboard.job(record.submission)
    if job is None:
        raise UserError(
            f"{record.address} has no job for run {record.id}", hint="it was started anew? nothing runs there"
        )
    # A job ends a moment after its run.
    was_running = not job.has_ended and progress_of(record.directory, job).state != "finished"
    if was_running:
        dashboard.stop(record.submission)
        job = _await_end(dashboard, record)
    progress = progress_of(record.directory, job)
    if as_json:
        print_json({**_values(record, progress, job, answers=True), "was_running": was_running})
        return
    said = "is cancelled" if was_running else f"was not running: it is {progress.state}"
    go_on = "" if progress.state == "finished" else f"; go on with it with `curator runs resume {record.id}`"
    print_note(f"curator: run {record.id} {said}{go_on}")


def runs_resume_command(run: str, max_error_rate: float | None, wait: bool, as_json: bool) -> None:
    """Submit a run again, to go on where it stopped, where given with another `max_error_rate`."""
    from curator.cli.submit import submit_and_tell
    from curator.cluster.submit import renew

    record = find_record(run)
    specification = renew(record.specification, max_error_rate)
    submit_and_tell(record.address, specification, record.id, install=record.install, wait=wait, as_json=as_json)


def _await_end(dashboard: Dashboard, record: RunRecord) -> SubmittedJob:
    end = time.monotonic() + CANCEL_SECONDS
    while time.monotonic() < end:
        job = dashboard.job(record.submission)
        if job is not None and job.has_ended:
            return job
        time.sleep(_POLL_SECONDS)
    raise TransientError(
        f"run {record.id} has not ended within {CANCEL_SECONDS:.0f} s", hint="try again, or look at the head's log"
    )


def _look(record: RunRecord, silent: set[str]) -> tuple[Progress, SubmittedJob | None, bool]:
    """How far a run is, its job where Ray tells, and whether Ray answers. An address in `silent` is not asked."""
    if record.address in silent:
        return progress_of(record.directory), None, False
    try:
        job = Dashboard(record.address).job(record.submission)
    except NoAnswer:
        silent.add(record.address)
        return progress_of(record.directory), None, False
    return progress_of(record.directory, job), job, True


def _values(record: RunRecord, progress: Progress, job: SubmittedJob | None, answers: bool) -> dict[str, object]:
    return {
        "id": record.id,
        "recipe": record.specification.recipe.name,
        "run": record.specification.output,
        "address": record.address,
        "submission": record.submission,
        "submitted": record.submitted,
        "cluster_answers": answers,
        "job": None if job is None else job.status,
        **asdict(progress),
    }


def _at(progress: Progress) -> str:
    if not progress.phase:
        return ""
    tasks = f", {counted(progress.tasks, 'task')} done" if progress.tasks else ""
    return f"[{progress.number}/{progress.phases}] {progress.phase}{tasks}"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
