"""An estimate as a whole, with all that it assumes in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from curator.estimate.exchange import MOST_GROUPS, partition_memory
from curator.estimate.limits import NeedEstimate, driver_memory, estimate_needs
from curator.estimate.model import (
    FILE_DRIVER_S,
    FILE_TASK_S,
    HOUR,
    PhaseEstimate,
    Question,
    estimate_phases,
    parts_of,
    quantities_of,
    unmeasured,
)
from curator.run.execution import MAX_SPLIT_BYTES, MIN_SPLIT_BYTES
from curator.run.memory import WORKER_BYTES
from curator.sizes import format_size


@dataclass(frozen=True)
class Estimate:
    """What a run takes: wall and CPU seconds, bytes, memory, money (in the unit of the prices; None without prices).

    `workers_s` is the time that the tasks alone take on all workers, without the driver and single tasks. `broken` are
    the needs that this corpus is too large for.
    """

    phases: tuple[PhaseEstimate, ...]
    seconds: float
    workers_s: float
    cpu_s: float
    driver_cpu_s: float
    exchange_bytes: float
    work_bytes: float
    output_bytes: dict[str, float]
    partition_bytes: float
    driver_bytes: float
    cost: float | None
    needs: tuple[NeedEstimate, ...]
    left_out: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def broken(self) -> list[NeedEstimate]:
        """Needs that this corpus is too large for, the first to break first."""
        return sorted((need for need in self.needs if need.is_broken), key=lambda need: need.holds_to_bytes)


def make_estimate(question: Question) -> Estimate:
    """The answer of the model."""
    phases = tuple(estimate_phases(question))
    given = quantities_of(question)
    engine, cluster = question.engine, question.cluster
    seconds = engine.start_s + sum(phase.seconds for phase in phases)
    cpu_s = engine.start_s + sum(phase.cpu_s for phase in phases)
    tasks_cpu_s = sum(phase.tasks_cpu_s for phase in phases)
    workers_s = engine.start_s + tasks_cpu_s / (cluster.workers * engine.efficiency)
    price = cluster.price_an_hour
    output = {
        kind: rate.at(given.text_bytes, given.documents, given.parts) for kind, rate in question.rates.output.items()
    }
    return Estimate(
        phases=phases,
        seconds=seconds,
        workers_s=workers_s,
        cpu_s=cpu_s,
        driver_cpu_s=sum(phase.driver_cpu_s for phase in phases),
        exchange_bytes=sum(phase.exchange_bytes for phase in phases),
        work_bytes=sum(phase.work_bytes for phase in phases),
        output_bytes=output,
        partition_bytes=max(partition_memory(exchange, given, engine.exchange) for exchange in question.exchanges),
        driver_bytes=driver_memory(question),
        cost=None if price is None else price * seconds / HOUR,
        needs=tuple(estimate_needs(question)),
        left_out=tuple(unmeasured(question)),
        assumptions=tuple(_assumptions(question)),
    )


def _assumptions(question: Question) -> Iterator[str]:
    """Every assumption of the model, one line each."""
    rates, corpus, engine, cluster = question.rates, question.corpus, question.engine, question.cluster
    measured = rates.measured
    yield (
        f"rates: CPU seconds measured on {measured['date']} with {measured['workers']} workers on "
        f"{measured['machine']}; python {measured['python']}, numpy {measured['numpy']}, "
        f"pyarrow {measured['pyarrow']}, numba {measured['numba']}; text: {measured['corpus']}"
    )
    if "like" in measured:
        yield f"rates: scaled so that they give what {measured['like']} took"
    yield "a core of a node is as fast as one of that machine, and its disk and network are never waited for"
    yield f"corpus: {corpus.origin}; ids of {corpus.id_bytes:.1f} bytes on average"
    copies, near, candidates, doubtful = (
        rates.facts.get(f"dedup.{name}", 0.0) for name in ("exact", "near", "candidate_pairs", "pairs_in_doubt")
    )
    yield (
        f"duplicates and kept text are as in the text of the rates: {copies:.1%} copies, {near:.1%} near-duplicates, "
        f"{candidates:.2f} candidate pairs and {doubtful:.2f} pairs in doubt a document, {rates.kept_share:.0%} of the "
        "text in the shards; these shares are taken not to grow with the corpus, though those of duplicates do where "
        "text from the web is crawled again"
    )
    yield (
        f"input is cut into splits of {format_size(MIN_SPLIT_BYTES)} to {format_size(MAX_SPLIT_BYTES)}: "
        f"{parts_of(corpus):,.0f} tasks in read and in each judge"
    )
    if corpus.files > parts_of(corpus):
        yield f"{corpus.files:,.0f} files are opened, {1000 * (FILE_TASK_S + FILE_DRIVER_S):.1f} ms of CPU each"
    elif not corpus.files:
        yield "the corpus lies in large files (small ones cost their opening: --files says how many there are)"
    if corpus.stream_share:
        yield f"{corpus.stream_share:.0%} of the input is compressed or a stream: the driver alone reads and cuts it"
    else:
        yield "the input is not compressed: workers read it themselves"
    yield (
        f"engine: {engine.start_s:.1f} s to start, {1000 * engine.task_cpu_s:.1f} ms a task of a worker, "
        f"{1000 * engine.driver_task_s:.1f} ms of the driver, tasks get {engine.efficiency:.0%} of a core "
        f"({engine.origin})"
    )
    yield (
        f"{cluster.workers:,} workers on {cluster.machines:,} nodes: one a core, as far as "
        f"{format_size(WORKER_BYTES)} each fit into memory; the driver and single tasks run on the largest node"
    )
    yield (
        "a phase takes as long as its tasks on all workers, or as long as the driver where that is longer, then as "
        "long as its single tasks; the last wave of tasks, failed tasks and lost nodes are not modelled"
    )
    yield (
        "growth: read, judge and write grow with text and documents; exchanges with documents; fits are the same for "
        "every corpus, their summaries are merged by the driver at a cost for each split; nothing in work/ is removed "
        "before the end"
    )
    yield "sizes of scores/ and decisions/ and the cost of the report are those of the recipe web, whatever the stages"
    yield "the driver alone merges counts and summaries, hands out tasks, and reads scores/ for the report"
    for _, scaling in question.scalings:
        for work in scaling.work:
            yield f"grows faster than the corpus: {work.name} ({work.where}): {work.about}"
    if engine.exchange == "files":
        yield (
            "grows faster than the corpus: in each exchange, places (tasks that emit, times partitions), of which the "
            "driver looks at every one, and pieces, of which each is a read"
        )
    else:
        yield (
            f"the second half of an exchange runs in {MOST_GROUPS} tasks at once at most, each with its share of all "
            "rows on the disk of its node; that is not in the times"
        )
    if question.pipeline.recipe.language is None:
        yield "no language is identified"
    if any(stage.derives for stage in question.pipeline.stages):
        yield "children (translation) are not modelled"
