"""The `local` engine: processes on this machine, no cluster.

One worker runs in this process, and so does a lone task that comes before any others. Several run in worker processes
that a fork server starts on demand, so that a small input pays for none. A worker that dies (a crash, the kernel's
out-of-memory killer) takes only its attempts with it: the tasks are pure, and are tried again.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Generic, cast

import numpy as np
from numpy.typing import NDArray

from curator.engine.executor import Emit, Handle, InputT, Task, partition_of
from curator.engine.merge import Piece, merge_sorted, sort_rows
from curator.errors import TransientError
from curator.run.store import Commit, Outputs, committed, make_folder, storage_error
from curator.storage.path import AnyPath, as_path

MAX_ATTEMPTS = 3
"""How often a task may lose its worker before the run gives up."""

BLOCK_BYTES = 64_000_000
"""What is held of a partition at a time; twice that while it is sorted."""

RECIPE_VARIABLE = "CURATOR_WORKER_RECIPE"
"""Names to the fork server the file with the recipe that the workers will work on."""

_TICK_SECONDS = 0.5
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class _Job(Generic[InputT]):
    """One task with its input; what a worker process gets."""

    folder: str
    task: Task[InputT]
    input: InputT

    def __call__(self) -> Commit:
        outputs = Outputs(as_path(self.folder), self.input.name)
        try:
            return outputs.commit(self.task(self.input, outputs))
        except OSError as error:
            outputs.discard()
            raise storage_error(error, as_path(self.folder) / self.input.name) from error
        except BaseException:
            outputs.discard()
            raise


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
        np.ascontiguousarray(rows[order]).tofile(outputs.path("rows"))
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

    def blocks(self, outputs: Outputs) -> Iterator[NDArray[np.uint64]]:
        """The rows, sorted: at once where they are few, else merged from pieces that are sorted one by one."""
        if not self.pieces:
            return
        rows = BLOCK_BYTES // (8 * self.width)
        if sum(piece.rows for piece in self.pieces) <= rows:
            found = [piece.read(0, piece.rows, self.width) for piece in self.pieces]
            yield sort_rows(np.concatenate(found))
            return
        path = outputs.scratch("sorted")
        runs: list[Piece] = []
        begin = 0
        with path.open("wb") as file:
            for batch in _gathered(self.pieces, rows // 2):
                read = [piece.read(0, piece.rows, self.width) for piece in batch]
                run = sort_rows(np.concatenate(read))
                run.tofile(file)
                runs.append(Piece(str(path), begin, len(run)))
                begin += len(run)
        yield from merge_sorted(runs, self.width, rows // 2)


def _gathered(pieces: Sequence[Piece], rows: int) -> Iterator[list[Piece]]:
    """Pieces in groups of about `rows` rows; a larger piece is cut."""
    pending: list[Piece] = []
    size = 0
    for whole in pieces:
        for first in range(0, whole.rows, rows):
            piece = Piece(whole.place, whole.begin + first, min(rows, whole.rows - first))
            if pending and size + piece.rows > rows:
                yield pending
                pending, size = [], 0
            pending.append(piece)
            size += piece.rows
    if pending:
        yield pending


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
        return dict(self.handle(partition.index, partition.blocks(outputs), outputs))


def _ignore(_commit: Commit, _reused: bool) -> None:
    """The `done` of an executor that nobody listens to."""


class LocalExecutor:
    """Runs tasks in up to `workers` processes. `tick` is called while waiting, `done` after each task. `recipe` is a
    file with the recipe as JSON, for which the fork server makes the workers ready (see `curator.run.warm`)."""

    def __init__(
        self,
        workers: int,
        tick: Callable[[], None] = lambda: None,
        done: Callable[[Commit, bool], None] = _ignore,
        recipe: Path | None = None,
    ) -> None:
        self.workers = workers
        self._recipe = recipe
        self._tick = tick
        self._done = done
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def map(self, folder: AnyPath, task: Task[InputT], inputs: Iterable[InputT]) -> list[Commit]:
        """See `Executor.map`."""
        make_folder(folder)
        commits: dict[int, Commit] = {}
        pending = self._uncommitted(folder, inputs, commits)
        first = list(itertools.islice(pending, 2 if self.workers > 1 else 0))
        jobs = ((index, _Job(str(folder), task, item)) for index, item in itertools.chain(first, pending))
        if len(first) < 2 and self._pool is None:
            for index, job in jobs:
                self._tick()
                commits[index] = job()
                self._done(commits[index], False)
        else:
            for index, commit in self._run(jobs):
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

    def _uncommitted(
        self, folder: AnyPath, inputs: Iterable[InputT], commits: dict[int, Commit]
    ) -> Iterator[tuple[int, InputT]]:
        for index, item in enumerate(inputs):
            commit = committed(folder, item.name)
            if commit is None:
                yield index, item
            else:
                commits[index] = commit
                self._done(commit, True)

    def _run(self, jobs: Iterator[tuple[int, _Job[InputT]]]) -> Iterator[tuple[int, Commit]]:
        """Keep every worker busy with one job waiting behind it; yield commits as they come."""
        running: dict[concurrent.futures.Future[Commit], tuple[int, _Job[InputT], int]] = {}
        again: deque[tuple[int, _Job[InputT], int]] = deque()
        exhausted = False
        while True:
            while len(running) < 2 * self.workers and not (exhausted and not again):
                if again:
                    index, job, attempt = again.popleft()
                else:
                    following = next(jobs, None)
                    if following is None:
                        exhausted = True
                        continue
                    index, job = following
                    attempt = 1
                try:
                    running[self._submit(job)] = (index, job, attempt)
                except BrokenProcessPool:
                    # A worker died while nobody waited: its futures will say so; this job was not begun.
                    again.appendleft((index, job, attempt))
                    if running:
                        break
                    self.close(kill=True)
            if not running:
                return
            finished, _ = concurrent.futures.wait(
                running, timeout=_TICK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            self._tick()
            for future in finished:
                index, job, attempt = running.pop(future)
                try:
                    commit = future.result()
                except BrokenProcessPool as error:
                    if attempt == MAX_ATTEMPTS:
                        raise TransientError(
                            f"a worker process died {attempt} times on {job.input.name} (killed for memory?)",
                            hint="give fewer --workers or less --memory, then --resume",
                        ) from error
                    again.append((index, job, attempt + 1))
                else:
                    yield index, commit
            if again and self._pool is not None:
                for future, (index, job, attempt) in running.items():
                    future.cancel()
                    again.append((index, job, attempt))
                running.clear()
                self.close(kill=True)

    def _submit(self, job: _Job[InputT]) -> concurrent.futures.Future[Commit]:
        if self._pool is None:
            for variable in _THREAD_VARIABLES:
                os.environ.setdefault(variable, "1")
            if self._recipe is not None:
                os.environ[RECIPE_VARIABLE] = str(self._recipe)
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(["curator.engine.worker"])
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_begin_worker
            )
        return self._pool.submit(job)


def _kill_fork_server() -> None:
    """End the fork server, and with it a worker that it is just about to start. multiprocessing has no public way."""
    server = forkserver._forkserver
    pid = server._forkserver_pid  # type: ignore[attr-defined]  # typeshed leaves the private parts out
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        server._stop()  # type: ignore[attr-defined]


def _begin_worker() -> None:
    """Leave Ctrl-C to the driver, and end when the driver ends, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
