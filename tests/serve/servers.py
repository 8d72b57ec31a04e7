"""Servers for tests: one in this process over a real socket, and one as people start it, to be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import httpx2
import uvicorn

from serve.client import Client
from serve.models import Run, RunDetails
from serve.places import Places
from serve.server import Server, build, listen
from serve.settings import Limits, Settings, default_store
from serve.states import State
from tests.command import EXECUTABLE
from tests.runs import make_texts, write_jsonl

DEADLINE_S = 180.0
"""How long a test waits for what is sure to come, on a machine that is busy with other tests."""

LOOSE = Limits(
    read_rate=1e6,
    read_burst=1e6,
    submit_rate=1e6,
    submit_burst=1e6,
    refused_rate=1e6,
    refused_burst=1e6,
    streams_per_token=500,
)
"""Limits on rates and streams of one token that bound nothing."""

SMALL = {"name": "small", "stages": ["dedup"]}
"""A recipe that is done in a second."""


def make_settings(folder: Path, **changes: object) -> Settings:
    """A configuration with its places below a folder, which are made, and a small input."""
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "in" / "texts.jsonl", make_texts(40))
    state = folder / "state"
    places = Places((str(folder / "in"),), (str(folder / "out"),))
    settings = Settings(
        state, default_store(state), port=0, places=places, concurrency=2, memory_bytes=2_000_000_000, limits=LOOSE
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Running:
    """A server of this process. `token` may do everything."""

    url: str
    token: str
    server: Server
    settings: Settings

    def client(self, token: str | None = None) -> Client:
        """A client, of the token that may do everything if none is given."""
        return Client(self.url, token or self.token)

    def http(self, token: str | None = None) -> httpx2.Client:
        """A plain HTTP client with a token; an empty one sends none."""
        chosen = self.token if token is None else token
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {chosen}"} if chosen else {}, timeout=240
        )

    def create_token(self, name: str, scope: str) -> str:
        """Another token."""
        return self.server.service.tokens.create(name, scope, None, "test")  # type: ignore[arg-type]


@contextmanager
def running(settings: Settings, *, work: bool = True) -> Iterator[Running]:
    """A server in a thread of this process; without `work` its runner rests, so that runs stay as they are put."""
    server = build(settings)
    token = server.service.tokens.one_time()
    listening = listen(settings)
    host, port = listening.getsockname()[:2]
    config = uvicorn.Config(server.app, log_config=None, access_log=False, timeout_graceful_shutdown=1, ws="none")
    web = uvicorn.Server(config)
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listening]})
    if work:
        server.service.start()
    thread.start()
    try:
        await_that(lambda: web.started)
        yield Running(f"http://{host}:{port}", token, server, settings)
    finally:
        web.should_exit = True
        thread.join()
        if work:
            server.service.stop()
        server.service.runs.database.close()


@dataclass
class Command:
    """`curator serve` as a process of its own, on the state folder of a configuration. `prelude` is run in it before
    the command: tests put their faults there."""

    settings: Settings
    prelude: str = ""
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    url: str = ""
    token: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, *, prelude: str | None = None) -> Command:
        """Start it, and wait until it serves. RuntimeError where it is refused."""
        settings = self.settings
        arguments = ["serve", "--port", "0", "--state", str(settings.state), "--store", settings.store, "--json"]
        arguments += ["--workers", "1", "--memory", "2GB", "--runs", str(settings.concurrency), *self.options]
        arguments += [f"--input-root={root}" for root in settings.places.input_roots]
        arguments += [f"--output-root={root}" for root in settings.places.output_roots]
        code = self.prelude if prelude is None else prelude
        script = f"import sys\n{code}\nfrom curator.cli.main import run\nsys.exit(run(sys.argv[1:]))"
        command = [sys.executable, "-c", script, *arguments] if code else [EXECUTABLE, *arguments]
        with (settings.state.parent / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **self.environment}
            )
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line == "}\n":
                break
        told = cast("dict[str, str]", json.loads(text))
        if "error" in told:
            raise RuntimeError(told["message"])
        self.url, self.token = told["url"], told["token"]
        return self

    def client(self) -> Client:
        """A client."""
        return Client(self.url, self.token)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.await_death()

    def stop(self) -> int:
        """Tell it to end; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.await_death()

    def await_death(self) -> int:
        """Wait until it is dead; how it died."""
        assert self.process is not None
        with self.process as process:
            try:
                return process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def await_that(holds: Callable[[], bool], *, seconds: float = DEADLINE_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)


def await_state(client: Client, run: str, *states: State) -> RunDetails:
    """Wait until a run is in one of these states, in a terminal one if none is given."""
    end = time.monotonic() + DEADLINE_S
    while True:
        found = client.run(run)
        if found.state in states or (not states and found.state.is_terminal):
            return found
        assert time.monotonic() < end, f"run {run} is {found.state}: {found.message}"
        time.sleep(0.1)


def small_request(folder: Path, output: str, **more: object) -> dict[str, object]:
    """The body of a request for a small run."""
    return {"inputs": [str(folder / "in")], "output": output, "recipe": SMALL, **more}


def ids(runs: list[Run]) -> list[str]:
    """Their ids."""
    return [run.id for run in runs]
