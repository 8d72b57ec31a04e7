"""The image: linted, pinned as the project is, and made of files that exist. No container engine builds it here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.docker.dockerfile import (
    DOCKERFILE,
    FOLDER,
    IMAGE,
    PROJECT,
    ROOT,
    arguments_of,
    normalise,
    read_constraints,
    read_instructions,
    run_linter,
)

BASE = re.compile(r"python:(\d+\.\d+\.\d+)-slim-bookworm@sha256:[0-9a-f]{64}")
COMPILERS = re.compile(r"\b(build-essential|gcc|g\+\+|clang|cmake|make|[\w-]+-dev)\b")


def copied() -> list[str]:
    """The paths of the checkout that the Dockerfile copies, without a slash at their end."""
    sources = []
    for argument in arguments_of("COPY"):
        words = [word for word in argument.split() if not word.startswith("--")]
        sources += [word.rstrip("/") for word in words[:-1]]
    return sources


def test_hadolint_has_no_complaint() -> None:
    done = run_linter("hadolint", DOCKERFILE)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_complains_of_a_base_without_a_version(tmp_path: Path) -> None:
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(BASE.sub("python", DOCKERFILE.read_text(encoding="utf-8")), encoding="utf-8")
    assert "DL3006" in run_linter("hadolint", spoilt).stdout


@pytest.mark.parametrize(
    "script", ["docker/healthcheck", "docker/serve", "docker/prepare", "docs/install-programs", ".ci/run"]
)
def test_shellcheck_has_no_complaint_about(script: str) -> None:
    done = run_linter("shellcheck", ROOT / script)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_stage_stands_on_one_python_that_the_project_supports_pinned_by_digest() -> None:
    names = [argument.split()[0] for argument in arguments_of("FROM")]
    stages = {found.stage for found in read_instructions()}
    outside = {name for name in names if name not in stages}
    assert len(outside) == 1
    matched = BASE.fullmatch(outside.pop())
    assert matched
    assert Version(matched[1]) in SpecifierSet(PROJECT["project"]["requires-python"])
    # What is checked and tested with is what runs: mypy, ruff and CI take the oldest Python that is supported.
    assert matched[1].startswith(PROJECT["tool"]["mypy"]["python_version"] + ".")


def test_packages_come_from_the_constraints_as_wheels_and_ray_is_among_them() -> None:
    wheel = next(argument for argument in arguments_of("RUN", "wheels") if "pip wheel" in argument)
    assert "--constraint constraints.txt --only-binary=:all:" in wheel
    extras = arguments_of("ARG", "wheels")[0].removeprefix("EXTRAS=").split(",")
    assert "ray" in extras
    assert set(extras) <= set(PROJECT["project"]["optional-dependencies"])
    install = next(argument for argument in arguments_of("RUN", "base") if "pip install" in argument)
    assert "--no-index --no-deps" in install


def test_the_build_tools_are_those_that_the_project_asks_for() -> None:
    pins = dict(re.findall(r"\b(pip|setuptools)==([\d.]+)", " ".join(arguments_of("RUN", "wheels"))))
    assert set(pins) == {"pip", "setuptools"}
    (required,) = PROJECT["build-system"]["requires"]
    assert Version(pins["setuptools"]) in SpecifierSet(required.removeprefix("setuptools"))


def test_every_file_that_is_copied_exists_and_is_let_into_the_build() -> None:
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    let_in = {pattern[1:].rstrip("/") for pattern in patterns if pattern.startswith("!")}
    assert let_in == set(copied())
    assert "*" in patterns


def test_every_package_and_licence_of_the_wheel_is_copied() -> None:
    packages = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    needed = packages | set(PROJECT["project"]["license-files"]) | {PROJECT["project"]["readme"], "pyproject.toml"}
    tops = set(copied())
    assert {path for path in needed if path not in tops and path.split("/")[0] not in tops} == set()


def test_no_stage_installs_a_compiler() -> None:
    assert [line for line in arguments_of("RUN") if COMPILERS.search(line)] == []


def test_every_stage_that_runs_ends_as_a_user_without_rights() -> None:
    assert arguments_of("USER", "base")[-1] == "1000:1000"
    assert arguments_of("USER", "apertium")[-1] == "1000:1000"
    assert arguments_of("USER", "service")[-1] == "1000:1000"
    assert arguments_of("USER", "curator") == []
    assert [argument for argument in arguments_of("FROM") if argument == "base AS curator"] == [
        arguments_of("FROM")[-1]
    ]


def test_the_command_and_the_health_check_exist() -> None:
    command = json.loads(arguments_of("CMD")[0])
    assert command[0] in PROJECT["project"]["scripts"]
    done = subprocess.run([str(Path(sys.executable).parent / command[0]), *command[1:]], capture_output=True)
    assert done.returncode == 0
    (check,) = json.loads(arguments_of("HEALTHCHECK")[0].partition(" CMD ")[2])
    (placed,) = [argument for argument in arguments_of("COPY") if argument.endswith(f"/bin/{check}")]
    assert "--chmod=755" in placed
    assert (FOLDER / check).stat().st_mode & 0o111


def test_compiled_kernels_go_where_the_user_may_write_and_modules_are_compiled_in_the_image() -> None:
    environment = dict(pair.split("=") for argument in arguments_of("ENV") for pair in argument.split())
    owned = next(argument for argument in arguments_of("RUN", "base") if "install -d -o curator" in argument)
    assert environment["NUMBA_CACHE_DIR"] in owned.split()
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert "PYTHONDONTWRITEBYTECODE" not in text
    assert "--no-compile" not in text


def test_the_translator_is_what_install_programs_installs() -> None:
    listed = re.search(r"packages=\((.*)\)", (ROOT / "docs" / "install-programs").read_text(encoding="utf-8"))
    assert listed
    (run,) = [argument for argument in arguments_of("RUN", "apertium") if "apt-get install" in argument]
    assert set(re.findall(r"\bapertium[\w-]*", run)) == {
        name for name in listed[1].split() if name.startswith("apertium")
    }


def test_the_commands_in_the_comment_build_what_the_compose_file_names() -> None:
    builds = re.findall(r"docker build .*", DOCKERFILE.read_text(encoding="utf-8"))
    assert f"-t {IMAGE} ." in builds[0]
    assert "--target" not in builds[0]
    assert set(re.findall(r"--target (\w+)", builds[1])) == {"apertium"}
    assert builds[2].split()[-3:] == ["--target", "service", "."]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_the_first_stage_installs_resolves_to_pinned_wheels(tmp_path: Path) -> None:
    for source in (name for name in copied() if not name.startswith("docker/")):
        here, there = ROOT / source, tmp_path / source
        if here.is_dir():
            shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(here, there)
    wheel = next(argument for argument in arguments_of("RUN", "wheels") if "pip wheel" in argument)
    words = shlex.split(wheel[wheel.index("--constraint") :])
    extras = arguments_of("ARG", "wheels")[0].removeprefix("EXTRAS=")
    kept = [word.replace("${EXTRAS}", extras) for word in words if word not in ("--wheel-dir", "/wheels")]
    kept.remove("--no-build-isolation")
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    done = subprocess.run([*command, "--report", str(report), *kept], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {
        normalise(item["metadata"]["name"]): item["metadata"]["version"]
        for item in json.loads(report.read_text(encoding="utf-8"))["install"]
    }
    assert found.pop("curator-corpora") == PROJECT["project"]["version"]
    pinned = read_constraints()
    assert {name: version for name, version in found.items() if pinned.get(name) != version} == {}
    assert "ray" in found
