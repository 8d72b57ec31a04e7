"""Hands what was committed to all streams: however many follow, one question is put to the store, and each event is
encoded once.

Ids of events grow in the order in which they are seen (`serve.store.database`). So a look at the store that goes from
the newest id of the last look to the newest of all has passed over nothing, and a stream that is as far as a channel
needs to look no more itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from serve.models import StoredEvent
from serve.states import State

MOST_EVENTS = 1000
"""So many are read at once, and so many of a run are kept for those who follow it."""
LOOK_SECONDS = 5.0
"""The store is looked at so often where nobody says that something was changed: another server may have written."""
PAUSE_SECONDS = 0.05
"""Between two looks: what is committed close together is read together."""
FAILED_SECONDS = 1.0

CHANGED = "state.changed"

News = tuple[int, list[tuple[int, StoredEvent]]]
"""The newest id of all, and the events of some runs up to it: (run, event)."""

Read = Callable[[int, Collection[int]], News]
"""Reads the events of these runs that are beyond an id, at most MOST_EVENTS."""

_log = logging.getLogger("curator.serve")


@dataclass(frozen=True)
class Part:
    """A part of a stream, encoded, which reaches up to the id `until`. `ended` is the state with which the run has
    ended, where the last that was heard of it is that."""

    data: bytes
    until: int
    ended: State | None


@dataclass
class Channel:
    """What is known of a run that somebody follows: its events beyond the id `floor`, which is None at first."""

    floor: int | None = None
    waiting: set[asyncio.Event] = field(default_factory=set)
    _events: deque[StoredEvent] = field(default_factory=deque)
    _encoded: deque[bytes] = field(default_factory=deque)

    def add(self, event: StoredEvent) -> None:
        """Take in the next event; the oldest goes where there are many."""
        self._events.append(event)
        self._encoded.append(encode(event))
        if len(self._events) > MOST_EVENTS:
            self.floor = self._events.popleft().id
            self._encoded.popleft()

    def beyond(self, after: int) -> Part | None:
        """What comes after an id; None where this does not go back so far."""
        if self.floor is None or after < self.floor:
            return None
        place = len(self._events)
        while place and self._events[place - 1].id > after:
            place -= 1
        found = [self._events[number] for number in range(place, len(self._events))]
        data = b"".join(self._encoded[number] for number in range(place, len(self._encoded)))
        return Part(data, found[-1].id if found else after, ended_with(found))

    def wake(self) -> None:
        """Let all look who wait."""
        for event in self.waiting:
            event.set()


class Feed:
    """The channels of the runs that are followed. Belongs to the loop of the server; only `tell` may be called from
    another thread."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._channels: dict[int, Channel] = {}
        self._changed = asyncio.Event()
        self._newest = 0
        self._open = 0
        self._open_by: Counter[str] = Counter()
        self.closing = False

    def open(self) -> None:
        """Belong to the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._look_on())

    @property
    def has_died(self) -> bool:
        """Whether it should look, and does not any more."""
        return self._task is not None and self._task.done() and not self.closing

    def close(self) -> None:
        """Let all go who wait: the server ends."""
        self.closing = True
        self._loop = None
        if self._task is not None:
            self._task.cancel()
        for channel in self._channels.values():
            channel.wake()

    def tell(self, run: int) -> None:
        """A run was changed."""
        loop = self._loop
        if run in self._channels and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._changed.set)

    @contextmanager
    def follow(self, run: int, token: str) -> Iterator[tuple[Channel, asyncio.Event]]:
        """The channel of a run, and an event that is set whenever there is more in it; who waits clears it before
        looking. It counts for the token until it is left."""
        more = asyncio.Event()
        self._open += 1
        self._open_by[token] += 1
        channel = self._channels.setdefault(run, Channel())
        channel.waiting.add(more)
        self._changed.set()
        try:
            yield channel, more
        finally:
            self._open -= 1
            self._open_by[token] -= 1
            if not self._open_by[token]:
                del self._open_by[token]
            channel.waiting.discard(more)
            if not channel.waiting:
                del self._channels[run]

    def count(self) -> int:
        """How many follow; any thread may ask."""
        return self._open

    def count_of(self, token: str) -> int:
        """How many follow with a token."""
        return self._open_by[token]

    async def _look_on(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                if not self._channels:
                    continue
            self._changed.clear()
            try:
                await self._look()
            except (DBAPIError, PoolTimeout) as error:
                _log.warning("the store does not answer: %s", type(error).__name__)
                self._changed.set()
                await asyncio.sleep(FAILED_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        known = {run: channel for run, channel in self._channels.items() if channel.floor is not None}
        newest, events = await to_thread.run_sync(self._read, self._newest, list(known))
        woken: dict[int, Channel] = {}
        for run, event in events:
            known[run].add(event)
            woken[run] = known[run]
        for run, channel in self._channels.items():
            if channel.floor is None:  # it is new: what is beyond this look comes with the next
                channel.floor = newest
                woken[run] = channel
        if len(events) == MOST_EVENTS:
            self._newest = events[-1][1].id
            self._changed.set()
        else:
            self._newest = newest
        for channel in woken.values():
            channel.wake()


def encode(event: StoredEvent) -> bytes:
    """An event as a stream has it. In ASCII: the name of a file may hold halves of surrogate pairs."""
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event_text(event)}\n\n".encode()


def event_text(event: StoredEvent) -> str:
    """An event as JSON."""
    return json.dumps(vars(event), separators=(",", ":"))


def ended_with(events: Collection[StoredEvent]) -> State | None:
    """The state with which a run has ended, if the last of these changes of its state is its end."""
    changes = [event for event in events if event.kind == CHANGED and event.origin == "service"]
    if not changes or not changes[-1].fields.get("final"):
        return None
    return State(str(changes[-1].fields["after"]))
