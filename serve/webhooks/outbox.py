"""The outbox: messages that are written in the transaction of the end that they tell of, so that none is lost, and kept
until they are delivered or given up."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Select, event, func, select
from sqlalchemy.orm import Session

from serve.config import WebhookSection
from serve.models import Delivery, DeliveryPage, Standing
from serve.states import State
from serve.store.tables import AttemptRow, DeliveryRow, RunRow
from serve.webhooks.addresses import is_allowed

TRIES = 8
BACKOFF_SECONDS = (5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""Before the next try, by how many there were; together a day and seven hours."""
CLAIM_SECONDS = 120.0
"""A message that is being sent is not sent by another server meanwhile, nor another to its receiver."""


@dataclass(frozen=True)
class Due:
    """The number of a message that is due, and its receiver."""

    number: int
    url: str


@dataclass(frozen=True)
class Message:
    """One that is sent. `tries` counts the one that is made now."""

    number: int
    id: str
    url: str
    body: bytes
    tries: int


@dataclass(frozen=True)
class Sent:
    """How a try went: `status` is that of the answer, `error` what kept it from being delivered."""

    status: int | None
    error: str | None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more of these (410)."""
        return self.status == 410


class Outbox:
    """Writes messages into the store."""

    def __init__(self, section: WebhookSection) -> None:
        self._section = section
        self._has_new = False

    def take_new(self) -> bool:
        """Whether a message was committed since the last call."""
        found, self._has_new = self._has_new, False
        return found

    def _note_new(self, _session: Session) -> None:
        self._has_new = True

    def add(self, session: Session, run: RunRow, attempt: AttemptRow) -> None:
        """Note who is told that a run or training has ended."""
        for url in self._receivers(run):
            # Not before: whoever looked in between would find nothing, and nobody would be told again.
            event.listen(session, "after_commit", self._note_new, once=True)
            identity = f"msg_{secrets.token_hex(12)}"
            now = time.time()
            body = json.dumps(
                {
                    "type": f"{run.kind}.{run.state}",
                    "timestamp": datetime.fromtimestamp(now, UTC).isoformat(),
                    "data": {
                        "id": run.id,
                        "kind": run.kind,
                        "state": run.state,
                        "owner": run.owner,
                        "output": run.output,
                        "labels": run.labels,
                        "attempt": run.attempt,
                        "exit_code": attempt.exit_code,
                        "error": attempt.error,
                    },
                },
                ensure_ascii=False,
            )
            session.add(
                DeliveryRow(
                    id=identity,
                    run=run.number,
                    url=url,
                    body=body,
                    created=now,
                    tries=0,
                    not_before=now,
                    sending_until=None,
                    is_delivered=False,
                )
            )

    def is_allowed(self, url: str) -> bool:
        """Whether the configuration lets a message go there."""
        targets = (target.url for target in self._section.targets)
        return url in targets or is_allowed(url, self._section.allow)

    def _receivers(self, run: RunRow) -> Sequence[str]:
        configured = [target.url for target in self._section.targets if State(run.state) in target.states]
        asked = cast("list[str]", run.request.get("notify", []))
        return list(dict.fromkeys([*configured, *asked]))


def first_due(session: Session, now: float) -> list[Due]:
    """Of each receiver that is sent nothing just now the oldest message that is due, those that are due the longest
    first."""
    oldest = (
        select(func.min(DeliveryRow.number))
        .where(DeliveryRow.ended.is_(None), DeliveryRow.not_before <= now, DeliveryRow.url.not_in(_sent_to(now)))
        .group_by(DeliveryRow.url)
    )
    query = select(DeliveryRow.number, DeliveryRow.url).where(DeliveryRow.number.in_(oldest))
    return [Due(number, url) for number, url in session.execute(query.order_by(DeliveryRow.not_before))]


def next_due(session: Session, now: float) -> float | None:
    """When the next message becomes due that is not, None where there is none."""
    query = select(func.min(DeliveryRow.not_before)).where(DeliveryRow.ended.is_(None), DeliveryRow.not_before > now)
    return session.scalar(query)


def claim(session: Session, numbers: Sequence[int], now: float) -> list[Message]:
    """Those of these messages that nobody has claimed since they were found: for a while no other server sends them, or
    anything else to their receivers. In a transaction that is alone among writers."""
    rows = session.scalars(
        select(DeliveryRow).where(
            DeliveryRow.number.in_(numbers),
            DeliveryRow.ended.is_(None),
            DeliveryRow.not_before <= now,
            DeliveryRow.url.not_in(_sent_to(now)),
        )
    ).all()
    found = []
    for row in rows:
        row.tries += 1
        row.sending_until = now + CLAIM_SECONDS
        found.append(Message(row.number, row.id, row.url, row.body.encode(), row.tries))
    return found


def _sent_to(now: float) -> Select[str]:
    """The receivers that are sent something just now."""
    return select(DeliveryRow.url).where(DeliveryRow.ended.is_(None), DeliveryRow.sending_until > now)


def list_deliveries(session: Session, run: str | None, before: int | None, limit: int) -> DeliveryPage:
    """The newest messages, those about a run or training if one is given."""
    query = select(DeliveryRow, RunRow.id).join(RunRow, RunRow.number == DeliveryRow.run)
    if run is not None:
        query = query.where(RunRow.id == run)
    if before is not None:
        query = query.where(DeliveryRow.number < before)
    rows = session.execute(query.order_by(DeliveryRow.number.desc()).limit(limit + 1)).all()
    shown = tuple(delivery_model(row, about) for row, about in rows[:limit])
    return DeliveryPage(deliveries=shown, next=str(rows[limit - 1][0].number) if len(rows) > limit else None)


def send_again(session: Session, identity: str) -> Delivery | None:
    """Put a message that has ended back into the outbox; None where there is none of this id."""
    query = select(DeliveryRow, RunRow.id).join(RunRow, RunRow.number == DeliveryRow.run)
    found = session.execute(query.where(DeliveryRow.id == identity)).first()
    if found is None:
        return None
    row, about = found
    if row.ended is not None:
        row.ended, row.is_delivered, row.tries, row.not_before = None, False, 0, time.time()
    return delivery_model(row, about)


def counts(session: Session) -> dict[str, int]:
    """How many messages wait, were delivered, and were given up."""
    query = select(DeliveryRow.ended.is_not(None), DeliveryRow.is_delivered, func.count())
    rows = session.execute(query.group_by(DeliveryRow.ended.is_not(None), DeliveryRow.is_delivered))
    found = {_standing(bool(ended), bool(delivered)): count for ended, delivered, count in rows}
    return {standing: found.get(standing, 0) for standing in ("waiting", "delivered", "given up")}


def delivery_model(row: DeliveryRow, run: str) -> Delivery:
    """A message as users see it."""
    return Delivery(
        id=row.id,
        run=run,
        url=row.url,
        created=row.created,
        standing=_standing(row.ended is not None, row.is_delivered),
        tries=row.tries,
        not_before=row.not_before,
        ended=row.ended,
        status=row.status,
        error=row.error,
    )


def _standing(has_ended: bool, is_delivered: bool) -> Standing:
    if not has_ended:
        return "waiting"
    return "delivered" if is_delivered else "given up"


def settle(session: Session, message: Message, sent: Sent, now: float) -> None:
    """Note how a try went, and when the next is; nothing where it took so long that another was begun."""
    row = session.get_one(DeliveryRow, message.number)
    if row.ended is not None or row.tries != message.tries:
        return
    row.sending_until = None
    row.status, row.error = sent.status, sent.error
    if sent.error is None:
        row.ended, row.is_delivered = now, True
    elif sent.is_gone or message.tries >= TRIES:
        row.ended = now
    else:
        row.not_before = now + BACKOFF_SECONDS[min(message.tries, len(BACKOFF_SECONDS)) - 1]
