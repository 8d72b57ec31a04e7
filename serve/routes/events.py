"""What happens in a run, as it happens: events, as a stream or page by page, and logs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Query, Request
from fastapi.responses import Response

from serve.context import PrincipalOf, ServiceOf
from serve.kinds import Kind
from serve.models import EventPage, Log
from serve.routing import Routes
from serve.streaming import answer_events, answer_log

ROUTES = Routes("events")

LastEvent = Annotated[str, Header(alias="Last-Event-ID", pattern="^[0-9]{1,18}$", description="go on after this event")]
After = Annotated[int, Query(ge=0, lt=2**62, description="the same, for pages")]
EventLimit = Annotated[int, Query(ge=1, le=1000, description="events of a page")]
AttemptNumber = Annotated[int | None, Query(ge=1, lt=2**31, description="the last one if not given")]
FirstByte = Annotated[int | None, Query(ge=0, lt=2**62, description="first byte; the end if not given")]
ByteLimit = Annotated[int, Query(ge=1, le=1 << 20, description="bytes")]

_LOG_PROBLEMS = ("log.missing", "range.invalid", "request.invalid")


@ROUTES.add(
    "GET",
    "/v1/runs/{run}/events",
    "read",
    model=EventPage,
    problems=("run.unknown", "request.invalid", "streams.exceeded", "service.busy"),
)
async def follow_events(
    run: str,
    request: Request,
    service: ServiceOf,
    principal: PrincipalOf,
    last_event_id: LastEvent = "0",
    after: After = 0,
    limit: EventLimit = 200,
) -> Response:
    """The events of a run from the first on: as server-sent events where `Accept` is `text/event-stream`, else a page.
    Ids are numbers that grow, so a stream that breaks off goes on with `Last-Event-ID`, without loss and without
    repeats. It ends with an event `end` when the run has ended."""
    return await answer_events(service, Kind.RUN, run, principal, request, max(after, int(last_event_id)), limit)


@ROUTES.add("GET", "/v1/runs/{run}/logs", "read", model=Log, problems=("run.unknown", *_LOG_PROBLEMS))
def read_log(
    run: str,
    service: ServiceOf,
    attempt: AttemptNumber = None,
    begin: FirstByte = None,
    limit: ByteLimit = 65_536,
) -> Log:
    """What an attempt wrote for people: a range of it, its end if no beginning is given."""
    found = service.run(run)
    return answer_log(service, found.id, attempt or found.attempt, begin, limit)


@ROUTES.add(
    "GET",
    "/v1/trainings/{training}/events",
    "read",
    model=EventPage,
    problems=("training.unknown", "request.invalid", "streams.exceeded", "service.busy"),
)
async def follow_training_events(
    training: str,
    request: Request,
    service: ServiceOf,
    principal: PrincipalOf,
    last_event_id: LastEvent = "0",
    after: After = 0,
    limit: EventLimit = 200,
) -> Response:
    """The events of a training, as those of a run. Of its later steps there is one every two seconds."""
    return await answer_events(
        service, Kind.TRAINING, training, principal, request, max(after, int(last_event_id)), limit
    )


@ROUTES.add("GET", "/v1/trainings/{training}/logs", "read", model=Log, problems=("training.unknown", *_LOG_PROBLEMS))
def read_training_log(
    training: str,
    service: ServiceOf,
    attempt: AttemptNumber = None,
    begin: FirstByte = None,
    limit: ByteLimit = 65_536,
) -> Log:
    """What an attempt of a training wrote for people, as that of a run."""
    found = service.training(training)
    return answer_log(service, found.id, attempt or found.attempt, begin, limit)
