"""The fingerprint of a run: what must be the same for `--resume` to mean the same thing.

In it: the recipe (less `max_error_rate`), the source of `curator` and of the stages used, the versions of the packages
they stand on, models and programs, and size and modification time (of an object: size and ETag) of every input file.
Not in it: workers, memory, engine, where the output lies.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import TypeAlias

import blake3

import curator
from curator.code import files_below, hash_files, stage_files
from curator.readers.base import InputFile
from curator.recipe.model import Recipe
from curator.run.pipeline import Pipeline

Components: TypeAlias = "dict[str, dict[str, object]]"

DISTRIBUTION = "curator-corpora"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def components(pipeline: Pipeline, files: Sequence[InputFile]) -> Components:
    """The parts of a fingerprint, by group: recipe, code, versions, models, input."""
    return {
        "recipe": recipe_values(pipeline.recorded_recipe()),
        "code": {name: hash_files(paths) for name, paths in _sources(pipeline).items()},
        "versions": dict(_versions(pipeline)),
        "models": {
            f"{user}: {requirement.kind} {requirement.name}": requirement.identity
            for user, requirement in pipeline.requirements()
        },
        "input": {file.name: [file.size, file.etag or file.mtime_ns] for file in files},
    }


def recipe_values(recipe: Recipe) -> dict[str, object]:
    """A recipe as JSON values, less `max_error_rate`, which may change between attempts."""
    values = recipe.model_dump(mode="json", exclude={"max_error_rate", "stages"})
    stages = {entry.name: entry.parameters for entry in recipe.stages}
    return {**values, "stages": stages, "order": list(stages)}


def digest(values: Mapping[str, object]) -> str:
    """BLAKE3 of JSON values, their keys sorted."""
    return blake3.blake3(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def differences(before: Mapping[str, object], now: Mapping[str, object], prefix: str = "") -> list[str]:
    """What differs between two fingerprints, one line each, at most ten and a count of the rest."""
    lines = list(_differences(before, now, prefix))
    return lines if len(lines) <= 10 else [*lines[:10], f"and {len(lines) - 10} more"]


def _differences(before: Mapping[str, object], now: Mapping[str, object], prefix: str) -> Iterable[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        path = f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{path}.")
        elif old != new or (name in before) != (name in now):  # a threshold of null is off, one not given is not
            if prefix.startswith("input."):
                what = "is new" if old is None else "is gone" if new is None else _changed(new)
                yield f"{path} {what}"
            elif prefix.startswith("code."):
                yield f"{path}: the source changed"
            else:
                yield f"{path}: {_told(before, name)} -> {_told(now, name)}"


def _told(values: Mapping[str, object], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if name in values else "not given"


def _changed(now: object) -> str:
    is_object = isinstance(now, list) and isinstance(now[-1], str)
    return f"changed (size or {'ETag' if is_object else 'modification time'})"


def _sources(pipeline: Pipeline) -> dict[str, list[Path]]:
    """The files of curator, and of each stage: its file, or its folder where it has one of its own, data included."""
    found = {"curator": files_below(Path(curator.__file__).parent)}
    return found | {stage.name: stage_files(type(stage)) for stage in pipeline.stages}


def _versions(pipeline: Pipeline) -> Iterable[tuple[str, str]]:
    yield "python", python_version()
    names = {name for name, extra in required_packages(requires(DISTRIBUTION)) if not extra}
    if pipeline.recipe.tokenizer is not None:
        names.update(("sentencepiece", "tokenizers"))
    names.update(package for stage in pipeline.stages for package in stage.packages)
    for name in sorted({DISTRIBUTION, *names}):
        try:
            yield name, _version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def python_version() -> str:
    """That of this interpreter, major.minor."""
    return ".".join(platform.python_version_tuple()[:2])


def required_packages(requirements: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Each package that a distribution requires, with the extra that it is for ("" for none); `requirements` as its
    metadata has them, None where it has none."""
    for line in requirements or ():
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement.strip())
        if match is not None:
            yield match[0], marker.partition("extra ==")[2].strip().strip("\"'")


def _version(name: str) -> str:
    """The version of a package, by one line of its metadata: to parse them all takes six times as long."""
    found = distribution(name)
    for line in (found.read_text("METADATA") or "").splitlines():
        if line.startswith("Version:"):
            return line.removeprefix("Version:").strip()
        if not line:
            break
    return found.version
