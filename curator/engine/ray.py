"""The `ray` engine: phases as Ray tasks, on one node or many that share the run's folder.

Placement, the object store, spilling and the retry of tasks whose worker or node died are Ray's. What is ours: a task
commits by itself, so that one that ran twice counts once; inputs in flight are bounded by their bytes; tasks that hold
a model run in actors that keep it. Of a phase the driver holds a commit record for each task (a few kilobytes for each
split of the input) and what is in flight; rows of an exchange pass it by (see `curator.engine.ray_exchange`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError, WorkerCrashedError

from curator.collector import collect_seldom
from curator.engine.cluster import Cluster
from curator.engine.executor import ONE_CPU, Emit, Handle, InputT, Task
from curator.engine.job import THREAD_VARIABLES, TICK_SECONDS, Job, ignore, uncommitted
from curator.errors import AGAIN, TransientError, UserError
from curator.run.journal import CAREFUL_ATTEMPTS
from curator.run.memory import DRIVER_BYTES
from curator.run.store import Commit, committed, make_folder
from curator.stage import Resources
from curator.storage.path import AnyPath, as_path

MAX_RETRIES = 2
"""How often Ray tries a task again whose worker or node died."""

LIGHT_BYTES = 1 << 19
"""What a task in flight weighs at the least: its record in the driver, and a place in the queue."""

IN_FLIGHT_BYTES = 512_000_000
"""Data of inputs that were sent and not worked on yet, at the most."""

LEAST_IN_FLIGHT_BYTES = 64_000_000

REACH_SECONDS = 10
"""How long the head of a cluster may take to accept a connection."""

_SETTINGS = 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])
"""What a client of HTTP/2 says first: the preface, and a frame of no settings."""

_VERSION = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
"""In what Ray says of a cluster of another version: that of the cluster first, then that of this process."""

NAMESPACE = "curator"


Ref = Any
"""An object reference; Ray's own type says as little."""


@runtime_checkable
class Held(Protocol):
    """An input that carries data."""

    @property
    def held_bytes(self) -> int:
        """How much."""
        ...


def connect(address: str) -> bool:
    """Connect this process to a cluster; whether it was not before. UserError when none answers there."""
    if ray.is_initialized():
        return False
    _check_reachable(address)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # silences a warning about Ray's next version
    try:
        ray.init(address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        versions = _VERSION.findall(str(error))
        if len(versions) == 2:
            raise _another_version(address, *versions) from error
        raise _no_cluster(address) from error
    return True


def _check_reachable(address: str) -> None:
    """Ray itself tries for many minutes where nothing listens."""
    if address == Cluster.address:
        address = os.environ.get("RAY_ADDRESS") or _noted_address()
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_SECONDS) as connection:
            speaks = os.environ.get("RAY_USE_TLS") == "1" or _speaks_grpc(connection)
    except (OSError, ValueError) as error:
        raise _no_cluster(address) from error
    if not speaks:
        raise UserError(
            f"what answers at {address} is not the head of a Ray cluster",
            hint="--ray takes the HOST:6379 of `ray start`; the dashboard's http://HOST:8265 is for `curator submit`",
        )


def _noted_address() -> str:
    """What Ray takes for `auto`: `ray start` leaves it in a file, which stays when the head is killed."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 (Ray's own)
    try:
        return (Path(folder) / "ray" / "ray_current_cluster").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether the other side begins as a server of gRPC does: with a frame of settings (RFC 9113, section 3.4)."""
    connection.sendall(_PREFACE)
    head = b""
    while len(head) < 4 and (more := connection.recv(4 - len(head))):
        head += more
    return len(head) == 4 and head[3] == _SETTINGS


def _another_version(address: str, there: tuple[str, str], here: tuple[str, str]) -> UserError:
    return UserError(
        f"the cluster at {address} runs Ray {there[0]} with Python {there[1]}, here it is {here[0]} with {here[1]}",
        hint="both must be the same: install them here, or start the cluster with what is here",
    )


def _no_cluster(address: str) -> UserError:
    hint = "`ray status` on its head tells; or start one with `ray start --head`"
    return UserError(f"no Ray cluster answers at {address}", hint=hint)


def resources_of_cluster() -> Mapping[str, float]:
    """What the nodes of the cluster have together, by Ray's names (CPU, GPU, memory)."""
    found: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray leaves it without types
    return found


def begin_worker() -> None:
    """What a worker process needs before its first task: one thread, and a collector that runs seldom."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    collect_seldom()


def run_job(job: Job[Any]) -> Commit:
    """A task on a worker. One that has committed already (it ran on a node that was given up for lost) is not run."""
    begin_worker()
    return committed(as_path(job.folder), job.input.name) or job()


class ModelHolder:
    """An actor that runs tasks one by one and keeps the models that they loaded."""

    def run(self, job: Job[Any]) -> Commit:
        """See `run_job`."""
        return run_job(job)


class RayExecutor:
    """Runs tasks on a Ray cluster. `tick` is called while waiting, `done` after each task. A task asks Ray for
    `task_memory_bytes`. Inputs in flight take an eighth of the memory of the run, or IN_FLIGHT_BYTES."""

    def __init__(
        self,
        cluster: Cluster,
        task_memory_bytes: int,
        tick: Callable[[], None] = lambda: None,
        done: Callable[[Commit, bool], None] = ignore,
    ) -> None:
        self.connected = connect(cluster.address)
        self.workers = cluster.workers
        self.task_memory_bytes = task_memory_bytes
        self.in_flight_bytes = IN_FLIGHT_BYTES
        if cluster.memory_bytes is not None:
            fitting = max(1, (cluster.memory_bytes - DRIVER_BYTES) // task_memory_bytes)
            self.workers = fitting if self.workers is None else min(fitting, self.workers)
            self.in_flight_bytes = max(cluster.memory_bytes // 8, LEAST_IN_FLIGHT_BYTES)
        self.tick = tick
        self.done = done
        self._flying: list[Ref] = []

    def map(
        self, folder: AnyPath, task: Task[InputT], inputs: Iterable[InputT], resources: Resources = ONE_CPU
    ) -> list[Commit]:
        """See `Executor.map`."""
        make_folder(folder)
        commits: dict[int, Commit] = {}
        jobs = (
            (index, Job(str(folder), task, item)) for index, item in uncommitted(folder, inputs, commits, self.done)
        )
        with self._crew(resources) as crew:
            attempts = ((index, _Attempts(crew, job)) for index, job in jobs)
            flights = (
                Flight(index, each.job.input.name, held_bytes(each.job.input), each.start, each.another)
                for index, each in attempts
            )
            for index, commit in self.fly(flights, crew.limit):
                commits[index] = commit
                self.done(commit, False)
        return [commits[index] for index in sorted(commits)]

    def exchange(
        self, folder: AnyPath, emit: Emit[InputT], handle: Handle, inputs: Iterable[InputT], partitions: int
    ) -> list[Commit]:
        """See `Executor.exchange`, and `curator.engine.ray_exchange`."""
        from curator.engine.ray_exchange import Exchange

        return Exchange(self, folder, emit, handle, partitions).run(list(inputs))

    def close(self, *, kill: bool = False) -> None:
        """Give up what is in flight, and leave the cluster if this executor joined it."""
        for ref in self._flying:
            with contextlib.suppress(ValueError):  # the task of an actor cannot be forced; its actor was ended
                ray.cancel(ref, force=kill)
        self._flying.clear()
        if self.connected:
            ray.shutdown()
            self.connected = False

    def options(self, resources: Resources = ONE_CPU) -> dict[str, object]:
        """What a task asks Ray for."""
        return {
            "num_cpus": resources.num_cpus,
            "num_gpus": resources.num_gpus,
            "memory": max(self.task_memory_bytes, resources.memory_bytes),
        }

    def fly(self, flights: Iterator[Flight], limit: int | None = None) -> Iterator[tuple[int, Any]]:
        """Start flights as long as there is room (bytes in flight; at most `limit` of them), and yield (index, result)
        as they come."""
        most = min((count for count in (limit, self.workers) if count is not None), default=None)
        running: dict[Ref, Flight] = {}
        again: deque[Flight] = deque()
        weight = 0
        following = next(flights, None)
        while running or following is not None or again:
            while (again or following is not None) and len(running) != most:
                flight = again[0] if again else cast("Flight", following)
                if running and weight + flight.weight > self.in_flight_bytes:
                    break
                if again:
                    again.popleft()
                else:
                    following = next(flights, None)
                running[flight.start()] = flight
                weight += flight.weight
            self._flying = list(running)
            ready, _ = ray.wait(self._flying, num_returns=1, timeout=TICK_SECONDS)
            self.tick()
            if ready:
                ready, _ = ray.wait(self._flying, num_returns=len(running), timeout=0)
            for ref in ready:
                flight = running.pop(ref)
                weight -= flight.weight
                try:
                    result = result_of(ref, flight.name)
                except WorkerDiedError:
                    if not flight.another():
                        raise
                    again.append(flight)
                else:
                    yield flight.index, result
        self._flying = []

    @contextlib.contextmanager
    def _crew(self, resources: Resources) -> Iterator[_Tasks | _Actors]:
        """Who runs the tasks of a phase: any worker, or actors that last as long as the phase."""
        if not resources.holds_model:
            yield _Tasks(self.options(resources))
            return
        actors = _Actors(self.options(resources), self._actors_wanted(resources))
        try:
            yield actors
        finally:
            actors.end()

    def _actors_wanted(self, resources: Resources) -> int:
        """As many actors as the cluster has room for now, and `workers` at most; one at the least."""
        there = resources_of_cluster()
        room = int(there.get("CPU", 1) / max(resources.num_cpus, 1e-9))
        if resources.num_gpus:
            room = min(room, int(there.get("GPU", 0) / resources.num_gpus))
        return max(1, min(room, self.workers or room))


@dataclass(frozen=True)
class Flight:
    """A task to be started: its place among the results, its name for people, the bytes that it takes along. `another`
    says, after its worker died, whether it is to be started again."""

    index: int
    name: str
    held_bytes: int
    start: Callable[[], Ref]
    another: Callable[[], bool] = lambda: False

    @property
    def weight(self) -> int:
        """What it counts for while it is in flight, in bytes."""
        return max(self.held_bytes, LIGHT_BYTES)


class WorkerDiedError(TransientError):
    """The worker of a task died as often as it was tried."""

    @staticmethod
    def on(name: str) -> WorkerDiedError:
        """Of a task by its name."""
        return WorkerDiedError(
            f"a worker process died {MAX_RETRIES + 1} times on {name} (killed for memory?)",
            hint=f"give the nodes more memory, then {AGAIN}",
        )


class _Tasks:
    """Runs jobs as Ray tasks, which Ray tries again when their worker dies."""

    limit = None

    def __init__(self, options: Mapping[str, object]) -> None:
        self._remote: Any = ray.remote(run_job)
        self._options = options

    def start(self, job: Job[Any], *, careful: bool) -> tuple[Ref, object]:
        retries = CAREFUL_ATTEMPTS - 1 if careful else MAX_RETRIES
        return self._remote.options(name="curator", max_retries=retries, **self._options).remote(job), None

    def attempts(self, *, careful: bool) -> int:
        return 1

    def bury(self, worker: object) -> None:
        """Ray has done so."""


class _Actors:
    """Runs jobs in a pool of actors, each of which has one job waiting behind the one that it works on. One that died
    is replaced: a restarted one would let what waits for it fail as long as it starts."""

    def __init__(self, options: Mapping[str, object], count: int) -> None:
        holder: Any = ray.remote(ModelHolder)
        self._holder: Any = holder.options(**options)
        self._actors: list[Any] = [self._holder.remote() for _ in range(count)]
        self._waiting: dict[int, list[Ref]] = {number: [] for number in range(count)}
        self.limit = 2 * count

    def start(self, job: Job[Any], *, careful: bool) -> tuple[Ref, object]:
        """On the actor that has the least to do; the result to come, and that actor."""
        waiting = {number: [ref for ref in refs if not _is_ready(ref)] for number, refs in self._waiting.items()}
        number = min(waiting, key=lambda actor: len(waiting[actor]))
        ref = self._actors[number].run.remote(job)
        self._waiting = {**waiting, number: [*waiting[number], ref]}
        return ref, self._actors[number]

    def attempts(self, *, careful: bool) -> int:
        return CAREFUL_ATTEMPTS if careful else MAX_RETRIES + 1

    def bury(self, worker: object) -> None:
        """Replace this actor, if that has not been done."""
        for number, actor in enumerate(list(self._actors)):
            if actor is worker:
                ray.kill(self._actors[number])
                self._actors[number] = self._holder.remote()
                self._waiting[number] = []

    def end(self) -> None:
        for actor in self._actors:
            ray.kill(actor)


class _Attempts:
    """A job, and how often it has been started as it is now."""

    def __init__(self, crew: _Tasks | _Actors, job: Job[Any]) -> None:
        self.job = job
        self._crew = crew
        self._deaths = 0
        self._careful = False
        self._worker: object = None

    def start(self) -> Ref:
        ref, self._worker = self._crew.start(self.job, careful=self._careful)
        return ref

    def another(self) -> bool:
        """After its worker died: whether to start it again, which is done carefully when it died often enough."""
        self._crew.bury(self._worker)
        self._deaths += 1
        if self._deaths < self._crew.attempts(careful=self._careful):
            return True
        job = None if self._careful else self.job.carefully()
        if job is None:
            return False
        self.job, self._careful, self._deaths = job, True, 0
        return True


def _is_ready(ref: Ref) -> bool:
    return bool(ray.wait([ref], timeout=0)[0])


def held_bytes(item: object) -> int:
    """The data that an input carries along, in bytes."""
    return item.held_bytes if isinstance(item, Held) else 0


def result_of(ref: Ref, name: str) -> Any:
    """The result of a task that has ended. What it raised is raised; a TransientError when its worker died again and
    again."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        raise error.cause from None
    except (WorkerCrashedError, RayActorError, OutOfMemoryError) as error:
        raise WorkerDiedError.on(name) from error
    except RayError as error:
        raise TransientError(
            f"the cluster lost {name}: {type(error).__name__}", hint=f"when it is well again, {AGAIN}"
        ) from error
