"""The Dockerfile as instructions, what its pins say, and the linters that the development group installs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"
DOCKERFILE = FOLDER / "Dockerfile"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IMAGE = f"curator:{PROJECT['project']['version']}"
"""What the image is called in the compose file and in the manifests."""

_INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True)
class Instruction:
    """One instruction with its continuation lines joined, and the stage in which it stands."""

    stage: str
    name: str
    argument: str


def read_instructions() -> list[Instruction]:
    """The instructions of the Dockerfile, in order; comments left out."""
    lines = [line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Instruction] = []
    stage = ""
    for line in filter(None, joined.splitlines()):
        matched = _INSTRUCTION.fullmatch(line)
        assert matched, line
        if matched[1] == "FROM":
            stage = matched[2].rpartition(" AS ")[2]
        found.append(Instruction(stage, matched[1], matched[2]))
    return found


def arguments_of(name: str, stage: str | None = None) -> list[str]:
    """What stands behind each instruction of that name, in all stages or in one."""
    return [found.argument for found in read_instructions() if found.name == name and stage in (None, found.stage)]


def read_constraints() -> dict[str, str]:
    """The version of each package in constraints.txt, by its normalised name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if not line.startswith("#")]
    return {normalise(name): version for name, _, version in pins}


def normalise(name: str) -> str:
    """The name of a package as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run_linter(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a linter that is installed beside this Python."""
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
