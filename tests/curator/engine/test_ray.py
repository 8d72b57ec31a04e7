"""The Ray engine, on a cluster of two nodes that all tests of this file share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ray.cluster_utils import Cluster as RayCluster

from curator.engine.cluster import Cluster
from curator.engine.ray import RayExecutor, connect
from curator.errors import TransientError, UserError
from curator.recipe import load_recipe_text
from curator.run.driver import Request, run
from curator.run.store import Commit, Outputs
from curator.stage import Resources
from tests.cluster import ray_cluster
from tests.curator.engine.test_local import Crash, EmitMultiples, Number, collect, fail, square
from tests.runs import hashes, make_texts, recipe_text, run_stages, write_jsonl

pytestmark = pytest.mark.slow

STAGES = ("dedup: {index: true}", "entropy: {min_bits: 3}", "outliers: {min_documents: 20}", "sampling: {alpha: 0.5}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(2, 2) as cluster:
        connect(cluster.address)  # once: workers that have imported Curator are used again
        yield cluster


@pytest.fixture
def executor(cluster: RayCluster) -> Iterator[RayExecutor]:
    engine = RayExecutor(Cluster(cluster.address), task_memory_bytes=100_000_000)
    yield engine
    engine.close()


def test_commits_come_in_the_order_of_inputs(executor: RayExecutor, tmp_path: Path) -> None:
    commits = executor.map(tmp_path / "p", square, (Number(value) for value in range(30)))
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(30)]
    assert commits[4].path("txt").read_text() == "16"


def test_what_has_committed_is_not_run_again(executor: RayExecutor, tmp_path: Path) -> None:
    executor.map(tmp_path, square, [Number(value) for value in range(4)])
    (tmp_path / "0002.json").unlink()
    seen: list[tuple[str, bool]] = []
    executor.done = lambda commit, reused: seen.append((commit.name, reused))
    executor.map(tmp_path, square, [Number(value) for value in range(4)])
    assert sorted(seen) == [("0000", True), ("0001", True), ("0002", False), ("0003", True)]


def test_a_task_whose_worker_dies_is_tried_again(executor: RayExecutor, tmp_path: Path) -> None:
    commits = executor.map(tmp_path / "p", Crash(str(tmp_path / "died")), [Number(value) for value in range(6)])
    assert (tmp_path / "died").exists()
    assert [commit.integer("square") for commit in commits] == [value**2 for value in range(6)]


def test_a_task_that_always_kills_its_worker_ends_the_run(executor: RayExecutor, tmp_path: Path) -> None:
    task = Crash(str(tmp_path / "died"), forever=True)
    with pytest.raises(TransientError, match="died 3 times on 0003"):
        executor.map(tmp_path / "p", task, [Number(3)])


def test_an_error_of_a_task_is_raised_as_it_was(executor: RayExecutor, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no good") as caught:
        executor.map(tmp_path, fail, [Number(value) for value in range(3)])
    assert caught.value.file is not None
    assert not list(tmp_path.iterdir())


@dataclass(frozen=True)
class Loads:
    """Counts in a file of its process how often it has run there."""

    folder: str

    def __call__(self, item: Number, outputs: Outputs) -> dict[str, object]:
        with (Path(self.folder) / str(os.getpid())).open("a") as file:
            file.write("x")
        return {}


def test_stages_that_hold_a_model_run_in_few_processes(executor: RayExecutor, tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    task = Loads(str(tmp_path / "pids"))
    resources = Resources(num_cpus=2, holds_model=True)
    executor.map(tmp_path / "p", task, [Number(value) for value in range(12)], resources)
    counts = [len(path.read_text()) for path in (tmp_path / "pids").iterdir()]
    assert len(counts) == 2
    assert sum(counts) == 12


def test_an_actor_that_dies_is_started_again(executor: RayExecutor, tmp_path: Path) -> None:
    task = Crash(str(tmp_path / "died"))
    resources = Resources(holds_model=True)
    commits = executor.map(tmp_path / "p", task, [Number(value) for value in range(6)], resources)
    assert (tmp_path / "died").exists()
    assert len(commits) == 6


@dataclass(frozen=True)
class Heavy:
    """An input that says how much it carries, and notes when it is drawn."""

    value: int
    held_bytes: int

    @property
    def name(self) -> str:
        return f"{self.value:04d}"


def finish_late(item: Heavy, outputs: Outputs) -> dict[str, object]:
    import time

    time.sleep(0.05)
    return {}


@pytest.mark.parametrize(("held_bytes", "most"), [(30_000_000, 3), (40_000_000, 2), (1_000_000_000, 2)])
def test_inputs_in_flight_are_bounded_by_their_bytes(
    cluster: RayCluster, tmp_path: Path, held_bytes: int, most: int
) -> None:
    executor = RayExecutor(Cluster(cluster.address, memory_bytes=512_000_000), 100_000_000)
    drawn = done = ahead = 0

    def inputs() -> Iterator[Heavy]:
        nonlocal drawn, ahead
        for value in range(12):
            drawn += 1
            ahead = max(ahead, drawn - done)
            yield Heavy(value, held_bytes)

    def count(_commit: Commit, _reused: bool) -> None:
        nonlocal done
        done += 1

    executor.done = count
    executor.map(tmp_path, finish_late, inputs())
    assert ahead == most, "those in flight, and the one that waits for room"


@pytest.mark.parametrize(
    ("memory_bytes", "workers"), [(100_000_000, 1), (599_000_000, 1), (600_000_000, 2), (None, None)]
)
def test_as_many_tasks_run_as_the_memory_of_the_run_holds(
    cluster: RayCluster, memory_bytes: int | None, workers: int | None
) -> None:
    assert RayExecutor(Cluster(cluster.address, None, memory_bytes), 200_000_000).workers == workers
    assert RayExecutor(Cluster(cluster.address, 1, memory_bytes), 200_000_000).workers == 1


def test_at_most_so_many_workers_run(cluster: RayCluster, tmp_path: Path) -> None:
    engine = RayExecutor(Cluster(cluster.address, workers=1), 100_000_000)
    (tmp_path / "pids").mkdir()
    engine.map(tmp_path / "p", Loads(str(tmp_path / "pids")), [Number(value) for value in range(5)])
    engine.close()
    assert len(list((tmp_path / "pids").iterdir())) == 1


@pytest.mark.parametrize("partitions", [1, 3, 100])
def test_an_exchange_brings_equal_keys_together(executor: RayExecutor, tmp_path: Path, partitions: int) -> None:
    inputs = [Number(value) for value in range(20)]
    commits = executor.exchange(tmp_path / "x", EmitMultiples(), collect, inputs, partitions)
    expected = np.concatenate([EmitMultiples()(item) for item in inputs])
    found = [[tuple(row) for row in commit.result["rows"]] for commit in commits]  # type: ignore[attr-defined]
    assert len(commits) == partitions
    assert sorted(row for rows in found for row in rows) == sorted(map(tuple, expected.tolist()))
    assert all(rows == sorted(rows) for rows in found)
    homes = [{row[0] for row in rows} for rows in found]
    assert sum(map(len, homes)) == len(set().union(*homes)), "a key stands in one partition"


def test_an_exchange_of_many_inputs_is_joined_in_waves(
    executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [Number(value) for value in range(40)]
    plain = executor.exchange(tmp_path / "plain", EmitMultiples(), collect, inputs, 70)
    monkeypatch.setattr("curator.engine.ray_exchange.JOIN", 3)
    monkeypatch.setattr("curator.engine.ray_exchange.MOST_EMIT_BYTES", 4000)
    waves = executor.exchange(tmp_path / "waves", EmitMultiples(), collect, inputs, 70)
    assert [commit.result for commit in waves] == [commit.result for commit in plain]


def test_an_exchange_goes_on_where_it_stopped(executor: RayExecutor, tmp_path: Path) -> None:
    inputs = [Number(value) for value in range(20)]
    first = executor.exchange(tmp_path / "x", EmitMultiples(), collect, inputs, 100)
    gone = tmp_path / "x" / "handle" / "00042.json"
    gone.unlink()
    seen: list[tuple[str, bool]] = []
    executor.done = lambda commit, reused: seen.append((commit.name, reused))
    again = executor.exchange(tmp_path / "x", EmitMultiples(), collect, inputs, 100)
    assert [commit.result for commit in again] == [commit.result for commit in first]
    assert [name for name, reused in seen if not reused] == ["00042"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_run_on_ray_has_the_bytes_of_a_local_one(cluster: RayCluster, tmp_path: Path, workers: int) -> None:
    inputs = [write_jsonl(tmp_path / f"{n}.jsonl", make_texts(600, seed=n, units=(60, 240))) for n in range(4)]
    local = run_stages(inputs, tmp_path / "local", *STAGES, workers=2)
    recipe = load_recipe_text(recipe_text(*STAGES), "test.yaml")
    on_ray = Cluster(cluster.address, workers=workers)
    found = run(Request(tuple(map(str, inputs)), tmp_path / "ray", recipe, cluster=on_ray))
    assert hashes(found.directory.root) == hashes(local.directory.root)
    assert found.manifest == local.manifest


def test_the_estimate_of_an_exchange_counts_with_the_engine_s_own_numbers() -> None:
    from curator.engine import ray_exchange
    from curator.estimate import exchange

    for name in ("MOST_GROUPS", "LEAST_CUT_BYTES", "MOST_EMIT_BYTES", "REFERENCE_BYTES"):
        assert getattr(exchange, name) == getattr(ray_exchange, name)
