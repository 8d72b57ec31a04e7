"""A training by Ray Train: as many processes as asked for on the nodes of a cluster, each a rank over torch.

Processes and the command that waits for them talk through one actor: what the first rank tells of its steps and how it
ended goes one way, a signal that the command was sent goes the other. The folder of the model has to be the same one
on all nodes.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
import torch

from curator.engine.ray import connect
from curator.errors import AGAIN, CuratorError, TransientError, UserError
from curator.run.events import Event, Listener
from model.parallel import TIMEOUT, Connected
from model.train import Outcome, Request, noting, train

POLL_S = 0.5
"""How often the command looks for news."""

Handle = Any
"""A handle of an actor; Ray's own type says as little."""


@dataclass(frozen=True)
class News:
    """What happened since the last time, and how the training ended, if it did."""

    events: list[Event]
    outcome: Outcome | None
    error: CuratorError | None


class Line:
    """The actor between the processes of a training and its command."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._signal: int | None = None
        self._outcome: Outcome | None = None
        self._error: CuratorError | None = None

    def tell(self, event: Event) -> int | None:
        """Note an event; the signal that the command was sent, if it was."""
        self._events.append(event)
        return self._signal

    def finish(self, outcome: Outcome) -> None:
        """Note how the training ended."""
        self._outcome = outcome

    def fail(self, error: CuratorError) -> None:
        """Note why a rank gave up; the first one counts."""
        self._error = self._error or error

    def stop(self, number: int) -> None:
        """Let the training end after its step, as this signal would."""
        self._signal = number

    def news(self) -> News:
        """What was told and not asked for yet."""
        events, self._events = self._events, []
        return News(events, self._outcome, self._error)


def train_on_ray(request: Request, address: str, workers: int, listeners: tuple[Listener, ...] = ()) -> Outcome:
    """Train in `workers` processes on the cluster at `address`; 0: one for each GPU, or each node without `cuda`.

    UserError where there is no such cluster or too little of it, TransientError when a process died; else what
    `model.train.train` gives or raises.
    """
    ours = connect(address)
    try:
        workers = workers or _places(request)
        _need_room(request, workers)
        line = ray.remote(num_cpus=0)(Line).remote()
        return _run(_absolute(request), workers, line, listeners)
    finally:
        if ours:
            ray.shutdown()


def _run(request: Request, workers: int, line: Handle, listeners: tuple[Listener, ...]) -> Outcome:
    stopped: list[int] = []
    failed: list[BaseException] = []
    # In a thread: in the main one, Ray Train would take SIGINT for itself, and end processes between two steps.
    fit = threading.Thread(target=_fit, args=(request, workers, line, failed), name="ray-train", daemon=True)
    told = False
    with noting(stopped):
        fit.start()
        running = True
        while running:
            fit.join(POLL_S)
            running = fit.is_alive()
            if stopped and not told:
                ray.get(line.stop.remote(stopped[0]))
                told = True
            news: News = ray.get(line.news.remote())
            for event in news.events:
                for listener in listeners:
                    listener(event)
    if news.error is not None:
        raise news.error
    if news.outcome is None or failed:
        raise TransientError(
            "a process of the training died",
            file=str(request.output),
            hint=f"Ray's dashboard and logs tell of what; {AGAIN}: it goes on from the last checkpoint",
        ) from (failed[0] if failed else None)
    return news.outcome


def _fit(request: Request, workers: int, line: Handle, failed: list[BaseException]) -> None:
    from ray.train import RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    logging.getLogger("ray.train").setLevel(logging.ERROR)
    cuda = request.device == "cuda"
    with tempfile.TemporaryDirectory() as results:
        trainer = TorchTrainer(
            _rank,
            train_loop_config={"request": request, "line": line},
            torch_config=TorchConfig("nccl" if cuda else "gloo", timeout_s=int(TIMEOUT.total_seconds())),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=cuda, resources_per_worker=_each(request)),
            run_config=RunConfig(storage_path=results),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failed.append(error)


def _rank(values: dict[str, Any]) -> None:
    """What each process does."""
    request: Request = values["request"]
    line: Handle = values["line"]
    device = torch.device("cuda", torch.cuda.current_device()) if request.device == "cuda" else torch.device("cpu")
    ranks = Connected(device)
    stopped: list[int] = []

    def tell(event: Event) -> None:
        number = ray.get(line.tell.remote(event))
        if number is not None and not stopped:
            stopped.append(number)

    try:
        outcome = train(request, (tell,), ranks, stopped)
    except CuratorError as error:
        ray.get(line.fail.remote(error))
        raise
    if ranks.rank == 0:
        ray.get(line.finish.remote(outcome))


def _absolute(request: Request) -> Request:
    """The request for processes with another working directory; each computes in the threads that it reserves."""
    return replace(
        request,
        runs=tuple(run if "://" in run else str(Path(run).absolute()) for run in request.runs),
        output=request.output.absolute(),
        tokenizer=_whole(request.tokenizer),
        initialise_from=_whole(request.initialise_from),
        alignment=_whole(request.alignment),
        config=request.config.model_copy(update={"threads": request.config.threads or 1}),
    )


def _whole(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _each(request: Request) -> dict[str, float]:
    """What a process reserves of the cluster."""
    cpus = {"CPU": float(request.config.threads or 1)}
    return cpus | {"GPU": 1.0} if request.device == "cuda" else cpus


def _nodes() -> list[dict[str, float]]:
    """What each node that lives has, by Ray's names."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it without types
    return [node["Resources"] for node in found if node["Alive"]]


def _places(request: Request) -> int:
    """How many processes there are when nobody says: one for each GPU, or for each node with a CPU."""
    if request.device == "cuda":
        return max(1, sum(int(node.get("GPU", 0)) for node in _nodes()))
    return max(1, sum(node.get("CPU", 0) > 0 for node in _nodes()))


def _need_room(request: Request, workers: int) -> None:
    """Ray itself would wait for ever for what no node has."""
    each = _each(request)
    room = sum(min(int(node.get(name, 0) // count) for name, count in each.items()) for node in _nodes())
    if room < workers:
        wanted = " and ".join(f"{count:g} {name}" for name, count in each.items())
        raise UserError(
            f"the cluster has room for {room} processes with {wanted} each, not for {workers}",
            hint="lower --workers or threads, or start more nodes",
        )
