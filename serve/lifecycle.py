"""Work that is submitted once, ended and gone on with: the same for runs and trainings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Header, Response

from serve.context import Service
from serve.kinds import Kind
from serve.models import Work, WorkRequest
from serve.problems import ProblemError
from serve.states import AskToCancel, CancelQueued, State
from serve.store.damage import request_of
from serve.store.runs import Writer, is_output_in_use
from serve.store.tables import AttemptRow, IdempotencyRow, RunRow
from serve.submission import Checked, request_digest
from serve.tokens import Principal

REPLAYED = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="the same key and body give the first answer again; the same key and another body are refused",
        examples=["crawl-2026-11"],
    ),
]

Shown = TypeVar("Shown", bound=Work)


@dataclass(frozen=True)
class Lifecycle(Generic[Shown]):
    """That of one kind: where its routes are, how it is shown, and the problem of an id that nothing has. Codes of its
    problems begin with its kind."""

    kind: Kind
    path: str
    model: type[Shown]
    asked: type[WorkRequest]
    show: Callable[[RunRow, AttemptRow], Shown]
    unknown: Callable[[str], ProblemError]

    def submit(
        self,
        request: WorkRequest,
        service: Service,
        principal: Principal,
        response: Response,
        key: str | None,
        check: Callable[[], Checked],
    ) -> Shown:
        """Make it, unless the key made it before. `check` looks at the request. ProblemError where it cannot be."""
        digest = request_digest(request)
        if key is not None:
            with service.runs.database.read() as session:
                first = self._first_answer(session.get(IdempotencyRow, (principal.name, key)), digest)
            if first is not None:
                return self._replay(first, response)
        if request.priority > 0 and not principal.may("admin"):
            raise ProblemError("token.scope", "a priority above 0 needs the scope admin")
        for url in request.notify:
            if not service.outbox.is_allowed(url):
                raise ProblemError("webhook.refused", f"{url!r} is none that the administrator allows")
        checked = check()
        with service.runs.write() as writer:
            if key is not None:
                first = self._first_answer(writer.session.get(IdempotencyRow, (principal.name, key)), digest)
                if first is not None:
                    return self._replay(first, response)
            self._need_output(writer, checked.output, hint="choose another")
            row = writer.create(request, checked.name, checked.output, principal.name, self.kind)
            shown = self.show(row, writer.attempt_of(row))
            if key is not None:
                answer = shown.model_dump(mode="json")
                writer.session.add(
                    IdempotencyRow(owner=principal.name, key=key, digest=digest, answer=answer, created=time.time())
                )
        response.headers["Location"] = f"{self.path}/{shown.id}"
        return shown

    def cancel(self, id: str, service: Service, principal: Principal) -> Shown:  # noqa: A002 (as users call it)
        """End it. ProblemError where it has ended."""
        with service.runs.write() as writer:
            row = self._own(writer, id, principal)
            state = State(row.state)
            if state.is_terminal:
                verb = "has" if state in (State.SUCCEEDED, State.FAILED) else "is"
                raise ProblemError(f"{self.kind}.ended", f"it {verb} {state}")
            attempt = writer.attempt_of(row)
            if state == State.QUEUED:
                writer.take(row, row.attempt, CancelQueued(), principal.name)
            elif state != State.CANCELLING and writer.take(row, row.attempt, AskToCancel(), principal.name):
                attempt.ask = "user"
            shown = self.show(row, attempt)
        service.runner.wake()
        return shown

    def resume(
        self,
        id: str,  # noqa: A002 (as users call it)
        service: Service,
        principal: Principal,
        change: Callable[[WorkRequest], WorkRequest] | None = None,
    ) -> Shown:
        """Go on with it in another attempt, which is asked with what `change` makes of its request. ProblemError where
        it has succeeded, or has not ended."""
        with service.runs.write() as writer:
            row = self._own(writer, id, principal)
            state = State(row.state)
            if state == State.SUCCEEDED:
                raise ProblemError(f"{self.kind}.ended", "it has succeeded: there is nothing to go on with")
            if not state.is_terminal:
                raise ProblemError(f"{self.kind}.not_ended", f"it is {state}")
            self._need_output(writer, row.output)
            asked = request_of(self.asked, id, row.request)
            if change is not None:
                asked = change(asked)
                writer.ask_anew(row, asked, principal.name)
            writer.try_again(row, "resumed", principal.name, asked.attempts - 1)
            return self.show(row, writer.attempt_of(row))

    def _need_output(self, writer: Writer, output: str, hint: str | None = None) -> None:
        other = is_output_in_use(writer.session, output)
        if other is not None:
            raise ProblemError("run.output_in_use", f"{other} works in {output}, or above or below it", hint=hint)

    def _own(self, writer: Writer, id: str, principal: Principal) -> RunRow:  # noqa: A002 (as users call it)
        """What this token may change. ProblemError otherwise."""
        row = writer.run(id, self.kind)
        if row is None:
            raise self.unknown(id)
        if row.owner != principal.name and not principal.may("admin"):
            raise ProblemError("token.scope", f"the {self.kind} belongs to {row.owner}; others need the scope admin")
        return row

    def _first_answer(self, row: IdempotencyRow | None, digest: str) -> Shown | None:
        if row is None:
            return None
        if row.digest != digest:
            raise ProblemError("key.conflict", "another request had this key", hint="use a key for one request alone")
        return self.model.model_validate(row.answer)

    def _replay(self, first: Shown, response: Response) -> Shown:
        response.headers["Location"] = f"{self.path}/{first.id}"
        response.headers[REPLAYED] = "true"
        return first
