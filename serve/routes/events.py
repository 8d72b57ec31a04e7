"""What happens in a run, as it happens: events, as a stream or page by page, and logs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from fastapi import Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from serve.context import Service, ServiceOf, unknown_run
from serve.models import EventPage, Log, StoredEvent
from serve.problems import ProblemError
from serve.routing import Routes
from serve.runner.task import LOG
from serve.settings import attempt_folder
from serve.store.queries import events_after, run_number

ROUTES = Routes("events")

STREAM = "text/event-stream"

BATCH = 500
LOOK_SECONDS = 5.0
"""A stream looks into the store at least so often: another server of the same store may have written."""
ALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
"""How long a client waits before it connects again."""


@ROUTES.add(
    "GET", "/v1/runs/{run}/events", "read", model=EventPage, problems=("run.unknown", "request.invalid", "service.busy")
)
async def follow_events(
    run: str,
    request: Request,
    service: ServiceOf,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", pattern="^[0-9]{1,18}$", description="go on after this event")
    ] = None,
    after: Annotated[int, Query(ge=0, lt=2**62, description="the same, for pages")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="events of a page")] = 200,
) -> Response:
    """The events of a run from the first on: as server-sent events where `Accept` is `text/event-stream`, else a page.
    Ids are numbers that grow, so a stream that breaks off goes on with `Last-Event-ID`, without loss and without
    repeats. It ends with an event `end` when the run has ended."""
    begin = max(after, int(last_event_id or 0))
    number = await to_thread.run_sync(_number, service, run)
    if STREAM not in request.headers.get("accept", ""):
        events = await to_thread.run_sync(_read, service, number, begin, limit)
        page = EventPage(events=tuple(events), next=events[-1].id if events else begin)
        return Response(page.model_dump_json(), media_type="application/json")
    if service.notices.count() >= service.settings.limits.streams:
        raise ProblemError("service.busy", "as many streams as it may have", headers={"Retry-After": "10"})
    return StreamingResponse(
        _stream(service, run, number, begin), media_type=STREAM, headers={"X-Accel-Buffering": "no"}
    )


@ROUTES.add(
    "GET",
    "/v1/runs/{run}/logs",
    "read",
    model=Log,
    problems=("run.unknown", "log.missing", "range.invalid", "request.invalid"),
)
def read_log(
    run: str,
    service: ServiceOf,
    attempt: Annotated[int | None, Query(ge=1, lt=2**31, description="the last one if not given")] = None,
    begin: Annotated[int | None, Query(ge=0, lt=2**62, description="first byte; the end if not given")] = None,
    limit: Annotated[int, Query(ge=1, le=1 << 20, description="bytes")] = 65_536,
) -> Log:
    """What an attempt wrote for people: a range of it, its end if no beginning is given."""
    found = service.run(run)
    number = found.attempt if attempt is None else attempt
    path = attempt_folder(service.settings.state, found.id, number) / LOG
    try:
        size, from_, data = _read_range(path, begin, limit)
    except FileNotFoundError:
        raise ProblemError("log.missing", f"attempt {number} has written nothing here") from None
    return Log(attempt=number, bytes=size, begin=from_, end=from_ + len(data), text=data.decode(errors="replace"))


def _read_range(path: Path, begin: int | None, limit: int) -> tuple[int, int, bytes]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        place = max(0, size - limit) if begin is None else begin
        if place > size:
            raise ProblemError("range.invalid", f"it has {size} bytes")
        file.seek(place)
        return size, place, file.read(limit)


def _number(service: Service, run: str) -> int:
    with service.runs.database.read() as session:
        number = run_number(session, run)
    if number is None:
        raise unknown_run(run)
    return number


def _read(service: Service, number: int, after: int, limit: int) -> list[StoredEvent]:
    with service.runs.database.read() as session:
        return events_after(session, number, after, limit)


async def _stream(service: Service, run: str, number: int, after: int) -> AsyncIterator[bytes]:
    with service.notices.wait_for(number) as changed:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        said = time.monotonic()
        while not service.notices.closing:
            changed.clear()
            # Asked before the events are read: the transition to a terminal state is among them.
            state = (await to_thread.run_sync(service.run, run)).state
            events = await to_thread.run_sync(_read, service, number, after, BATCH)
            if events:
                yield b"".join(_sent(event) for event in events)
                after, said = events[-1].id, time.monotonic()
                if len(events) == BATCH:
                    continue
            if state.is_terminal:
                yield f"event: end\ndata: {json.dumps({'state': state})}\n\n".encode()
                return
            try:
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                if time.monotonic() - said > ALIVE_SECONDS:
                    said = time.monotonic()
                    yield b": alive\n\n"


def _sent(event: StoredEvent) -> bytes:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n".encode()
