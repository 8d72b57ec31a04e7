"""What a finished run took, from its events and its manifest."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from curator.errors import UserError
from curator.recipe.model import Recipe
from curator.registry import stage_class
from curator.run.directory import RunDirectory
from curator.run.events import read_events
from curator.run.manifest import load_manifest
from curator.run.tally import COPIES, IN, KEPT, Tally

_PASS = re.compile(r"judge-\d+")
ANOTHER = "take a run that this version of curator made, from start to end in one go"


@dataclass(frozen=True)
class Figures:
    """CPU seconds, bytes and counts of one run, by the keys of `Rates`. What is of all passes of `judge` is divided by
    their number. `tasks` are those of each step, `parts_read` those of `read`; `stream_bytes` is the text of an
    input that has fewer bytes than its text: it is compressed, and the driver reads it."""

    text_bytes: float
    documents: float
    kept_bytes: float
    input_bytes: float
    stream_bytes: float
    parts_read: float
    tasks: Mapping[str, float]
    cpu: Mapping[str, float]
    parts: Mapping[str, float]
    driver: Mapping[str, float]
    work: Mapping[str, float]
    output: Mapping[str, float]
    facts: Mapping[str, float]
    parameters: Mapping[str, Mapping[str, object]]
    driver_peak_bytes: float

    @property
    def tasks_cpu_s(self) -> float:
        """CPU seconds of all tasks."""
        passes = self.tasks["judge"] / self.parts_read
        return sum(self.cpu.values()) + self.cpu["judge"] * (passes - 1) + sum(self.parts.values())


def figures_of(directory: RunDirectory) -> Figures:
    """The figures of a run. UserError for one that is not finished, was resumed, or does not tell CPU times."""
    if not directory.manifest.exists():
        raise UserError("is not a finished run", file=str(directory.root), hint=ANOTHER)
    manifest = load_manifest(directory.manifest)
    events = read_events(directory.events)
    done = [event for event in events if event["kind"] == "task.done"]
    if any(event["attempt"] != 1 for event in events) or any(event.get("cpu_s") is None for event in done):
        raise UserError("does not tell what each task took", file=str(directory.root), hint=ANOTHER)
    tally = Tally(cast("list[list[object]]", manifest["funnel"])).events()
    documents, _, text_bytes = tally.get(IN, (0, 0, 0))
    if documents == 0:
        raise UserError("has no documents", file=str(directory.root), hint=ANOTHER)
    tasks: Counter[str] = Counter()
    cpu: defaultdict[str, float] = defaultdict(float)
    parts: defaultdict[str, float] = defaultdict(float)
    work: defaultdict[str, float] = defaultdict(float)
    for event in done:
        step = _PASS.sub("judge", cast("str", event["step"]))
        of_parts = cast("dict[str, float]", event["parts_cpu_s"])
        tasks[step] += 1
        cpu[step] += cast("float", event["cpu_s"]) - sum(of_parts.values())
        work[step] += cast("int", event["bytes"])
        for name, cpu_s in of_parts.items():
            parts[f"{step}/{name}"] += cpu_s
    passes = tasks["judge"] / tasks["read"]
    cpu["judge"] /= passes
    work["judge"] /= passes
    recipe = Recipe.model_validate(manifest["recipe"])
    output: defaultdict[str, float] = defaultdict(float)
    for file in cast("list[dict[str, object]]", manifest["files"]):
        output[cast("str", file["path"]).split("/")[0]] += cast("int", file["bytes"])
    started = next(event for event in events if event["kind"] == "run.started")
    input_bytes = cast("int", started["bytes"])
    return Figures(
        text_bytes=text_bytes,
        documents=documents,
        kept_bytes=tally.get(KEPT, (0, 0, 0))[2] + tally.get(COPIES, (0, 0, 0))[2],
        input_bytes=input_bytes,
        stream_bytes=text_bytes if input_bytes < text_bytes else 0,
        parts_read=tasks["read"],
        tasks=tasks,
        cpu=cpu,
        parts=parts,
        driver=_driver(events),
        work=work,
        output=output,
        facts=_facts(cast("dict[str, dict[str, object]]", manifest["facts"]), recipe),
        parameters={entry.name: entry.parameters for entry in recipe.stages},
        driver_peak_bytes=max(cast("int", event.get("driver_peak_bytes", 0)) for event in events),
    )


def driver_key(kind: str, stages: str) -> str:
    """The key of a phase among the rates of the driver: its kind, and its stage where the kind has one."""
    return f"{kind}/{stages}" if kind in ("relate", "fit", "settle", "derive") else kind


def _driver(events: list[dict[str, object]]) -> dict[str, float]:
    """CPU seconds of the driver by phase; those of a pass of judge are its share of all passes."""
    found: defaultdict[str, float] = defaultdict(float)
    passes = 0
    for event in events:
        if event["kind"] == "phase.ended":
            kind, _, stages = cast("str", event["phase"]).partition(" ")
            found[driver_key(kind, stages)] += cast("float", event["driver_cpu_s"])
            passes += kind == "judge"
    if passes:
        found["judge"] /= passes
    return dict(found)


def _facts(facts: Mapping[str, Mapping[str, object]], recipe: Recipe) -> dict[str, float]:
    """The counts among the facts of stages that relate documents, by `stage.name`."""
    return {
        f"{entry.name}.{name}": count
        for entry in recipe.stages
        if stage_class(entry.name).relates
        for name, count in facts.get(entry.name, {}).items()
        if isinstance(count, int) and not isinstance(count, bool)
    }
