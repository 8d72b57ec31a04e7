"""Tells those who wait for a run, in the loop of the server, that something in it was changed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Notices:
    """Who waits for which run. `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, set[asyncio.Event]] = defaultdict(set)
        self.closing = False

    def open(self) -> None:
        """Belong to the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Let all go who wait: the server ends."""
        self.closing = True
        for events in self._waiting.values():
            for event in events:
                event.set()
        self._loop = None

    def tell(self, run: int) -> None:
        """A run was changed."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake, run)

    @contextmanager
    def wait_for(self, run: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever the run was changed; who waits clears it before looking."""
        event = asyncio.Event()
        self._waiting[run].add(event)
        try:
            yield event
        finally:
            self._waiting[run].discard(event)
            if not self._waiting[run]:
                del self._waiting[run]

    def count(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def _wake(self, run: int) -> None:
        for event in self._waiting.get(run, ()):
            event.set()
