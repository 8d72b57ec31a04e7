"""Real Ray clusters on this machine: several raylets, each a node of its own to Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

OBJECT_STORE_BYTES = 300_000_000

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@contextmanager
def ray_cluster(*cpus: int, object_store_bytes: int = OBJECT_STORE_BYTES, **head: Any) -> Iterator[Cluster]:
    """A cluster with a node for each number of CPUs, the first of them the head; gone at the end."""
    options: dict[str, Any] = {"object_store_memory": object_store_bytes, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "num_cpus": cpus[0], **head})
    try:
        for count in cpus[1:]:
            cluster.add_node(num_cpus=count, object_store_memory=object_store_bytes)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        for node in reversed(cluster.list_all_nodes()):  # type: ignore[no-untyped-call]  # Ray leaves it without types
            cluster.remove_node(node, allow_graceful=False)  # a graceful end asks the head, which may be slow to answer


def workers_of(cluster: Cluster, begins: str | tuple[str, ...], node: Any = None) -> list[psutil.Process]:
    """The worker processes of a cluster, or of one node, whose title begins so (`ray::curator` while they run a task of
    ours)."""
    nodes = cluster.list_all_nodes() if node is None else [node]  # type: ignore[no-untyped-call]
    raylets = [running.process.pid for each in nodes for running in each.all_processes.get("raylet", ())]
    return [process for pid in raylets for process in descendants(pid) if title(process).startswith(begins)]


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that a process has started, and those that they have."""
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def title(process: psutil.Process) -> str:
    """The command line of a process; nothing when it has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def soon(condition: Callable[[], bool], within_s: float = 0.1) -> bool:
    """Whether something comes to hold within a moment."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 180) -> None:
    """Wait until something holds; an AssertionError when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)
