"""Runs on Ray from and into object storage, started here and submitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.storage.path import StoragePath
from tests.cluster import ray_cluster, wait_until
from tests.command import curator, json_of
from tests.curator.cluster.submitting import dashboard_cluster
from tests.curator.storage.conftest import SECRET, STAGES, upload
from tests.runs import hashes, recipe_text


@pytest.mark.long
def test_a_run_on_ray_in_a_bucket_has_the_bytes_of_the_local_one(
    bucket: StoragePath, local: Path, tmp_path: Path
) -> None:
    source = upload(local / "input", bucket / "input")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(*STAGES))
    assert curator("process", local / "input", "-o", tmp_path / "run", "-r", recipe).returncode == 0
    with ray_cluster(1, 1) as cluster:
        done = curator("process", str(source), "-o", str(bucket / "run"), "-r", recipe, "--ray", cluster.address)
    assert done.returncode == 0, done.stderr
    assert hashes(bucket / "run") == hashes(tmp_path / "run")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_submitted_run_in_a_bucket_is_followed_and_shown_from_there(
    bucket: StoragePath, local: Path, tmp_path: Path
) -> None:
    source, output = upload(local / "input", bucket / "input"), bucket / "run"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text(*STAGES))
    env = {"CURATOR_STATE": str(tmp_path / "state")}
    assert curator("process", local / "input", "-o", tmp_path / "run", "-r", recipe).returncode == 0
    with dashboard_cluster(1, 2) as cluster:  # the nodes have the credentials from the environment they start in
        command = ("submit", str(source), "-o", str(output), "-r", recipe, "--address", cluster.url)
        missing = curator("submit", str(bucket / "nothing"), "-o", str(output), *command[4:], env=env)
        done = curator(*command, env=env)
        assert done.returncode == 0, done.stderr
        run = done.stdout.strip()
        wait_until(lambda: state_of(run, env) == "finished", timeout_s=400)
        again = curator(*command, env=env)
    assert missing.returncode == 2, missing.stderr
    assert str(bucket / "nothing") in missing.stderr
    assert "finished already" in again.stderr
    assert hashes(output) == hashes(tmp_path / "run")
    # The cluster is gone: what is told comes from the bucket.
    assert state_of(run, env) == "finished"
    assert SECRET not in done.stdout + done.stderr + (tmp_path / "state" / "runs" / f"{run}.json").read_text()


def state_of(run: str, env: dict[str, str]) -> object:
    return json_of(curator("runs", "show", run, "--json", env=env))["state"]
