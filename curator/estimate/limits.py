"""Where a run ends: what grows with the corpus in one process or one number, and up to which corpus it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curator.estimate.exchange import exchange_needs
from curator.estimate.machines import CorpusSize
from curator.estimate.model import Question, quantities_of
from curator.run.memory import WORKER_BYTES
from curator.scaling import Need, Quantities

FILES_OF_EXT4 = 2**32 - 1
"""The number of inodes of an ext4 file system is a 32-bit field (`s_inodes_count`, Linux kernel documentation, ext4
super block)."""

SHARDS_IN_ORDER = 100_000
"""`part-NNNNN.parquet`: beyond five digits the names do not sort in the order of the input."""

FARTHEST = 1e12
"""A corpus this many times larger is not looked for."""


@dataclass(frozen=True)
class NeedEstimate:
    """A need of this corpus: its amount, its limit, and the bytes of text up to which it holds (infinite: beyond what
    is looked for)."""

    need: Need
    amount: float
    limit: float
    holds_to_bytes: float

    @property
    def is_broken(self) -> bool:
        """Whether this corpus is too large for it."""
        return self.amount > self.limit


def engine_needs(question: Question) -> list[Need]:
    """What the driver and the files of a run need, whatever the stages."""
    base = question.rates.driver_peak_bytes
    files = question.rates.constants["files_per_part"]
    output = question.pipeline.recipe.output
    return [
        Need(
            "what the driver always holds",
            "a record for each split, and the commit record of each task of a phase (run.execution)",
            "driver",
            "bytes",
            lambda given: base + given.parts * (given.constant("part_memory_bytes") + given.constant("commit_bytes")),
        ),
        Need(
            "files in work/",
            "no folder of the run is cut (RunDirectory.phase); the limit is that of ext4",
            "tasks",
            "files",
            lambda given: files * given.parts,
            FILES_OF_EXT4,
        ),
        Need(
            "shards",
            "their names have five digits (run.execution)",
            "driver",
            "shards",
            lambda given: given.fact("run.kept_bytes") / output.shard_limit(given.fact("run.kept_bytes")),
            SHARDS_IN_ORDER,
        ),
    ]


def all_needs(question: Question) -> list[Need]:
    """The needs of the run, its exchanges and its stages."""
    needs = engine_needs(question)
    for exchange in question.exchanges:
        needs.extend(exchange_needs(exchange, question.engine.exchange))
    for _, scaling in question.scalings:
        needs.extend(scaling.needs)
    return needs


def estimate_needs(question: Question) -> list[NeedEstimate]:
    """Each need for this corpus and these nodes."""
    here = quantities_of(question)
    found = []
    for need in all_needs(question):
        limit = _limit(question, need)
        found.append(NeedEstimate(need, need.amount(here), limit, _holds_to(question, need, limit)))
    return found


def driver_memory(question: Question) -> float:
    """Bytes that the driver holds at its peak: what it holds all the time, and the most that it holds for a while."""
    given = quantities_of(question)
    held, *others = [
        need.amount(given) for need in all_needs(question) if need.where == "driver" and need.unit == "bytes"
    ]
    return held + max(others, default=0.0)


def _limit(question: Question, need: Need) -> float:
    if need.limit is not None:
        return need.limit
    if need.where == "every task":
        return max(question.cluster.worker_memory_bytes, WORKER_BYTES)
    return question.cluster.driver_memory_bytes


def _holds_to(question: Question, need: Need, limit: float) -> float:
    """The bytes of text of the largest corpus of this kind within the limit, to a thousandth."""
    corpus = question.corpus

    def fits(factor: float) -> bool:
        return need.amount(_scaled(question, corpus, factor)) <= limit

    low, high = 1 / FARTHEST, FARTHEST
    if fits(high):
        return math.inf
    if not fits(low):
        return 0.0
    while high / low > 1.001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return corpus.text_bytes * low


def _scaled(question: Question, corpus: CorpusSize, factor: float) -> Quantities:
    return quantities_of(question, corpus.scaled(factor))
