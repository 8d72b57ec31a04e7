"""An object store too small for what an exchange moves: Ray spills it to disk, and the driver holds none of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from ray.cluster_utils import Cluster as RayCluster

from curator.engine.cluster import Cluster
from curator.engine.ray import RayExecutor, connect
from curator.recipe import load_recipe_text
from curator.run.driver import Request, run
from curator.run.store import Outputs
from tests.cluster import ray_cluster
from tests.curator.engine.test_local import Number
from tests.runs import hashes, make_texts, recipe_text, run_stages, write_jsonl

STORE_BYTES = 80_000_000
"""About the least that Ray takes."""

ROWS = 250_000
"""Rows of 16 bytes that one input emits."""


@dataclass
class Watch:
    """What was seen while something ran: the bytes spilled at the most, and how much this process grew."""

    spilled: int = 0
    grown: int = 0


@pytest.fixture(scope="module")
def spilling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayCluster, Path]]:
    folder = tmp_path_factory.mktemp("spilled")
    with ray_cluster(2, object_store_bytes=STORE_BYTES, object_spilling_directory=str(folder)) as cluster:
        connect(cluster.address)
        yield cluster, folder


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """Look, while the block runs, at the folder that Ray spills into and at this process."""
    watch, ended = Watch(), threading.Event()
    process = psutil.Process()
    before = process.memory_full_info().uss

    def look() -> None:
        while not ended.wait(0.05):
            watch.spilled = max(watch.spilled, sum(_size(path) for path in folder.rglob("*")))
            watch.grown = max(watch.grown, process.memory_full_info().uss - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def emit_many(item: Number) -> NDArray[np.uint64]:
    keys = np.random.default_rng(item.value).integers(0, 1 << 62, ROWS, dtype=np.uint64)
    return np.column_stack([keys, np.full(ROWS, item.value, dtype=np.uint64)])


def add_up(partition: int, blocks: Iterator[NDArray[np.uint64]], outputs: Outputs) -> dict[str, object]:
    rows = total = 0
    last = 0
    for block in blocks:
        assert last <= int(block[0, 0])
        last = int(block[-1, 0])
        rows += len(block)
        total = (total + int(block.sum(dtype=np.uint64))) % (1 << 64)
    return {"rows": rows, "total": total}


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [100, pytest.param(7, marks=pytest.mark.long)])
def test_an_exchange_larger_than_the_store_is_spilled_and_passes_the_driver_by(
    spilling: tuple[RayCluster, Path], tmp_path: Path, partitions: int
) -> None:
    cluster, folder = spilling
    inputs = [Number(value) for value in range(70)]
    engine = RayExecutor(Cluster(cluster.address), task_memory_bytes=100_000_000)
    with watched(folder) as watch:
        commits = engine.exchange(tmp_path / "x", emit_many, add_up, inputs, partitions)
    exchanged = 16 * ROWS * len(inputs)
    assert sum(commit.integer("rows") for commit in commits) == ROWS * len(inputs)
    expected = sum(int(emit_many(item).sum(dtype=np.uint64)) for item in inputs) % (1 << 64)
    assert sum(commit.integer("total") for commit in commits) % (1 << 64) == expected
    assert watch.spilled > exchanged - 2 * STORE_BYTES, "nothing was spilled"
    assert watch.grown < exchanged // 4, "rows went through the driver"


@pytest.mark.long
def test_a_run_that_spills_has_the_bytes_of_a_local_one(spilling: tuple[RayCluster, Path], tmp_path: Path) -> None:
    cluster, folder = spilling
    texts = make_texts(120_000, seed=5, units=(4, 8))
    inputs = [write_jsonl(tmp_path / f"{n}.jsonl", texts[n::4]) for n in range(4)]
    stage = "dedup: {threshold: 0.5, recall: 0.999}"
    local = run_stages(inputs, tmp_path / "local", stage, workers=2, language="off")
    recipe = load_recipe_text(recipe_text(stage, language="off"), "test.yaml")
    with watched(folder) as watch:
        found = run(Request(tuple(map(str, inputs)), tmp_path / "ray", recipe, cluster=Cluster(cluster.address)))
    assert watch.spilled > 0, "nothing was spilled"
    assert hashes(found.directory.root) == hashes(local.directory.root)
