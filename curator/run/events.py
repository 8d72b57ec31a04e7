"""The event log of a run: what the command line, the REST stream and the web page read.

Events go into numbered pieces (`events/000001.jsonl`), each put whole, at least every 2 seconds while there is
something to say. Every event carries (attempt, seq): an attempt is one start of the run, seq counts its events from 1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from curator.run.store import put

PIECE_SECONDS = 2.0

Event = Mapping[str, object]
Listener = Callable[[Event], None]


class EventLog:
    """Writes the events of one attempt, and hands each to the listeners at once."""

    def __init__(self, folder: Path, listeners: tuple[Listener, ...] = ()) -> None:
        self._folder = folder
        self._listeners = listeners
        self._pending: list[bytes] = []
        self._seq = 0
        existing = read_events(folder)
        self.attempt = 1 + max((_number(event["attempt"]) for event in existing), default=0)
        self._piece = max((int(path.stem) for path in _pieces(folder)), default=0)
        self._last_put = time.monotonic()

    def emit(self, kind: str, **fields: object) -> None:
        """Note one event: its `kind`, the time, and its fields (JSON values without any content of documents)."""
        self._seq += 1
        event: dict[str, object] = {
            "attempt": self.attempt,
            "seq": self._seq,
            "time": time.time(),
            "kind": kind,
            **fields,
        }
        self._pending.append(json.dumps(event, ensure_ascii=False).encode())
        for listener in self._listeners:
            listener(event)
        self.tick()

    def tick(self) -> None:
        """Put a piece when the last one is old enough."""
        if self._pending and time.monotonic() - self._last_put >= PIECE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put what is pending."""
        if not self._pending:
            return
        self._piece += 1
        put(self._folder / f"{self._piece:06d}.jsonl", b"\n".join(self._pending) + b"\n")
        self._pending.clear()
        self._last_put = time.monotonic()


def read_events(folder: Path) -> list[dict[str, object]]:
    """All events of a run, in order."""
    return [event for path in _pieces(folder) for event in _read_piece(path)]


class EventReader:
    """Reads a run's events as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = ""

    def read(self) -> Iterator[Event]:
        """The events that were put since the last call, in order."""
        for path in _pieces(self._folder):
            if path.name > self._last:
                self._last = path.name
                yield from _read_piece(path)


def _pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl")) if folder.is_dir() else []


def _read_piece(path: Path) -> Iterator[dict[str, object]]:
    for line in path.read_bytes().splitlines():
        yield json.loads(line)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
