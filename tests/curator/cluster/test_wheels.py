"""What is shipped of a distribution, however it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from contextlib import ExitStack
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

from curator.cluster.distributions import distributions_of, expected_versions, requirements_of
from curator.cluster.wheels import files_of, folders_of
from curator.code import files_below
from curator.errors import UserError
from curator.recipe import load_recipe_text
from curator.run.pipeline import make_pipeline
from tests.command import installed_package, write_package

ROOT = Path(__file__).parents[3]


def installed(folder: Path, name: str) -> Distribution:
    (found,) = Distribution.discover(name=name, path=[str(folder)])
    return found


def names(distribution: Distribution) -> set[str]:
    return {name for name, _ in files_of(distribution)}


def make_wheel(folder: Path, *files: str) -> Path:
    """A wheel `thing-0.1` with these files, besides its metadata."""
    path = folder / "thing-0.1-py3-none-any.whl"
    info = "thing-0.1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name in files:
            archive.writestr(name, "x = 1\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 0.1\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[curator.stages]\nthing = thing:X\n")
        record = [*files, *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt", "RECORD"))]
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in record))
    return path


def install(wheel: Path, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True)


def test_of_this_checkout_every_file_goes_along() -> None:
    found = dict(files_of(distribution("curator-corpora")))
    for package in ("curator", "stages", "pipelines"):
        there = {path.relative_to(ROOT).as_posix() for path in files_below(ROOT / package)}
        assert {name for name in found if name.startswith(f"{package}/")} == there
    metadata = {Path(name).name for name in found if ".dist-info/" in name}
    assert {"METADATA", "entry_points.txt", "LICENSE"} <= metadata
    assert not metadata & {"RECORD", "direct_url.json", "INSTALLER"}
    assert not any(name.startswith("__editable__") or "__pycache__" in name for name in found)


@pytest.mark.slow
def test_of_an_installed_wheel_what_its_record_names_goes_along(tmp_path: Path) -> None:
    install(make_wheel(tmp_path, "thing/__init__.py", "thing/data/words.txt", "helper.py"), tmp_path / "site")
    info = "thing-0.1.dist-info"
    assert names(installed(tmp_path / "site", "thing")) == {
        "thing/__init__.py", "thing/data/words.txt", "helper.py",
        f"{info}/METADATA", f"{info}/WHEEL", f"{info}/entry_points.txt",
    }  # fmt: skip


def test_of_a_distribution_without_a_record_the_modules_of_its_entry_points_go_along(tmp_path: Path) -> None:
    with installed_package(tmp_path, "solo", "curator.stages", ["solo = solo:Solo"], "x = 1"):
        loose, metadata = folders_of([installed(tmp_path, "solo")])
    assert (loose.name, metadata.name) == ("curator_modules", "solo-0.1.dist-info")
    assert list(loose.files) == ["solo.py"]
    assert "entry_points.txt" in metadata.files


def test_two_distributions_with_one_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        write_package(tmp_path, name, "curator.stages", f"{name} = shared:X", "")
    (tmp_path / "shared.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"two and one both have the file shared\.py"):
        folders_of([installed(tmp_path, name) for name in ("one", "two")])


def test_a_distribution_without_modules_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, "hollow", "curator.stages", "hollow = nowhere:X", "")
    with pytest.raises(UserError, match="hollow has no modules"):
        folders_of([installed(tmp_path, "hollow")])


def test_only_what_the_recipe_names_is_shipped(tmp_path: Path) -> None:
    packages = (("unused", "curator.stages"), ("veil", "curator.masks"), ("tongue", "curator.translators"))
    with ExitStack() as stack:
        for name, group in packages:
            source = "X = lambda texts, languages: texts"
            stack.enter_context(installed_package(tmp_path, name, group, [f"{name} = {name}:X"], source))
        recipe = load_recipe_text("name: a\nstages: [entropy]", "a.yaml")
        assert [found.name for found in distributions_of(recipe)] == ["curator-corpora", "veil"]
        entry = recipe.stages[0].model_copy(update={"parameters": {"translators": [{"name": "tongue"}]}})
        assert "tongue" in [found.name for found in distributions_of(recipe.model_copy(update={"stages": (entry,)}))]


def test_what_a_node_must_have_is_what_is_installed_here() -> None:
    pipeline = make_pipeline(load_recipe_text("name: a\nstages: [dedup]", "a.yaml"))
    found = expected_versions(pipeline)
    assert {"python", "ray", "numba", "pyarrow"} <= set(found)
    assert "curator-corpora" not in found, "it is shipped"
    assert "torch" not in found, "it belongs to an extra"
    pinned = requirements_of(found)
    assert f"numba=={found['numba']}" in pinned
    assert not any(line.startswith(("python==", "ray==")) for line in pinned)
