"""`curator doctor`: what is installed, and what a recipe would need."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import psutil

from curator.cli.output import print_json, print_line, print_table
from curator.errors import UserError
from curator.recipe import load_recipe
from curator.registry import MASKS, RECOGNISERS, STAGES, TRANSLATORS, distribution, names
from curator.run.fingerprint import DISTRIBUTION, required_packages
from curator.run.pipeline import Pipeline, make_pipeline
from curator.sizes import format_size


def doctor_command(recipe: str, overlay: Path | None, overrides: Sequence[str], as_json: bool) -> None:
    """Look at this machine. Exit code 2 when the recipe could not run here."""
    loaded = load_recipe(recipe, overrides, overlay)
    pipeline = make_pipeline(loaded)
    needed = list(pipeline.requirements())
    missing = [requirement for _, requirement in needed if requirement.problem]
    translators = _translators(pipeline)
    if as_json:
        print_json(
            {
                "machine": _machine(),
                "packages": _packages(),
                "stages": {name: distribution(STAGES, name) for name in names(STAGES)},
                "translators": translators,
                "parsers": _parsers(),
                "recognisers": names(RECOGNISERS),
                "masks": names(MASKS),
                "recipe": loaded.name,
                "needs": [
                    {"stage": stage, "kind": r.kind, "name": r.name, "identity": r.identity, "problem": r.problem}
                    for stage, r in needed
                ],
            }
        )
    else:
        print_table(["machine", ""], [[name, value] for name, value in _machine().items()], left=2)
        print_line()
        print_table(["package", "installed"], [[name, found] for name, found in _packages().items()], left=2)
        print_line()
        print_line(f"stages: {', '.join(names(STAGES))}")
        print_line(f"recognisers, for recipes that name them: {', '.join(names(RECOGNISERS))}")
        for name, found in translators.items():
            print_line(f"translator {name}: {found}")
        for name, found in _parsers().items():
            print_line(f"parser for {name}: {found}")
        print_line()
        print_line(f"recipe {loaded.name!r} needs:")
        for stage, requirement in needed:
            state = f"MISSING: {requirement.problem}" if requirement.problem else "found"
            print_line(f"    {stage}: {requirement.kind} {requirement.name}: {state}")
        if not needed:
            print_line("    nothing beyond the packages above")
    if missing:
        raise SystemExit(2)


def _machine() -> dict[str, str]:
    disk = shutil.disk_usage(".")
    return {
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": format_size(psutil.virtual_memory().total),
        "disk free here": format_size(disk.free),
        "training on the CPU": _training(),
    }


def _training() -> str:
    """Which kernels a training on the CPU takes."""
    from model.openmp import native_problem

    if find_spec("torch") is None:
        return "not installed (extra train)"
    problem = native_problem()
    return "compiled kernels" if problem is None else f"plain torch: {problem}"


def _packages() -> dict[str, str]:
    """The packages that Curator or one of its extras stands on, with versions."""
    found: dict[str, str] = {}
    for name, extra in ((DISTRIBUTION, ""), *required_packages(requires(DISTRIBUTION))):
        try:
            found.setdefault(name, version(name))
        except PackageNotFoundError:
            found.setdefault(name, f"not installed (extra {extra})" if extra else "NOT INSTALLED")
    return found


def _translators(pipeline: Pipeline) -> dict[str, str]:
    """Each translator that is registered, the pairs that it has here, and whether the recipe names it."""
    from stages.augmentation.parameters import AugmentationParameters
    from stages.augmentation.translator import TranslatorChoice, create

    parameters = (stage.parameters for stage in pipeline.stages)
    named = {
        choice.name for each in parameters if isinstance(each, AugmentationParameters) for choice in each.translators
    }
    found: dict[str, str] = {}
    for name in names(TRANSLATORS):
        try:
            translator = create(TranslatorChoice(name=name))
        except UserError as error:
            found[name] = f"not to be had without options: {error}"
            continue
        pairs = sorted("-".join(pair) for pair in translator.pairs())
        found[name] = f"version {translator.version}, pairs: {', '.join(pairs) or 'none is installed'}"
        if pairs and name not in named:
            found[name] += "; it could be used, but the recipe does not name it"
    return found


def _parsers() -> dict[str, str]:
    """For each language that has a parser for `substitution`, what there is of it here."""
    from stages.augmentation.substitution.substitutor import SUBSTITUTORS

    found = {language: make().requirement() for language, make in SUBSTITUTORS.items()}
    return {language: requirement.problem or requirement.identity for language, requirement in found.items()}
