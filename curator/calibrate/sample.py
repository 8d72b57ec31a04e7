"""The scores of known-good text, by group and rule: the groups told in one pass, what each rule looks at counted in
another, its extremes kept in a third.

A threshold that cuts off k blocks is the k-th most extreme score, so only so many are kept of each: with a share of
0.99 that is one score for a hundred documents at most. The result is exact, whatever the order in which they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch
    from curator.run.pipeline import AnyStage
    from curator.stage import Columns, Cut

Scores: TypeAlias = "Callable[[], Iterable[tuple[Batch, Columns]]]"
"""The documents of a corpus without their text, with the columns of the stages, batch by batch; asked for thrice."""


class Group(NamedTuple):
    """Documents that share thresholds: of a list language, in a source group or (None) in any."""

    source: str | None
    language: str


class Rule(NamedTuple):
    """A threshold of a stage."""

    stage: str
    parameter: str


@dataclass
class Counts:
    """Documents of each group, and how many rules look at some of them. Of groups that are large enough, the documents
    that each rule looks at, and the thresholds that hold there, lowest and highest."""

    documents: dict[Group, int] = field(default_factory=dict)
    rules: dict[Group, int] = field(default_factory=dict)
    judged: dict[tuple[Group, Rule], int] = field(default_factory=dict)
    limits: dict[tuple[Group, Rule], tuple[float, float]] = field(default_factory=dict)


def count(scores: Scores, stages: Sequence[AnyStage], least: int, *, by_source: bool) -> Counts:
    """Count the documents of each group, and where there are at least `least` the ones that each rule looks at: in all
    groups that would take more memory than the text where each document has a source of its own."""
    found = _tell_groups(scores, stages, by_source=by_source)
    if max(found.documents.values(), default=0) < least:
        return found
    for batch, columns in scores():
        cuts = _cuts(batch, columns, stages)
        for group, rows in _groups(batch, by_source=by_source):
            if found.documents[group] < least:
                continue
            for rule, cut in cuts:
                limits = cut.limit[rows][_looks(cut, rows)]
                if len(limits):
                    at = (group, rule)
                    low, high = found.limits.get(at, (np.inf, -np.inf))
                    found.judged[at] = found.judged.get(at, 0) + len(limits)
                    found.limits[at] = (min(low, float(limits.min())), max(high, float(limits.max())))
    return found


def _tell_groups(scores: Scores, stages: Sequence[AnyStage], *, by_source: bool) -> Counts:
    """The groups, their documents, and how many rules look at them."""
    found = Counts()
    looking: dict[Group, int] = {}  # a bit for each rule
    for batch, columns in scores():
        every = np.arange(len(batch), dtype=np.int64)
        looks = np.packbits([_looks(cut, every) for _, cut in _cuts(batch, columns, stages)], axis=0)
        for group, rows in _groups(batch, by_source=by_source):
            found.documents[group] = found.documents.get(group, 0) + len(rows)
            bits = np.bitwise_or.reduce(looks[:, rows], axis=1).tobytes()
            looking[group] = looking.get(group, 0) | int.from_bytes(bits, "big")
    found.rules = {group: bits.bit_count() for group, bits in looking.items()}
    return found


def extremes(
    scores: Scores, stages: Sequence[AnyStage], wanted: Mapping[tuple[Group, Rule], int], *, by_source: bool
) -> dict[tuple[Group, Rule], NDArray[np.float64]]:
    """Of each group and rule the `wanted` scores on the dropping side, from the most extreme on: float64[wanted]."""
    tails = {at: _Tail(blocks) for at, blocks in wanted.items()}
    side: dict[Rule, float] = {}
    for batch, columns in scores():
        cuts = _cuts(batch, columns, stages)
        side.update({rule: 1.0 if cut.drops == "below" else -1.0 for rule, cut in cuts})
        for group, rows in _groups(batch, by_source=by_source):
            for rule, cut in cuts:
                tail = tails.get((group, rule))
                if tail is not None:
                    tail.add(side[rule] * cut.score[rows][_looks(cut, rows)])
    return {(group, rule): side[rule] * np.sort(tail.values) for (group, rule), tail in tails.items()}


class _Tail:
    """The `size` lowest of the values that were added."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._highest = np.inf
        self.values = np.zeros(0, dtype=np.float64)

    def add(self, values: NDArray[np.float64]) -> None:
        values = values[values < self._highest]
        if len(values) == 0:
            return
        self.values = np.concatenate([self.values, values])
        if len(self.values) >= self._size:
            self.values = np.partition(self.values, self._size - 1)[: self._size]
            self._highest = float(self.values[-1])


def _cuts(batch: Batch, columns: Columns, stages: Sequence[AnyStage]) -> list[tuple[Rule, Cut]]:
    return [(Rule(stage.name, cut.parameter), cut) for stage in stages for cut in stage.cuts(batch, columns)]


def _looks(cut: Cut, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a rule looks and is not off: bool[rows]."""
    return ~(np.isnan(cut.score[rows]) | np.isnan(cut.limit[rows]))


def _groups(batch: Batch, *, by_source: bool) -> Iterator[tuple[Group, NDArray[np.int64]]]:
    """The groups of a batch and their rows."""
    languages, sources = batch.languages, batch.source_groups
    width = len(sources.names) if by_source else 1
    codes = languages.codes.astype(np.int64) * width + (sources.codes if by_source else 0)
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if len(rows):
            language, source = divmod(int(codes[rows[0]]), width)
            yield Group(sources.names[source] if by_source else None, languages.names[language]), rows
