"""Whether a cluster has what a run asks for, by what its nodes say they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from curator.cluster.dashboard import ClusterNode
from curator.errors import UserError
from curator.plan import make_plan
from curator.run.memory import DRIVER_BYTES, worker_bytes
from curator.run.pipeline import Pipeline
from curator.sizes import format_size
from curator.stage import Resources, together

DRIVER_CPUS = 1
"""What the driver of a run asks for on a cluster with worker nodes, so that Ray does not put it on the head."""

_ADD_NODES = "add nodes, or ask for less"


def driver_cpus(nodes: Sequence[ClusterNode]) -> int:
    """What the driver asks for: nothing where the head is all there is."""
    return DRIVER_CPUS if any(not node.is_head for node in nodes) else 0


def check_resources(
    nodes: Sequence[ClusterNode], pipeline: Pipeline, workers: int | None, memory_bytes: int | None, others: int
) -> None:
    """UserError where the nodes that are up have less than a run asks for. `others` runs of Curator are in the cluster
    already, each with a driver that holds its CPU as long as it runs."""
    needed = _most_of(pipeline)
    each = max(worker_bytes(pipeline.recipe.input.max_document_bytes), needed.memory_bytes)
    fitting = [node for node in nodes if node.cpus >= needed.num_cpus and node.gpus >= needed.num_gpus]
    if not fitting:
        gpus = f" and {needed.num_gpus:g} GPUs" if needed.num_gpus else ""
        raise UserError(f"no node of the cluster has {needed.num_cpus:g} CPUs{gpus} for a task", hint=_ADD_NODES)
    largest = max(node.memory_bytes for node in fitting)
    if largest < each:
        raise UserError(
            f"a task asks for {format_size(each)} of memory, and the largest node has {format_size(largest)}",
            hint="use larger nodes, or a smaller input.max_document_bytes",
        )
    total = sum(node.memory_bytes for node in nodes)
    if memory_bytes is not None and memory_bytes < each + DRIVER_BYTES:
        least = format_size(each + DRIVER_BYTES)
        raise UserError(f"--memory {format_size(memory_bytes)} is too little", hint=f"at least {least}")
    if memory_bytes is not None and memory_bytes > total:
        raise UserError(
            f"--memory {format_size(memory_bytes)} is more than the cluster has ({format_size(total)})", hint=_ADD_NODES
        )
    held = driver_cpus(nodes) * (1 + others)
    room = int((sum(node.cpus for node in nodes) - held) // needed.num_cpus)
    if room < 1:
        drivers = "the driver takes the last" if not others else f"the drivers of {others + 1} runs take them all"
        raise UserError(
            f"the cluster has {sum(node.cpus for node in nodes):g} CPUs, and {drivers}",
            hint="add nodes, or wait until another run has ended",
        )
    if workers is not None and workers > room:
        raise UserError(f"--workers {workers} is more than the cluster has CPUs for ({room})", hint=_ADD_NODES)


def _most_of(pipeline: Pipeline) -> Resources:
    """The most that a task of any phase asks for; models are held as long as a phase lasts."""
    phases = [phase for phase in make_plan(pipeline) if phase.kind in ("judge", "derive")]
    needs = [pipeline.resources((*phase.stages, *phase.observers)) for phase in phases]
    return replace(together(needs), memory_bytes=max(each.memory_bytes for each in needs))
