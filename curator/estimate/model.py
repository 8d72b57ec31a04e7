"""The model: from rates, a plan, a corpus and nodes to what a run takes.

A phase takes as long as its tasks need on the workers, or as long as the driver needs where that is longer, and then as
long as what a single task does while all others wait. All costs are linear in the corpus save the work that stages and
the exchange declare (`curator.scaling`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from curator.estimate.exchange import exchange_work, record_bytes
from curator.estimate.figures import driver_key
from curator.estimate.machines import Cluster, CorpusSize
from curator.estimate.rates import EngineCost, Rate, Rates
from curator.plan import Phase
from curator.run.execution import MAX_SPLIT_BYTES, MIN_SPLIT_BYTES, SPLITS_WANTED
from curator.run.phases.inputs import LEAST_WEIGHT
from curator.run.pipeline import AnyStage, Pipeline
from curator.run.repeated import GROUP_ROWS, IDS
from curator.scaling import Exchange, Quantities, Scaling, Work

HOUR = 3600.0

FILE_TASK_S = 0.0003
FILE_DRIVER_S = 0.0001
"""CPU seconds of opening a file, of a task and of the driver (`benchmarks/small_files.py`, decision 53)."""

ID_EXCHANGE = Exchange(
    IDS,
    lambda given: given.documents,
    lambda given: min(given.parts, math.ceil(given.documents / GROUP_ROWS)),
)
"""The exchange that finds repeated ids (`curator.run.repeated`)."""


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase: CPU seconds of its tasks, of the driver, and of single tasks that the others wait for; wall seconds;
    bytes through its exchanges and into `work/`; what its time is bound by."""

    name: str
    tasks: float
    tasks_cpu_s: float
    driver_cpu_s: float
    single_cpu_s: float
    seconds: float
    exchange_bytes: float
    work_bytes: float

    @property
    def cpu_s(self) -> float:
        """All CPU seconds."""
        return self.tasks_cpu_s + self.driver_cpu_s + self.single_cpu_s

    @property
    def bound(self) -> str:
        """What most of its time goes to: the workers, the driver, or one task."""
        waiting = self.seconds - self.single_cpu_s
        if self.single_cpu_s > waiting:
            return "one task"
        return "the driver" if self.driver_cpu_s >= 0.99 * waiting else "the workers"


@dataclass(frozen=True)
class Question:
    """What is asked: a recipe's pipeline and plan, a corpus, nodes, an engine, and the rates to answer with."""

    pipeline: Pipeline
    phases: tuple[Phase, ...]
    corpus: CorpusSize
    cluster: Cluster
    engine: EngineCost
    rates: Rates

    @cached_property
    def scalings(self) -> tuple[tuple[AnyStage, Scaling], ...]:
        """What each stage declares of its growth."""
        return tuple((stage, stage.scaling()) for stage in self.pipeline.stages)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All exchanges of a run."""
        return (ID_EXCHANGE, *(exchange for _, scaling in self.scalings for exchange in scaling.exchanges))


def quantities_of(question: Question, corpus: CorpusSize | None = None) -> Quantities:
    """A corpus in numbers: its parts, what stages will count, the partitions of each exchange."""
    corpus = corpus or question.corpus
    rates = question.rates
    facts = {name: count * corpus.documents for name, count in rates.facts.items()}
    facts["run.kept_bytes"] = rates.kept_share * corpus.text_bytes
    quantities = Quantities(
        corpus.text_bytes, corpus.documents, parts_of(corpus), corpus.id_bytes, facts, {}, rates.constants
    )
    sent = {step: _at(rate, quantities) for step, rate in rates.work.items() if step.endswith("/emit")}
    quantities = replace(quantities, emitted=sent)
    for exchange in question.exchanges:
        quantities = quantities.with_partitions(exchange.name, exchange.partitions(quantities))
    return quantities


def parts_of(corpus: CorpusSize) -> float:
    """Splits of the input, as the driver cuts it: at least one."""
    split_bytes = min(MAX_SPLIT_BYTES, max(MIN_SPLIT_BYTES, corpus.stored_bytes / SPLITS_WANTED))
    return max(1.0, corpus.plain_bytes / split_bytes, corpus.files * LEAST_WEIGHT / split_bytes)


def estimate_phases(question: Question) -> list[PhaseEstimate]:
    """What each phase takes."""
    quantities = quantities_of(question)
    return [_phase(question, quantities, phase) for phase in question.phases]


def _phase(question: Question, given: Quantities, phase: Phase) -> PhaseEstimate:
    rates = question.rates
    tasks = tasks_cpu_s = single = work_bytes = exchange_bytes = 0.0
    driver = _driver_cpu_s(question, given, phase)
    for step in _steps(question, phase):
        count = _tasks(question, given, step)
        factor = _exchange_factor(question, given, step)
        cost = _at(rates.cpu.get(step, Rate()), given) * factor
        if _is_single(step):
            single += cost
        else:
            tasks += count
            tasks_cpu_s += cost
        work_bytes += _at(rates.work.get(step, Rate()), given) * factor
    if phase.kind == "read":
        tasks_cpu_s += question.corpus.files * FILE_TASK_S
        driver += question.corpus.files * FILE_DRIVER_S
    tasks_cpu_s += sum(_at(rates.parts.get(part, Rate()), given) for part in _parts(question, phase))
    scaling = _scaling(question, phase)
    extra: list[Work] = list(scaling.work)
    for exchange in scaling.exchanges:
        exchange_bytes += exchange.rows(given) * exchange.row_bytes
        extra.extend(exchange_work(exchange, question.engine.exchange))
        work_bytes += record_bytes(exchange, given, question.engine.exchange)
    for work in extra:
        seconds = work.seconds(given)
        if work.where == "driver":
            driver += seconds
        elif work.where == "one task":
            single += seconds
        else:
            tasks_cpu_s += seconds
    tasks_cpu_s += tasks * question.engine.task_cpu_s
    driver += tasks * question.engine.driver_task_s
    workers = min(float(question.cluster.workers), max(1.0, tasks))
    together = (tasks_cpu_s + driver) / (workers * question.engine.efficiency) if tasks else 0.0
    seconds = max(together, driver) + single
    return PhaseEstimate(phase.describe(), tasks, tasks_cpu_s, driver, single, seconds, exchange_bytes, work_bytes)


def _at(rate: Rate, given: Quantities) -> float:
    return rate.at(given.text_bytes, given.documents, given.parts)


def _driver_cpu_s(question: Question, given: Quantities, phase: Phase) -> float:
    rate = question.rates.driver.get(driver_key(phase.kind, ", ".join(phase.stages)), Rate())
    return rate.at(given.text_bytes, given.documents, given.parts, given.text_bytes * question.corpus.stream_share)


def _steps(question: Question, phase: Phase) -> Sequence[str]:
    """The steps of a phase, by the keys of the rates."""
    if phase.kind == "read":
        return ("read", *(key for key in question.rates.cpu if key.startswith("ids/")))
    if phase.kind == "relate":
        folder = f"relate-{phase.stages[0]}"
        return [key for key in question.rates.cpu if key == folder or key.startswith(f"{folder}/")]
    if phase.kind == "fit":
        return [f"fit/{phase.stages[0]}"]
    if phase.kind == "judge":
        return ["judge"]
    return ["write"] if phase.kind == "write" else []


def _parts(question: Question, phase: Phase) -> list[str]:
    """The parts of read and judge that belong to stages. A stage that annotates late does so while judging; what it
    observes is charged where it judges."""
    pipeline = question.pipeline
    early = {stage.name for stage in pipeline.early()}
    if phase.kind == "read":
        language = ["read/language"] if pipeline.recipe.language is not None else []
        return language + [f"read/{name}" for name in phase.stages]
    if phase.kind == "judge":
        late = [f"read/{name}" for name in phase.stages if name not in early]
        return late + [f"judge/{name}" for name in phase.stages]
    return []


def _is_single(step: str) -> bool:
    """Whether a step is one task that all others wait for: `Corpus.once` and the fits."""
    return step.startswith("fit/") or (step.startswith("relate-") and "/" not in step)


def _tasks(question: Question, given: Quantities, step: str) -> float:
    """How many tasks a step has."""
    if step == "write":
        kept = given.fact("run.kept_bytes")
        return max(1.0, kept / question.pipeline.recipe.output.shard_limit(kept))
    pieces = step.split("/")
    exchange = next((found for found in question.exchanges if len(pieces) > 2 and found.name == pieces[1]), None)
    if exchange is not None:
        return exchange.sources(given) if pieces[2] == "emit" else given.partitions[exchange.name]
    if step.endswith("/handle"):
        return 1.0
    return 1.0 if _is_single(step) else given.parts


def _exchange_factor(question: Question, given: Quantities, step: str) -> float:
    """How many bytes a declared exchange has, against those measured: other parameters (fewer bands) cost less."""
    pieces = step.split("/")
    exchange = next((found for found in question.exchanges if len(pieces) > 2 and found.name == pieces[1]), None)
    measured = question.rates.work.get(f"{pieces[0]}/{exchange.name}/emit") if exchange is not None else None
    if exchange is None or measured is None or exchange.name == IDS.name:
        return 1.0
    predicted = _at(measured, given)
    declared = exchange.rows(given) * exchange.row_bytes
    return declared / predicted if predicted else 1.0


def _scaling(question: Question, phase: Phase) -> Scaling:
    if phase.kind == "read":
        return Scaling(exchanges=(ID_EXCHANGE,))
    if phase.kind == "relate":
        return next(scaling for stage, scaling in question.scalings if stage.name == phase.stages[0])
    return Scaling()


def unmeasured(question: Question) -> list[str]:
    """What the estimate leaves out or takes from other parameters, one line each."""
    rates = question.rates
    found = []
    for stage in question.pipeline.stages:
        name = stage.name
        keys = {*rates.cpu, *rates.parts}
        if not any(key.endswith(f"/{name}") or key.startswith(f"relate-{name}") for key in keys):
            found.append(f"{name}: no rate was measured; it is counted as nothing")
            continue
        now, then = stage.recorded(), rates.parameters.get(name, {})
        full = type(stage)(stage.parameters_type.model_validate(then), seed=stage.seed).recorded()
        changed = [key for key, value in now.items() if full.get(key) != value]
        if changed:
            found.append(f"{name}: its rate was measured with other {', '.join(changed)}")
        if stage.relates and not next(scaling for other, scaling in question.scalings if other is stage).exchanges:
            found.append(f"{name}: does not declare how its exchange grows; its rates are taken to be linear")
    return found
