"""The tables of the store. Times are seconds since 1970; `number` is an internal key, `id` what users see.

What is appended and never changed: `history`, `events`, `audit`. A run's state and attempt stand in `runs` too, so that
a list needs one table.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import JSON

Identity = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts up only in a column of type INTEGER."""


class Damaged(dict[str, object]):
    """Stands for a value that is no JSON object. Empty, so that what can do without the value does."""


class JsonObject(TypeDecorator[dict[str, object]]):
    """A JSON object; `Damaged` where somebody else wrote something else. To raise would fail a query for every row."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[object], dict[str, object]]:
        """What a value of the database becomes."""
        decode = super().result_processor(dialect, coltype)

        def process(value: object) -> dict[str, object]:
            try:
                found = value if decode is None else decode(value)
            except ValueError:
                return Damaged()
            return found if isinstance(found, dict) else Damaged()

        return process


class Base(DeclarativeBase):
    """Base of the tables."""

    type_annotation_map = {dict[str, object]: JsonObject, dict[str, str]: JsonObject}  # noqa: RUF012 (as SQLAlchemy reads it)


class RunRow(Base):
    """A run, or a training (`kind`): what was asked, and where it stands. `recipe` is the name of the recipe, of a
    training the size of its model; `version` counts its transitions, `generation` the times that its directory began
    anew; `piece` is the last piece of events taken in, `counted` the funnel as far as it is."""

    __tablename__ = "runs"

    number: Mapped[int] = mapped_column(Identity, primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(100))
    output: Mapped[str] = mapped_column(Text, index=True)
    request: Mapped[dict[str, object]]
    labels: Mapped[dict[str, str]]
    priority: Mapped[int]
    created: Mapped[float]
    updated: Mapped[float]
    state: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int]
    version: Mapped[int]
    progress: Mapped[dict[str, object]]
    counted: Mapped[dict[str, object]] = mapped_column(deferred=True)
    generation: Mapped[int]
    piece: Mapped[str] = mapped_column(String(32))

    __table_args__ = (
        Index("runs_by_state", "state", "number"),
        Index("runs_by_kind", "kind", "number"),
        Index("runs_by_kind_and_state", "kind", "state", "number"),
        Index("runs_by_kind_and_owner", "kind", "owner", "number"),
        {"sqlite_autoincrement": True},
    )


class LabelRow(Base):
    """A label of a run, for filters."""

    __tablename__ = "labels"

    run: Mapped[int] = mapped_column(ForeignKey("runs.number"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(String(255))

    __table_args__ = (Index("labels_by_value", "name", "value", "run"),)


class AttemptRow(Base):
    """An attempt of a run. `lease` names the runner that answers for it until `lease_until`; `ask` says who wants it
    to end (`user`, `timeout`), `asked` since when; `retries_left` how often the service may try again by itself."""

    __tablename__ = "attempts"

    run: Mapped[int] = mapped_column(ForeignKey("runs.number"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    retries_left: Mapped[int]
    not_before: Mapped[float]
    lease: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[float]
    heartbeat: Mapped[float | None]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    ask: Mapped[str] = mapped_column(String(16))
    asked: Mapped[float | None]
    exit_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("attempts_by_state", "state"),)


LAST_ATTEMPT = (AttemptRow.run == RunRow.number) & (AttemptRow.number == RunRow.attempt)
"""Joins each run with its last attempt."""


class HistoryRow(Base):
    """A transition that was taken, by whom and why. `version` counts those of a run from 1."""

    __tablename__ = "history"

    number: Mapped[int] = mapped_column(Identity, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number"))
    version: Mapped[int]
    attempt: Mapped[int]
    before: Mapped[str | None] = mapped_column(String(16))
    after: Mapped[str] = mapped_column(String(16))
    time: Mapped[float]
    why: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(64))

    __table_args__ = (UniqueConstraint("run", "version"), {"sqlite_autoincrement": True})


class EventRow(Base):
    """An event: one that the run wrote (`origin` run, with its own attempt and seq) or a transition (`origin` service,
    with the attempt and the version). Its number is the id that the stream has."""

    __tablename__ = "events"

    number: Mapped[int] = mapped_column(Identity, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number"))
    origin: Mapped[str] = mapped_column(String(8))
    generation: Mapped[int]
    attempt: Mapped[int]
    seq: Mapped[int]
    time: Mapped[float]
    kind: Mapped[str] = mapped_column(String(32))
    fields: Mapped[dict[str, object]]

    __table_args__ = (
        UniqueConstraint("run", "origin", "generation", "attempt", "seq"),
        Index("events_of_run", "run", "number"),
        {"sqlite_autoincrement": True},
    )


class TokenRow(Base):
    """An API token. `digest` is the SHA-256 of its secret, `previous` that of the one before, good until
    `previous_until`."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(8))
    digest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str | None] = mapped_column(String(64))
    previous_until: Mapped[float | None]
    created: Mapped[float]
    expires: Mapped[float | None]
    revoked: Mapped[float | None]


class IdempotencyRow(Base):
    """The first answer to a request with an Idempotency-Key."""

    __tablename__ = "idempotency"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, object]]
    created: Mapped[float]


class DeliveryRow(Base):
    """A message of the outbox: to be sent to `url` from `not_before` on, until it has `ended`: delivered, or given up.
    `tries` were made; `status` and `error` are those of the last. Who sends it says so until `sending_until`."""

    __tablename__ = "deliveries"

    number: Mapped[int] = mapped_column(Identity, primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    run: Mapped[int] = mapped_column(ForeignKey("runs.number"))
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    created: Mapped[float]
    tries: Mapped[int]
    not_before: Mapped[float]
    sending_until: Mapped[float | None]
    ended: Mapped[float | None]
    is_delivered: Mapped[bool]
    status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index("deliveries_due", "ended", "not_before"),
        Index("deliveries_waiting", "ended", "url", "number", "not_before"),
        Index("deliveries_sent_now", "sending_until"),
        {"sqlite_autoincrement": True},
    )


class AuditRow(Base):
    """An entry of the audit log: encrypted, and chained to the one before by `digest`."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    nonce: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))
