"""Faults at seeded random moments of a run on Ray: the run ends, and has the bytes of an undisturbed local one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.cluster import ray_cluster
from tests.command import write_package
from tests.curator.engine.faults import QUICK_TO_NOTICE, Kind, Scene

MODEL = """
    import time
    import pyarrow as pa
    from curator.stage import Column, Parameters, Resources, Stage

    class Model(Stage[Parameters]):
        name = "model"
        about = "a model that is loaded once: the share of vowels"
        parameters_type = Parameters
        columns = (Column("model.vowels", pa.float64(), "share of the characters that are vowels"),)
        costly = True
        resources = Resources(holds_model=True)

        def annotate(self, batch):
            time.sleep(0.05)
            texts = batch.documents.column("text").to_pylist()
            shares = [round(sum(c in "aeiou" for c in text) / max(len(text), 1), 6) for text in texts]
            return {"model.vowels": pa.array(shares)}
"""

STAGES = (
    "dedup: {index: true}",
    "entropy: {min_bits: 3}",
    "outliers: {min_documents: 20}",
    "model",
    "sampling: {alpha: 0.5}",
)


MANY = 12


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("chaos")
    environment = write_package(folder / "package", "model_stage", "curator.stages", "model = model_stage:Model", MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment["PYTHONPATH"])  # nodes hand theirs on to their workers
        with ray_cluster(1, 1, 1, _system_config=QUICK_TO_NOTICE) as cluster:
            yield Scene(folder, cluster.address, STAGES, environment, cluster)


def _disturb(scene: Scene, name: str, kinds: Sequence[Kind], chosen: random.Random) -> None:
    """A run with these faults has the bytes of one without. On a busy machine a worker may be through before it is to
    be killed: then there is another run, at other moments."""
    for attempt in range(3):
        fired = scene.disturbed(f"{name}-{attempt}", list(kinds), chosen)
        assert scene.hashes(f"{name}-{attempt}") == scene.expected
        if Counter(killed.kind for killed in fired) == Counter(kinds):
            return
    pytest.fail("a fault did not fire")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "seed"),
    [
        pytest.param(("worker", "worker", "worker"), 1, id="workers", marks=pytest.mark.long),
        pytest.param(("node", "node"), 2, id="nodes", marks=pytest.mark.long),
        pytest.param(("worker", "node", "actor", "driver"), 3, id="one of each"),
    ],
)
def test_a_run_with_faults_equals_one_without(scene: Scene, kinds: tuple[Kind, ...], seed: int) -> None:
    _disturb(scene, f"faults-{seed}", kinds, random.Random(seed))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(MANY))
def test_runs_with_many_faults_equal_one_without(scene: Scene, seed: int) -> None:
    """Forty-eight faults in all, of every kind, in every phase."""
    chosen = random.Random(100 + seed)
    kinds: list[Kind] = ["worker", "node", "actor", "driver"]
    chosen.shuffle(kinds)
    _disturb(scene, f"many-{seed}", kinds, chosen)
    if seed == MANY - 1 and len(scene.killed) >= 4 * MANY:  # not where one seed runs alone
        assert {killed.phase for killed in scene.killed} == set(scene.named_phases), "a phase was spared"
