"""A run on Ray from and into object storage."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator.storage.path import StoragePath
from tests.cluster import ray_cluster
from tests.command import curator
from tests.curator.storage.conftest import STAGES, upload
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
