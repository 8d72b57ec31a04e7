"""The exchange of the `ray` engine: rows go from task to task through Ray's object store, which spills to disk.

    emit      some inputs: their rows, cut by group of partitions, an object a group
    join      where there are more than one wave of these: the objects of a group become one
    handle    a group: its partitions one after the other, each committed by itself

The driver sees references alone. An object lost with its node is made again by Ray, from the task that made it. Objects
do not outlive the driver: after `--resume` what is missing is emitted again, for the partitions that have not
committed. The driver holds about REFERENCE_BYTES for each reference: one for each group and emit of a wave, and one
for each group and wave that was joined, which is about one for each emit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, cast

import numpy as np
import ray

from curator.engine.executor import Emit, Handle, InputT, partition_of
from curator.engine.job import Job
from curator.engine.merge import Piece
from curator.engine.partition import Source, sorted_blocks
from curator.engine.ray import MAX_RETRIES, Flight, RayExecutor, Ref, begin_worker, resources_of_cluster
from curator.run.store import Commit, Outputs, committed, make_folder
from curator.storage.path import AnyPath, as_path
from curator.storage.refused import storage_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_EMIT_BYTES = 64_000_000
"""Rows that one emit task holds at the most, about, where its inputs are small."""

LEAST_CUT_BYTES = 128_000
"""Ray keeps results of up to 100 KB in the memory of the driver: cuts are to be larger."""

REFERENCE_BYTES = 2_000
"""What the driver holds for a reference: itself and Ray's record of the object and of its task."""

MOST_TOGETHER = 256
"""Inputs of one emit task at most, where they give almost nothing."""

LEAST_GROUPS, MOST_GROUPS = 64, 512
"""Groups of partitions at most: twice as many as the cluster has CPUs, within these bounds. As many tasks can handle
them at once; a wave of emits has at most as many references as their square."""

JOIN = 64
"""Emit tasks of a wave at the least; after each wave but a lone one, the cuts of a group are joined."""


@dataclass(frozen=True)
class Cut:
    """Rows of one group, by partition: those of its partition number n are [offsets[n], offsets[n + 1])."""

    rows: NDArray[np.uint64]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """How partitions are grouped: group g has [bounds[g], bounds[g + 1])."""

    partitions: int
    bounds: tuple[int, ...]

    @staticmethod
    def of(partitions: int, cpus: int) -> Groups:
        """Groups of about the same size, for a cluster with so many CPUs."""
        count = min(partitions, MOST_GROUPS, max(LEAST_GROUPS, 2 * cpus))
        return Groups(partitions, tuple(group * partitions // count for group in range(count + 1)))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def members(self, group: int) -> range:
        """The partitions of a group."""
        return range(self.bounds[group], self.bounds[group + 1])

    def cut(self, rows: NDArray[np.uint64], wanted: Sequence[int]) -> list[Cut]:
        """The rows of each wanted group."""
        partition = partition_of(rows[:, 0], self.partitions)
        ordered = rows.take(np.argsort(partition, kind="stable"), axis=0)
        begins = np.concatenate([[0], np.cumsum(np.bincount(partition, minlength=self.partitions))])
        return [
            Cut(
                ordered[begins[self.bounds[group]] : begins[self.bounds[group + 1]]],
                begins[self.bounds[group] : self.bounds[group + 1] + 1] - begins[self.bounds[group]],
            )
            for group in wanted
        ]


@dataclass
class _Waiting(Generic[InputT]):
    """The inputs that have not been emitted. How many go together follows from what the ones before them gave: at the
    least as many as give a cut of LEAST_CUT_BYTES."""

    inputs: Sequence[InputT]
    groups: int
    seen: int = 0
    seen_bytes: int = 0

    def batches(self, tasks: int) -> Iterator[Sequence[InputT]]:
        """The inputs of so many tasks; each is cut off when it is asked for."""
        for _ in range(tasks):
            if not self.inputs:
                return
            each = self.seen_bytes / self.seen if self.seen else MOST_EMIT_BYTES
            together = min(self.groups * LEAST_CUT_BYTES, MOST_EMIT_BYTES) / max(each, 1)
            count = max(1, min(MOST_TOGETHER, math.ceil(together)))
            batch, self.inputs = self.inputs[:count], self.inputs[count:]
            yield batch

    def learn(self, inputs: int, size: int) -> None:
        """Take note of how many bytes some inputs gave."""
        self.seen += inputs
        self.seen_bytes += size


@dataclass(frozen=True)
class Exchange(Generic[InputT]):
    """One exchange: what emits, what handles, into how many partitions."""

    executor: RayExecutor
    folder: AnyPath
    emit: Emit[InputT]
    handle: Handle
    partitions: int

    def run(self, inputs: Sequence[InputT]) -> list[Commit]:
        """The commits of all partitions, in order."""
        folder = make_folder(self.folder / "handle")
        commits: dict[int, Commit] = {}
        for number in range(self.partitions):
            commit = committed(folder, _name(number))
            if commit is not None:
                commits[number] = commit
                self.executor.done(commit, True)
        cpus = max(1, int(resources_of_cluster().get("CPU", 1)))
        groups = Groups.of(self.partitions, cpus)
        wanted = [group for group in range(len(groups)) if any(n not in commits for n in groups.members(group))]
        if wanted:
            for commit in self._handle(folder, groups, wanted, self._collect(inputs, groups, wanted, cpus)):
                if int(commit.name) not in commits:
                    commits[int(commit.name)] = commit
                    self.executor.done(commit, False)
        return [commits[number] for number in sorted(commits)]

    def _handle(
        self, folder: AnyPath, groups: Groups, wanted: Sequence[int], cuts: list[list[Ref]]
    ) -> Iterator[Commit]:
        handle = _remote(handle_group, "handle", self.executor)

        def start(place: int, members: range) -> Ref:
            return handle.remote(self.handle, str(folder), members, cuts[place])

        flights = (
            Flight(place, self._label(groups.members(group)[0]), 0, partial(start, place, groups.members(group)))
            for place, group in enumerate(wanted)
        )
        for place, found in self.executor.fly(flights):
            cuts[place] = []  # Ray may forget what has been handled
            yield from found

    def _collect(self, inputs: Sequence[InputT], groups: Groups, wanted: Sequence[int], cpus: int) -> list[list[Ref]]:
        """For each wanted group, references to its rows."""
        collected: list[list[Ref]] = [[] for _ in wanted]
        waiting = _Waiting(inputs, len(groups))
        while waiting.inputs:
            found = self._emit(waiting, min(MOST_GROUPS, max(JOIN, 2 * cpus)), 2 * cpus, groups, wanted)
            if waiting.inputs or collected[0]:
                found = self._join(found)
            for refs, more in zip(collected, found, strict=True):
                refs.extend(more)
        return collected

    def _emit(
        self, waiting: _Waiting[InputT], tasks: int, at_once: int, groups: Groups, wanted: Sequence[int]
    ) -> list[list[Ref]]:
        """References to what the inputs of so many tasks give, by wanted group."""
        emit = _remote(emit_rows, "emit", self.executor, num_returns=1 + len(wanted))
        cuts: list[list[Ref]] = []

        def start(batch: Sequence[InputT]) -> Ref:
            size, *found = emit.remote(self.emit, batch, groups, wanted)
            cuts.append(found)
            return size

        flights = (
            Flight(len(batch), self._label(batch[0].name), 0, partial(start, batch)) for batch in waiting.batches(tasks)
        )
        for count, size in self.executor.fly(flights, at_once):
            waiting.learn(count, size)
        return [list(refs) for refs in zip(*cuts, strict=True)]

    def _join(self, cuts: Sequence[Sequence[Ref]]) -> list[list[Ref]]:
        """For each group, one reference to what all of these hold."""
        join = _remote(join_cuts, "join", self.executor, num_returns=2)
        joined: dict[int, list[Ref]] = {}

        def start(place: int) -> Ref:
            size, *joined[place] = join.remote(*cuts[place])
            return size

        flights = (Flight(place, self._label("join"), 0, partial(start, place)) for place in range(len(cuts)))
        for _ in self.executor.fly(flights):
            pass
        return [joined[place] for place in sorted(joined)]

    def _label(self, name: object) -> str:
        return f"{self.folder.name} {name}"


def _remote(function: Callable[..., object], label: str, executor: RayExecutor, **options: object) -> Any:
    """A task of an exchange, as Ray starts it."""
    return ray.remote(function).options(
        max_retries=MAX_RETRIES, name=f"curator {label}", **executor.options(), **options
    )


def _name(partition: int) -> str:
    return f"{partition:05d}"


@dataclass(frozen=True)
class _Numbered:
    """A partition by its number, as the input of a task."""

    number: int

    @property
    def name(self) -> str:
        return _name(self.number)


@dataclass(frozen=True)
class _Stored:
    """Rows in the object store; fetched, and restored from disk, when they are read."""

    ref: Ref
    rows: int

    def read(self, first: int, rows: int, width: int) -> NDArray[np.uint64]:
        cut = _fetch(self.ref)
        return cut.rows[first : first + rows]


def _fetch(ref: Ref) -> Cut:
    cut: Any = ray.get(ref)
    return cast("Cut", cut)


def emit_rows(emit: Emit[Any], inputs: Sequence[Any], groups: Groups, wanted: Sequence[int]) -> list[object]:
    """On a worker: how many bytes the rows of some inputs are, and the cut of each wanted group."""
    begin_worker()
    rows = np.concatenate([emit(item) for item in inputs])
    return [rows.nbytes, *groups.cut(rows, wanted)]


def join_cuts(*cuts: Cut) -> list[object]:
    """On a worker: how many bytes the rows of several cuts of one group are, and the cut of them all."""
    begin_worker()
    members = len(cuts[0].offsets) - 1
    pieces = [cut.rows[cut.offsets[n] : cut.offsets[n + 1]] for n in range(members) for cut in cuts]
    counts = sum(np.diff(cut.offsets) for cut in cuts)
    rows = np.concatenate(pieces)
    return [rows.nbytes, Cut(rows, np.concatenate([[0], np.cumsum(counts)]))]


def handle_group(handle: Handle, folder: str, members: range, refs: Sequence[Ref]) -> list[Commit]:
    """On a worker: handle the partitions of a group that have not committed; the commits of all."""
    begin_worker()
    spool = Outputs(as_path(folder), f"group-{_name(members[0])}")
    try:
        sources, width = _sources(members, refs, spool)
        return [
            committed(as_path(folder), _name(number))
            or Job(folder, _HandleTask(handle, tuple(found), width), _Numbered(number))()
            for number, found in zip(members, sources, strict=True)
        ]
    except OSError as error:
        raise storage_error(error, as_path(folder)) from error
    finally:
        spool.discard()


@dataclass(frozen=True)
class _HandleTask:
    handle: Handle
    sources: tuple[Source, ...]
    width: int

    def __call__(self, partition: _Numbered, outputs: Outputs) -> dict[str, object]:
        blocks = sorted_blocks(self.sources, self.width, outputs)
        return dict(self.handle(partition.number, blocks, outputs))


def _sources(members: range, refs: Sequence[Ref], spool: Outputs) -> tuple[list[list[Source]], int]:
    """Where the rows of each partition are, and their width. Objects are looked at one by one; those of several
    partitions are copied into a file, so that none is restored once for each partition."""
    found: list[list[Source]] = [[] for _ in members]
    width, begin = 1, 0
    path = spool.scratch("rows") if len(members) > 1 else None
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("wb")) if path is not None else None
        for ref in refs:
            cut = _fetch(ref)
            if not len(cut.rows):
                continue
            width = cut.rows.shape[1]
            if path is None or file is None:
                found[0].append(_Stored(ref, len(cut.rows)))
                continue
            cut.rows.tofile(file)
            for number, place in enumerate(cut.offsets[:-1].tolist()):
                count = int(cut.offsets[number + 1]) - place
                if count:
                    found[number].append(Piece(str(path), begin + place, count))
            begin += len(cut.rows)
    return found, width
