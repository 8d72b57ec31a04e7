"""A wheel of this checkout, in a fresh environment with its base dependencies, runs outside of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("curator", "stages", "model", "serve", "pipelines")
EXTRAS = {"torch", "ray", "transformers", "fastapi", "sqlalchemy", "tokenizers", "nltk", "tensorboard"}

SHOUT = """
import numpy as np

from curator.stage import Parameters, Stage
from curator.verdict import VerdictBuilder


class Shout(Stage):
    name, about, parameters_type = "shout", "drops what shouts", Parameters
    rules = {"shout.capitals": "it is written in capitals alone"}
    edits_text = True

    def decide(self, batch, columns, state):
        verdicts = VerdictBuilder(len(batch))
        texts = batch.text.to_pylist()
        verdicts.drop(np.array([text == text.upper() for text in texts]), "shout.capitals")
        return verdicts.build()
"""
SAMPLE = "import importlib.resources as r; print(r.files('pipelines') / 'sample')"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Installed:
    """A wheel, and an environment that holds it and what it depends on, nothing else."""

    wheel: Path
    folder: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, in a folder that has nothing to do with the checkout."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        command = [str(self.folder / "venv" / "bin" / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=clean)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("packaging")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    found = Installed(wheel, folder)
    # What is imported is compiled then; pip would compile all that there is, four fifths of its time.
    constraint = ("--no-compile", "--constraint", ROOT / "constraints.txt")
    found.run("pip", "install", "--disable-pip-version-check", *constraint, wheel)
    return found


def write_wheel(folder: Path) -> Path:
    """The wheel of somebody else's package, with one stage."""
    info = "shout-0.1.dist-info"
    files = {
        "shout.py": SHOUT,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: shout\nVersion: 0.1\nRequires-Dist: curator-corpora\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[curator.stages]\nshout = shout:Shout\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = folder / "shout-0.1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def test_the_wheel_holds_every_file_of_the_packages(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        inside = set(archive.namelist())
    source = installed.folder / "source"
    there = {path.relative_to(source).as_posix() for package in PACKAGES for path in (source / package).rglob("*.*")}
    noticed = ("curator/language", "stages/pii", "stages/quality", "stages/toxicity")
    there |= {f"{folder}/data/NOTICE" for folder in noticed}
    assert {name for name in there if ".egg-info" not in name and not (source / name).is_dir()} <= inside
    for name in ("lid.176.ftz", "terms.parquet", "classifier.npz", "page.html.j2", "web.yaml", "mail.jsonl.zst"):
        assert any(path.endswith(f"/{name}") for path in inside), name
    licences = {path.partition(".dist-info/licenses/")[2] for path in inside if ".dist-info/licenses/" in path}
    assert {"LICENSE", "curator/language/data/NOTICE", "pipelines/sample/LICENCES.md"} <= licences
    assert {path.split("/")[0] for path in inside if ".dist-info" not in path} == set(PACKAGES)


def test_the_base_installation_is_sound_and_small(installed: Installed) -> None:
    assert "No broken requirements" in installed.run("pip", "check").stdout
    listed = json.loads(installed.run("pip", "list", "--format", "json").stdout)
    assert not EXTRAS & {package["name"].lower() for package in listed}
    where = installed.run("python", "-c", "import curator, stages; print(curator.__file__, stages.__file__)").stdout
    assert str(ROOT) not in where
    assert where.count(str(installed.folder / "venv")) == 2


def test_the_packaged_sample_is_processed_and_verified(installed: Installed) -> None:
    assert installed.run("curator", "--version").stdout.startswith("curator ")
    sample = Path(installed.run("python", "-c", SAMPLE).stdout.strip())
    assert str(installed.folder) in str(sample)
    files = [sample / name for name in ("mail.jsonl.zst", "mirrors.jsonl.zst")]
    done = installed.run("curator", "process", *files, "-o", "run", "-r", "demo", "--json")
    kept = json.loads(done.stdout)["funnel"]["all"]["kept"]["documents"]
    assert kept > 100
    assert "no document is lost" in installed.run("curator", "verify", "run").stdout
    assert (installed.folder / "run" / "report.html").stat().st_size > 10_000


def test_a_stage_of_another_distribution_is_found(installed: Installed) -> None:
    installed.run("pip", "install", "--disable-pip-version-check", "--no-index", write_wheel(installed.folder))
    stages = {stage["name"]: stage for stage in json.loads(installed.run("curator", "stages", "--json").stdout)}
    assert stages["shout"]["distribution"] == ["shout", "0.1"]
    assert stages["dedup"]["distribution"][0] == "curator-corpora"
    (installed.folder / "loud.yaml").write_text("name: loud\nlanguage: off\nstages: [shout]\n")
    (installed.folder / "in.jsonl").write_text('{"id": "a", "text": "quiet"}\n{"id": "b", "text": "LOUD"}\n')
    installed.run("curator", "process", "in.jsonl", "-o", "loud", "-r", "loud.yaml")
    told = installed.run("curator", "explain", "loud", "b").stdout
    assert "shout dropped it: it is written in capitals alone." in told
    assert "kept" in installed.run("curator", "explain", "loud", "a").stdout.splitlines()[0]
