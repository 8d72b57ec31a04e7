"""Making runs, listing them, ending them, going on with them."""

from __future__ import annotations

from functools import partial

from fastapi import Response

from serve.context import PrincipalOf, ServiceOf, unknown_run
from serve.kinds import Kind
from serve.lifecycle import IdempotencyKey, Lifecycle
from serve.listing import (
    AfterQuery,
    BeforeQuery,
    CursorQuery,
    LabelsQuery,
    LimitQuery,
    OwnerQuery,
    StatesQuery,
    make_filter,
)
from serve.models import ResumeRequest, Run, RunDetails, RunPage, RunRequest
from serve.routing import Routes
from serve.store.runs import run_model
from serve.submission import allow_failures, check_run

ROUTES = Routes("runs")

RUNS = Lifecycle(Kind.RUN, "/v1/runs", Run, RunRequest, run_model, unknown_run)


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
        "package.failed",
        "place.refused",
        "roots.missing",
        "run.output_in_use",
        "webhook.refused",
        "key.conflict",
        "service.busy",
        "storage.unavailable",
    ),
)
def submit_run(
    request: RunRequest, service: ServiceOf, principal: PrincipalOf, response: Response, key: IdempotencyKey = None
) -> Run:
    """Make a run. It is looked at completely first, so one that is taken can begin; it then waits in the queue."""
    return RUNS.submit(
        request, service, principal, response, key, lambda: check_run(request, service.settings, service.guard)
    )


@ROUTES.add("GET", "/v1/runs", "read", model=RunPage, problems=("request.invalid",))
def list_all_runs(
    service: ServiceOf,
    state: StatesQuery = None,
    label: LabelsQuery = None,
    owner: OwnerQuery = None,
    created_after: AfterQuery = None,
    created_before: BeforeQuery = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """Runs, the newest first. Pages do not shift when runs are added."""
    chosen = make_filter(state, label, owner, created_after, created_before)
    with service.runs.database.look() as connection:
        texts, following = service.shown.page(connection, chosen, None if cursor is None else int(cursor), limit)
    told = "null" if following is None else f'"{following}"'
    return Response(f'{{"runs":[{",".join(texts)}],"next":{told}}}', media_type="application/json")


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
    return RUNS.cancel(run, service, principal)


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
        "request.malformed",
        "request.too_large",
        "request.media_type",
    ),
)
def resume_run(run: str, service: ServiceOf, principal: PrincipalOf, changes: ResumeRequest | None = None) -> Run:
    """Go on with a run that failed, was cancelled or lost, in another attempt. What was finished is not done again.
    After too many failed records it goes on with a larger `max_error_rate`."""
    rate = None if changes is None else changes.max_error_rate
    return RUNS.resume(run, service, principal, None if rate is None else partial(allow_failures, rate=rate))
