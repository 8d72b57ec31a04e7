"""`curator runs … --server` and `curator submit --server`: the runs of a service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from curator.cli.output import counted, print_json, print_line, print_note, print_table
from curator.cli.process import show_progress
from curator.errors import INTERRUPTED, Stopped, TransientError, UserError
from curator.validation import first_problem

if TYPE_CHECKING:
    from serve.client import Client
    from serve.models import Run

TOKEN_VARIABLE = "CURATOR_TOKEN"  # noqa: S105 (a name)

_ONE_LINE = "`curator tokens create` prints a token, in one line"

LISTED = 200
"""Runs that a list shows."""
ID_DIGITS = 12
"""Of the id of a run, which are hexadecimal."""


@dataclass(frozen=True)
class Remote:
    """A service, and where its token is; the environment has it if no file is given."""

    server: str
    token_file: Path | None


@dataclass(frozen=True)
class Submission:
    """A run to be made, as the command line says it. `recipe` is a packaged one's name, or a file."""

    inputs: Sequence[str]
    output: str
    recipe: str
    overlay: Path | None
    overrides: Sequence[str]
    workers: int | None
    memory_bytes: int | None
    key: str | None


def remote_list(remote: Remote, as_json: bool) -> None:
    """List the runs of a service, the newest first."""
    with client_of(remote) as client:
        found = list(client.runs(most=LISTED))
    if as_json:
        print_json([run.model_dump(mode="json") for run in found])
        return
    if not found:
        print_note("curator: the service has no run")
        return
    rows = [[run.id, run.recipe, run.state, _at(run), _time(run.created), run.owner, run.output] for run in found]
    print_table(["run", "recipe", "state", "phase", "submitted", "owner", "directory"], rows, left=7)


def remote_show(remote: Remote, run: str, as_json: bool) -> None:
    """Show a run of a service, and how it came to where it is."""
    with client_of(remote) as client:
        found = client.run(_find(client, run))
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    rows: list[list[object]] = [
        ["recipe", found.recipe],
        ["state", found.state],
        ["phase", _at(found)],
        ["attempt", found.attempt],
        ["error", ": ".join(filter(None, (found.error, found.message)))],
        ["directory", found.output],
        ["owner", found.owner],
        ["submitted", _time(found.created)],
        ["labels", ", ".join(f"{name}={value}" for name, value in found.labels.items())],
    ]
    print_table(["run", found.id], [row for row in rows if row[1] != ""], left=2)
    print_line()
    changes = [[_time(each.time), each.attempt, each.after, each.why, each.actor] for each in found.history]
    print_table(["time", "attempt", "state", "why", "by"], changes, left=5)


def remote_logs(remote: Remote, run: str, size: int, as_json: bool) -> None:
    """Print the end of what the last attempt of a run wrote."""
    with client_of(remote) as client:
        log = client.log(_find(client, run), limit=size)
    if as_json:
        print_json(log.model_dump(mode="json"))
        return
    if log.begin:
        print_note(f"curator: the last {log.end - log.begin:,} of {log.bytes:,} bytes")
    print_line(log.text.rstrip("\n"))


def remote_cancel(remote: Remote, run: str, as_json: bool) -> None:
    """End a run of a service; returns when it has ended."""
    with client_of(remote) as client:
        found = client.wait(client.cancel(_find(client, run)).id)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_note(f"curator: run {found.id} {_stands(found)}")


def remote_resume(remote: Remote, run: str, max_error_rate: float | None, wait: bool, as_json: bool) -> None:
    """Go on with a run of a service, where given with another `max_error_rate`."""
    with client_of(remote) as client:
        _tell(client, client.resume(_find(client, run), max_error_rate), wait, as_json)


def _find(client: Client, given: str) -> str:
    """The id that is given, or that of the only run whose id begins so, as `curator runs` finds those of a cluster.
    UserError where there is more than one; one that nothing begins with is the service's to refuse."""
    if not given or len(given) >= ID_DIGITS:
        return given
    found = [run.id for run in client.runs() if run.id.startswith(given.lower())]
    if len(found) > 1:
        raise UserError(f"{given!r} is more than one run: {', '.join(found)}", hint="give more of the id")
    return found[0] if found else given


def remote_submit(remote: Remote, submission: Submission, wait: bool, as_json: bool) -> None:
    """Make a run on a service; places are as the service sees them."""
    with client_of(remote) as client:
        from pydantic import ValidationError

        from serve.models import RunRequest

        given = {
            "inputs": [os.path.abspath(place) if "://" not in place else place for place in submission.inputs],  # noqa: PTH100 (links stay as they are called)
            "output": submission.output,
            "recipe": _recipe(submission.recipe),
            "overrides": list(submission.overrides),
            **({} if submission.overlay is None else {"overlay": _overlay(submission.overlay)}),
            **({} if submission.workers is None else {"workers": submission.workers}),
            **({} if submission.memory_bytes is None else {"memory": submission.memory_bytes}),
        }
        try:
            request = RunRequest.model_validate(given)
        except ValidationError as error:
            raise UserError(first_problem(error), hint="see `curator submit --help`") from error
        _tell(client, client.submit(request, submission.key), wait, as_json)


@contextmanager
def client_of(remote: Remote, timeout_s: float | None = None, tries: int | None = None) -> Iterator[Client]:
    """A client with the token of `remote`; the limits of its requests are its own where none are given. UserError where
    there is no token, or none of the packages."""
    from importlib.util import find_spec

    if find_spec("httpx2") is None:
        raise UserError("--server needs httpx2", hint="pip install 'curator-corpora[serve]'")
    from serve.client import TIMEOUT_S, TRIES, Client, ServiceRefusalError

    token = _token(remote)
    with Client(remote.server, token, timeout_s=timeout_s or TIMEOUT_S, tries=tries or TRIES) as client:
        try:
            yield client
        except ServiceRefusalError as error:
            if error.code == "run.unknown":  # the service hints at its route
                error.hint = f"`curator runs list --server {remote.server}` lists them"
            raise


def _token(remote: Remote) -> str:
    file = remote.token_file
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise UserError("no token is given", hint=f"set {TOKEN_VARIABLE}, or give --token-file")
        return token
    try:
        token = file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise UserError(f"the token cannot be read: {error.strerror}", file=str(file)) from error
    except UnicodeDecodeError as error:
        raise UserError("holds no token: not ASCII", file=str(file), hint=_ONE_LINE) from error
    if not token:
        raise UserError("holds no token: it is empty", file=str(file), hint=_ONE_LINE)
    return token


def _recipe(given: str) -> str | dict[str, object]:
    """The name of a packaged recipe, which the service reads; or the recipe of a file here."""
    import yaml

    from curator.recipe import load_recipe, packaged_recipes

    if given in packaged_recipes():
        return given
    load_recipe(given)  # an error names the line in the file
    loaded: dict[str, object] = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
    return loaded


def _overlay(path: Path) -> dict[str, str]:
    """An overlay as it is sent: the name of its file, and what stands in it."""
    from curator.recipe.load import load_overlay

    load_overlay(path)  # an error names the line in the file
    return {"name": path.name, "text": path.read_text(encoding="utf-8")}


def _tell(client: Client, run: Run, wait: bool, as_json: bool) -> None:
    if not wait:
        if as_json:
            print_json(run.model_dump(mode="json"))
        else:
            print_note(f"curator: run {run.id} is {run.state}")
            print_line(run.id)
        return
    print_note(f"curator: run {run.id} is {run.state}")
    try:
        _follow(client, run, as_json)
    except KeyboardInterrupt:
        ending = f"end it with `curator runs cancel {run.id}`"
        raise Stopped(f"no longer waiting; run {run.id} goes on; {ending}") from None
    found = client.run(run.id)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        said = f": {found.message}" if found.message else ""
        print_note(f"curator: run {found.id} {_stands(found)}{said}")
        if found.state.value == "succeeded":
            _print_outcome(client, found)
    code = exit_code_of(found)
    if code:
        raise SystemExit(code)


def _stands(run: Run) -> str:
    """The state of a run as the end of a sentence."""
    return f"{'has' if run.state.value in ('succeeded', 'failed') else 'is'} {run.state}"


def _print_outcome(client: Client, run: Run) -> None:
    """What came of a run that has succeeded, as `curator process` tells it, and where it is on the server."""
    from curator.run.tally import FAILED, IN, KEPT

    funnel = client.funnel(run.id)
    read, failed, kept = (funnel.all[event].documents if event in funnel.all else 0 for event in (IN, FAILED, KEPT))
    unread = f" ({counted(failed, 'record')} could not be read)" if failed else ""
    print_line(f"{counted(read, 'document')} in{unread}, {kept:,} kept")
    for warning in funnel.warnings:
        print_line(f"note: {warning}")
    print_line(f"directory: {run.output}")


def _follow(client: Client, run: Run, as_json: bool) -> None:
    progress = show_progress(as_json=as_json)
    try:
        for event in client.events(run.id):
            if event.origin == "run":
                progress({"kind": event.kind, "time": event.time, **event.fields})
    finally:
        progress.close()


def exit_code_of(run: Run) -> int:
    """What the command line ends with for a run that has ended: 0 for succeeded, 130 for cancelled, 75 for lost, and
    for failed the code of what failed."""
    codes = {"succeeded": 0, "cancelled": INTERRUPTED, "lost": TransientError.exit_code}
    return codes.get(run.state.value, run.exit_code or TransientError.exit_code)


def _at(run: Run) -> str:
    progress = run.progress
    return f"[{progress.number}/{progress.phases}] {progress.phase}" if progress.phase else ""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
