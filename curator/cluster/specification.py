"""What a submission asks of a cluster: a file that travels beside the code, read by `curator.cluster.job`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files

import blake3
from pydantic import BaseModel, ConfigDict

from curator.cluster.wheels import Folder
from curator.recipe.model import Recipe
from curator.recipe.overlay import Origins
from curator.storage.path import is_url

PACKAGE = "curator_submission"
"""The folder that is shipped with the specification in it; Python on the cluster finds it like a package."""

FILE = "specification.json"


class Specification(BaseModel):
    """One submission: what to run, where, with how much, and what the nodes must have.

    `inputs` and `output` are absolute. `workers` and `memory_bytes` None mean as much as the cluster has. `expected`
    has, by name, the versions of Python, Ray and the packages that the run depends on, and `models` the identity of the
    models and programs, both as they are on the machine that submits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[str, ...]
    output: str
    recipe: Recipe
    origins: Origins
    workers: int | None
    memory_bytes: int | None
    resume: bool
    expected: Mapping[str, str]
    models: Mapping[str, str]

    def digest(self) -> str:
        """BLAKE3 of recipe (less `max_error_rate`), inputs and output: submissions with the same one are one run."""
        text = self.model_dump_json(include={"recipe", "inputs", "output"}, exclude={"recipe": {"max_error_rate"}})
        return blake3.blake3(text.encode()).hexdigest()

    def folder(self) -> Folder:
        """The package to be shipped."""
        return Folder(PACKAGE, {FILE: self.model_dump_json().encode()})


def shipped_specification() -> Specification:
    """The specification that was shipped to this process."""
    return Specification.model_validate_json((files(PACKAGE) / FILE).read_text(encoding="utf-8"))


def absolute(path: str) -> str:
    """A path as it is called from anywhere. A glob stays one, and so does a URL."""
    return path if is_url(path) else os.path.abspath(path)  # noqa: PTH100 (links stay as they are called; so must what a node sees)
