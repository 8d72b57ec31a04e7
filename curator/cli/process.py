"""`curator process`: a run with its progress, and the funnel at its end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from curator.arrow_alone import keep_pandas_out
from curator.cli.funnel import print_funnel
from curator.cli.interrupt import stopping
from curator.cli.memory import parse_memory
from curator.cli.output import counted, one_line, print_json, print_line, print_note
from curator.collector import loading
from curator.engine.cluster import Cluster
from curator.errors import AGAIN
from curator.recipe import load_with_origins
from curator.run.directory import RunDirectory
from curator.run.driver import Request, run
from curator.run.error_rate import BY_COMMAND, Resuming
from curator.run.events import Event
from curator.run.failures import Failures, describe_failures, failures_of
from curator.run.funnel import funnel_json, tally_of
from curator.sizes import format_size
from curator.storage.path import as_path

MEMORY_BYTES = 4_000_000_000
"""What a run on this machine may use when nothing else is said."""

_PLAIN_SECONDS = 10.0


def process_command(
    inputs: Sequence[str],
    output: str,
    recipe: str,
    overlay: Path | None,
    workers: int,
    memory: str | None,
    overrides: Sequence[str],
    resume: bool,
    keep_work: bool,
    ray: str | None,
    as_json: bool,
    resuming: Resuming = BY_COMMAND,
) -> None:
    """Run a recipe on files of this machine, here or on the Ray cluster at the address `ray`. `resuming` tells
    how whoever asked goes on."""
    memory_bytes = None if memory is None else parse_memory(memory)
    with loading():
        loaded, origins = load_with_origins(recipe, overrides, overlay)
        keep_pandas_out()
    request = Request(
        inputs=tuple(inputs),
        output=as_path(output),
        recipe=loaded,
        workers=workers or len(os.sched_getaffinity(0)),
        memory_bytes=MEMORY_BYTES if memory_bytes is None else memory_bytes,
        resume=resume,
        keep_work=keep_work,
        origins=origins,
        cluster=None if ray is None else Cluster(ray, workers or None, memory_bytes),
        resuming=resuming,
    )
    progress = show_progress(as_json=as_json)
    started = time.monotonic()
    try:
        with stopping(f"what was finished is kept in {output}: to go on, {resuming.again[AGAIN]}"):
            outcome = run(request, [progress])
    finally:
        progress.close()
    seconds = time.monotonic() - started
    directory = outcome.directory
    failures = failures_of(directory.failed)
    if failures:
        print_note(_tell(failures, directory))
    if as_json:
        print_json(
            {
                "run": str(directory.root),
                "seconds": round(seconds, 3),
                "resumed": outcome.resumed,
                "was_finished": outcome.was_finished,
                "report": str(directory.report),
                "fingerprint": outcome.manifest["fingerprint"],
                "funnel": funnel_json(outcome.manifest),
                "failed": [{"code": found.code, "file": found.file, "records": found.records} for found in failures],
                "warnings": outcome.manifest["warnings"],
            }
        )
        return
    if outcome.was_finished:
        print_note("this run was finished already; its files are as they were written")
    print_funnel(outcome.manifest)
    tally = tally_of(outcome.manifest)
    size = tally.events().get("in", (0, 0, 0))[2]
    print_line()
    if not outcome.was_finished:
        print_line(f"{format_size(size)} of text in {seconds:.1f} s ({format_size(size / max(seconds, 1e-9))}/s)")
    for warning in cast("list[str]", outcome.manifest["warnings"]):
        print_line(f"note: {warning}")
    if directory.shards.exists():
        print_line(f"shards: {directory.shards}")
    print_line(f"report: {directory.report}")


def _tell(failures: Sequence[Failures], directory: RunDirectory) -> str:
    """What could not be read, where, and what to do, in one line."""
    records = sum(found.records for found in failures)
    noun = "record" if records == 1 else "records"
    advice = failures[0].meaning.advice
    hint = f"{advice}; the rest was processed, and {directory.failed} lists {'it' if records == 1 else 'them'}"
    return f"curator: {records:,} {noun} could not be read: {describe_failures(failures)} ({hint})"


def show_progress(*, as_json: bool) -> _Bar | _Lines:
    """A listener that shows the progress of a run on standard error, until it is closed."""
    return _Bar() if sys.stderr.isatty() and not as_json else _Lines()


def _skipped(event: Event) -> list[str]:
    """What `run.started` says of files that are not read; runs of earlier versions, which are followed too, say
    nothing."""
    return cast("list[str]", event.get("skipped", []))


class _Lines:
    """Plain lines, for a log: one a phase, and one every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._done = 0

    def __call__(self, event: Event) -> None:
        if event["kind"] == "run.started":
            for line in _skipped(event):
                print_note(f"curator: {line}")
        elif event["kind"] == "phase.started":
            number = cast("int", event["index"]) + 1
            print_note(f"[{number}/{event['phases']}] {event['phase']}")
            self._done = 0
        elif event["kind"] == "task.done":
            self._done += 1
            if time.monotonic() - self._last > _PLAIN_SECONDS:
                self._last = time.monotonic()
                print_note(f"      {counted(self._done, 'task')} done")

    def close(self) -> None:
        """Nothing to undo."""


class _Bar:
    """A progress bar on a terminal: phase, bytes or tasks, rate, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, rate="")
        self._progress.start()
        self._total = 0
        self._read = 0
        self._tasks = 0
        self._previous = 0
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event["kind"] == "run.started":
            self._total = cast("int", event["bytes"])
            for line in _skipped(event):
                text = one_line(f"curator: {line}")
                self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif event["kind"] == "phase.started":
            number = cast("int", event["index"]) + 1
            description = f"[{number}/{event['phases']}] {event['phase']}"[:60]
            reading = event["phase"] == "read" or str(event["phase"]).startswith("read ")
            self._previous = max(self._previous, self._tasks)
            total = self._total if reading else self._previous or None
            self._tasks = 0
            self._read = 0
            self._started = time.monotonic()
            self._progress.reset(self._task, description=description, total=total, rate="")
        elif event["kind"] == "task.done":
            self._tasks += 1
            consumed = event["consumed"]
            if isinstance(consumed, int):
                self._read = max(self._read, consumed)  # tasks end in any order
                rate = self._read / max(time.monotonic() - self._started, 1e-9)
                self._progress.update(self._task, completed=self._read, rate=f"{format_size(rate)}/s")
            else:
                self._progress.update(self._task, completed=self._tasks, rate=f"{self._tasks} tasks")

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()
