"""Runs in the store: made, moved from state to state, asked for. A training is a run of another kind here.

Whatever changes a run does it through a `Writer`: one transaction, alone among writers. A transition names the attempt
that it is about; where another has begun meanwhile, or the attempt has ended, nothing is changed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, cast

from sqlalchemy import Select, Table, bindparam, func, select, update
from sqlalchemy.orm import Session, load_only

from curator.errors import Bug
from curator.run.events import Event
from serve.audit import Auditor
from serve.folds import Fold, finite
from serve.kinds import Kind
from serve.models import Attempt, Change, Run, RunDetails, RunRequest, WorkRequest
from serve.states import State, Transition, check_transition
from serve.store.damage import request_of, show
from serve.store.database import Database, Insert
from serve.store.tables import LAST_ATTEMPT, AttemptRow, EventRow, HistoryRow, LabelRow, RunRow

SERVICE = "service"
"""Who acts where no user does."""

_LEFT_OUT = (("run.started", "fingerprint"), ("run.started", "origins"))
"""Fields of events that the stream does not carry: they grow with the input, and the manifest has them."""


@dataclass(frozen=True)
class Ended:
    """How the process of an attempt ended."""

    exit_code: int | None = None
    error: str | None = None
    message: str | None = None


class Ends(Protocol):
    """Who is told of the end of a run, in the transaction in which it ends."""

    def add(self, session: Session, run: RunRow, attempt: AttemptRow) -> None:
        """Note that a run has ended with this attempt."""


@dataclass(frozen=True)
class Taken:
    """Events of a run up to a piece of its event log, and how far it is after them."""

    run: RunRow
    piece: str
    events: Sequence[Event]
    fold: Fold


@dataclass
class Writer:
    """One transaction on runs."""

    session: Session
    auditor: Auditor
    insert: Insert
    ends: Ends | None = None
    changed: set[int] = field(default_factory=set)

    def create(self, request: WorkRequest, recipe: str, output: str, owner: str, kind: Kind = Kind.RUN) -> RunRow:
        """A new run, its first attempt queued."""
        now = time.time()
        run = RunRow(
            id=secrets.token_hex(6),
            kind=kind,
            owner=owner,
            recipe=recipe,
            output=output,
            request=request.model_dump(mode="json"),
            labels=dict(request.labels),
            priority=request.priority,
            created=now,
            updated=now,
            state=State.QUEUED,
            attempt=1,
            version=0,
            progress={},
            counted={},
            generation=1,
            piece="",
        )
        self.session.add(run)
        self.session.flush()
        self.session.add_all(LabelRow(run=run.number, name=name, value=value) for name, value in run.labels.items())
        self.session.add(_attempt(run.number, 1, request.attempts - 1, 0.0))
        self._note(run, None, State.QUEUED, "submitted", owner, is_final=False)
        self.auditor.append(self.session, owner, f"{kind}.submit", run.id, None, run.request)
        return run

    def run(self, id: str, kind: Kind = Kind.RUN) -> RunRow | None:  # noqa: A002 (as users call it)
        """The run of this id."""
        return self.session.scalars(select(RunRow).where(RunRow.id == id, RunRow.kind == kind)).first()

    def attempt_of(self, run: RunRow, number: int | None = None) -> AttemptRow:
        """An attempt of a run, the last one if no number is given."""
        found = self.session.get(AttemptRow, (run.number, run.attempt if number is None else number))
        if found is None:
            raise Bug(f"run {run.id} has no attempt {run.attempt if number is None else number}")
        return found

    def take(
        self,
        run: RunRow,
        number: int,
        transition: Transition,
        actor: str = SERVICE,
        ended: Ended | None = None,
        *,
        is_final: bool = True,
    ) -> bool:
        """Take a transition of an attempt; whether it was. `is_final` False where another attempt follows at once."""
        attempt = self.attempt_of(run, number)
        before = State(attempt.state)
        if run.attempt != number or before.is_terminal:
            return False
        check_transition(before, transition)
        attempt.state = run.state = transition.TO
        now = time.time()
        if transition.TO == State.STARTING:
            attempt.started = now
        if transition.TO == State.CANCELLING:
            attempt.asked = now
        if transition.TO.is_terminal:
            attempt.ended = now
        if ended is not None:
            attempt.exit_code, attempt.error, attempt.message = ended.exit_code, ended.error, ended.message
        self._note(
            run, before, transition.TO, transition.reason, actor, is_final=is_final and transition.TO.is_terminal
        )
        if is_final and transition.TO.is_terminal and self.ends is not None:
            self.ends.add(self.session, run, attempt)
        self.auditor.append(
            self.session,
            actor,
            f"{run.kind}.state",
            run.id,
            {"state": before, "attempt": number},
            {"state": transition.TO},
        )
        return True

    def ask_anew(self, run: RunRow, request: WorkRequest, actor: str) -> None:
        """What the next attempts of a run are asked with."""
        before, run.request = run.request, request.model_dump(mode="json")
        self.auditor.append(self.session, actor, f"{run.kind}.request", run.id, before, run.request)

    def try_again(self, run: RunRow, why: str, actor: str, retries_left: int, not_before: float = 0.0) -> None:
        """A new attempt of a run whose last one has ended, queued. Bug where it has not."""
        before = State(self.attempt_of(run).state)
        if not before.is_terminal:
            raise Bug(f"run {run.id}: an attempt that is {before} has not ended")
        run.attempt += 1
        run.state = State.QUEUED
        self.session.add(_attempt(run.number, run.attempt, retries_left, not_before))
        self._note(run, before, State.QUEUED, why, actor, is_final=False)
        self.auditor.append(
            self.session, actor, f"{run.kind}.attempt", run.id, {"state": before}, {"attempt": run.attempt}
        )

    def rows(self, runs: Collection[int]) -> dict[int, RunRow]:
        """Rows of runs by their numbers, with what `take_in` needs of them."""
        columns = (RunRow.id, RunRow.kind, RunRow.generation, RunRow.piece, RunRow.attempt, RunRow.state)
        query = select(RunRow).where(RunRow.number.in_(runs)).options(load_only(*columns, RunRow.version))
        return {row.number: row for row in self.session.scalars(query)}

    def take_in(self, found: Sequence[Taken]) -> None:
        """Take in the events of runs, each event once, with how far the runs are after them."""
        new = [one for one in found if one.piece > one.run.piece]
        values = [_event(one.run, event) for one in new for event in one.events]
        if values:
            # That which is there already is no second time: what they are told apart by is a key of the table.
            table = cast("Table", EventRow.__table__)
            self.session.connection().execute(self.insert(table).on_conflict_do_nothing(), values)
        for one in new:
            one.run.piece = one.piece
            one.run.progress = one.fold.progress()
            one.run.counted = one.fold.counted()
            one.run.updated = time.time()
            self.changed.add(one.run.number)

    def begin_anew(self, run: RunRow) -> None:
        """The directory of the run holds nothing, so that its events will be numbered from the beginning."""
        run.generation += 1
        run.piece = ""
        run.progress = {}
        run.counted = {}

    def renew_leases(self, lease: str, until: float, heartbeats: Mapping[tuple[int, int], float]) -> None:
        """Answer for active attempts until then, and note when their processes were last heard of."""
        table = cast("Table", AttemptRow.__table__)
        self.session.connection().execute(
            update(table)
            .where(table.c.run == bindparam("of"), table.c.number == bindparam("attempt"), table.c.lease == lease)
            .values(lease_until=until, heartbeat=bindparam("heard")),
            [{"of": run, "attempt": number, "heard": heartbeat} for (run, number), heartbeat in heartbeats.items()],
        )

    def _note(self, run: RunRow, before: State | None, after: State, why: str, actor: str, *, is_final: bool) -> None:
        """Append a transition to history and to the stream."""
        run.version += 1
        run.updated = time.time()
        self.session.add(
            HistoryRow(
                run=run.number,
                version=run.version,
                attempt=run.attempt,
                before=before,
                after=after,
                time=run.updated,
                why=why,
                actor=actor,
            )
        )
        fields: dict[str, object] = {"before": before, "after": after, "why": why, "actor": actor, "final": is_final}
        self.session.add(
            EventRow(
                run=run.number,
                origin="service",
                generation=0,
                attempt=run.attempt,
                seq=run.version,
                time=run.updated,
                kind="state.changed",
                fields=fields,
            )
        )
        self.session.flush()
        self.changed.add(run.number)


class RunStore:
    """The runs of a store. `listeners` are told the number of each run that was changed, after the commit."""

    def __init__(self, database: Database, auditor: Auditor, ends: Ends | None = None) -> None:
        self.database = database
        self.auditor = auditor
        self.ends = ends
        self.listeners: list[Callable[[int], None]] = []

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A transaction that may change runs."""
        with self.database.write() as session:
            writer = Writer(session, self.auditor, self.database.insert, self.ends)
            yield writer
        for number in writer.changed:
            for listener in self.listeners:
                listener(number)

    def find(self, id: str) -> Run | None:  # noqa: A002 (as users call it)
        """The run of this id."""
        with self.database.read() as session:
            found = session.execute(with_attempt(id, Kind.RUN)).first()
            return None if found is None else run_model(found[0], found[1])

    def details(self, id: str) -> RunDetails | None:  # noqa: A002 (as users call it)
        """The run of this id, with its attempts and history."""
        with self.database.read() as session:
            found = session.execute(with_attempt(id, Kind.RUN)).first()
            if found is None:
                return None
            return RunDetails(
                **dict(run_model(found[0], found[1])),
                request=request_of(RunRequest, id, found[0].request),
                attempts=attempts_of(session, found[0].number),
                history=history_of(session, found[0].number),
            )

    def counted(self, id: str) -> dict[str, object]:  # noqa: A002 (as users call it)
        """The funnel of a run as far as it is: documents and tokens by event, in all and by language."""
        with self.database.read() as session:
            return session.scalar(select(RunRow.counted).where(RunRow.id == id)) or {}

    def fingerprint(self, id: str) -> str | None:  # noqa: A002 (as users call it)
        """The fingerprint that a run told when it finished; None where it is not known to have told one."""
        told = (
            select(EventRow.fields)
            .join(RunRow, RunRow.number == EventRow.run)
            .where(RunRow.id == id, EventRow.origin == "run", EventRow.kind == "run.finished")
            .order_by(EventRow.number.desc())
            .limit(1)
        )
        with self.database.read() as session:
            found = (session.scalar(told) or {}).get("fingerprint")
        return found if isinstance(found, str) else None

    def outputs(self, ids: Sequence[str]) -> tuple[str, ...]:
        """The directories of these runs, in this order. Bug where there is no such run."""
        with self.database.read() as session:
            found = {
                row.id: row.output
                for row in session.execute(
                    select(RunRow.id, RunRow.output).where(RunRow.id.in_(ids), RunRow.kind == Kind.RUN)
                )
            }
        if missing := set(ids) - set(found):
            raise Bug(f"there is no run {', '.join(sorted(missing))}")
        return tuple(found[id] for id in ids)  # noqa: A001 (as users call it)

    def counts(self, kind: Kind = Kind.RUN) -> dict[State, int]:
        """How many runs are in each state."""
        query = select(RunRow.state, func.count()).where(RunRow.kind == kind).group_by(RunRow.state)
        with self.database.read() as session:
            rows = session.execute(query).all()
        found = {State(state): count for state, count in rows}
        return {state: found.get(state, 0) for state in State}


def is_output_in_use(session: Session, output: str) -> str | None:
    """The id of a run that has not ended and works in this output, in a folder above it, or in one below."""
    live = [state for state in State if not state.is_terminal]
    above = [output[:place] for place, sign in enumerate(output) if sign == "/" and place]
    below = func.substr(RunRow.output, 1, len(output) + 1) == f"{output}/"
    places = RunRow.output.in_([output, *above]) | below
    return session.scalars(select(RunRow.id).where(places, RunRow.state.in_(live)).limit(1)).first()


def attempts_of(session: Session, run: int) -> tuple[Attempt, ...]:
    """The attempts of a run, in order."""
    rows = session.scalars(select(AttemptRow).where(AttemptRow.run == run).order_by(AttemptRow.number))
    return tuple(attempt_model(row) for row in rows)


def history_of(session: Session, run: int) -> tuple[Change, ...]:
    """The transitions of a run, in order."""
    rows = session.scalars(select(HistoryRow).where(HistoryRow.run == run).order_by(HistoryRow.version))
    return tuple(_change(row) for row in rows)


def run_model(run: RunRow, attempt: AttemptRow) -> Run:
    """A run as users see it."""
    return show(Run, {"recipe": run.recipe, **work_values(run, attempt)})


def work_values(run: RunRow, attempt: AttemptRow) -> dict[str, object]:
    """What runs and trainings alike show of their rows."""
    return {
        "id": run.id,
        "owner": run.owner,
        "output": run.output,
        "labels": run.labels,
        "priority": run.priority,
        "created": run.created,
        "updated": run.updated,
        "state": run.state,
        "attempt": run.attempt,
        "version": run.version,
        "progress": run.progress,
        "exit_code": attempt.exit_code,
        "error": attempt.error,
        "message": attempt.message,
    }


def attempt_model(row: AttemptRow) -> Attempt:
    """An attempt as users see it."""
    return Attempt(
        number=row.number,
        state=State(row.state),
        started=row.started,
        ended=row.ended,
        heartbeat=row.heartbeat,
        not_before=row.not_before,
        ask=row.ask,
        exit_code=row.exit_code,
        error=row.error,
        message=row.message,
    )


def with_attempt(id: str, kind: Kind) -> Select[RunRow, AttemptRow]:  # noqa: A002 (as users call it)
    """The query of a run of this id, with its last attempt."""
    return select(RunRow, AttemptRow).join(AttemptRow, LAST_ATTEMPT).where(RunRow.id == id, RunRow.kind == kind)


def _attempt(run: int, number: int, retries_left: int, not_before: float) -> AttemptRow:
    return AttemptRow(
        run=run,
        number=number,
        state=State.QUEUED,
        retries_left=retries_left,
        not_before=not_before,
        lease="",
        lease_until=0.0,
        ask="",
    )


def _change(row: HistoryRow) -> Change:
    return Change(
        version=row.version,
        attempt=row.attempt,
        before=None if row.before is None else State(row.before),
        after=State(row.after),
        time=row.time,
        why=row.why,
        actor=row.actor,
    )


def _event(run: RunRow, event: Event) -> dict[str, object]:
    named = ("attempt", "seq", "time", "kind")
    kept = {
        name: value for name, value in event.items() if name not in named and (event["kind"], name) not in _LEFT_OUT
    }
    moment = event["time"]
    return {
        "run": run.number,
        "origin": "run",
        "generation": run.generation,
        "attempt": _integer(event["attempt"]),
        "seq": _integer(event["seq"]),
        "time": float(moment) if isinstance(moment, (int, float)) else 0.0,
        "kind": str(event["kind"])[:32],
        "fields": {name: finite(value) for name, value in kept.items()},
    }


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
