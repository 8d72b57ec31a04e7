"""States of an attempt, and the rules by which it goes from one to the next.

A run is worked on in attempts, numbered from 1. Each begins `queued` and ends in exactly one terminal state, which
never changes; to resume a run, or to try it again, is a new attempt. The state of a run is that of its last attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from curator.errors import Bug


class State(StrEnum):
    """Where an attempt stands."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows it."""
        return self in TERMINAL


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.LOST})
ACTIVE = frozenset({State.STARTING, State.RUNNING, State.CANCELLING})
"""A process may be working."""


@dataclass(frozen=True)
class Transition:
    """A rule: from which states, to which, and why it is taken. `why` is what history tells unless more is known."""

    FROM: ClassVar[frozenset[State]]
    TO: ClassVar[State]
    WHY: ClassVar[str]

    why: str = ""

    def allows(self, state: State) -> bool:
        """Whether an attempt in this state may take it."""
        return state in self.FROM

    @property
    def reason(self) -> str:
        """What history tells."""
        return self.why or self.WHY


class Launch(Transition):
    """The runner took it from the queue: from now on there may be a process, so no other runner may take it."""

    FROM = frozenset({State.QUEUED})
    TO = State.STARTING
    WHY = "taken from the queue"


class Begin(Transition):
    """The run said its first word. A word that comes after a cancel was asked for does not undo that."""

    FROM = frozenset({State.STARTING})
    TO = State.RUNNING
    WHY = "the run began"


class CancelQueued(Transition):
    """Nothing runs yet, so nothing has to be ended."""

    FROM = frozenset({State.QUEUED})
    TO = State.CANCELLED
    WHY = "cancelled before it began"


class AskToCancel(Transition):
    """The process is told to end; it is cancelled when it has."""

    FROM = frozenset({State.STARTING, State.RUNNING})
    TO = State.CANCELLING
    WHY = "a cancel was asked for"


class Succeed(Transition):
    """Its manifest is written. So it counts even where a cancel was asked for too late to matter."""

    FROM = ACTIVE
    TO = State.SUCCEEDED
    WHY = "its manifest is written"


class Fail(Transition):
    """It ended with an error of its own, or its time was up. Also while a cancel was on its way: an error is told."""

    FROM = ACTIVE
    TO = State.FAILED
    WHY = "it ended with an error"


class Cancel(Transition):
    """The process that was told to end is gone."""

    FROM = frozenset({State.CANCELLING})
    TO = State.CANCELLED
    WHY = "it was cancelled"


class Lose(Transition):
    """The process is gone and left no word, as when it is killed or its machine stops. One that was told to end is
    cancelled instead: that is what was wanted."""

    FROM = frozenset({State.STARTING, State.RUNNING})
    TO = State.LOST
    WHY = "its process ended without a word"


RULES: tuple[type[Transition], ...] = (Launch, Begin, CancelQueued, AskToCancel, Succeed, Fail, Cancel, Lose)


def check_transition(state: State, transition: Transition) -> None:
    """Bug where the rule does not start from this state: whoever takes one looks first, under the same lock."""
    if not transition.allows(state):
        raise Bug(f"{type(transition).__name__}: an attempt that is {state} cannot become {transition.TO}")
