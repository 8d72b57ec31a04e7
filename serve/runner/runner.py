"""The runner: one thread of the server that moves attempts along.

Each turn it looks at the attempts that it answers for: takes in their events, renews their leases, tells those to end
that should, and settles those whose process has ended. Then it takes from the queue what there is room for. What it
knows stands in the store and in the folders of attempts, so a server that is killed at any point is followed by one
that goes on from there: processes that live are adopted, others settled, and none is started twice, since a process
holds the lock of its attempt for as long as it lives.
"""

from __future__ import annotations

import errno
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
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from curator.errors import INTERRUPTED, CuratorError, DataError, TransientError, UserError
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
from serve.store.queries import Active, active, active_of, expired, waiting, working_by_owner
from serve.store.runs import Ended, RunStore, Taken
from serve.store.tables import RunRow

TURN_SECONDS = 0.25
LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0
MOST_EVENTS = 2000
"""So many events are taken in by one transaction, or as many as one piece has."""
SILENT_SECONDS = 120.0
"""A process that lives and has not been heard of for so long is killed: it hangs, or its disk does."""
UNREAD_SECONDS = 600.0
"""How long the directory of an attempt whose process is gone is waited for where it cannot be read: the attempt holds
its place meanwhile."""
POSTPONE_SECONDS = 30.0
"""After which a queued run whose directory cannot be read is looked at again."""
BACKOFF_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Before another attempt, by how many there were; the last for all that follow."""

_NOWHERE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP)
"""Where these are told nothing can lie, however long one waits."""

_log = logging.getLogger("curator.serve")


@dataclass
class _Watched:
    """What this process knows of an attempt that it watches. `gone` is since when its process is, `is_unread` whether
    its directory could not be read at the last look, `is_damaged` whether its events go on with what are none."""

    process: WorkerProcess
    work: Work
    output: str
    timeout_s: float | None
    reader: EventReader
    fold: Fold
    told: float | None = None
    gone: float | None = None
    is_unread: bool = False
    is_damaged: bool = False

    def read_anew(self) -> None:
        """Read the events from the beginning."""
        self.reader, self.fold = EventReader(self.work.events(self.output)), self.work.new_fold()
        self.is_damaged = False

    def waits(self, run: str, error: Exception) -> bool:
        """Whether its directory, which cannot be read, is waited for: not where there can be none, nor for ever."""
        if not self.is_unread:
            _log.warning("the directory of run %s cannot be read for now: %s", run, error)
            self.is_unread = True
        if isinstance(error, OSError) and error.errno in _NOWHERE:
            return False
        return self.gone is None or time.time() - self.gone < UNREAD_SECONDS


@dataclass
class _Put:
    """Events that an attempt has put, up to a piece, and are not taken in yet: those of them that are kept. `began`
    says whether its first word is among them."""

    attempt: Active
    watched: _Watched
    piece: str
    events: list[Event]
    began: bool = False


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
        """Look now: something was changed. What the runner itself has changed it knows."""
        if threading.current_thread() is not self._thread:
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
        with self._store.database.read() as session:
            found = active(session, self.lease)
        keys = {(one.run, one.attempt) for one in found}
        self._watched = {key: watched for key, watched in self._watched.items() if key in keys}
        # Whether they live is asked before their events are read: so what one wrote last is among those.
        alive = {(one.run, one.attempt): self._watch(one).process.is_alive() for one in found}
        unread = self._take_in(found)
        heartbeats: dict[tuple[int, int], float] = {}
        for one in found:
            key = (one.run, one.attempt)
            if alive[key]:
                heartbeats[key] = self._watched[key].process.heartbeat() or one.started or time.time()
                self._press(one, self._watched[key], heartbeats[key])
                continue
            self._watched[key].gone = self._watched[key].gone or time.time()
            if key not in unread:
                self._settle(one, self._watched[key])
        self._renew(heartbeats)
        if len(self._watched) < self._settings.concurrency:
            while self._launch_next():
                pass
        return bool(self._watched)

    def _watch(self, one: Active) -> _Watched:
        key = (one.run, one.attempt)
        if key not in self._watched:
            with self._store.database.read() as session:
                request = session.scalars(select(RunRow.request).where(RunRow.number == one.run)).one()
            # Read from the beginning: what is in the store already is passed over, and shows how far the run is.
            work = WORK[one.kind]
            self._watched[key] = _Watched(
                WorkerProcess(attempt_folder(self._settings.state, one.id, one.attempt)),
                work,
                one.output,
                cast("float | None", request.get("timeout_s")),
                EventReader(work.events(one.output)),
                work.new_fold(),
            )
        return self._watched[key]

    def _take_in(self, found: Sequence[Active]) -> set[tuple[int, int]]:
        """Take in what runs wrote since the last look; the attempts whose directory cannot be read now. Where the store
        fails, the next look reads all again."""
        unread: set[tuple[int, int]] = set()
        pending: list[_Put] = []
        is_done = False
        try:
            for one in found:
                watched = self._watched[one.run, one.attempt]
                if watched.is_damaged:
                    continue
                try:
                    self._read(one, watched, pending)
                    watched.is_unread = False
                except DataError as error:
                    _log.warning("events of run %s are taken in no further: %s", one.id, error)
                    watched.is_damaged = True
                except (OSError, CuratorError) as error:
                    watched.read_anew()
                    if watched.waits(one.id, error):
                        unread.add((one.run, one.attempt))
                    pending = [put for put in pending if put.watched is not watched]
            self._store_events(pending)
            is_done = True
        finally:
            if not is_done:
                for one in found:
                    self._watched[one.run, one.attempt].read_anew()
        return unread

    def _read(self, one: Active, watched: _Watched, pending: list[_Put]) -> None:
        """Add what an attempt has put; where that comes to much, all is taken in on the way."""
        for piece, events in watched.reader.read_pieces():
            for event in events:
                watched.fold.add(event)
            if piece <= one.piece:
                continue
            if not pending or pending[-1].watched is not watched:
                pending.append(_Put(one, watched, piece, []))
            last, work = pending[-1], watched.work
            last.piece = piece
            last.events.extend(work.kept(events))
            last.began = last.began or any(event["kind"] == work.FIRST for event in events)
            if sum(len(put.events) for put in pending) >= MOST_EVENTS:
                self._store_events(pending)
                pending.clear()

    def _store_events(self, pending: Sequence[_Put]) -> None:
        """Take in the events of many runs in one transaction: to commit is what takes time."""
        if not pending:
            return
        with self._store.write() as writer:
            rows = writer.rows([put.attempt.run for put in pending])
            writer.take_in([Taken(rows[put.attempt.run], put.piece, put.events, put.watched.fold) for put in pending])
            for put in pending:
                row = rows[put.attempt.run]
                if put.began and writer.attempt_of(row).state == State.STARTING:
                    writer.take(row, put.attempt.attempt, Begin(put.watched.work.BEGAN))

    def _press(self, one: Active, watched: _Watched, heartbeat: float) -> None:
        """End a process that shall end: asked to, out of time, or silent."""
        now, timeout_s = time.time(), watched.timeout_s
        if now - heartbeat > SILENT_SECONDS:
            _log.warning("run %s has not been heard of for %d s: killed", one.id, now - heartbeat)
            watched.process.kill()
        elif one.state == State.CANCELLING:
            if watched.told is None:
                watched.told = now if watched.process.ask_to_end() else None
            elif now - watched.told > watched.work.GRACE_SECONDS:
                watched.process.kill()
        elif one.state == State.STARTING and watched.process.has_adopted():
            with self._store.write() as writer:
                row = writer.session.get_one(RunRow, one.run)
                if writer.attempt_of(row).state == State.STARTING:
                    writer.take(row, one.attempt, Begin("its job ran already"))
        elif timeout_s is not None and now - (one.started or now) > timeout_s:
            with self._store.write() as writer:
                row = writer.session.get_one(RunRow, one.run)
                if writer.take(row, one.attempt, AskToCancel(f"its {timeout_s:g} s are over")):
                    writer.attempt_of(row).ask = "timeout"
            self._wake.set()

    def _settle(self, one: Active, watched: _Watched) -> None:
        """Say how an attempt ended whose process is gone, and try again where that may help."""
        outcome = watched.process.outcome()
        try:
            finished = outcome is None and watched.work.is_finished(one.output)
        except (OSError, CuratorError) as error:
            if watched.waits(one.id, error):
                return
            finished = False
        with self._store.write() as writer:
            row = writer.session.get_one(RunRow, one.run)
            asked = writer.attempt_of(row).ask
            state = State(writer.attempt_of(row).state)
            transition, ended = _how_it_ended(watched.work, outcome, state, asked, finished=finished)
            again = transition.TO == State.LOST or (ended.exit_code == TransientError.exit_code and not asked)
            again = again and one.retries_left > 0
            if writer.take(row, one.attempt, transition, ended=ended, is_final=not again) and again:
                wait = BACKOFF_SECONDS[min(one.attempt, len(BACKOFF_SECONDS)) - 1]
                left = one.retries_left - 1
                writer.try_again(row, f"tried again, {left} times left", "service", left, time.time() + wait)
        del self._watched[one.run, one.attempt]

    def _renew(self, heartbeats: dict[tuple[int, int], float]) -> None:
        now = time.time()
        if now - self._renewed < RENEW_SECONDS:
            return
        if heartbeats:
            with self._store.write() as writer:
                writer.renew_leases(self.lease, now + LEASE_SECONDS, heartbeats)
        self._give_up_expired()
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
            try:
                is_anew = bool(run.piece) and not WORK[run.kind].is_used(run.output)
            except UserError:
                is_anew = False  # its process says what is wrong
            except (OSError, TransientError) as error:
                _log.warning("run %s is not started for now: %s", run.id, error)
                attempt.not_before = time.time() + POSTPONE_SECONDS
                return True
            attempt.lease, attempt.lease_until = self.lease, time.time() + LEASE_SECONDS
            if is_anew:
                writer.begin_anew(run)
            writer.take(run, attempt.number, Launch())
            one = active_of(run, attempt)
        watched = self._watch(one)
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
