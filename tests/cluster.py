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
        cluster.shutdown()  # type: ignore[no-untyped-call]  # Ray leaves these without types


def workers_of(cluster: Cluster, begins: str) -> list[psutil.Process]:
    """The worker processes of a cluster whose title begins so (`ray::curator` while they run a task of ours)."""
    found: list[psutil.Process] = []
    for node in cluster.list_all_nodes():  # type: ignore[no-untyped-call]
        for running in node.all_processes.get("raylet", ()):
            with_children(running.process.pid, begins, found)
    return found


def with_children(pid: int, begins: str, found: list[psutil.Process]) -> None:
    """Add the descendants of a process whose title begins so."""
    try:
        for child in psutil.Process(pid).children(recursive=True):
            if " ".join(child.cmdline()).startswith(begins):
                found.append(child)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until something holds; an AssertionError when it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)
