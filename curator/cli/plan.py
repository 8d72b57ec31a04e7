"""`curator plan`: the phases of a recipe, the files that it would read, and what a run would take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from curator.cli.output import print_json, print_line, print_note, print_table
from curator.errors import UserError
from curator.recipe import load_recipe
from curator.sizes import format_size

if TYPE_CHECKING:
    from curator.estimate.estimate import Estimate
    from curator.estimate.limits import NeedEstimate
    from curator.estimate.machines import Cluster, CorpusSize
    from curator.estimate.model import Question
    from curator.plan import Phase
    from curator.readers.base import InputFile
    from curator.run.pipeline import Pipeline

FILES_SHOWN = 20
"""Files that are listed by name."""

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86400.0, 365.25 * 86400.0


@dataclass(frozen=True)
class Asked:
    """What an estimate is asked for on the command line, as it was written."""

    size: str | None = None
    documents: str | None = None
    nodes: tuple[str, ...] = ()
    engine: str | None = None
    like: Path | None = None
    compressed: bool = False
    files: str | None = None

    @property
    def wants_estimate(self) -> bool:
        """Whether an estimate is asked for at all."""
        return self != Asked()


def plan_command(
    recipe: str, inputs: Sequence[str], overlay: Path | None, overrides: Sequence[str], asked: Asked, as_json: bool
) -> None:
    """Print the phases of a recipe, the files that it would read, and what a run would take."""
    from curator.plan import make_plan
    from curator.readers.detect import Inventory, describe_skipped, take_inventory
    from curator.run.checks import check_holdout, check_metadata, check_quotes
    from curator.run.pipeline import make_pipeline

    loaded = load_recipe(recipe, overrides, overlay)
    pipeline = make_pipeline(loaded)
    phases = make_plan(pipeline)
    # What it needs may be on the nodes, and not here.
    check_metadata(pipeline)
    check_holdout(pipeline)
    inventory = take_inventory(tuple(inputs), loaded.input.format) if inputs else Inventory((), ())
    files = inventory.files
    check_quotes("input.quotes", loaded.input.quotes, files)
    if asked.wants_estimate:
        from curator.estimate.estimate import make_estimate

        question = _question(pipeline, phases, files, asked)
        found = make_estimate(question)
    if as_json:
        value: dict[str, object] = {
            "recipe": loaded.name,
            "phases": [{"kind": phase.kind, "stages": phase.stages, "observers": phase.observers} for phase in phases],
            "input": [
                {"name": file.name, "bytes": file.size, "format": file.format, "compression": file.compression}
                for file in files
            ],
        }
        if asked.wants_estimate:
            value["estimate"] = _estimate_json(question, found)
        print_json(value)
        return
    for number, phase in enumerate(phases, 1):
        print_line(f"{number:2}. {phase.describe()}")
    if files:
        print_line()
        rows = [[file.name, file.format, file.compression, format_size(file.size)] for file in files[:FILES_SHOWN]]
        print_table(["input", "format", "compression", "size"], rows, left=3)
        if len(files) > FILES_SHOWN:
            size = format_size(sum(file.size for file in files))
            print_line(f"and {len(files) - FILES_SHOWN:,} more; {size} in all (--json names every file)")
    for line in describe_skipped(inventory.skipped):
        print_note(f"curator: {line}")
    if asked.wants_estimate:
        _print_estimate(question, found)


def _question(pipeline: Pipeline, phases: tuple[Phase, ...], files: Sequence[InputFile], asked: Asked) -> Question:
    """What is asked. UserError for a size, a node, an engine or a run that makes no sense."""
    from curator.estimate.figures import figures_of
    from curator.estimate.machines import parse_cluster, parse_count, parse_text_bytes
    from curator.estimate.model import Question
    from curator.estimate.rates import like_run, load_rates
    from curator.estimate.sample import measured_size, told_size
    from curator.run.directory import RunDirectory

    rates = load_rates()
    cluster = parse_cluster(asked.nodes)
    engine = asked.engine or ("local" if cluster.machines == 1 else "ray")
    cost = rates.engine(engine)
    if engine == "local" and cluster.machines > 1:
        raise UserError("--engine local: works on one node", hint="leave it out, or give one node")
    if asked.like is not None:
        rates = like_run(rates, figures_of(RunDirectory(asked.like)), asked.like.name)
    told = asked.size is not None or asked.documents is not None
    for option, given in (("--compressed", asked.compressed), ("--files", asked.files is not None)):
        if given and not told:
            raise UserError(f"{option}: says how the corpus of --size or --documents lies", hint="give one of them")
    if told or not files:
        size = None if asked.size is None else float(parse_text_bytes(asked.size))
        documents = None if asked.documents is None else parse_count("--documents", asked.documents)
        corpus = told_size(size, documents, rates, compressed=asked.compressed)
        if asked.files is not None:
            corpus = replace(corpus, files=parse_count("--files", asked.files))
    else:
        corpus = measured_size(files, pipeline.recipe, rates)
    return Question(pipeline, phases, corpus, cluster, cost, rates)


def format_seconds(seconds: float) -> str:
    """Seconds for people: two or three digits and a unit."""
    if seconds < 0.01:
        return "0 s" if seconds == 0 else "< 0.01 s"
    for limit, unit, name in (
        (2 * MINUTE, 1.0, "s"),
        (2 * HOUR, MINUTE, "min"),
        (2 * DAY, HOUR, "h"),
        (2 * YEAR, DAY, "days"),
    ):
        if seconds < limit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / YEAR:,.0f} years"


def _print_estimate(question: Question, found: Estimate) -> None:
    corpus, cluster = question.corpus, question.cluster
    print_line()
    print_line(f"estimate for {_corpus_line(corpus)}, on {_cluster_line(cluster)}")
    print_line()
    rows = [
        [
            phase.name.split(";")[0],
            f"{phase.tasks:,.0f}",
            format_cpu(phase.cpu_s),
            format_seconds(phase.seconds),
            format_size(phase.exchange_bytes),
            format_size(phase.work_bytes),
            phase.bound,
        ]
        for phase in found.phases
    ]
    print_table(["phase", "tasks", "CPU", "time", "exchange", "work", "bound by"], rows)
    print_line()
    shown = [
        (
            "time",
            f"{format_seconds(found.seconds)}; the tasks alone, {format_seconds(found.workers_s)}",
        ),
        ("CPU", f"{format_cpu(found.cpu_s)}, of them {format_cpu(found.driver_cpu_s)} in the driver"),
        ("exchanged", format_size(found.exchange_bytes)),
        ("memory of a partition", format_size(found.partition_bytes)),
        ("memory of the driver", format_size(found.driver_bytes)),
        ("disk for work/", format_size(found.work_bytes)),
        ("output", ", ".join(f"{kind} {format_size(size)}" for kind, size in found.output_bytes.items() if size)),
        ("cost", "no prices given" if found.cost is None else f"{found.cost:,.2f} (in the unit of the prices)"),
    ]
    print_table(["in all", ""], [[name, value] for name, value in shown], left=2)
    print_line()
    if found.broken:
        print_line("too large for the engine as it is:")
        for broken in found.broken:
            print_line(f"  {_need_line(broken)}")
    else:
        first = min(found.needs, key=lambda need: need.holds_to_bytes)
        holds = first.holds_to_bytes
        until = f"; the first to end is '{first.need.name}', at {format_size(holds)}" if math.isfinite(holds) else ""
        print_line(f"nothing in the engine ends at this size{until}")
    for line in found.left_out:
        print_line(f"left out: {line}")
    print_line()
    print_line("assumed:")
    for line in found.assumptions:
        print_line(f"  - {line}")


def format_cpu(seconds: float) -> str:
    """CPU seconds for people: hours however many they are, and less where they are few."""
    hours = seconds / HOUR
    return format_seconds(seconds) if hours < 2 else f"{hours:,.0f} h" if hours >= 100 else f"{hours:.3g} h"


def _corpus_line(corpus: CorpusSize) -> str:
    mean = corpus.text_bytes / corpus.documents
    return f"{format_size(corpus.text_bytes)} of text in {corpus.documents:,.0f} documents ({mean:,.0f} bytes each)"


def _cluster_line(cluster: Cluster) -> str:
    nodes = [f"{node.count} x {node.cores} cores with {format_size(node.memory_bytes)}" for node in cluster.nodes]
    return ", ".join(nodes)


def _need_line(found: NeedEstimate) -> str:
    need = found.need
    amount, limit = _amount(found.amount, need.unit), _amount(found.limit, need.unit)
    return (
        f"{need.name}: {amount} in {need.where}, {limit} at most; holds up to {format_size(found.holds_to_bytes)} of "
        f"text: {need.about}"
    )


def _amount(value: float, unit: str) -> str:
    return format_size(value) if unit == "bytes" else f"{value:,.0f} {unit}"


def _estimate_json(question: Question, found: Estimate) -> dict[str, object]:
    corpus, cluster = question.corpus, question.cluster
    return {
        "corpus": {
            "text_bytes": corpus.text_bytes,
            "documents": corpus.documents,
            "stored_bytes": corpus.stored_bytes,
            "stream_share": corpus.stream_share,
            "origin": corpus.origin,
        },
        "nodes": [
            {
                "count": node.count,
                "cores": node.cores,
                "workers": node.workers,
                "memory_bytes": node.memory_bytes,
                "price": node.price,
            }
            for node in cluster.nodes
        ],
        "phases": [
            {
                "phase": phase.name,
                "tasks": phase.tasks,
                "seconds": phase.seconds,
                "tasks_cpu_s": phase.tasks_cpu_s,
                "driver_cpu_s": phase.driver_cpu_s,
                "single_cpu_s": phase.single_cpu_s,
                "exchange_bytes": phase.exchange_bytes,
                "work_bytes": phase.work_bytes,
                "bound_by": phase.bound,
            }
            for phase in found.phases
        ],
        "seconds": found.seconds,
        "tasks_alone_s": found.workers_s,
        "cpu_s": found.cpu_s,
        "driver_cpu_s": found.driver_cpu_s,
        "exchange_bytes": found.exchange_bytes,
        "work_bytes": found.work_bytes,
        "output_bytes": found.output_bytes,
        "partition_memory_bytes": found.partition_bytes,
        "driver_memory_bytes": found.driver_bytes,
        "cost": found.cost,
        "needs": [
            {
                "name": need.need.name,
                "about": need.need.about,
                "where": need.need.where,
                "unit": need.need.unit,
                "amount": need.amount,
                "limit": need.limit,
                "is_broken": need.is_broken,
                "holds_to_bytes": need.holds_to_bytes if math.isfinite(need.holds_to_bytes) else None,
            }
            for need in found.needs
        ],
        "left_out": found.left_out,
        "assumptions": found.assumptions,
        "rates": dict(question.rates.measured),
    }
