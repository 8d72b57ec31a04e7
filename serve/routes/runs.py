"""Making runs, listing them, ending them, going on with them."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Header, Query, Response

from serve.context import PrincipalOf, ServiceOf, unknown_run
from serve.models import Run, RunDetails, RunPage, RunRequest
from serve.problems import ProblemError
from serve.routing import Routes
from serve.states import AskToCancel, CancelQueued, State
from serve.store.queries import Filter, list_runs
from serve.store.runs import Writer, is_output_in_use, run_model
from serve.store.tables import IdempotencyRow, RunRow
from serve.submission import check_run, request_digest
from serve.tokens import Principal

ROUTES = Routes("runs")

REPLAYED = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="the same key and body give the first answer again; the same key and another body are refused",
        examples=["crawl-2026-11"],
    ),
]


@ROUTES.add(
    "POST",
    "/v1/runs",
    "submit",
    status=202,
    model=Run,
    problems=(
        "request.invalid",
        "request.malformed",
        "request.too_large",
        "request.media_type",
        "run.refused",
        "recipe.invalid",
        "place.refused",
        "roots.missing",
        "run.output_in_use",
        "key.conflict",
    ),
)
def submit_run(
    request: RunRequest, service: ServiceOf, principal: PrincipalOf, response: Response, key: IdempotencyKey = None
) -> Run:
    """Make a run. It is looked at completely first, so one that is taken can begin; it then waits in the queue."""
    digest = request_digest(request)
    if key is not None:
        with service.runs.database.read() as session:
            first = _first_answer(session.get(IdempotencyRow, (principal.name, key)), digest)
        if first is not None:
            return _replay(first, response)
    if request.priority > 0 and not principal.may("admin"):
        raise ProblemError("token.scope", "a priority above 0 needs the scope admin")
    checked = check_run(request, service.settings)
    with service.runs.write() as writer:
        if key is not None:
            first = _first_answer(writer.session.get(IdempotencyRow, (principal.name, key)), digest)
            if first is not None:
                return _replay(first, response)
        other = is_output_in_use(writer.session, checked.output)
        if other is not None:
            raise ProblemError("run.output_in_use", f"run {other} works in {checked.output}", hint="choose another")
        row = writer.create(request, checked.recipe.name, checked.output, principal.name)
        run = run_model(row, writer.attempt_of(row))
        if key is not None:
            answer = run.model_dump(mode="json")
            writer.session.add(
                IdempotencyRow(owner=principal.name, key=key, digest=digest, answer=answer, created=time.time())
            )
    response.headers["Location"] = f"/v1/runs/{run.id}"
    return run


@ROUTES.add("GET", "/v1/runs", "read", model=RunPage, problems=("request.invalid",))
def list_all_runs(
    service: ServiceOf,
    state: Annotated[list[State] | None, Query(description="in one of these states")] = None,
    label: Annotated[
        list[str] | None, Query(description="with this label: NAME=VALUE", examples=[["team=web"]])
    ] = None,
    owner: Annotated[str | None, Query(max_length=64, description="made by this token")] = None,
    created_after: Annotated[float | None, Query(description="made at this time or later")] = None,
    created_before: Annotated[float | None, Query(description="made before this time")] = None,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> RunPage:
    """Runs, the newest first. Pages do not shift when runs are added."""
    labels: dict[str, str] = {}
    for given in label or ():
        name, equals, value = given.partition("=")
        if not equals:
            raise ProblemError("request.invalid", f"label {given!r} is not of the form NAME=VALUE")
        labels[name] = value
    chosen = Filter(tuple(state or ()), owner, labels, created_after, created_before)
    with service.runs.database.read() as session:
        runs, following = list_runs(session, chosen, None if cursor is None else int(cursor), limit)
    return RunPage(runs=tuple(runs), next=None if following is None else str(following))


@ROUTES.add("GET", "/v1/runs/{run}", "read", model=RunDetails, problems=("run.unknown", "request.invalid"))
def show_run(run: str, service: ServiceOf) -> RunDetails:
    """A run, with what was asked, its attempts and its history."""
    found = service.runs.details(run)
    if found is None:
        raise unknown_run(run)
    return found


@ROUTES.add(
    "POST",
    "/v1/runs/{run}/cancel",
    "submit",
    status=202,
    model=Run,
    problems=("run.unknown", "run.ended", "request.invalid", "request.media_type"),
)
def cancel_run(run: str, service: ServiceOf, principal: PrincipalOf) -> Run:
    """End a run. It is `cancelled` when its process has ended; what was finished stays, and `resume` goes on with it.
    To ask again changes nothing."""
    with service.runs.write() as writer:
        row = _own_run(writer, run, principal)
        state = State(row.state)
        if state.is_terminal:
            raise ProblemError("run.ended", f"it is {state}")
        attempt = writer.attempt_of(row)
        if state == State.QUEUED:
            writer.take(row, row.attempt, CancelQueued(), principal.name)
        elif state != State.CANCELLING and writer.take(row, row.attempt, AskToCancel(), principal.name):
            attempt.ask = "user"
        found = run_model(row, attempt)
    service.runner.wake()
    return found


@ROUTES.add(
    "POST",
    "/v1/runs/{run}/resume",
    "submit",
    status=202,
    model=Run,
    problems=(
        "run.unknown",
        "run.ended",
        "run.not_ended",
        "run.output_in_use",
        "request.invalid",
        "request.media_type",
    ),
)
def resume_run(run: str, service: ServiceOf, principal: PrincipalOf) -> Run:
    """Go on with a run that failed, was cancelled or lost, in another attempt. What was finished is not done again."""
    with service.runs.write() as writer:
        row = _own_run(writer, run, principal)
        state = State(row.state)
        if state == State.SUCCEEDED:
            raise ProblemError("run.ended", "it has succeeded: there is nothing to go on with")
        if not state.is_terminal:
            raise ProblemError("run.not_ended", f"it is {state}")
        other = is_output_in_use(writer.session, row.output)
        if other is not None:
            raise ProblemError("run.output_in_use", f"run {other} works in {row.output}")
        attempts = RunRequest.model_validate(row.request).attempts
        writer.try_again(row, "resumed", principal.name, attempts - 1)
        return run_model(row, writer.attempt_of(row))


def _own_run(writer: Writer, id: str, principal: Principal) -> RunRow:  # noqa: A002 (as users call it)
    """A run that this token may change. ProblemError otherwise."""
    row = writer.run(id)
    if row is None:
        raise unknown_run(id)
    if row.owner != principal.name and not principal.may("admin"):
        raise ProblemError("token.scope", f"the run belongs to {row.owner}; others need the scope admin")
    return row


def _first_answer(row: IdempotencyRow | None, digest: str) -> Run | None:
    if row is None:
        return None
    if row.digest != digest:
        raise ProblemError("key.conflict", "another request had this key", hint="use a key for one request alone")
    return Run.model_validate(row.answer)


def _replay(first: Run, response: Response) -> Run:
    response.headers["Location"] = f"/v1/runs/{first.id}"
    response.headers[REPLAYED] = "true"
    return first
