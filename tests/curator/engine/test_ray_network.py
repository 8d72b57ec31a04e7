"""Two nodes with a link between them that is cut in the middle of a run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import soon
from tests.curator.engine.faults import QUICK_TO_NOTICE, Scene
from tests.network import LinkedNodes, can_be_made, linked_nodes

STAGES = ("dedup", "entropy: {min_bits: 3}", "outliers: {min_documents: 20}", "sampling: {alpha: 0.5}")


@pytest.fixture
def nodes() -> Iterator[LinkedNodes]:
    reason = can_be_made()
    if reason is not None:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="ray") as folder, linked_nodes(Path(folder), QUICK_TO_NOTICE) as nodes:
        yield nodes  # Ray's sockets allow no longer a path than this


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_run_whose_link_to_a_node_is_cut_ends_without_the_node(tmp_path: Path, nodes: LinkedNodes) -> None:
    scene = Scene(tmp_path, nodes.address, STAGES, prefix=nodes.prefix)
    cut_in: list[str] = []

    def at_event(number: int, phase: str) -> None:
        if not cut_in and number >= len(scene.phases) // 8 and soon(nodes.works, within_s=1):
            nodes.cut()
            cut_in.append(phase)

    for name in ("cut", "again", "once more"):  # Ray may give the node nothing to do while its worker still starts
        scene.run(name, at_event)
        if cut_in:
            break
    assert cut_in, "the link was never cut"
    assert scene.hashes(name) == scene.expected
    nodes.mend()
    time.sleep(3)  # what the node still does must change nothing
    assert scene.hashes(name) == scene.expected
