"""The commands that look: explain, report, verify, stages, recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from curator.cli.funnel import print_funnel
from curator.cli.output import print_json, print_line, print_table
from curator.errors import UserError
from curator.recipe import load_recipe, packaged_recipes, recipe_schema
from curator.recipe.model import Recipe
from curator.registry import STAGES, InstalledStages, distribution, installed_stages, stage_class
from curator.run.funnel import funnel_json
from curator.storage.path import as_path


def explain_command(run: str, document: str, as_json: bool) -> None:
    """Tell what happened to a document."""
    from curator.explain import explain
    from curator.run.directory import RunDirectory

    found = explain(RunDirectory(as_path(run)), document)
    if as_json:
        print_json([explanation.as_json() for explanation in found])
        return
    for explanation in found:
        print_line(f"{explanation.id} ({explanation.key}): {explanation.fate}")
        for sentence in explanation.sentences:
            print_line(f"  {sentence}")
        for name, value in explanation.scores.items():
            print_line(f"    {name} = {value:g}" if isinstance(value, float) else f"    {name} = {value}")


def report_command(run: str, comparison: Path | None, as_json: bool) -> None:
    """Write the report of a finished run again, with a comparison of recipes in it."""
    from curator.report.build import write_report
    from curator.report.comparison import read_comparison
    from curator.run.directory import RunDirectory
    from curator.run.manifest import load_manifest, need_files

    directory = RunDirectory(as_path(run))
    manifest = load_manifest(directory.manifest)
    need_files(directory.manifest, manifest, "scores")
    write_report(directory, manifest, [] if comparison is None else read_comparison(comparison))
    if as_json:
        print_json({"report": str(directory.report), "funnel": funnel_json(manifest), "facts": manifest["facts"]})
        return
    print_funnel(manifest)
    print_line(f"report: {directory.report}")


def verify_command(run: str, as_json: bool) -> None:
    """Check a finished run against its manifest."""
    from curator.run.directory import RunDirectory
    from curator.run.verify import verify

    directory = RunDirectory(as_path(run))
    found = verify(directory)
    found.raise_if_wrong(directory)
    if as_json:
        print_json(asdict(found))
        return
    print_line(f"{run}: {found.files} files with {found.rows:,} rows are as they were written, no document is lost")


def stages_command(chosen: Sequence[str], as_json: bool) -> None:
    """List the stages, or those that are chosen; last those that cannot be loaded, and why."""
    installed = InstalledStages({name: stage_class(name) for name in chosen}, {}) if chosen else installed_stages()
    if as_json:
        good = [
            {
                "name": name,
                "about": stage.about,
                "distribution": distribution(STAGES, name),
                "rules": dict(stage.rules),
                "parameters": stage.parameters_type.model_json_schema(),
            }
            for name, stage in installed.classes.items()
        ]
        nothing: dict[str, object] = {"about": None, "rules": {}, "parameters": None}
        broken = [
            {"name": name, "distribution": distribution(STAGES, name), **nothing, "error": error.message}
            for name, error in installed.broken.items()
        ]
        print_json([*good, *broken])
        return
    for name, stage in installed.classes.items():
        print_line(f"{name} ({_distribution(name)}): {stage.about}")
        for parameter, field in stage.parameters_type.model_fields.items():
            default = "required" if field.is_required() else _in_yaml(field.get_default(call_default_factory=True))
            about = f": {field.description}" if field.description else ""
            print_line(f"    {parameter} = {default}{about}")
    for name, error in installed.broken.items():
        advice = f" ({error.hint})" if error.hint else ""
        print_line(f"{name} ({_distribution(name)}): could not be loaded: {error.message}{advice}")


def _in_yaml(value: object) -> str:
    """A value as a recipe has it, in one line."""
    plain = TypeAdapter(object).dump_python(value, mode="json")
    return str(yaml.safe_dump([plain], default_flow_style=True, sort_keys=False, width=math.inf)).strip()[1:-1]


def _distribution(stage: str) -> str:
    return " ".join(distribution(STAGES, stage) or ("unknown distribution",))


def recipe_show_command(name: str, full: bool, overlay: Path | None, overrides: Sequence[str], as_json: bool) -> None:
    """Print a recipe, as written or with every default."""
    loaded = load_recipe(name, overrides, overlay)
    if as_json:
        print_json(_as_written(loaded))
    elif full or overrides or overlay is not None:
        print_line(yaml.safe_dump(_as_written(loaded), sort_keys=False, allow_unicode=True).rstrip())
    else:
        path = packaged_recipes().get(name) or Path(name)
        print_line(path.read_text(encoding="utf-8").rstrip())


def _as_written(recipe: Recipe) -> dict[str, object]:
    values = recipe.model_dump(mode="json")
    values["stages"] = [{entry.name: entry.parameters} for entry in recipe.stages]
    values["language"] = values["language"] or "off"
    return values


def recipe_validate_command(name: str, overlay: Path | None, overrides: Sequence[str], as_json: bool) -> None:
    """Check a recipe: names, types, the order of its stages, what they read, and that what it needs is installed."""
    from curator.run.checks import check_recipe

    loaded = load_recipe(name, overrides, overlay)
    check_recipe(loaded)
    if as_json:
        print_json({"name": loaded.name, "valid": True})
    else:
        print_line(f"{loaded.name}: valid, stages: {', '.join(entry.name for entry in loaded.stages)}")


def recipe_schema_command() -> None:
    """Print the JSON schema."""
    print_json(recipe_schema())


def recipe_list_command(as_json: bool) -> None:
    """List the packaged recipes with the comment that begins each."""
    found = packaged_recipes()
    if not found:
        raise UserError("no recipe is packaged", hint="reinstall curator")
    rows = {name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name, path in found.items()}
    if as_json:
        print_json(rows)
    else:
        print_table(["recipe", "about"], [[name, about] for name, about in rows.items()], left=2)
