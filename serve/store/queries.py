"""Lists of runs and events, page by page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Integer, Select, bindparam, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from serve.kinds import Kind
from serve.models import Run, StoredEvent
from serve.states import ACTIVE, State
from serve.store.damage import show
from serve.store.tables import LAST_ATTEMPT, AttemptRow, EventRow, LabelRow, RunRow

Columns = TypeVarTuple("Columns")


@dataclass(frozen=True)
class Filter:
    """Which runs: in one of these states, of this owner, with these labels, made within these times."""

    states: Sequence[State] = ()
    owner: str | None = None
    labels: Sequence[tuple[str, str]] = ()
    created_after: float | None = None
    created_before: float | None = None

    @property
    def shape(self) -> Shape:
        """Of what kind its conditions are."""
        return Shape(
            bool(self.states),
            self.owner is not None,
            self.created_after is not None,
            self.created_before is not None,
            len(self.labels),
        )

    def values(self, before: int | None, limit: int) -> dict[str, object]:
        """The parameters of a query of its shape, which gives one more than `limit`."""
        found: dict[str, object] = {"before": before, "most": limit + 1, "states": tuple(self.states)}
        found |= {"owner": self.owner, "created_after": self.created_after, "created_before": self.created_before}
        for number, (name, value) in enumerate(self.labels):
            found |= {f"label_{number}": name, f"value_{number}": value}
        return found


@dataclass(frozen=True)
class Shape:
    """Which conditions a filter has, and how many labels: filters of one shape are one query."""

    states: bool
    owner: bool
    created_after: bool
    created_before: bool
    labels: int


@dataclass(frozen=True)
class Waiting:
    """A queued attempt, as the choice of the next one sees it. `run` is its internal number, which grows with age."""

    run: int
    attempt: int
    owner: str
    priority: int


@dataclass(frozen=True)
class Active:
    """An attempt whose process may be working, as the runner looks at it: of the run with the internal number `run`;
    `piece` is the last piece of its events that was taken in."""

    run: int
    id: str
    kind: str
    output: str
    piece: str
    attempt: int
    state: str
    started: float | None
    retries_left: int


_SHOWN = (
    RunRow.number,
    RunRow.id,
    RunRow.owner,
    RunRow.recipe,
    RunRow.output,
    RunRow.labels,
    RunRow.priority,
    RunRow.created,
    RunRow.updated,
    RunRow.state,
    RunRow.attempt,
    RunRow.version,
    RunRow.progress,
    AttemptRow.exit_code,
    AttemptRow.error,
    AttemptRow.message,
)
"""What a list shows of a run. Whole rows take three times as long: most of that is their request."""

_NAMES = tuple(column.key for column in _SHOWN)

_VERSION = (RunRow.number, RunRow.version, RunRow.piece, RunRow.updated)
"""What changes whenever anything does that a list shows."""

Version = tuple[int, int, str, float]


def list_versions(connection: Connection, chosen: Filter, before: int | None, limit: int) -> list[Version]:
    """The newest runs of a filter whose internal number, the first that is told of each, is below `before`; one more
    than `limit` where there are more."""
    query, values = _versions(chosen.shape, before is not None), chosen.values(before, limit)
    return [(number, version, piece, updated) for number, version, piece, updated in connection.execute(query, values)]


@lru_cache(maxsize=256)
def _versions(shape: Shape, goes_on: bool) -> Select[int, int, str, float]:
    return _page(select(*_VERSION), Kind.RUN, shape, goes_on=goes_on)


def runs_of(connection: Connection, numbers: Collection[int]) -> dict[int, Run]:
    """Runs by their internal numbers, as a list shows them."""
    query = select(*_SHOWN).join(AttemptRow, LAST_ATTEMPT).where(RunRow.number.in_(numbers))
    return {row[0]: show(Run, dict(zip(_NAMES, row, strict=True))) for row in connection.execute(query)}


def list_rows(
    session: Session, kind: Kind, chosen: Filter, before: int | None, limit: int
) -> tuple[list[tuple[RunRow, AttemptRow]], int | None]:
    """The newest of any kind whose internal number is below `before`; the number to go on from, None at the end."""
    query = select(RunRow, AttemptRow).join(AttemptRow, LAST_ATTEMPT)
    query = _page(query, kind, chosen.shape, goes_on=before is not None)
    found = session.execute(query, chosen.values(before, limit)).all()
    rows = [(run, attempt) for run, attempt in found[:limit]]
    return rows, rows[-1][0].number if len(found) > limit else None


def _page(query: Select[*Columns], kind: Kind, shape: Shape, *, goes_on: bool) -> Select[*Columns]:
    """A page of runs, the newest first, and one more; its parameters are those of `Filter.values`."""
    query = query.where(RunRow.kind == kind)
    if shape.states:
        query = query.where(RunRow.state.in_(bindparam("states", expanding=True)))
    if shape.owner:
        query = query.where(RunRow.owner == bindparam("owner"))
    if shape.created_after:
        query = query.where(RunRow.created >= bindparam("created_after"))
    if shape.created_before:
        query = query.where(RunRow.created < bindparam("created_before"))
    place: ColumnElement[int] = RunRow.number.expression
    for number in range(shape.labels):
        table = LabelRow.__table__
        label = table.c if number == 0 else table.alias(f"labels_{number}").c
        target = table if number == 0 else label.run.table
        query = query.join(target, label.run == RunRow.number).where(
            label.name == bindparam(f"label_{number}"), label.value == bindparam(f"value_{number}")
        )
        if number == 0:
            place = label.run  # its index has runs in order, so a page is read from there and nothing is sorted
    if goes_on:
        query = query.where(place < bindparam("before"))
    return query.order_by(place.desc()).limit(bindparam("most", type_=Integer))


def run_number(session: Session, id: str, kind: Kind) -> int | None:  # noqa: A002 (as users call it)
    """The internal number of a run."""
    return session.scalar(select(RunRow.number).where(RunRow.id == id, RunRow.kind == kind))


def state_of(session: Session, run: int) -> State:
    """The state of a run that is there."""
    return State(session.scalars(select(RunRow.state).where(RunRow.number == run)).one())


def events_after(session: Session, run: int, after: int, limit: int) -> list[StoredEvent]:
    """The next events of a run, in order."""
    query = select(*_EVENT).where(EventRow.run == run, EventRow.number > after).order_by(EventRow.number).limit(limit)
    return [_event(*row[1:]) for row in session.execute(query)]


def events_beyond(
    connection: Connection, after: int, runs: Collection[int], limit: int
) -> tuple[int, list[tuple[int, StoredEvent]]]:
    """The newest id of all events, and those of some runs between `after` and that, in order: (run, event)."""
    newest = connection.scalar(_NEWEST) or 0
    if not runs or newest <= after:
        return newest, []
    values = {"after": after, "newest": newest, "runs": list(runs), "most": limit}
    return newest, [(row[0], _event(*row[1:])) for row in connection.execute(_BEYOND, values)]


_EVENT = (
    EventRow.run,
    EventRow.number,
    EventRow.origin,
    EventRow.attempt,
    EventRow.seq,
    EventRow.time,
    EventRow.kind,
    EventRow.fields,
)
_NEWEST = select(func.max(EventRow.number))
_BEYOND = (
    select(*_EVENT)
    .where(
        EventRow.number > bindparam("after"),
        EventRow.number <= bindparam("newest"),
        EventRow.run.in_(bindparam("runs", expanding=True)),
    )
    .order_by(EventRow.number)
    .limit(bindparam("most", type_=Integer))
)


def _event(
    number: int, origin: str, attempt: int, seq: int, time: float, kind: str, fields: Mapping[str, object]
) -> StoredEvent:
    return StoredEvent(
        id=number,
        origin="run" if origin == "run" else "service",
        attempt=attempt,
        seq=seq,
        time=time,
        kind=kind,
        fields=fields,
    )


def waiting(session: Session, now: float) -> list[Waiting]:
    """The queued attempts whose time has come: of each owner the one of the highest priority that waits longest."""
    place = func.row_number().over(partition_by=RunRow.owner, order_by=(RunRow.priority.desc(), RunRow.number))
    ranked = (
        select(RunRow.number, RunRow.attempt, RunRow.owner, RunRow.priority, place.label("place"))
        .join(AttemptRow, LAST_ATTEMPT)
        .where(RunRow.state == State.QUEUED, AttemptRow.not_before <= now)
        .subquery()
    )
    columns = (ranked.c.number, ranked.c.attempt, ranked.c.owner, ranked.c.priority)
    rows = session.execute(select(*columns).where(ranked.c.place == 1))
    return [Waiting(*row) for row in rows]


def active(session: Session, lease: str) -> list[Active]:
    """The attempts for which this runner answers and whose processes may be working."""
    rows = session.execute(
        select(
            RunRow.number,
            RunRow.id,
            RunRow.kind,
            RunRow.output,
            RunRow.piece,
            AttemptRow.number,
            AttemptRow.state,
            AttemptRow.started,
            AttemptRow.retries_left,
        )
        .join(AttemptRow, LAST_ATTEMPT)
        .where(RunRow.state.in_(ACTIVE), AttemptRow.lease == lease)
        .order_by(RunRow.number)
    )
    return [Active(*row) for row in rows]


def active_of(run: RunRow, attempt: AttemptRow) -> Active:
    """The same of rows that are there."""
    return Active(
        run.number,
        run.id,
        run.kind,
        run.output,
        run.piece,
        attempt.number,
        attempt.state,
        attempt.started,
        attempt.retries_left,
    )


def working_by_owner(session: Session, lease: str) -> dict[str, int]:
    """How many runs of each owner this runner works on."""
    rows = session.execute(
        select(RunRow.owner, func.count())
        .join(AttemptRow, LAST_ATTEMPT)
        .where(RunRow.state.in_(ACTIVE), AttemptRow.lease == lease)
        .group_by(RunRow.owner)
    )
    return {row[0]: row[1] for row in rows}


def expired(session: Session, now: float) -> list[tuple[int, int]]:
    """Active attempts that no runner answers for any more: (run, attempt)."""
    rows = session.execute(
        select(RunRow.number, RunRow.attempt)
        .join(AttemptRow, LAST_ATTEMPT)
        .where(RunRow.state.in_(ACTIVE), AttemptRow.lease_until < now)
    )
    return [(run, attempt) for run, attempt in rows]
