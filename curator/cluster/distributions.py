"""Which distributions a recipe needs beside their dependencies: Curator, and the packages of its entry points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, version

from curator.recipe.model import Recipe
from curator.registry import MASKS, READERS, RECOGNISERS, STAGES, TRANSLATORS, registered
from curator.run.fingerprint import DISTRIBUTION, python_version, required_packages
from curator.run.pipeline import Pipeline


def distributions_of(recipe: Recipe) -> list[Distribution]:
    """Curator's own, and those that add what the recipe names: stages, a reader, translators, recognisers. Masks are
    all applied, so all count."""
    named = set(_texts([entry.parameters for entry in recipe.stages]))
    wanted: dict[str, set[str] | None] = {
        STAGES: {entry.name for entry in recipe.stages},
        READERS: {recipe.input.format},
        TRANSLATORS: named,
        RECOGNISERS: named,
        MASKS: None,
    }
    found = {DISTRIBUTION: distribution(DISTRIBUTION)}
    for group, names in wanted.items():
        for point in registered(group):
            if names is None or point.name in names:
                owner = _owner(point)
                if owner is not None:
                    found.setdefault(owner.name, owner)
    return [found[name] for name in sorted(found)]


def _owner(point: EntryPoint) -> Distribution | None:
    """The distribution of an entry point (None where Python knows none, as for a point made by hand)."""
    return point.dist


def expected_versions(pipeline: Pipeline) -> dict[str, str]:
    """What a node must have for the same answer: Python (major.minor), Ray, and each package that Curator, its stages
    and the other shipped distributions require, with the version that is installed here."""
    shipped = distributions_of(pipeline.recipe)
    names = {"ray", *(package for stage in pipeline.stages for package in stage.packages)}
    for owner in shipped:
        names.update(name for name, extra in required_packages(owner.requires) if not extra)
    ours = {owner.name for owner in shipped}
    found = {"python": python_version()}
    for name in sorted(names - ours):
        installed = installed_version(name)
        if installed is not None:
            found[name] = installed
    return found


def installed_version(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def requirements_of(expected: Mapping[str, str]) -> list[str]:
    """The expected packages as pip takes them, less Python and Ray, which cannot be installed into a running worker."""
    return [f"{name}=={found}" for name, found in expected.items() if name not in ("python", "ray")]


def _texts(value: object) -> Iterator[str]:
    """Every text in nested values, and every key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _texts(inner)
