"""Lists of runs and events, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from serve.kinds import Kind
from serve.models import Run, StoredEvent
from serve.states import ACTIVE, State
from serve.store.tables import AttemptRow, EventRow, LabelRow, RunRow

Columns = TypeVarTuple("Columns")

QUEUE_LOOKED_AT = 1000
"""So many queued runs are compared when one is chosen, those of the highest priority that wait longest."""


@dataclass(frozen=True)
class Filter:
    """Which runs: in one of these states, of this owner, with these labels, made within these times."""

    states: Sequence[State] = ()
    owner: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_after: float | None = None
    created_before: float | None = None


@dataclass(frozen=True)
class Waiting:
    """A queued attempt, as the choice of the next one sees it. `run` is its internal number, which grows with age."""

    run: int
    attempt: int
    owner: str
    priority: int


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


def list_runs(session: Session, chosen: Filter, before: int | None, limit: int) -> tuple[list[Run], int | None]:
    """The newest runs of a filter whose internal number is below `before`; the number to go on from, None at the
    end."""
    found = session.execute(_page(select(*_SHOWN), Kind.RUN, chosen, before, limit)).all()
    runs = [Run.model_validate(dict(zip(_NAMES, row, strict=True))) for row in found[:limit]]
    return runs, found[limit - 1][0] if len(found) > limit else None


def list_rows(
    session: Session, kind: Kind, chosen: Filter, before: int | None, limit: int
) -> tuple[list[tuple[RunRow, AttemptRow]], int | None]:
    """The same of any kind, as the store has them."""
    found = session.execute(_page(select(RunRow, AttemptRow), kind, chosen, before, limit)).all()
    rows = [(run, attempt) for run, attempt in found[:limit]]
    return rows, rows[-1][0].number if len(found) > limit else None


def _page(query: Select[*Columns], kind: Kind, chosen: Filter, before: int | None, limit: int) -> Select[*Columns]:
    """A page of runs with their last attempts, the newest first, and one more."""
    query = query.join(AttemptRow, (AttemptRow.run == RunRow.number) & (AttemptRow.number == RunRow.attempt)).where(
        RunRow.kind == kind
    )
    if chosen.states:
        query = query.where(RunRow.state.in_(chosen.states))
    if chosen.owner is not None:
        query = query.where(RunRow.owner == chosen.owner)
    if chosen.created_after is not None:
        query = query.where(RunRow.created >= chosen.created_after)
    if chosen.created_before is not None:
        query = query.where(RunRow.created < chosen.created_before)
    place: ColumnElement[int] = RunRow.number.expression
    for number, (name, value) in enumerate(chosen.labels.items()):
        table = LabelRow.__table__
        label = table.c if number == 0 else table.alias(f"labels_{number}").c
        target = table if number == 0 else label.run.table
        query = query.join(target, label.run == RunRow.number).where(label.name == name, label.value == value)
        if number == 0:
            place = label.run  # its index has runs in order, so a page is read from there and nothing is sorted
    if before is not None:
        query = query.where(place < before)
    return query.order_by(place.desc()).limit(limit + 1)


def run_number(session: Session, id: str, kind: Kind) -> int | None:  # noqa: A002 (as users call it)
    """The internal number of a run."""
    return session.scalar(select(RunRow.number).where(RunRow.id == id, RunRow.kind == kind))


def state_of(session: Session, run: int) -> State:
    """The state of a run that is there."""
    return State(session.scalars(select(RunRow.state).where(RunRow.number == run)).one())


def events_after(session: Session, run: int, after: int, limit: int) -> list[StoredEvent]:
    """The next events of a run, in order."""
    rows = session.scalars(
        select(EventRow).where(EventRow.run == run, EventRow.number > after).order_by(EventRow.number).limit(limit)
    )
    return [
        StoredEvent(
            id=row.number,
            origin="run" if row.origin == "run" else "service",
            attempt=row.attempt,
            seq=row.seq,
            time=row.time,
            kind=row.kind,
            fields=row.fields,
        )
        for row in rows
    ]


def waiting(session: Session, now: float) -> list[Waiting]:
    """The queued attempts whose time has come."""
    rows = session.execute(
        select(RunRow.number, RunRow.attempt, RunRow.owner, RunRow.priority)
        .join(AttemptRow, (AttemptRow.run == RunRow.number) & (AttemptRow.number == RunRow.attempt))
        .where(RunRow.state == State.QUEUED, AttemptRow.not_before <= now)
        .order_by(RunRow.priority.desc(), RunRow.number)
        .limit(QUEUE_LOOKED_AT)
    )
    return [Waiting(*row) for row in rows]


def working_by_owner(session: Session, lease: str) -> dict[str, int]:
    """How many runs of each owner this runner works on."""
    rows = session.execute(
        select(RunRow.owner, func.count())
        .join(AttemptRow, (AttemptRow.run == RunRow.number) & (AttemptRow.number == RunRow.attempt))
        .where(RunRow.state.in_(ACTIVE), AttemptRow.lease == lease)
        .group_by(RunRow.owner)
    )
    return {row[0]: row[1] for row in rows}


def expired(session: Session, now: float) -> list[tuple[int, int]]:
    """Active attempts that no runner answers for any more: (run, attempt)."""
    rows = session.execute(
        select(RunRow.number, RunRow.attempt)
        .join(AttemptRow, (AttemptRow.run == RunRow.number) & (AttemptRow.number == RunRow.attempt))
        .where(RunRow.state.in_(ACTIVE), AttemptRow.lease_until < now)
    )
    return [(run, attempt) for run, attempt in rows]
