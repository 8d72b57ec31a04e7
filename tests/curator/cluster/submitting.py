"""A cluster with a dashboard, and what is submitted to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import ray_cluster
from tests.command import EXECUTABLE, write_package
from tests.runs import make_texts, write_jsonl

LINGER = """
import time
from pathlib import Path
from typing import Any

from curator.stage import Parameters, Stage


class LingerParameters(Parameters):
    until: str


class Linger(Stage):
    name, about, parameters_type = "linger", "waits for a file", LingerParameters
    edits_text = True

    def decide(self, batch, columns, state):
        while not Path(self.parameters.until).exists():
            time.sleep(0.05)
        return super().decide(batch, columns, state)
"""
"""The stage of somebody else: a run that has it ends when a file is there."""


@dataclass(frozen=True)
class DashboardCluster:
    """A real cluster: the addresses of its dashboard and of its head, and the folder that is its package index."""

    url: str
    head: str
    wheels: Path


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def dashboard_cluster(*cpus: int, port: int | None = None) -> Iterator[DashboardCluster]:
    """A cluster with a node for each number of CPUs, whose `python` is the one of the tests. It has its own ports and
    folder: a job finds its cluster by a file there, which other clusters on this machine would overwrite. `port` is
    that of its dashboard, a free one if not given."""
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # sockets lie there, whose paths must be short
    wheels = folder / "wheels"
    wheels.mkdir()
    before = {name: os.environ.get(name) for name in ("PATH", "RAY_TMPDIR", "PIP_NO_INDEX", "PIP_FIND_LINKS")}
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before['PATH']}"
    os.environ["RAY_TMPDIR"] = str(folder)
    os.environ["PIP_NO_INDEX"] = "1"
    os.environ["PIP_FIND_LINKS"] = str(wheels)
    try:
        head: dict[str, Any] = {
            "dashboard_host": "127.0.0.1",
            "dashboard_port": port,
            "dashboard_agent_listen_port": free_port(),
        }
        with ray_cluster(*cpus, include_dashboard=True, **head) as cluster:
            yield DashboardCluster(f"http://127.0.0.1:{port}", cluster.address, wheels)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Place:
    """A folder with an input, a recipe that lingers, and the environment of who submits."""

    folder: Path
    env: Mapping[str, str]

    @property
    def input(self) -> Path:
        return self.folder / "in.jsonl"

    @property
    def gate(self) -> Path:
        """The file for which the recipe waits."""
        return self.folder / "gate"

    @property
    def recipe(self) -> Path:
        return self.folder / "lingering.yaml"

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `curator`."""
        return subprocess.Popen(
            [EXECUTABLE, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.env},
        )


def make_place(folder: Path) -> Place:
    """A place of its own for a test."""
    place = Place(
        folder,
        {
            **write_package(folder / "package", "linger", "curator.stages", "linger = linger:Linger", LINGER),
            "CURATOR_STATE": str(folder / "state"),
        },
    )
    write_jsonl(place.input, make_texts(40))
    place.recipe.write_text(f"name: lingering\nstages:\n  - linger: {{until: {place.gate}}}\n")
    return place


def interrupt_when(process: subprocess.Popen[str], text: str) -> tuple[str, str]:
    """Send Ctrl-C to a process once it has said something on standard error; all that it said then and after."""
    assert process.stderr is not None
    seen = ""
    while text not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    return out, seen + err
