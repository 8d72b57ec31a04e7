"""How long `curator submit` takes until the run has begun, on a warm cluster on this machine.

    python benchmarks/submit.py [--repeat 5]

A cluster of one node with its dashboard is started on loopback and warmed by one submission, whose packages it keeps.
Then each submission is of another output. Wall seconds of the command, CPU seconds of the command alone, and CPU
seconds of all processes of the cluster meanwhile, of which some are the run's own work.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from curator.cluster.dashboard import Dashboard
from curator.errors import CuratorError

RECIPE = "name: bench\nstages:\n  - dedup\n  - entropy\n"
CURATOR = str(Path(sys.executable).parent / "curator")
RAY = str(Path(sys.executable).parent / "ray")


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and all that it has started, ended ones as far as they were waited for."""
    total = 0.0
    try:
        found = psutil.Process(pid)
        members = [found, *found.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for member in members:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def main() -> None:
    """Start a cluster, submit, print."""
    parser = argparse.ArgumentParser(description="Measure `curator submit`.")
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    port = free_port()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    options = [f"--port={free_port()}", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}"]
    options += [f"--dashboard-agent-listen-port={free_port()}", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
    options += [f"--temp-dir={folder}", "--object-store-memory=300000000"]
    head = subprocess.Popen(
        [RAY, "start", "--head", "--block", *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        recipe, source = folder / "recipe.yaml", folder / "in.jsonl"
        recipe.write_text(RECIPE)
        source.write_text('{"text": "one document of a few words to have something to do"}\n' * 10)
        taken: list[tuple[float, float, float]] = []
        for number in range(repeat + 1):
            command = [CURATOR, "submit", str(source), "-o", str(folder / f"run{number}"), "-r", str(recipe)]
            before, began = cpu_seconds(head.pid), time.monotonic()
            own = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                [*command, "--address", f"http://127.0.0.1:{port}"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            wall = time.monotonic() - began
            if done.returncode:
                raise SystemExit(done.stderr)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            client = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
            taken.append((wall, client, cpu_seconds(head.pid) - before))
            while not (folder / f"run{number}" / "manifest.json").exists():
                time.sleep(0.2)
            time.sleep(2)
        print(f"first: {taken[0][0]:.1f} s (client {taken[0][1]:.1f} CPU s)")
        wall, client, cluster = (statistics.median(values) for values in zip(*taken[1:], strict=True))
        print(f"median of {repeat}: {wall:.1f} s (client {client:.1f} CPU s, cluster {cluster:.1f} CPU s)")
    finally:
        for process in [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int) -> None:
    """Until the dashboard knows a node with its CPUs."""
    for _ in range(600):
        try:
            if any(node.cpus for node in Dashboard(f"http://127.0.0.1:{port}").nodes()):
                return
        except CuratorError:
            pass
        time.sleep(0.1)
    raise SystemExit("the cluster did not start within a minute")


if __name__ == "__main__":
    main()
