"""Events as a stream or page by page, and logs in ranges, of whatever kind of work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import Receive, Scope, Send

from serve.context import Service
from serve.feed import Channel, Part, encode, event_text
from serve.gate import token_of
from serve.kinds import Kind
from serve.models import Log, StoredEvent
from serve.problems import ProblemError
from serve.runner.task import LOG
from serve.settings import attempt_folder
from serve.states import State
from serve.store.queries import events_after, state_of
from serve.tokens import Principal

STREAM = "text/event-stream"

BATCH = 500
ALIVE_SECONDS = 15.0
CHECK_SECONDS = 5.0
"""How often at most a stream asks whether its token is still good."""
COME_AGAIN = {"Retry-After": "10"}
"""When there may be room for another stream."""
RETRY_MILLISECONDS = 2000
"""How long a client waits before it connects again."""


async def answer_events(
    service: Service,
    kind: Kind,
    id: str,  # noqa: A002 (as users call it)
    principal: Principal,
    request: Request,
    begin: int,
    limit: int,
) -> Response:
    """The events after `begin`: a stream where that is asked for, else a page. ProblemError where there is no such
    work; a stream says itself whether there is room for it."""
    number = await to_thread.run_sync(service.number, kind, id)
    if STREAM not in request.headers.get("accept", ""):
        _, events = await to_thread.run_sync(_look, service, number, begin, limit)
        texts = ",".join(map(event_text, events))
        body = f'{{"events":[{texts}],"next":{events[-1].id if events else begin}}}'
        return Response(body, media_type="application/json")
    secret = token_of(request.headers.get("authorization", "")) or ""
    return _EventStream(service, number, begin, principal.token, secret)


class _EventStream(Response):
    """The stream of what happens beyond an event. It has its place from the moment that it is sent until that ends,
    however it does: no other stream can come between the look whether there is room and the taking of it."""

    media_type = STREAM

    def __init__(self, service: Service, number: int, after: int, token: str, secret: str) -> None:
        super().__init__()
        self._service = service
        self._number = number
        self._after = after
        self._token = token
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. ProblemError, before anything is sent, where there are as many streams as there may be."""
        _need_room(self._service, self._token)
        with self._service.feed.follow(self._number, self._token) as (channel, more):
            follower = _Follower(self._service, self._number, self._secret, channel, more)
            async with aclosing(follower.parts(self._after)) as parts:
                sent = StreamingResponse(parts, media_type=STREAM, headers={"X-Accel-Buffering": "no"})
                await sent(scope, receive, send)


def _need_room(service: Service, token: str) -> None:
    limits = service.settings.limits
    if service.feed.count_of(token) >= limits.streams_per_token:
        raise ProblemError(
            "streams.exceeded",
            f"this token has {limits.streams_per_token} open, and may have no more",
            hint="end one, or ask for pages of events",
            headers=COME_AGAIN,
        )
    if service.feed.count() >= limits.streams:
        raise ProblemError("service.busy", "as many streams as it may have", headers=COME_AGAIN)


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


@dataclass(frozen=True)
class _Follower:
    """Who follows a run: where there is news of it (`channel`, `more`), and the token that has to stay good."""

    service: Service
    number: int
    secret: str
    channel: Channel
    more: asyncio.Event

    async def parts(self, after: int) -> AsyncGenerator[bytes]:
        """What is sent, piece by piece."""
        checked = time.monotonic()
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        while not self.service.feed.closing:
            if time.monotonic() - checked > CHECK_SECONDS:
                if not await to_thread.run_sync(_is_good, self.service, self.secret):
                    return  # who connects again is told why
                checked = time.monotonic()
            self.more.clear()
            part = self.channel.beyond(after)
            if part is None:
                floor = self.channel.floor or 0
                state, events = await to_thread.run_sync(_look, self.service, self.number, after, BATCH)
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
                await asyncio.wait_for(self.more.wait(), ALIVE_SECONDS)
            except TimeoutError:
                yield b": alive\n\n"
