"""Runs of the service whose tasks a Ray cluster does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator.run.directory import RunDirectory
from curator.run.verify import verify
from serve.models import RunRequest
from serve.states import State
from tests.cluster import ray_cluster
from tests.command import curator
from tests.runs import hashes
from tests.serve.servers import SMALL, await_state, make_settings, running, small_request


@pytest.mark.long
def test_a_run_on_a_cluster_has_the_bytes_of_one_on_this_machine(tmp_path: Path) -> None:
    request = RunRequest.model_validate(small_request(tmp_path, "x"))
    with (
        ray_cluster(2) as cluster,
        running(make_settings(tmp_path, ray=cluster.address)) as server,
        server.client() as client,
    ):
        found = await_state(client, client.submit(request).id)
    assert found.state == State.SUCCEEDED, found.message
    assert verify(RunDirectory(tmp_path / "out" / "x")).problems == []
    recipe = tmp_path / "small.json"
    recipe.write_text(json.dumps(SMALL))
    done = curator("process", tmp_path / "in", "-o", tmp_path / "local", "-r", recipe, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "out" / "x") == hashes(tmp_path / "local")
