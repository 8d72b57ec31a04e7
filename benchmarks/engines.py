"""The engines side by side: `local` and `ray` with one worker and with two, on this machine.

    python benchmarks/engines.py CORPUS.jsonl.zst [--recipe web] [--repeat 3] [--memory 4GB] [--parts speed,memory,data]

A Ray cluster of two CPUs is started first. What Ray takes before the first task of ours (joining the cluster, a worker
process for each CPU that has imported Curator) is measured once, apart. `speed`: both engines run in turn, and two
runs that share nothing side by side, which tells what two cores of this machine can give the work at all. `memory`:
each once more, for the proportional set size of all worker processes together, without the object store and Ray's own
processes. `data`, left out by default: the tasks of `read` alone, by Ray tasks and through Ray Data in turn, with the
most that the driver's own process holds for itself alone (the object store is not). MB are 10**6 bytes of UTF-8 text.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import ray
from pipeline import text_bytes
from ray.cluster_utils import Cluster as RayCluster

from curator.engine.cluster import Cluster
from curator.engine.ray import begin_worker, connect
from curator.readers.base import Fields, ReadOptions
from curator.readers.detect import discover
from curator.recipe import load_recipe
from curator.run.driver import Request, run
from curator.run.execution import MAX_SPLIT_BYTES
from curator.run.phases.inputs import ReadInput, read_inputs
from curator.run.phases.read import ReadTask
from curator.run.store import Outputs, make_folder
from curator.sizes import parse_size

STORE_BYTES = 1_000_000_000
CPUS = 2


@dataclass
class Taken:
    """Seconds of several runs of one kind."""

    seconds: list[float] = field(default_factory=list)

    def median(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--recipe", default="web")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--parts", default="speed,memory", help="of speed, memory, data, with commas")
    arguments = parser.parse_args()
    size = text_bytes(arguments.corpus)
    print(f"corpus: {size / 1e6:.1f} MB of text, recipe {arguments.recipe}, --memory {arguments.memory}")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": CPUS, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args=head)
    try:
        compare(arguments, cluster, size)
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray leaves it without types


def compare(arguments: argparse.Namespace, cluster: RayCluster, size: int) -> None:
    """Run everything in turn, then print medians and ratios."""
    began = time.monotonic()
    connect(cluster.address)
    ready: Any = ray.remote(_import_curator).options(num_cpus=1)
    ray.get([ready.remote() for _ in range(CPUS)])
    print(f"Ray before the first task: {time.monotonic() - began:.1f} s (joined, {CPUS} workers that imported Curator)")
    kinds: dict[str, Callable[[Path], None]] = {
        f"{engine}, {workers} workers": _runner(arguments, engine, workers, cluster.address)
        for workers in (2, 1)
        for engine in ("local", "ray")
    }
    parts = arguments.parts.split(",")
    if "speed" in parts:
        tell_speed(kinds, arguments, size)
    if "memory" in parts:
        for engine in ("local", "ray"):
            # Looking at memory takes a good part of a core, so it is not done while time is taken.
            with tempfile.TemporaryDirectory() as folder, _watched(_works, _pss) as peak:
                kinds[f"{engine}, 2 workers"](Path(folder) / "run")
            print(f"{engine}, 2 workers: {max(peak, default=0) / 1e6:.0f} MB in all workers together", flush=True)
    if "data" in parts:
        readers = {name: _reader(arguments, through_data=name == "Ray Data") for name in ("Ray tasks", "Ray Data")}
        for name, work in readers.items():
            with tempfile.TemporaryDirectory() as folder, _watched(_drives, _uss) as peak:
                work(Path(folder) / "run")
            print(f"read alone, {name}: {max(peak, default=0) / 1e6:.0f} MB in the driver", flush=True)
        times(readers, arguments.repeat, size)


def times(kinds: dict[str, Callable[[Path], None]], repeat: int, size: int) -> dict[str, Taken]:
    """Run all of these in turn, and print the median of each."""
    taken = {kind: Taken() for kind in kinds}
    for _ in range(repeat):
        for kind, work in kinds.items():
            with tempfile.TemporaryDirectory() as folder:
                started = time.monotonic()
                work(Path(folder) / "run")
                taken[kind].seconds.append(time.monotonic() - started)
    for kind, found in taken.items():
        told = ", ".join(f"{seconds:.1f}" for seconds in found.seconds)
        print(f"{kind}: {found.median():.1f} s ({size / 1e6 / found.median():.1f} MB/s; {told})", flush=True)
    return taken


def tell_speed(kinds: dict[str, Callable[[Path], None]], arguments: argparse.Namespace, size: int) -> None:
    """Print what each kind of run takes, how they compare, and what this machine can give."""
    taken = times(kinds, arguments.repeat, size)
    two = taken["ray, 2 workers"]
    print(f"ray against local, 2 workers: {two.median() / taken['local, 2 workers'].median():.2f}")
    for engine in ("ray", "local"):
        pair = [taken[f"{engine}, {workers} workers"].median() for workers in (1, 2)]
        print(f"{engine}, from 1 to 2 workers: {pair[0] / pair[1]:.2f} times as fast")
    print(f"two processes that only count, against one: {_cores():.2f} times as fast")
    print(f"two runs that share nothing, side by side, against one: {_apart(arguments):.2f} times as much", flush=True)


def _runner(arguments: argparse.Namespace, engine: str, workers: int, address: str) -> Callable[[Path], None]:
    recipe = load_recipe(arguments.recipe)
    memory = parse_size(arguments.memory)

    def work(output: Path) -> None:
        on_ray = Cluster(address, workers, memory) if engine == "ray" else None
        run(Request((str(arguments.corpus),), output, recipe, workers, memory, cluster=on_ray))

    return work


def _reader(arguments: argparse.Namespace, *, through_data: bool) -> Callable[[Path], None]:
    """The tasks of `read`, by Ray tasks or by Ray Data; their blocks come from one producer in either case."""
    recipe = load_recipe(arguments.recipe)
    (file,) = discover((str(arguments.corpus),), recipe.input.format)
    options = ReadOptions(fields=Fields(**recipe.input.fields.model_dump()))
    task = ReadTask(recipe.model_dump_json(), options)

    def splits() -> Iterator[ReadInput]:
        return read_inputs([file], options, MAX_SPLIT_BYTES)

    def by_tasks(output: Path) -> None:
        from curator.engine.ray import RayExecutor

        RayExecutor(Cluster("auto"), 380_000_000).map(output, task, splits())

    def by_data(output: Path) -> None:
        import ray.data

        make_folder(output)

        def read(row: dict[str, Any]) -> dict[str, Any]:
            begin_worker()
            outputs = Outputs(output, row["item"].name)
            return {"rows": outputs.commit(task(row["item"], outputs)).integer("rows")}

        ray.data.DataContext.get_current().enable_progress_bars = False
        items = [{"item": item} for item in splits()]  # it takes no generator: the whole input stands in the driver
        ray.data.from_items(items, override_num_blocks=len(items)).map(read).materialize()

    return by_data if through_data else by_tasks


def _import_curator() -> None:
    begin_worker()

    time.sleep(1)  # so that the next one goes to another worker


@contextlib.contextmanager
def _watched(chosen: Callable[[psutil.Process], bool], size_of: Callable[[psutil.Process], int]) -> Iterator[list[int]]:
    """The memory of these processes together, four times a second."""
    found: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.25):
            found.append(sum(size_of(process) for process in psutil.process_iter(["cmdline"]) if chosen(process)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _works(process: psutil.Process) -> bool:
    title = " ".join(process.info["cmdline"] or ())
    of_ray = title.startswith(("ray::curator", "ray::ModelHolder", "ray::IDLE"))
    is_worker = of_ray or "multiprocessing.forkserver" in title
    return is_worker and os.getpid() in {parent.pid for parent in _parents(process)}


def _drives(process: psutil.Process) -> bool:
    return bool(process.pid == os.getpid())


def _parents(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.parents())
    except psutil.NoSuchProcess:
        return []


def _uss(process: psutil.Process) -> int:
    return int(process.memory_full_info().uss)


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def _cores() -> float:
    """How much faster two processes count than one: what this machine can give at all."""
    times = []
    for count in (1, 2):
        began = time.monotonic()
        ray.get([_count.remote() for _ in range(2)] if count == 2 else [_count.remote()])
        first = time.monotonic() - began
        times.append(first if count == 2 else 2 * first)
    return times[0] / times[1]


def _apart(arguments: argparse.Namespace) -> float:
    """How much more two runs of one worker do at once than one alone: what two cores, which share a cache and the way
    to memory, can give this work if nothing has to wait for anything."""

    def seconds(count: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            started = []
            for number in range(count):
                options = ["-o", f"{folder}/{number}", "-r", arguments.recipe, "--workers", "1", "--json"]
                command = [sys.executable, "-m", "curator", "process", str(arguments.corpus), *options]
                started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            codes = [process.wait() for process in started]
            if any(codes):
                sys.exit("a run failed")
            return time.monotonic() - began

    return statistics.median(2 * seconds(1) / seconds(2) for _ in range(arguments.repeat))


@ray.remote
def _count() -> int:
    total = 0
    for number in range(30_000_000):
        total += number
    return total


if __name__ == "__main__":
    main()
