"""Events as a stream or page by page, and logs in ranges, of whatever kind of work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

from anyio import to_thread
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from serve.context import Service
from serve.kinds import Kind
from serve.models import EventPage, Log, StoredEvent
from serve.problems import ProblemError
from serve.runner.task import LOG
from serve.settings import attempt_folder
from serve.states import State
from serve.store.queries import events_after, state_of

STREAM = "text/event-stream"

BATCH = 500
LOOK_SECONDS = 5.0
"""A stream looks into the store at least so often: another server of the same store may have written."""
ALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
"""How long a client waits before it connects again."""


async def answer_events(
    service: Service,
    kind: Kind,
    id: str,  # noqa: A002 (as users call it)
    request: Request,
    begin: int,
    limit: int,
) -> Response:
    """The events after `begin`: a stream where that is asked for, else a page. ProblemError where there is no such
    work, or as many streams as there may be."""
    number = await to_thread.run_sync(service.number, kind, id)
    if STREAM not in request.headers.get("accept", ""):
        _, events = await to_thread.run_sync(_look, service, number, begin, limit)
        page = EventPage(events=tuple(events), next=events[-1].id if events else begin)
        return Response(page.model_dump_json(), media_type="application/json")
    if service.notices.count() >= service.settings.limits.streams:
        raise ProblemError("service.busy", "as many streams as it may have", headers={"Retry-After": "10"})
    return StreamingResponse(_stream(service, number, begin), media_type=STREAM, headers={"X-Accel-Buffering": "no"})


def answer_log(service: Service, id: str, attempt: int, begin: int | None, limit: int) -> Log:  # noqa: A002 (as users call it)
    """A range of what an attempt wrote, its end without a `begin`. ProblemError where there is no such range."""
    path = attempt_folder(service.settings.state, id, attempt) / LOG
    try:
        size, from_, data = _read_range(path, begin, limit)
    except FileNotFoundError:
        raise ProblemError("log.missing", f"attempt {attempt} has written nothing here") from None
    return Log(attempt=attempt, bytes=size, begin=from_, end=from_ + len(data), text=data.decode(errors="replace"))


def _read_range(path: Path, begin: int | None, limit: int) -> tuple[int, int, bytes]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        place = max(0, size - limit) if begin is None else begin
        if place > size:
            raise ProblemError("range.invalid", f"it has {size} bytes")
        file.seek(place)
        return size, place, file.read(limit)


def _look(service: Service, number: int, after: int, limit: int) -> tuple[State, list[StoredEvent]]:
    """The state, and the next events. It is asked first: the transition to a terminal state is among the events."""
    with service.runs.database.read() as session:
        state = state_of(session, number)
        return state, events_after(session, number, after, limit)


async def _stream(service: Service, number: int, after: int) -> AsyncIterator[bytes]:
    with service.notices.wait_for(number) as changed:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        said = time.monotonic()
        while not service.notices.closing:
            changed.clear()
            state, events = await to_thread.run_sync(_look, service, number, after, BATCH)
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
