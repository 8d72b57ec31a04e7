"""What a run is refused for before anything starts: a place that will not do, something missing that stages need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from curator.errors import UserError
from curator.plan import make_plan
from curator.readers.base import InputFile
from curator.recipe.model import UNQUOTED, Recipe
from curator.run.directory import RunDirectory
from curator.run.pipeline import Pipeline, make_pipeline
from curator.storage.path import StoragePath, as_path, is_url

NAMED = ("evaluation set", "index", "key")
"""Kinds of requirements that a recipe names; others are installed."""


def check_place(directory: RunDirectory, inputs: Sequence[str]) -> None:
    """UserError for an output that is a file, that the input would take in, or whose name Arrow cannot open."""
    root = str(directory.root)
    if isinstance(directory.root, StoragePath):
        _check_bucket(directory.root, inputs)
        return
    try:
        root.encode()
    except UnicodeEncodeError:
        raise UserError("is not UTF-8", file=ascii(root), hint="choose another output") from None
    if os.path.lexists(root) and not os.path.isdir(root):  # noqa: PTH112 (Path.is_dir raises where it may not look)
        raise UserError("is not a directory, as a run is", file=root, hint="choose another output")
    real = Path(os.path.realpath(root))
    for given in inputs:
        if os.path.isdir(given) and real.is_relative_to(os.path.realpath(given)):  # noqa: PTH112
            raise UserError(f"the output lies in the input {given}", file=root, hint="choose a place outside of it")


def _check_bucket(root: StoragePath, inputs: Sequence[str]) -> None:
    """UserError for an output that is an object, that the input would take in, or whose bucket is not there."""
    from curator.storage.objects import check_bucket

    check_bucket(root)
    if root.is_file():
        raise UserError("is an object, not a folder, as a run is", file=str(root), hint="choose another output")
    for given in inputs:
        if is_url(given) and root.is_relative_to(cast("StoragePath", as_path(given))):
            raise UserError(
                f"the output lies in the input {given}", file=str(root), hint="choose a place outside of it"
            )


def check_recipe(recipe: Recipe) -> Pipeline:
    """The pipeline of a recipe. UserError where it cannot run here, whatever its input: for the order of its stages,
    what they need or read, or what is held out."""
    pipeline = make_pipeline(recipe)
    make_plan(pipeline)
    check_requirements(pipeline)
    check_metadata(pipeline)
    check_holdout(pipeline)
    return pipeline


def check_requirements(pipeline: Pipeline) -> None:
    """UserError naming everything that the recipe's stages need and that is not there."""
    found = [(user, requirement) for user, requirement in pipeline.requirements() if requirement.problem]
    if found:
        problems = [f"{user}: {each.kind} {each.name}: {each.problem}" for user, each in found]
        concerned = any(each.kind not in NAMED for _, each in found)
        raise UserError("; ".join(problems), hint="`curator doctor` shows what is installed" if concerned else None)


def check_holdout(pipeline: Pipeline) -> None:
    """UserError when the recipe holds clusters out and nothing in it finds them."""
    holdout = pipeline.recipe.holdout
    if holdout is not None and holdout.by == "cluster" and all(stage.name != "dedup" for stage in pipeline.stages):
        raise UserError(
            "holdout: by: cluster needs the stage dedup, which finds what is similar to a held-out document",
            hint="add `- dedup` to the stages, or hold out by content: texts that are the same go together",
        )


def check_quotes(option: str, quotes: str, files: Sequence[InputFile]) -> None:
    """UserError when the option says that quotes are letters, and no file is of a format in which they could be
    anything else."""
    formats = sorted({file.format for file in files})
    if quotes != "enclose" and formats and UNQUOTED.issuperset(formats):
        raise UserError(
            f"{option} is {quotes!r}, and is for CSV and TSV: the input is {', '.join(formats)}",
            hint=f"leave {option} out, or name the format",
        )


def check_metadata(pipeline: Pipeline) -> None:
    """UserError when a stage, or what is held out, needs a field that the recipe does not read."""
    read = pipeline.recipe.input.metadata
    wanted: list[tuple[str, Sequence[str]]] = [(stage.name, stage.metadata) for stage in pipeline.stages]
    holdout = pipeline.recipe.holdout
    if holdout is not None and holdout.by == "host":
        wanted.append(("holdout", (holdout.url_field,)))
    for user, names in wanted:
        for name in names:
            if name not in read:
                raise UserError(
                    f"{user} needs the field {name!r}, which is not read",
                    hint=f"add it to the recipe: input: {{metadata: [{', '.join((*read, name))}]}}",
                )
