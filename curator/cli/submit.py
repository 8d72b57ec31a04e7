"""`curator submit`: a run on a Ray cluster, from wherever its dashboard can be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from curator.cli.funnel import print_funnel
from curator.cli.memory import parse_memory
from curator.cli.output import print_json, print_line, print_note
from curator.cluster.records import RunRecord
from curator.cluster.specification import Specification
from curator.cluster.state import Progress, sees
from curator.cluster.submit import Submitted
from curator.errors import Stopped, UserError
from curator.run.funnel import funnel_json

_UNSEEN = "is not seen from here; where it was removed, --resume makes it anew"


def submit_command(
    inputs: Sequence[str],
    output: str,
    recipe: str,
    overlay: Path | None,
    overrides: Sequence[str],
    address: str | None,
    workers: int,
    memory: str | None,
    key: str | None,
    resume: bool,
    install: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Submit a recipe on files that the nodes of a cluster see."""
    if address is None:
        raise UserError("nothing is named that shall do the work", hint="--address of a Ray cluster, or --server")
    from curator.cluster.dashboard import Dashboard, cluster_address
    from curator.cluster.submit import check_ray, make_specification, run_id
    from curator.recipe import load_with_origins

    _check_key(key)
    memory_bytes = None if memory is None else parse_memory(memory)
    place = cluster_address(address)
    check_ray(Dashboard(place))  # before anything that takes time
    loaded, origins = load_with_origins(recipe, overrides, overlay)
    specification = make_specification(inputs, output, loaded, origins, workers or None, memory_bytes, resume=resume)
    submit_and_tell(place, specification, run_id(specification, key), install=install, wait=wait, as_json=as_json)


def submit_to_server(
    inputs: Sequence[str],
    output: str,
    recipe: str,
    overlay: Path | None,
    overrides: Sequence[str],
    server: str,
    token_file: Path | None,
    address: str | None,
    workers: int,
    memory: str | None,
    key: str | None,
    resume: bool,
    install: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Submit a recipe on files that a service sees. UserError for an option that says nothing to a service."""
    from curator.cli.remote import Remote, Submission, remote_submit

    for name, given in (
        ("--address", address is not None),
        ("--resume", resume),
        ("--install", install),
    ):
        if given:
            hint = "`curator runs resume ID --server URL` goes on with a run" if name == "--resume" else "leave it out"
            raise UserError(f"{name} does not go with --server", hint=hint)
    _check_key(key)
    memory_bytes = None if memory is None else parse_memory(memory)
    submission = Submission(inputs, output, recipe, overlay, overrides, workers or None, memory_bytes, key)
    remote_submit(Remote(server, token_file), submission, wait, as_json)


def _check_key(key: str | None) -> None:
    """UserError for an empty key, as of a variable that is not set: all submissions with it would be one run."""
    if key is not None and not key.strip():
        raise UserError("--key is empty", hint="give a text that no other run has, or leave it out")


def submit_and_tell(
    address: str, specification: Specification, run: str, *, install: bool, wait: bool, as_json: bool
) -> None:
    """Submit, say what came of it and, with `wait`, follow the run to its end and exit as it did."""
    from curator.cluster.submit import BEGIN_SECONDS, submit

    # Who waits for the run waits for its beginning too: a busy cluster may have no CPU for it for hours.
    begin_seconds = math.inf if wait else BEGIN_SECONDS
    try:
        submitted = submit(address, specification, run, _tell, install=install, begin_seconds=begin_seconds)
        if not wait:
            _print_submitted(submitted, as_json)
            return
        _note(submitted)
        progress = _wait(submitted, as_json)
    except KeyboardInterrupt:
        looking = f"look at it with `curator runs show {run}`, end it with `curator runs cancel {run}`"
        raise Stopped(f"no longer waiting; run {run} goes on where it has begun; {looking}") from None
    _print_end(submitted.record, progress, as_json)
    if progress.exit_code:
        raise SystemExit(progress.exit_code)


def _wait(submitted: Submitted, as_json: bool) -> Progress:
    from curator.cli.process import show_progress
    from curator.cluster.follow import follow

    if submitted.standing == "finished":
        return Progress("finished")
    progress = show_progress(as_json=as_json)
    try:
        return follow(submitted.record, submitted.attempt, progress, _tell)
    finally:
        progress.close()


def _tell(sentence: str) -> None:
    print_note(f"curator: {sentence}")


def _note(submitted: Submitted) -> None:
    record = submitted.record
    said = {
        "began": f"run {record.id} has begun on {record.address}",
        "waiting": f"run {record.id} waits in {record.address}; it may still be refused",
        "running before": f"this run was submitted already: {record.id}",
        "finished": f"run {record.id} is finished already",
    }
    _tell(said[submitted.standing])
    if submitted.standing == "finished" and not sees(record.directory):
        _tell(f"{record.directory} {_UNSEEN}")


def _print_submitted(submitted: Submitted, as_json: bool) -> None:
    record = submitted.record
    if as_json:
        print_json({**_described(record), "standing": submitted.standing})
        return
    _note(submitted)
    print_line(record.id)


def _described(record: RunRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "run": record.specification.output,
        "address": record.address,
        "submission": record.submission,
    }


def _print_end(record: RunRecord, progress: Progress, as_json: bool) -> None:
    from curator.run.directory import RunDirectory
    from curator.run.manifest import load_manifest

    directory = RunDirectory(record.directory)
    manifest = load_manifest(directory.manifest) if sees(directory.manifest) else None
    if as_json:
        values: Mapping[str, object] = {
            **_described(record),
            "state": progress.state,
            "error": progress.error,
            "message": progress.message,
            "fingerprint": manifest["fingerprint"] if manifest else None,
            "funnel": funnel_json(manifest) if manifest else None,
            "warnings": manifest["warnings"] if manifest else [],
        }
        print_json(values)
        return
    if progress.state != "finished":
        what = progress.message or f"it has {'been ' if progress.state == 'stopped' else ''}{progress.state}"
        go_on = "look at it" if progress.state == "unknown" else "go on with it"
        command = "show" if progress.state == "unknown" else "resume"
        _tell(f"run {record.id}: {what}; {go_on} with `curator runs {command} {record.id}`")
        return
    if manifest is None:
        _tell(f"run {record.id} is finished; {directory.root} {_UNSEEN}")
        return
    print_funnel(manifest)
    print_line()
    for warning in cast("list[str]", manifest["warnings"]):
        print_line(f"note: {warning}")
    print_line(f"shards: {directory.shards}")
    print_line(f"report: {directory.report}")
