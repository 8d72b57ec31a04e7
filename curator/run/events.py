"""The event log of a run: what the command line, the REST stream and the web page read.

Events go into numbered pieces (`events/000001.jsonl`), each put whole, at least every 2 seconds while there is
something to say. Every event carries (attempt, seq): an attempt is one start of the run, seq counts its events from 1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from curator.errors import DataError
from curator.run.store import put
from curator.storage.path import AnyPath, StoragePath

PIECE_SECONDS = 2.0

_SUFFIX = ".jsonl"
_NAMED = {"attempt", "seq", "time", "kind"}
"""What every event has."""

Event = Mapping[str, object]
Listener = Callable[[Event], None]


class EventLog:
    """Writes the events of one attempt, and hands each to the listeners at once."""

    def __init__(self, folder: AnyPath, listeners: tuple[Listener, ...] = ()) -> None:
        self._folder = folder
        self._listeners = listeners
        self._pending: list[bytes] = []
        self._seq = 0
        pieces = _pieces(folder)
        last = _read_piece(pieces[-1]) if pieces else ()  # attempts rise from piece to piece
        self.attempt = 1 + max((_number(event["attempt"]) for event in last), default=0)
        self._piece = int(pieces[-1].stem) if pieces else 0
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
        put(self._folder / _name(self._piece), b"\n".join(self._pending) + b"\n")
        self._pending.clear()
        self._last_put = time.monotonic()


def read_events(folder: AnyPath) -> list[dict[str, object]]:
    """All events of a run, in order."""
    return list(iterate_events(folder))


def iterate_events(folder: AnyPath) -> Iterator[dict[str, object]]:
    """The events of a run, in order, each piece read when it is needed."""
    for path in _pieces(folder):
        yield from _read_piece(path)


class EventReader:
    """Reads a run's events as they come, those after the piece `last`, all without it."""

    def __init__(self, folder: AnyPath, last: str = "") -> None:
        self._folder = folder
        self._last = last

    def read(self) -> Iterator[Event]:
        """The events that were put since the last call, in order."""
        for _, events in self.read_pieces():
            yield from events

    def read_pieces(self) -> Iterator[tuple[str, Sequence[Event]]]:
        """The same by pieces: the name of each, and what it holds."""
        if not self._last:
            for path in _pieces(self._folder):
                self._last = path.name
                yield path.name, list(_read_piece(path))
            return
        # Asked for by its number: to list the folder takes the longer the more there are.
        while (found := _next_piece(self._folder, self._last)) is not None:
            self._last = found[0]
            yield found


def _pieces(folder: AnyPath) -> Sequence[AnyPath]:
    if isinstance(folder, StoragePath):
        return [folder / _name(number) for number in range(1, _last_piece(folder) + 1)]
    return sorted(folder.glob("[0-9]*.jsonl")) if folder.is_dir() else []


def _next_piece(folder: AnyPath, last: str) -> tuple[str, Sequence[Event]] | None:
    name = _name(int(last.removesuffix(_SUFFIX)) + 1)
    try:
        return name, list(_read_piece(folder / name))
    except FileNotFoundError:
        return None


def _last_piece(folder: StoragePath) -> int:
    """The number of the last piece, 0 where there is none. They are put one after the other, so this can be asked of
    the objects themselves, in few requests, and no listing decides it."""
    there, beyond = 0, 1
    while (folder / _name(beyond)).is_file():
        there, beyond = beyond, 2 * beyond
    while beyond - there > 1:
        middle = (there + beyond) // 2
        if (folder / _name(middle)).is_file():
            there = middle
        else:
            beyond = middle
    return there


def _name(number: int) -> str:
    return f"{number:06d}{_SUFFIX}"


def _read_piece(path: AnyPath) -> Iterator[dict[str, object]]:
    """The events of a piece. DataError where it holds something else."""
    for line in path.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError as error:
            raise _damaged(path) from error
        if not isinstance(event, dict) or not event.keys() >= _NAMED:
            raise _damaged(path)
        yield event


def _damaged(path: AnyPath) -> DataError:
    return DataError("is no piece of an event log", file=str(path), hint="remove it: no result of a run rests on it")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
