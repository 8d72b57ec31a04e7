"""What a full service takes: lists of runs, and how late events reach a stream.

A server with 2,000 finished runs and 50 that write an event a second each, followed by 200 streams. First, while
nothing else is asked, the processor time of the server for a list, which other programs of the machine hardly touch:

    python benchmarks/service.py [--runs 2000] [--working 50] [--streams 200] [--seconds 20] [--store URL]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

import httpx2
import uvicorn

from serve.folds import RunFold
from serve.models import RunRequest
from serve.server import Server, build, listen
from serve.settings import Limits, Settings, default_store
from serve.states import Begin, Launch, Succeed
from serve.store.tables import RunRow

LISTS = 400
LIMITS = Limits(read_rate=1e6, read_burst=1e6)


def fill(server: Server, finished: int, working: int) -> list[RunRow]:
    """Runs with a history and a hundred events each; those that work."""
    request = RunRequest(inputs=("/in",), output="x", labels={"team": "a"})
    runs = []
    for number in range(finished + working):
        with server.service.runs.write() as writer:
            run = writer.create(request, "web", f"/out/{number}", f"user{number % 7}")
            writer.take(run, 1, Launch())
            writer.take(run, 1, Begin())
            events = [{"attempt": 1, "seq": seq, "time": 0.0, "kind": "task.done", "rows": 10} for seq in range(100)]
            writer.take_in(run, "000001.jsonl", events, RunFold())
            if number < finished:
                writer.take(run, 1, Succeed())
        runs.append(run)
    return runs[finished:]


def work(server: Server, runs: list[RunRow], goes_on: Callable[[], bool]) -> None:
    """Each run writes an event a second."""
    piece = 1
    while goes_on():
        piece += 1
        began = time.monotonic()
        for run in runs:
            with server.service.runs.write() as writer:
                row = writer.session.get_one(RunRow, run.number)
                event = {"attempt": 1, "seq": 100 + piece, "time": time.time(), "kind": "task.done"}
                writer.take_in(row, f"{piece:06d}.jsonl", [event], RunFold())
        time.sleep(max(0.0, began + 1.0 - time.monotonic()))


def follow(
    client: httpx2.Client, url: str, run: str, lags: list[float], connected: threading.Barrier, ended: threading.Event
) -> None:
    """Note for each event how long after it was written it came, from when all are connected."""
    with client.stream("GET", f"{url}/v1/runs/{run}/events", headers={"Accept": "text/event-stream"}) as answer:
        connected.wait()
        begin = time.time()
        for line in answer.iter_lines():
            if line.startswith("data: ") and '"task.done"' in line:
                moment = float(line.split('"time":')[1].split(",")[0])
                if moment > begin:
                    lags.append(time.time() - moment)
            if ended.is_set():
                return


QUERIES = ("", "?state=running", "?label=team=a&limit=50", "?owner=user3")


def ask(url: str, token: str, times: int) -> None:
    """Ask for lists, one after the other."""
    with httpx2.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for number in range(times):
            client.get(f"{url}/v1/runs{QUERIES[number % len(QUERIES)]}").raise_for_status()


def measure(
    url: str, token: str, runs: list[str], seconds: float, found: Queue[tuple[list[float], list[float]]]
) -> None:
    """Follow the runs and ask for lists, as clients of another process do; puts the seconds that each took."""
    headers = {"Authorization": f"Bearer {token}"}
    connected, ended = threading.Barrier(len(runs) + 1), threading.Event()
    lags: list[float] = []
    times: list[float] = []
    with httpx2.Client(headers=headers, timeout=60, limits=httpx2.Limits(max_connections=None)) as client:
        common = (lags, connected, ended)
        threads = [threading.Thread(target=follow, args=(client, url, run, *common)) for run in runs]
        for thread in threads:
            thread.start()
        connected.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for query in QUERIES:
                began = time.perf_counter()
                client.get(f"{url}/v1/runs{query}").raise_for_status()
                times.append(time.perf_counter() - began)
            time.sleep(0.05)
        ended.set()
        for thread in threads:
            thread.join()
    found.put((times, lags))


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
        state = Path(folder)
        settings = Settings(state, given.store or default_store(state), port=0, limits=LIMITS)
        server = build(settings)
        token = server.service.tokens.one_time()
        working = fill(server, given.runs, given.working)
        listening = listen(settings)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        web = uvicorn.Server(uvicorn.Config(server.app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
        thread.start()
        spawn = multiprocessing.get_context("spawn")
        asker = spawn.Process(target=ask, args=(url, token, LISTS))
        before = time.process_time()
        asker.start()
        asker.join()
        print(f"GET /v1/runs: {1e3 * (time.process_time() - before) / LISTS:.1f} CPU ms of the server each")
        found: Queue[tuple[list[float], list[float]]] = spawn.Queue()
        followed = [working[number % len(working)].id for number in range(given.streams)]
        client = spawn.Process(target=measure, args=(url, token, followed, given.seconds, found))
        client.start()
        work(server, working, found.empty)
        times, lags = found.get()
        client.join()
        web.should_exit = True
        thread.join()
        for name, values in (("GET /v1/runs", times), ("event to stream", lags)):
            values.sort()
            middle, high = statistics.median(values), values[int(0.95 * len(values))]
            print(f"{name}: {len(values):,} times, median {1e3 * middle:.0f} ms, 95th percentile {1e3 * high:.0f} ms")


if __name__ == "__main__":
    main()
