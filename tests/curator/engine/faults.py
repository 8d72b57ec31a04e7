"""Faults for runs on Ray: a driver in a process of its own, and what is killed while it works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psutil
from ray.cluster_utils import Cluster

from curator.run.execution import MIN_SPLIT_BYTES
from tests.cluster import OBJECT_STORE_BYTES, soon, workers_of
from tests.runs import hashes, make_texts, recipe_text, write_jsonl

Kind = Literal["worker", "node", "actor", "driver"]

QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "grpc_client_keepalive_time_ms": 2000,
    "grpc_client_keepalive_timeout_ms": 2000,
}
"""Ray's own settings, so that a node that is gone is missed within two seconds, not fifteen, and who waits for an
answer over a link that is cut gives up after four seconds, not after seven minutes."""

TITLES: dict[Kind, tuple[str, ...]] = {"worker": ("ray::curator",), "actor": ("ray::ModelHolder",)}
ACTOR_STAGE = "model"
"""The stage that an actor holds."""

WORKERS = ("ray::curator", "ray::ModelHolder", "ray::IDLE")

DRIVER = """
import json, sys
from pathlib import Path
from curator.engine.cluster import Cluster
from curator.recipe import load_with_origins
from curator.run.driver import Request, run

def main():
    source, output, recipe, address = sys.argv[1:]

    def tell(event):
        print(event["kind"], event.get("phase", ""), flush=True)

    inputs = tuple(sorted(str(path) for path in Path(source).iterdir()))
    loaded, origins = load_with_origins(recipe)
    request = Request(inputs, Path(output), loaded, resume=True, origins=origins, cluster=Cluster(address))
    run(request, [tell])

if __name__ == "__main__":
    main()
"""


@dataclass
class Killed:
    """What was killed, and during which phase."""

    kind: Kind
    phase: str


@dataclass
class Scene:
    """An input, a recipe, the bytes of an undisturbed local run, and the phase of each event that it has on Ray.
    `prefix` stands before the command of the driver; `killed` is what was killed so far."""

    folder: Path
    address: str
    stages: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    cluster: Cluster | None = None
    prefix: tuple[str, ...] = ()
    killed: list[Killed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = self.folder / "input"
        for number in range(6):  # each fills a part
            file = write_jsonl(self.source / f"{number}.jsonl", make_texts(500, seed=number, units=(300, 1200)))
            assert file.stat().st_size > MIN_SPLIT_BYTES // 2
        self.recipe = self.folder / "recipe.yaml"
        self.recipe.write_text(recipe_text(*self.stages))
        self.script = self.folder / "driver.py"
        self.script.write_text(DRIVER)
        self.expected = self._local()
        self.phases: list[str] = []
        self.run("undisturbed", lambda number, phase: self.phases.append(phase))
        assert self.hashes("undisturbed") == self.expected

    def _local(self) -> dict[str, str]:
        inputs = sorted(map(str, self.source.iterdir()))
        options = ["-o", str(self.folder / "local"), "-r", str(self.recipe), "--workers", "2", "--json"]
        command = [sys.executable, "-m", "curator", "process", *inputs, *options]
        subprocess.run(command, check=True, capture_output=True, env=self._environment())
        return self.hashes("local")

    def _environment(self) -> dict[str, str]:
        paths = [str(Path(__file__).parents[3]), *filter(None, [self.environment.get("PYTHONPATH")])]
        return {**os.environ, **self.environment, "PYTHONPATH": os.pathsep.join(paths)}

    def hashes(self, name: str) -> dict[str, str]:
        return hashes(self.folder / name)

    def run(self, name: str, at_event: Any) -> int:
        """Run to the end, in as many attempts as it takes: each but the first goes on where the one before was killed.
        `at_event` is called with each event's number and phase. Returns the number of events."""
        number = 0
        for _ in range(10):
            arguments = [self.source, self.folder / name, self.recipe, self.address]
            with subprocess.Popen(
                [*self.prefix, sys.executable, str(self.script), *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment(),
            ) as process:
                self.driver = process
                phase = ""
                assert process.stdout is not None
                for line in process.stdout:
                    kind, _, rest = line.rstrip("\n").partition(" ")
                    phase = rest if kind == "phase.started" else phase
                    number += 1
                    at_event(number, phase)
                assert process.stderr is not None
                error = process.stderr.read()
            if process.returncode == 0:
                return number
            assert process.returncode == -signal.SIGKILL, error
        raise AssertionError("it never ends")

    def disturbed(self, name: str, kinds: list[Kind], chosen: random.Random) -> list[Killed]:
        """Run with a fault of each kind at a random event of a random phase, each in another; what was killed. An actor
        is killed while its stage decides: it is there in no other phase."""
        phases = self.named_phases
        moments: dict[str, tuple[int, Kind]] = {}
        for kind in sorted(kinds, key=lambda kind: kind != "actor"):
            phase = chosen.choice([phase for phase in phases if kind != "actor" or ACTOR_STAGE in phase])
            phases.remove(phase)
            # In the first half of the phase: behind its last task nothing works that could be killed.
            moments[phase] = chosen.randint(1, max(1, self.phases.count(phase) // 2)), kind
        fired: list[Killed] = []
        due: list[Kind] = []
        seen: Counter[str] = Counter()

        def at_event(_number: int, phase: str) -> None:
            seen[phase] += 1
            if phase in moments and seen[phase] >= moments[phase][0]:
                due.append(moments.pop(phase)[1])
            for kind in list(due):
                if soon(partial(self.kill, kind)):
                    due.remove(kind)
                    fired.append(Killed(kind, phase))

        self.run(name, at_event)
        self.killed.extend(fired)
        return fired

    @property
    def named_phases(self) -> list[str]:
        """The phases of the run, in order."""
        return list(dict.fromkeys(filter(None, self.phases)))

    def kill(self, kind: Kind) -> bool:
        """Kill one of a kind, if there is one that works now."""
        if kind == "driver":
            self.driver.kill()
            return True
        assert self.cluster is not None
        if kind == "node":
            return _kill_node(self.cluster)
        return any(_kill(process) for process in workers_of(self.cluster, TITLES[kind]))


def _kill_node(cluster: Cluster) -> bool:
    """Kill a node that works for the run, not the head; another takes its place."""
    for node in cluster.list_all_nodes():  # type: ignore[no-untyped-call]  # Ray leaves it without types
        if node != cluster.head_node and workers_of(cluster, WORKERS, node):
            cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES)
            return True
    return False


def _kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True
