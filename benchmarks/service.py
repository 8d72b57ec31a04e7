"""What a full service takes: lists of runs, and how late events reach a stream.

A server with 2,000 finished runs and 50 that work, each putting an event a second into its directory, followed by 200
streams. The server with its runner is this process and nothing else; runs and clients are processes of their own
(`service_clients.py`). The processor time of the server's threads is told for each step, since other programs of the
machine hardly touch it; seconds are those that clients saw:

    python benchmarks/service.py [--runs 2000] [--working 50] [--streams 200] [--seconds 20] [--store URL]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import Queue
from pathlib import Path

from service_clients import PAUSE_SECONDS, ask_lists, follow_runs, write_events
from sqlalchemy import insert

from curator.run.store import put
from serve.folds import RunFold
from serve.models import RunRequest
from serve.server import Server, build, listen, make_web
from serve.settings import Limits, Settings, attempt_folder, default_store
from serve.states import Begin, Launch, Succeed
from serve.store.runs import Taken
from serve.store.tables import EventRow, RunRow

LISTS = 400
EVENTS = 100
"""Events of each finished run."""
RUNS_A_TRANSACTION = 50
LIMITS = Limits(read_rate=1e6, read_burst=1e6, streams_per_token=500)
LEASE = "0123456789abcdef"


def fill(server: Server, outputs: Path, finished: int, working: int) -> list[RunRow]:
    """Runs with a history and a hundred events each; those that work, as the runner finds them when it begins."""
    request = RunRequest(inputs=("/in",), output="x", labels={"team": "a"})
    rows: list[RunRow] = []
    for begin in range(0, finished + working, RUNS_A_TRANSACTION):
        with server.service.runs.write() as writer:
            for number in range(begin, min(begin + RUNS_A_TRANSACTION, finished + working)):
                run = writer.create(request, "web", str(outputs / str(number)), f"user{number % 7}")
                attempt = writer.attempt_of(run)
                attempt.lease, attempt.lease_until = LEASE, time.time() + 3600
                writer.take(run, 1, Launch())
                writer.take(run, 1, Begin())
                if number < finished:
                    writer.session.execute(insert(EventRow), [_event(run.number, seq) for seq in range(EVENTS)])
                    writer.take_in([Taken(run, "000001.jsonl", [], RunFold())])
                    writer.take(run, 1, Succeed())
                rows.append(run)
    return rows[finished:]


def _event(run: int, seq: int) -> dict[str, object]:
    return {
        "run": run,
        "origin": "run",
        "generation": 1,
        "attempt": 1,
        "seq": seq,
        "time": 0.0,
        "kind": "task.done",
        "fields": {"rows": 10},
    }


def begin(run: RunRow, folder: Path) -> None:
    """The folders of a run that works, and its first event."""
    folder.mkdir(parents=True)
    event = b'{"attempt": 1, "seq": 1, "time": 0.0, "kind": "run.started", "bytes": 1000000}\n'
    events = Path(run.output) / "events"
    events.mkdir(parents=True)
    put(events / "000001.jsonl", event, durable=False)


def _thread_seconds() -> dict[int, float]:
    """Processor time of the threads of this process that live."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for folder in Path("/proc/self/task").iterdir():
        try:
            values = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        found[int(folder.name)] = (int(values[11]) + int(values[12])) / ticks
    return found


@dataclass
class Usage:
    """Processor time of the threads of this process, from when it is made."""

    began: float = field(default_factory=time.monotonic)
    whole: float = field(default_factory=time.process_time)
    before: dict[int, float] = field(default_factory=_thread_seconds)

    def tell(self, what: str) -> None:
        """Print the processor time a second since then: of all, of the runner, of the loop; the rest is that of the
        threads in which the loop has the store asked."""
        passed, whole = time.monotonic() - self.began, time.process_time() - self.whole
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        found = {"runner": 0.0, "loop": 0.0}
        for thread, seconds in _thread_seconds().items():
            name = names.get(thread, "")
            if name in found:
                found[name] += seconds - self.before.get(thread, 0.0)
        found["others"] = max(0.0, whole - sum(found.values()))
        parts = ", ".join(f"{name} {1e3 * seconds / passed:.0f}" for name, seconds in found.items())
        print(f"{what}: {1e3 * whole / passed:.0f} CPU ms a second of the server ({parts})", flush=True)


def start(context: SpawnContext, what: object, *arguments: object) -> SpawnProcess:
    """Start a process."""
    process = context.Process(target=what, args=arguments, daemon=True)  # type: ignore[arg-type]  # each has its own arguments
    process.start()
    return process


def tell_seconds(name: str, values: list[float]) -> None:
    """Print the middle and the high end."""
    values.sort()
    middle, high = statistics.median(values), values[int(0.95 * len(values))]
    print(
        f"{name}: {len(values):,} times, median {1e3 * middle:.0f} ms, 95th percentile {1e3 * high:.0f} ms", flush=True
    )


def measure(server: Server, url: str, working: Sequence[RunRow], streams: int, seconds: float) -> None:
    """The steps, one after the other."""
    context = multiprocessing.get_context("spawn")
    token = server.service.tokens.create("benchmark", "read", None, "benchmark")
    never, ended, stopped, ready = context.Event(), context.Event(), context.Event(), context.Event()
    times: Queue[list[float]] = context.Queue()
    lags: Queue[list[float]] = context.Queue()

    asker = start(context, ask_lists, url, token, 0.0, LISTS, ready, never, times)
    ready.wait()
    before = time.process_time()
    alone = times.get()
    asker.join()
    print(f"GET /v1/runs: {1e3 * (time.process_time() - before) / LISTS:.1f} CPU ms of the server each", flush=True)
    tell_seconds("GET /v1/runs, nothing else to do", alone)

    folders = [attempt_folder(server.service.settings.state, run.id, 1) for run in working]
    for run, folder in zip(working, folders, strict=True):
        begin(run, folder)
    ready = context.Event()
    writer = start(context, write_events, folders, [Path(run.output) for run in working], ready, stopped)
    ready.wait()
    server.service.start()
    time.sleep(3.0)  # it adopts the runs
    usage = Usage()
    time.sleep(seconds / 2)
    usage.tell(f"{len(working)} runs that write an event a second")

    ready = context.Event()
    followed = [working[number % len(working)].id for number in range(streams)]
    follower = start(context, follow_runs, url, token, followed, ready, ended, lags)
    ready.wait()
    usage = Usage()
    time.sleep(seconds / 2)
    usage.tell(f"and {streams} streams")

    ready = context.Event()
    asker = start(context, ask_lists, url, token, PAUSE_SECONDS, 1 << 30, ready, ended, times)
    ready.wait()
    usage = Usage()
    time.sleep(seconds)
    usage.tell("and lists")
    ended.set()
    tell_seconds("GET /v1/runs", times.get())
    tell_seconds("event to stream", lags.get())
    for process in (asker, follower):
        process.join()
    server.service.stop()
    stopped.set()
    writer.join()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--working", type=int, default=50)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        settings = Settings(state, given.store or default_store(state), port=0, limits=LIMITS)
        server = build(settings)
        put(state / "id", LEASE.encode())
        working = fill(server, Path(folder) / "runs", given.runs, given.working)
        listening = listen(settings)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        web = make_web(server)
        thread = threading.Thread(target=web.run, name="loop", kwargs={"sockets": [listening]})
        thread.start()
        try:
            measure(server, url, working, given.streams, given.seconds)
        finally:
            web.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
