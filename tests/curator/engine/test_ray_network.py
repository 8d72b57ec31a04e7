"""Two nodes with a link between them that is cut in the middle of a run."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import soon, wait_until
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
def test_a_link_that_is_cut_costs_time_and_no_byte(tmp_path: Path, nodes: LinkedNodes) -> None:
    scene = Scene(tmp_path, nodes.address, STAGES, prefix=nodes.prefix)
    cut_in: list[str] = []

    def at_event(number: int, phase: str) -> None:
        if not cut_in and number >= scene.events // 4 and soon(nodes.works):
            nodes.cut()
            cut_in.append(phase)
            mending.start()

    mending = threading.Timer(6, nodes.mend)
    scene.run("cut", at_event)
    assert cut_in, "the link was never cut"
    mending.join()
    wait_until(nodes.has_left)
    assert scene.hashes("cut") == scene.expected
