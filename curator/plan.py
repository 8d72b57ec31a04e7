"""The plan: a recipe cut into phases at the points where the whole corpus must be seen.

read            every split: records, repair, language, and the annotations of cheap stages, up to the first that
                edits text, in one pass over the text
relate STAGE    documents are compared with each other through the exchange (deduplication)
judge STAGES    verdicts in recipe order on each part; observes for the stage that comes next
fit STAGE       one state from the merged summaries
derive STAGE    children of the survivors; they are read, related and judged like any document
settle STAGE    the state of a stage that repeats documents, once the children are known
write           shards, scores, decisions
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from curator.errors import UserError
from curator.run.pipeline import Pipeline

Kind = Literal["read", "relate", "judge", "fit", "derive", "settle", "write"]


@dataclass(frozen=True)
class Phase:
    """One phase: its kind, the stages that it runs, and those that observe at its end."""

    kind: Kind
    stages: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.kind} {', '.join(self.stages)}".strip()
        return f"{text}; observe for {', '.join(self.observers)}" if self.observers else text


def make_plan(pipeline: Pipeline) -> tuple[Phase, ...]:
    """The phases of a recipe. UserError when its order cannot be kept."""
    phases = [Phase("read", tuple(stage.name for stage in pipeline.early()))]
    pending: list[str] = []
    judged_before = False
    _check_reads(pipeline)
    closing = [stage for stage in pipeline.stages if stage.repeats or stage.derives]
    for stage in pipeline.stages:
        if stage in closing:
            continue
        late = next((other for other in closing if pipeline.stages.index(other) < pipeline.stages.index(stage)), None)
        if late is not None:
            raise UserError(
                f"{stage.name!r} stands after {late.name!r}",
                hint=f"{late.name!r} works on what the other stages keep; move it behind them",
            )
        editor = next((other.name for other in pipeline.before(stage) if other.edits_text), None)
        if editor is None and stage.relates and stage.costly:
            editor = stage.name
        if (stage.relates or stage.observes) and stage.columns and editor is not None:
            raise UserError(
                f"{stage.name!r} stands after {editor!r}",
                hint=f"{stage.name!r} compares texts as they came in; move it before {editor!r}",
            )
        if stage.relates or stage.observes:
            observers: tuple[str, ...] = (stage.name,) if stage.observes else ()
            if pending or observers:
                phases.append(Phase("judge", tuple(pending), observers))
                pending = []
                judged_before = True
            phases.append(Phase("relate" if stage.relates else "fit", (stage.name,)))
        pending.append(stage.name)
    observers = tuple(stage.name for stage in closing if stage.observes)
    if pending or observers or not judged_before:
        phases.append(Phase("judge", tuple(pending), observers))
    phases.extend(Phase("fit", (name,)) for name in observers)
    for stage in closing:
        if stage.derives:
            phases.append(Phase("derive", (stage.name,)))
    if any(stage.derives for stage in closing):
        phases.extend(Phase("settle", (stage.name,)) for stage in closing if stage.repeats)
    if closing:
        phases.append(Phase("judge", tuple(stage.name for stage in closing)))
    phases.append(Phase("write"))
    return tuple(phases)


def _check_reads(pipeline: Pipeline) -> None:
    """UserError when a stage reads what no earlier one finds."""
    found: set[str] = set()
    for stage in pipeline.stages:
        missing = next((name for name in stage.reads if name not in found), None)
        if missing is not None:
            maker = missing.split(".")[0]
            raise UserError(
                f"{stage.name!r} needs what {maker!r} finds ({missing})",
                hint=f"add `- {maker}` before it, or take out the parameter that needs it",
            )
        found.update(column.name for column in stage.relation)
