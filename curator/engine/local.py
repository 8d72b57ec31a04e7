"""The `local` engine: processes on this machine, no cluster.

One worker runs in this process, and so does a lone task that comes before any others. Several run in worker processes
that a fork server starts on demand, so that a small input pays for none. A worker that dies (a crash, the kernel's
out-of-memory killer) takes only its attempts with it: the tasks are pure, and are tried again.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Generic, cast

import numpy as np

from curator.engine.begun import BegunJobs
from curator.engine.executor import ONE_CPU, Emit, Handle, InputT, Task, partition_of
from curator.engine.job import THREAD_VARIABLES, TICK_SECONDS, Job, ignore, uncommitted
from curator.engine.merge import Piece
from curator.engine.partition import sorted_blocks
from curator.engine.schedule import Attempt, Schedule
from curator.run.store import Commit, Outputs, make_folder
from curator.stage import Resources
from curator.storage.path import AnyPath, as_path
from curator.storage.spool import local_folder

RECIPE_VARIABLE = "CURATOR_WORKER_RECIPE"
"""Names to the fork server the file with the recipe that the workers will work on."""

_SAFE_PATH = "PYTHONSAFEPATH"


@dataclass(frozen=True)
class _EmitTask(Generic[InputT]):
    """Writes the rows of one input, grouped by partition."""

    emit: Emit[InputT]
    partitions: int

    def __call__(self, item: InputT, outputs: Outputs) -> dict[str, object]:
        rows = self.emit(item)
        partition = partition_of(rows[:, 0], self.partitions)
        order = np.argsort(partition, kind="stable")
        counts = np.bincount(partition, minlength=self.partitions)
        rows.take(order, axis=0).tofile(outputs.path("rows"))
        return {"width": rows.shape[1], "offsets": [0, *np.cumsum(counts).tolist()]}


@dataclass(frozen=True)
class _Partition:
    """One partition of an exchange: its number, the width of its rows, and where they lie."""

    index: int
    width: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        return f"{self.index:05d}"


def _partitions(sources: list[Commit], partitions: int) -> Iterator[_Partition]:
    """Each partition with its own pieces alone: what a task gets does not grow with the number of partitions."""
    width = max((source.integer("width") for source in sources), default=1)
    offsets = [cast("list[int]", source.result["offsets"]) for source in sources]
    for index in range(partitions):
        pieces = [
            Piece(source.place("rows"), places[index], places[index + 1] - places[index])
            for source, places in zip(sources, offsets, strict=True)
            if places[index + 1] > places[index]
        ]
        yield _Partition(index, width, tuple(pieces))


@dataclass(frozen=True)
class _HandleTask:
    handle: Handle

    def __call__(self, partition: _Partition, outputs: Outputs) -> dict[str, object]:
        return dict(self.handle(partition.index, sorted_blocks(partition.pieces, partition.width, outputs), outputs))


class LocalExecutor:
    """Runs tasks in up to `workers` processes. `tick` is called while waiting, `done` after each task. `recipe` is a
    file with the recipe as JSON, for which the fork server makes the workers ready (see `curator.run.warm`)."""

    def __init__(
        self,
        workers: int,
        tick: Callable[[], None] = lambda: None,
        done: Callable[[Commit, bool], None] = ignore,
        recipe: Path | None = None,
    ) -> None:
        self.workers = workers
        self._recipe = recipe
        self._tick = tick
        self._done = done
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def map(
        self, folder: AnyPath, task: Task[InputT], inputs: Iterable[InputT], resources: Resources = ONE_CPU
    ) -> list[Commit]:
        """See `Executor.map`. Every worker of this machine has what the machine has: `resources` make no difference."""
        make_folder(folder)
        commits: dict[int, Commit] = {}
        pending = uncommitted(folder, inputs, commits, self._done)
        first = list(itertools.islice(pending, 2 if self.workers > 1 else 0))
        jobs = ((index, Job(str(folder), task, item)) for index, item in itertools.chain(first, pending))
        here = len(first) < 2 and self._pool is None
        for index, commit in self._run_here(jobs) if here else self._run(jobs):
            commits[index] = commit
            self._done(commit, False)
        return [commits[index] for index in sorted(commits)]

    def exchange(
        self, folder: AnyPath, emit: Emit[InputT], handle: Handle, inputs: Iterable[InputT], partitions: int
    ) -> list[Commit]:
        """See `Executor.exchange`. Rows lie in files of `folder`; BLOCK_BYTES of a partition are in memory at once."""
        sources = self.map(folder / "emit", _EmitTask(emit, partitions), inputs)
        return self.map(folder / "handle", _HandleTask(handle), _partitions(sources, partitions))

    def close(self, *, kill: bool = False) -> None:
        """End the worker processes; with `kill`, without waiting for what they do."""
        if self._pool is None:
            return
        if kill:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            _kill_fork_server()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def _run_here(self, jobs: Iterator[tuple[int, Job[InputT]]]) -> Iterator[tuple[int, Commit]]:
        """Run jobs of one folder in this process; one in which a process like this died runs in a worker of its
        own."""
        first = next(jobs, None)
        if first is None:
            return
        with BegunJobs(local_folder(as_path(first[1].folder))) as begun:
            for index, job in itertools.chain([first], jobs):
                self._tick()
                if job.input.name in begun.died:
                    yield from self._run(iter([(index, job)]))
                    begun.survived(job.input.name)
                    continue
                begun.begin(job.input.name)
                yield index, job()

    def _run(self, jobs: Iterator[tuple[int, Job[InputT]]]) -> Iterator[tuple[int, Commit]]:
        """Run jobs in workers, as a `Schedule` says; yield commits as they come."""
        schedule = Schedule(jobs, self.workers)
        running: dict[concurrent.futures.Future[Commit], Attempt[InputT]] = {}
        while True:
            self._begin(schedule, running)
            if not running:
                if schedule.waits:
                    continue
                return
            finished, _ = concurrent.futures.wait(
                running, timeout=TICK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            self._tick()
            died = False
            for future in finished:
                attempt = running.pop(future)
                try:
                    commit = future.result()
                except BrokenProcessPool:
                    died = True
                    schedule.die(attempt)
                else:
                    schedule.end(attempt)
                    yield attempt.index, commit
            if died and self._pool is not None:
                for future in running:
                    future.cancel()
                running.clear()
                schedule.interrupt()
                self.close(kill=True)

    def _begin(
        self, schedule: Schedule[InputT], running: dict[concurrent.futures.Future[Commit], Attempt[InputT]]
    ) -> None:
        """Hand jobs to workers, as many as may begin."""
        while (attempt := schedule.begin()) is not None:
            try:
                running[self._submit(attempt.job)] = attempt
            except BrokenProcessPool:
                # A worker died while nobody waited: the futures of the others say so.
                schedule.put_back(attempt)
                if not running:
                    self.close(kill=True)
                return

    def _submit(self, job: Job[InputT]) -> concurrent.futures.Future[Commit]:
        if self._pool is None:
            for variable in THREAD_VARIABLES:
                os.environ.setdefault(variable, "1")
            if self._recipe is not None:
                os.environ[RECIPE_VARIABLE] = str(self._recipe)
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["curator.engine.ignore_signals", "curator.engine.worker"])
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_begin_worker
            )
        with _without_working_directory():
            return self._pool.submit(job)


@contextlib.contextmanager
def _without_working_directory() -> Iterator[None]:
    """Python processes that start meanwhile import nothing from the working directory. The fork server would, and a
    `stages.py` or `numpy.py` that lies there is not ours."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _kill_fork_server() -> None:
    """End the fork server, and with it a worker that it is just about to start. multiprocessing has no public way."""
    server = forkserver._forkserver
    pid = server._forkserver_pid  # type: ignore[attr-defined]  # typeshed leaves the private parts out
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        server._stop()  # type: ignore[attr-defined]


def _begin_worker() -> None:
    """End when the driver ends, however it ends."""
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
