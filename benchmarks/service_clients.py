"""What stands around the server in `benchmarks/service.py`, each in a process of its own, as it does where a service is
used: runs that write their events, clients that follow them, a client that asks for lists.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from urllib.parse import urlsplit

from curator.run.store import put
from serve.runner.task import HEARTBEAT, HEARTBEAT_SECONDS, LOCK

QUERIES = ("", "?state=running", "?label=team=a&limit=50", "?owner=user3")
PAUSE_SECONDS = 0.05

_COUNTS: Mapping[str, Sequence[int]] = {"in": [10, 900], "dedup/drop/dedup.exact": [1, 90], "kept": [9, 810]}


def write_events(attempts: Sequence[Path], outputs: Sequence[Path], ready: Flag, ended: Flag) -> None:
    """Be the processes of runs: hold their locks, beat, and put a piece with one event a second for each."""
    locks = [os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600) for folder in attempts]
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    seq = 1
    began = time.monotonic()
    beaten = 0.0
    while not ended.is_set():
        if time.monotonic() - beaten > HEARTBEAT_SECONDS:
            for folder in attempts:
                (folder / HEARTBEAT).touch()
            beaten = time.monotonic()
            ready.set()
        seq += 1
        for place, output in enumerate(outputs):
            # They do not write all at the same moment.
            time.sleep(max(0.0, began + seq + place / len(outputs) - time.monotonic()))
            event = {
                "attempt": 1,
                "seq": seq,
                "time": time.time(),
                "kind": "task.done",
                "phase": 0,
                "task": seq,
                "name": f"00000-{seq:05d}",
                "rows": 10,
                "consumed": 1000 * seq,
                "seconds": 1.0,
                "counts": _COUNTS,
            }
            put(output / "events" / f"{seq:06d}.jsonl", json.dumps(event).encode() + b"\n", durable=False)
    for lock in locks:
        os.close(lock)


def follow_runs(url: str, token: str, runs: Sequence[str], ready: Flag, ended: Flag, found: Queue[list[float]]) -> None:
    """Follow runs, a stream each; puts for each event how many seconds after it was written it came."""
    found.put(asyncio.run(_follow_all(url, token, runs, ready, ended)))


async def _follow_all(url: str, token: str, runs: Sequence[str], ready: Flag, ended: Flag) -> list[float]:
    lags: list[float] = []
    begin: list[float] = []
    connected = asyncio.Barrier(len(runs) + 1)
    tasks = [asyncio.create_task(_follow(url, token, run, connected, begin, lags)) for run in runs]
    await connected.wait()
    begin.append(time.time())  # what was written before has waited for the connection
    ready.set()
    while not ended.is_set():
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return lags


async def _follow(
    url: str, token: str, run: str, connected: asyncio.Barrier, begin: list[float], lags: list[float]
) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        asked = f"GET /v1/runs/{run}/events HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n"
        writer.write(f"{asked}Authorization: Bearer {token}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await connected.wait()
        while line := await reader.readline():
            if line.startswith(b"data: ") and b'"task.done"' in line:
                now, moment = time.time(), json.loads(line.removeprefix(b"data: "))["time"]
                if begin and moment > begin[0]:
                    lags.append(now - moment)
    finally:
        writer.close()


def ask_lists(
    url: str, token: str, pause_s: float, times: int, ready: Flag, ended: Flag, found: Queue[list[float]]
) -> None:
    """Ask for lists one after the other over one connection, `times` of them or until the end; puts the seconds that
    each took."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.connect()
    ready.set()
    seconds: list[float] = []
    while len(seconds) < times and not ended.is_set():
        began = time.perf_counter()
        query = QUERIES[len(seconds) % len(QUERIES)]
        connection.request("GET", f"/v1/runs{query}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{query} was answered with {answer.status}")
        seconds.append(time.perf_counter() - began)
        time.sleep(pause_s)
    connection.close()
    found.put(seconds)
