"""How far a run is, folded from its events as they come."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

from curator.run.events import Event


@dataclass(frozen=True)
class Reached:
    """How far an attempt is: phase `number` of `phases`, `tasks` of it done; `documents` and `bytes_read` of
    `bytes_total` read from the input. Times are seconds since 1970: when the attempt began, and its phase."""

    phase: str = ""
    number: int = 0
    phases: int = 0
    tasks: int = 0
    documents: int = 0
    bytes_read: int = 0
    bytes_total: int = 0
    phase_started: float | None = None
    began: float | None = None


Counts = dict[str, list[int]]
"""Documents and tokens by event of the funnel."""


@dataclass
class ProgressFold:
    """Folds events, given in order, into how far the run is, and what it has counted: in all with every task, per
    language with every phase."""

    reached: Reached = field(default_factory=Reached)
    counts: Counts = field(default_factory=dict)
    languages: dict[str, Counts] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take in the next event."""
        kind = event["kind"]
        if kind == "run.started":
            self.counts, self.languages = {}, {}
            self.reached = Reached(bytes_total=_integer(event["bytes"]), began=_number(event["time"]))
        elif kind == "phase.started":
            self.reached = replace(
                self.reached,
                phase=str(event["phase"]),
                number=_integer(event["index"]) + 1,
                phases=_integer(event["phases"]),
                tasks=0,
                phase_started=_number(event["time"]),
            )
        elif kind == "task.done":
            self._add_task(event)
        elif kind == "phase.ended":
            self.languages = cast("dict[str, Counts]", event["languages"])

    def _add_task(self, event: Event) -> None:
        self.reached = replace(self.reached, tasks=self.reached.tasks + 1)
        for name, (documents, tokens) in cast("Counts", event["counts"] or {}).items():
            before = self.counts.setdefault(name, [0, 0])
            before[0] += documents
            before[1] += tokens
        consumed = event["consumed"]
        if not isinstance(consumed, int):
            return
        self.reached = replace(
            self.reached,
            documents=self.reached.documents + _integer(event["rows"]),
            bytes_read=max(self.reached.bytes_read, consumed),  # tasks end in any order
        )


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
