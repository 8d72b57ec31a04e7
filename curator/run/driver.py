"""One execution of a recipe: where it may run, what an attempt before left there, and what it came to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from curator.engine.cluster import Cluster
from curator.errors import AGAIN, CuratorError, TransientError, UserError, rewording
from curator.readers.detect import describe_skipped, take_inventory
from curator.recipe.model import Recipe
from curator.recipe.overlay import Origins
from curator.run import fingerprint
from curator.run.checks import check_place, check_quotes, check_recipe
from curator.run.directory import RunDirectory, RunLock
from curator.run.error_rate import BY_COMMAND, Resuming
from curator.run.events import Event, EventLog, iterate_events
from curator.run.execution import START_AGAIN, Execution, client_bytes
from curator.run.manifest import Manifest, load_manifest
from curator.run.memory import workers_within
from curator.run.verify import verify
from curator.storage.path import AnyPath, as_path
from curator.storage.refused import storage_error


@dataclass(frozen=True)
class Request:
    """What to run, where, and with how much of the machine. Where a Ray cluster is given, that says with how much.
    `resuming` is how whoever asked goes on after an error."""

    inputs: tuple[str, ...]
    output: AnyPath
    recipe: Recipe
    workers: int = 1
    memory_bytes: int = 4_000_000_000
    resume: bool = False
    keep_work: bool = False
    origins: Origins | None = None
    cluster: Cluster | None = None
    resuming: Resuming = BY_COMMAND


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    directory: RunDirectory
    manifest: Manifest
    resumed: bool = False
    was_finished: bool = False


def run(request: Request, listeners: Sequence[Callable[[Event], None]] = ()) -> Outcome:
    """Execute a recipe. Raises UserError, DataError (too many failed records) or TransientError (see
    `curator.errors`)."""
    with rewording(request.resuming.again):
        try:
            return _run(request, listeners)
        except OSError as error:
            raise _refused(error, request) from error


def _refused(error: OSError, request: Request) -> CuratorError:
    return storage_error(error, as_path(str(error.filename or request.output)))


def _run(request: Request, listeners: Sequence[Callable[[Event], None]]) -> Outcome:
    pipeline = check_recipe(request.recipe)
    if request.cluster is None:
        limit = request.recipe.input.max_document_bytes
        workers = workers_within(request.workers, request.memory_bytes, limit, client_bytes(request))
        request = replace(request, workers=workers)
    directory = RunDirectory(request.output)
    check_place(directory, request.inputs)
    inventory = take_inventory(request.inputs, request.recipe.input.format)
    files = list(inventory.files)
    check_quotes("input.quotes", request.recipe.input.quotes, files)
    here = fingerprint.components(pipeline, files)
    directory = directory.with_identity(fingerprint.digest(here))
    if directory.is_used() and not request.resume:
        raise UserError(
            "the output is not empty",
            file=str(directory.root),
            hint=f"choose another, or {AGAIN}",
        )
    begun = _previous(directory)
    before = None if begun is None else cast("fingerprint.Components", begun["fingerprint"])
    origins = None if request.origins is None else request.origins.model_dump(mode="json")
    if begun is not None and before is not None:
        _compare(before, here, directory)
        origins = cast(
            "dict[str, object] | None", begun["origins"]
        )  # the values are the same: those who gave them stand
    elif directory.is_used():
        raise UserError("is not a run directory", file=str(directory.root), hint="choose another output")
    if directory.manifest.exists():
        return _finished(directory, request)
    directory.create()
    with RunLock(directory) as lock, contextlib.ExitStack() as stack:
        stack.callback(directory.release)
        if before is None and directory.is_used():
            raise UserError("another process began a run here meanwhile", file=str(directory.root), hint=START_AGAIN)
        if directory.manifest.exists():  # another process finished it while this one waited to look
            return _finished(directory, request)
        directory.sweep()
        log = EventLog(directory.events, (lock.check, *listeners))
        size = sum(file.size for file in files)
        log.emit(
            "run.started",
            recipe=request.recipe.name,
            fingerprint=here,
            origins=origins,
            files=len(files),
            bytes=size,
            skipped=describe_skipped(inventory.skipped),
        )
        log.flush()
        execution: Execution | None = None
        try:
            execution = Execution(request, pipeline, files, directory, log, here, origins)
            manifest = execution.execute()
        except BaseException as error:
            if execution is not None:
                execution.executor.close(kill=True)
            with contextlib.suppress(TransientError, UserError):  # a full disk must not hide what happened
                told = _refused(error, request) if isinstance(error, OSError) else error
                again = request.resuming.again
                said = str(told.reword(again)) if isinstance(told, CuratorError) else None  # no content of documents
                log.emit("run.stopped", error=type(told).__name__, message=said)
                log.flush()
            if isinstance(error, UserError) and before is None and lock.is_held:
                with contextlib.suppress(TransientError, UserError):
                    directory.remove_unless_begun()
            raise
        execution.executor.close()
        log.emit("run.finished", fingerprint=manifest["fingerprint"])
        log.flush()
    return Outcome(directory, manifest, resumed=before is not None)


def _finished(directory: RunDirectory, request: Request) -> Outcome:
    """The outcome of a run that is finished already. DataError when its files are not as they were written."""
    verify(directory).raise_if_wrong(directory)
    if not request.keep_work:
        directory.remove_work()
    return Outcome(directory, load_manifest(directory.manifest), resumed=True, was_finished=True)


def _previous(directory: RunDirectory) -> Event | None:
    """With what the run in this directory was started."""
    return next((event for event in iterate_events(directory.events) if event["kind"] == "run.started"), None)


def _compare(before: fingerprint.Components, now: fingerprint.Components, directory: RunDirectory) -> None:
    changed = fingerprint.differences(before, json.loads(json.dumps(now)))
    if changed:
        raise UserError(
            f"this run was started with something else: {'; '.join(changed)}",
            file=str(directory.root),
            hint="undo the change, or run into another directory",
        )
