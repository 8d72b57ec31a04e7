"""The runner: one thread of the server that moves attempts along.

Each turn it looks at the attempts that it answers for: takes in their events, renews their leases, tells those to end
that should, and settles those whose process has ended. Then it takes from the queue what there is room for. What it
knows stands in the store and in the folders of attempts, so a server that is killed at any point is followed by one
that goes on from there: processes that live are adopted, others settled, and none is started twice, since a process
holds the lock of its attempt for as long as it lives.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from curator.errors import INTERRUPTED, CuratorError, TransientError, UserError
from curator.run.events import Event, EventReader
from curator.run.store import OWNER_ONLY, make_folder, put
from curator.validation import first_problem
from serve.folds import Fold
from serve.runner.choose import choose_next
from serve.runner.process import WorkerProcess
from serve.runner.task import Outcome
from serve.runner.work import WORK, Work
from serve.settings import Settings, attempt_folder
from serve.states import (
    AskToCancel,
    Begin,
    Cancel,
    Fail,
    Launch,
    Lose,
    State,
    Succeed,
    Transition,
)
from serve.store.queries import expired, waiting, working_by_owner
from serve.store.runs import Ended, RunStore, Writer
from serve.store.tables import AttemptRow, RunRow

TURN_SECONDS = 0.25
LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0
SILENT_SECONDS = 120.0
"""A process that lives and has not been heard of for so long is killed: it hangs, or its disk does."""
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Before another attempt, by how many there were; the last for all that follow."""

_log = logging.getLogger("curator.serve")


@dataclass
class _Watched:
    """What this process knows of an attempt that it watches."""

    process: WorkerProcess
    work: Work
    timeout_s: float | None
    reader: EventReader
    fold: Fold
    told: float | None = None

    def read_anew(self, run: RunRow) -> None:
        """Read the events from the beginning."""
        self.reader, self.fold = EventReader(self.work.events(run)), self.work.new_fold()


class Runner:
    """Moves the attempts of a store along, in a thread of its own."""

    def __init__(self, store: RunStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._watched: dict[tuple[int, int], _Watched] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._renewed = 0.0
        self._lock: int | None = None
        self._thread = threading.Thread(target=self._loop, name="runner", daemon=True)
        self.lease = ""
        self.turned = 0.0

    def start(self) -> None:
        """Take the state folder, and begin. UserError where another server has it."""
        state = make_folder(self._settings.state, OWNER_ONLY)
        self._lock = os.open(str(state), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                "another server works in this state folder", file=str(state), hint="give each its own with --state"
            ) from error
        self.lease = self._identity()
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Processes go on, and the next server of this state folder adopts them."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            os.close(self._lock)

    @property
    def is_alive(self) -> bool:
        """Whether the thread works."""
        return self._thread.is_alive()

    def wake(self, _run: int = 0) -> None:
        """Look now: something was changed."""
        self._wake.set()

    def _identity(self) -> str:
        """The name that leases have: that of the state folder, so that the next server of it knows them for its own."""
        path = self._settings.state / "id"
        if not path.exists():
            put(path, secrets.token_hex(8).encode())
        return path.read_text(encoding="ascii")

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.turn()
            except (DBAPIError, PoolTimeout) as error:
                _log.warning("the store does not answer: %s", type(error).__name__)
                busy = False
            except (OSError, TransientError) as error:
                _log.warning("cannot go on for now: %s", error)
                busy = False
            self.turned = time.time()
            self._wake.wait(TURN_SECONDS if busy else 4 * TURN_SECONDS)
            self._wake.clear()

    def turn(self) -> bool:
        """Do what there is to do now; whether there is more to watch."""
        active = self._store.active(self.lease)
        heartbeats: dict[tuple[int, int], float] = {}
        for run, attempt in active:
            watched = self._watch(run, attempt)
            alive = watched.process.is_alive()  # asked before the events are read: what it wrote last is among them
            self._take_in(run, attempt, watched)
            if alive:
                heartbeat = watched.process.heartbeat() or attempt.started or time.time()
                heartbeats[run.number, attempt.number] = heartbeat
                self._press(run, attempt, watched, heartbeat)
            else:
                self._settle(run, attempt, watched)
        self._renew(heartbeats)
        self._give_up_expired()
        while self._launch_next():
            pass
        return bool(active) or bool(self._watched)

    def _watch(self, run: RunRow, attempt: AttemptRow) -> _Watched:
        key = (run.number, attempt.number)
        if key not in self._watched:
            # Read from the beginning: what is in the store already is passed over, and shows how far the run is.
            folder = attempt_folder(self._settings.state, run.id, attempt.number)
            work, timeout_s = WORK[run.kind], cast("float | None", run.request["timeout_s"])
            self._watched[key] = _Watched(
                WorkerProcess(folder), work, timeout_s, EventReader(work.events(run)), work.new_fold()
            )
        return self._watched[key]

    def _take_in(self, run: RunRow, attempt: AttemptRow, watched: _Watched) -> None:
        """Take in what the run wrote since the last look. Where that fails, the next look reads all again."""
        is_done = False
        try:
            for piece, events in watched.reader.read_pieces():
                self._take_in_piece(run, attempt, watched, piece, events)
            is_done = True
        finally:
            if not is_done:
                watched.read_anew(run)

    def _take_in_piece(
        self, run: RunRow, attempt: AttemptRow, watched: _Watched, piece: str, events: Sequence[Event]
    ) -> None:
        for event in events:
            watched.fold.add(event)
        if piece <= run.piece:
            return
        began = any(event["kind"] == watched.work.FIRST for event in events)
        with self._store.write() as writer:
            row = _row(writer, run)
            writer.take_in(row, piece, watched.work.kept(events), watched.fold)
            if began and writer.attempt_of(row).state == State.STARTING:
                writer.take(row, attempt.number, Begin(watched.work.BEGAN))

    def _press(self, run: RunRow, attempt: AttemptRow, watched: _Watched, heartbeat: float) -> None:
        """End a process that shall end: asked to, out of time, or silent."""
        now, timeout_s = time.time(), watched.timeout_s
        if now - heartbeat > SILENT_SECONDS:
            _log.warning("run %s has not been heard of for %d s: killed", run.id, now - heartbeat)
            watched.process.kill()
        elif attempt.state == State.CANCELLING:
            if watched.told is None:
                watched.told = now if watched.process.ask_to_end() else None
            elif now - watched.told > watched.work.GRACE_SECONDS:
                watched.process.kill()
        elif timeout_s is not None and now - (attempt.started or now) > timeout_s:
            with self._store.write() as writer:
                row = _row(writer, run)
                if writer.take(row, attempt.number, AskToCancel(f"its {timeout_s:g} s are over")):
                    writer.attempt_of(row).ask = "timeout"
            self._wake.set()

    def _settle(self, run: RunRow, attempt: AttemptRow, watched: _Watched) -> None:
        """Say how an attempt ended whose process is gone, and try again where that may help."""
        outcome = watched.process.outcome()
        finished = outcome is None and watched.work.is_finished(run)
        with self._store.write() as writer:
            row = _row(writer, run)
            asked = writer.attempt_of(row).ask
            state = State(writer.attempt_of(row).state)
            transition, ended = _how_it_ended(watched.work, outcome, state, asked, finished=finished)
            again = transition.TO == State.LOST or (ended.exit_code == TransientError.exit_code and not asked)
            again = again and attempt.retries_left > 0
            if writer.take(row, attempt.number, transition, ended=ended, is_final=not again) and again:
                wait = BACKOFF_SECONDS[min(attempt.number, len(BACKOFF_SECONDS)) - 1]
                left = attempt.retries_left - 1
                writer.try_again(row, f"tried again, {left} times left", "service", left, time.time() + wait)
        del self._watched[run.number, attempt.number]

    def _renew(self, heartbeats: dict[tuple[int, int], float]) -> None:
        now = time.time()
        if heartbeats and now - self._renewed >= RENEW_SECONDS:
            with self._store.write() as writer:
                writer.renew_leases(self.lease, now + LEASE_SECONDS, heartbeats)
            self._renewed = now

    def _give_up_expired(self) -> None:
        """Settle attempts of servers that answer no more. Their processes are on other machines; should one live, the
        lock of the run directory keeps a second from working there."""
        with self._store.database.read() as session:
            found = expired(session, time.time())
        for number, attempt in found:
            if (number, attempt) in self._watched:
                continue
            with self._store.write() as writer:
                row = writer.session.get_one(RunRow, number)
                last = writer.attempt_of(row, attempt)
                if last.lease == self.lease or last.lease_until >= time.time():
                    continue
                asked = last.state == State.CANCELLING
                gone = Cancel("its server answers no more") if asked else Lose("its server answers no more")
                again = not asked and last.retries_left > 0
                if writer.take(row, attempt, gone, is_final=not again) and again:
                    writer.try_again(row, "tried again by another server", "service", last.retries_left - 1)

    def _launch_next(self) -> bool:
        """Take one run from the queue and start it, if there is one and there is room."""
        with self._store.database.read() as session:
            queue = waiting(session, time.time())
            working = working_by_owner(session, self.lease) if queue else {}
        chosen = choose_next(queue, working)
        if chosen is None or sum(working.values()) >= self._settings.concurrency or self._stopping.is_set():
            return False
        with self._store.write() as writer:
            run = writer.session.get_one(RunRow, chosen.run)
            attempt = writer.attempt_of(run)
            if attempt.number != chosen.attempt or attempt.state != State.QUEUED:
                return True  # cancelled, or taken by another server meanwhile
            attempt.lease, attempt.lease_until = self.lease, time.time() + LEASE_SECONDS
            if run.piece and not WORK[run.kind].is_used(run):
                writer.begin_anew(run)
            writer.take(run, attempt.number, Launch())
        watched = self._watch(run, attempt)
        try:
            watched.process.launch(watched.work.task(run, attempt.number, self._settings, self._store))
        except (OSError, CuratorError, ValidationError) as error:
            # Settled in the next turn, as lost. What another version took into the queue may be no request of this one.
            told = f"its request: {first_problem(error)}" if isinstance(error, ValidationError) else error
            _log.warning("run %s could not be started: %s", run.id, told)
        return True


def _how_it_ended(
    work: Work, outcome: Outcome | None, state: State, asked: str, *, finished: bool
) -> tuple[Transition, Ended]:
    if finished or (outcome is not None and outcome.exit_code == 0):
        return Succeed(work.SUCCEEDED), Ended(0)
    if outcome is not None and outcome.exit_code != INTERRUPTED:
        message = outcome.message
        return Fail(f"it ended with exit code {outcome.exit_code}"), Ended(outcome.exit_code, outcome.error, message)
    if state != State.CANCELLING:
        return Lose(), Ended(TransientError.exit_code, "Lost", "its process ended without a word")
    if asked == "timeout":
        return Fail("its time was up"), Ended(TransientError.exit_code, "Timeout", "its time was up; resume goes on")
    return Cancel(), Ended(INTERRUPTED, KeyboardInterrupt.__name__)


def _row(writer: Writer, run: RunRow) -> RunRow:
    return writer.session.get_one(RunRow, run.number)
