"""Making trainings on the shards of finished runs, listing them, ending them, going on with them; their losses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from curator.training import TrainingConfig
from serve.context import PrincipalOf, ServiceOf, unknown_training
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
from serve.routing import Routes
from serve.store.trainings import curve_of, list_trainings, training_details, training_model
from serve.submission import Checked, check_training
from serve.training_models import Curve, Training, TrainingDetails, TrainingPage, TrainingRequest

ROUTES = Routes("trainings")

TRAININGS = Lifecycle(Kind.TRAINING, "/v1/trainings", Training, TrainingRequest, training_model, unknown_training)


@ROUTES.add(
    "POST",
    "/v1/trainings",
    "submit",
    status=202,
    model=Training,
    problems=(
        "request.invalid",
        "request.malformed",
        "request.too_large",
        "request.media_type",
        "training.refused",
        "run.unknown",
        "run.not_finished",
        "run.damaged",
        "place.refused",
        "roots.missing",
        "run.output_in_use",
        "webhook.refused",
        "key.conflict",
    ),
)
def submit_training(
    request: TrainingRequest,
    service: ServiceOf,
    principal: PrincipalOf,
    response: Response,
    key: IdempotencyKey = None,
) -> Training:
    """Train a model on the shards of runs that have succeeded. It waits in the same queue as runs."""

    def check() -> Checked:
        checked = check_training(request, service.settings, [service.run(run) for run in request.runs])
        for run in request.runs:
            service.finished(run)
        return checked

    return TRAININGS.submit(request, service, principal, response, key, check)


@ROUTES.add("GET", "/v1/trainings", "read", model=TrainingPage, problems=("request.invalid",))
def list_all_trainings(
    service: ServiceOf,
    state: StatesQuery = None,
    label: LabelsQuery = None,
    owner: OwnerQuery = None,
    created_after: AfterQuery = None,
    created_before: BeforeQuery = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> TrainingPage:
    """Trainings, the newest first."""
    chosen = make_filter(state, label, owner, created_after, created_before)
    with service.runs.database.read() as session:
        found, following = list_trainings(session, chosen, None if cursor is None else int(cursor), limit)
    return TrainingPage(trainings=tuple(found), next=None if following is None else str(following))


@ROUTES.add("GET", "/v1/trainings/schema", "read", media_type="application/schema+json")
def show_training_schema() -> Response:
    """The JSON schema of the configuration of a training."""
    return JSONResponse(TrainingConfig.model_json_schema(), media_type="application/schema+json")


@ROUTES.add(
    "GET",
    "/v1/trainings/{training}",
    "read",
    model=TrainingDetails,
    problems=("training.unknown", "request.invalid"),
)
def show_training(training: str, service: ServiceOf) -> TrainingDetails:
    """A training, with what was asked, its attempts and its history."""
    with service.runs.database.read() as session:
        found = training_details(session, training)
    if found is None:
        raise unknown_training(training)
    return found


@ROUTES.add(
    "GET", "/v1/trainings/{training}/curve", "read", model=Curve, problems=("training.unknown", "request.invalid")
)
def show_curve(
    training: str,
    service: ServiceOf,
    points: Annotated[int, Query(ge=1, le=5000, description="points of steps at most")] = 400,
) -> Curve:
    """The losses of a training by step, so far."""
    number = service.number(Kind.TRAINING, training)
    with service.runs.database.read() as session:
        return curve_of(session, number, points)


@ROUTES.add(
    "POST",
    "/v1/trainings/{training}/cancel",
    "submit",
    status=202,
    model=Training,
    problems=("training.unknown", "training.ended", "request.invalid", "request.media_type"),
)
def cancel_training(training: str, service: ServiceOf, principal: PrincipalOf) -> Training:
    """End a training after the step that it is in, with a checkpoint; `resume` goes on from there."""
    return TRAININGS.cancel(training, service, principal)


@ROUTES.add(
    "POST",
    "/v1/trainings/{training}/resume",
    "submit",
    status=202,
    model=Training,
    problems=(
        "training.unknown",
        "training.ended",
        "training.not_ended",
        "run.output_in_use",
        "request.invalid",
        "request.media_type",
    ),
)
def resume_training(training: str, service: ServiceOf, principal: PrincipalOf) -> Training:
    """Go on with a training that failed, was cancelled or lost, from its last checkpoint, in another attempt."""
    return TRAININGS.resume(training, service, principal)
