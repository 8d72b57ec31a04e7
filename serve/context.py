"""What the routes of one server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from curator.errors import DataError, UserError
from serve.feed import Feed
from serve.finished import FinishedRun, open_finished
from serve.gate import PRINCIPAL
from serve.guarded.call import Guard
from serve.kinds import Kind
from serve.models import Run
from serve.problems import ProblemError
from serve.runner.runner import Runner
from serve.settings import Settings
from serve.states import State
from serve.store.queries import run_number
from serve.store.runs import RunStore
from serve.store.shown import ShownRuns
from serve.store.trainings import find_training
from serve.tokens import Principal, Tokens
from serve.training_models import Training
from serve.webhooks.deliverer import Deliverer
from serve.webhooks.outbox import Outbox


@dataclass(frozen=True)
class Service:
    """The parts of a server."""

    settings: Settings
    runs: RunStore
    tokens: Tokens
    runner: Runner
    feed: Feed
    guard: Guard
    outbox: Outbox
    deliverer: Deliverer
    shown: ShownRuns

    def start(self) -> None:
        """Begin to work on runs and to deliver messages. UserError where another server has the state folder."""
        self.runner.start()
        self.deliverer.start()

    def stop(self) -> None:
        """End that. Processes go on, and the next server of this state folder adopts them."""
        self.deliverer.stop()
        self.runner.stop()

    def run(self, id: str) -> Run:  # noqa: A002 (as users call it)
        """A run by its id. ProblemError where there is none."""
        found = self.runs.find(id)
        if found is None:
            raise unknown_run(id)
        return found

    def training(self, id: str) -> Training:  # noqa: A002 (as users call it)
        """A training by its id. ProblemError where there is none."""
        with self.runs.database.read() as session:
            found = find_training(session, id)
        if found is None:
            raise unknown_training(id)
        return found

    def number(self, kind: Kind, id: str) -> int:  # noqa: A002 (as users call it)
        """The internal number of a run or training. ProblemError where there is none."""
        with self.runs.database.read() as session:
            number = run_number(session, id, kind)
        if number is None:
            raise unknown_run(id) if kind == Kind.RUN else unknown_training(id)
        return number

    def finished(self, id: str) -> FinishedRun:  # noqa: A002 (as users call it)
        """A run that has succeeded. ProblemError for others, and where its directory is gone or now is that of
        another."""
        found = self.run(id)
        if found.state != State.SUCCEEDED:
            raise ProblemError("run.not_finished", f"it is {found.state}", hint="wait until it has succeeded")
        try:
            return open_finished(id, found.output, self.runs.fingerprint(id))
        except (UserError, DataError) as error:
            raise ProblemError("run.damaged", error.message, hint=error.hint) from error


def unknown_run(id: str) -> ProblemError:  # noqa: A002 (as users call it)
    """The problem of an id that no run has."""
    return ProblemError("run.unknown", f"no run has the id {id!r}", hint="GET /v1/runs lists them")


def unknown_training(id: str) -> ProblemError:  # noqa: A002 (as users call it)
    """The problem of an id that no training has."""
    return ProblemError("training.unknown", f"no training has the id {id!r}", hint="GET /v1/trainings lists them")


# Without `async` each of these would be called in a thread of its own.
async def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


async def _principal(request: Request) -> Principal:
    found = getattr(request.state, PRINCIPAL)
    if not isinstance(found, Principal):
        raise ProblemError("token.missing", "send Authorization: Bearer TOKEN")
    return found


ServiceOf = Annotated[Service, Depends(_service)]
PrincipalOf = Annotated[Principal, Depends(_principal)]
