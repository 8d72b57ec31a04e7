"""`--install`, on a cluster of one node: several on one machine would make the environment of a job in one folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.command import curator, json_of, write_package
from tests.curator.cluster.submitting import LINGER, dashboard_cluster, make_place

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def write_wheel(folder: Path) -> None:
    """The distribution `extra_words`, for an index."""
    info = "extra_words-0.1.dist-info"
    with zipfile.ZipFile(folder / "extra_words-0.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("extra_words.py", "x = 1\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: extra_words\nVersion: 0.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "extra_words.py,,\n")


def test_the_nodes_install_what_they_lack_where_that_is_asked_for(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    package = place.folder / "package"
    write_package(package, "extra_words", "curator.none", "x = extra_words:x", "x = 1")
    metadata = package / "linger-0.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: extra_words>=0.1\n")
    (package / "linger.py").write_text(f"import extra_words\n{LINGER}")

    place.gate.touch()
    with dashboard_cluster(2) as cluster:
        write_wheel(cluster.wheels)
        done = curator(
            "submit", place.input, "-o", place.folder / "run", "-r", place.recipe, "--address", cluster.url,
            "--install", "--wait", "--json", env=place.env,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json_of(done)["state"] == "finished"
    assert (place.folder / "run" / "manifest.json").exists()
