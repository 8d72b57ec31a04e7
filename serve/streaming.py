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
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from serve.context import Service
from serve.feed import Part, encode, event_text
from serve.gate import token_of
from serve.kinds import Kind
from serve.models import Log, StoredEvent
from serve.problems import ProblemError
from serve.runner.task import LOG
from serve.settings import attempt_folder
from serve.states import State
from serve.store.queries import events_after, state_of

STREAM = "text/event-stream"

BATCH = 500
ALIVE_SECONDS = 15.0
CHECK_SECONDS = 5.0
"""How often at most a stream asks whether its token is still good."""
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
        texts = ",".join(map(event_text, events))
        body = f'{{"events":[{texts}],"next":{events[-1].id if events else begin}}}'
        return Response(body, media_type="application/json")
    if service.feed.count() >= service.settings.limits.streams:
        raise ProblemError("service.busy", "as many streams as it may have", headers={"Retry-After": "10"})
    token = token_of(request.headers.get("authorization", "")) or ""
    stream = _stream(service, number, begin, token)
    return StreamingResponse(stream, media_type=STREAM, headers={"X-Accel-Buffering": "no"})


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


def _is_good(service: Service, token: str) -> bool:
    """Whether a token is good that was so before; a store that does not answer is asked again later."""
    try:
        return service.tokens.find(token) is not None
    except (DBAPIError, PoolTimeout):
        return True


async def _stream(service: Service, number: int, after: int, token: str) -> AsyncIterator[bytes]:
    checked = time.monotonic()
    with service.feed.follow(number) as (channel, more):
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        while not service.feed.closing:
            if time.monotonic() - checked > CHECK_SECONDS:
                if not await to_thread.run_sync(_is_good, service, token):
                    return  # who connects again is told why
                checked = time.monotonic()
            more.clear()
            part = channel.beyond(after)
            if part is None:
                floor = channel.floor or 0
                state, events = await to_thread.run_sync(_look, service, number, after, BATCH)
                is_all = len(events) < BATCH
                # All that the channel does not have was committed before this look.
                until = max(events[-1].id if events else after, floor if is_all else 0)
                part = Part(b"".join(map(encode, events)), until, state if state.is_terminal and is_all else None)
            else:
                is_all = True
            after = part.until
            if part.data:
                yield part.data
            if part.ended is not None:
                yield f"event: end\ndata: {json.dumps({'state': part.ended})}\n\n".encode()
                return
            if not is_all:
                continue
            try:
                await asyncio.wait_for(more.wait(), ALIVE_SECONDS)
            except TimeoutError:
                yield b": alive\n\n"
