"""A run or training that is asked for, looked at completely before it is taken: recipe, places, files, memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from pydantic import ValidationError

from curator.cli.packages import require
from curator.errors import DataError, UserError
from curator.recipe import Recipe, load_overlay_text, load_recipe, load_recipe_text, packaged_recipes
from curator.registry import nearest
from curator.run.checks import check_place
from curator.run.directory import RunDirectory
from curator.run.memory import workers_within
from curator.storage.path import as_path, is_url
from curator.validation import first_problem
from serve.guarded.call import Guard
from serve.guarded.heads import read_guarded_heads
from serve.guarded.recipes import check_guarded_stages
from serve.models import RecipeChoice, Run, RunRequest, WorkRequest
from serve.packages import told_as_theirs
from serve.places import PlaceError, Places
from serve.problems import ProblemError
from serve.settings import Settings
from serve.states import State
from serve.training_models import TrainingRequest

LONGEST_NAME = "work/" + "0" * 120
"""About the longest name that a run gives to a file of its own."""


@dataclass(frozen=True)
class Checked:
    """A request that can become work: the name of its recipe or model, and its output as an absolute place."""

    name: str
    output: str


def check_recipe(choice: RecipeChoice, places: Places, guard: Guard) -> tuple[Recipe, tuple[str, ...]]:
    """A recipe that can run here, and its phases in words. ProblemError where it cannot."""
    try:
        with told_as_theirs():
            recipe = _load(choice)
            files = places.check_recipe(recipe)
            phases = check_guarded_stages(guard, recipe, files)
    except PlaceError as error:
        raise place_problem(error) from error
    except UserError as error:
        raise ProblemError("recipe.invalid", _said(error), hint=error.hint) from error
    except RecursionError as error:
        raise ProblemError("recipe.invalid", "it is nested too deeply") from error
    return recipe, phases


def check_run(request: RunRequest, settings: Settings, guard: Guard) -> Checked:
    """A run that can begin. ProblemError where it cannot."""
    places = settings.places
    if not places.input_roots or not places.output_roots:
        missing = "--output-root" if places.input_roots else "--input-root"
        raise ProblemError("roots.missing", "runs are refused", hint=f"start the service with {missing} DIRECTORY")
    recipe, _ = check_recipe(request, places, guard)
    try:
        output = places.output(request.output)
        places.discover(request.inputs, recipe.input.format, partial(read_guarded_heads, guard))
        directory = RunDirectory(as_path(output))
        check_place(directory, request.inputs)
        _check_room(directory, places)
        if directory.is_used():
            raise UserError("the output is not empty", file=output, hint="choose another")
        if not settings.is_on_cluster:
            memory = request.memory or settings.memory_bytes
            workers_within(request.workers or settings.workers, memory, recipe.input.max_document_bytes)
    except PlaceError as error:
        raise place_problem(error) from error
    except (UserError, DataError) as error:
        raise ProblemError("run.refused", _said(error), hint=error.hint) from error
    return Checked(recipe.name, output)


def check_training(request: TrainingRequest, settings: Settings, runs: Sequence[Run]) -> Checked:
    """A training on these runs that can begin. ProblemError where it cannot."""
    places = settings.places
    if not places.output_roots or (request.tokenizer is not None and not places.input_roots):
        missing = "--input-root" if places.output_roots else "--output-root"
        raise ProblemError("roots.missing", "trainings are refused", hint=f"start the service with {missing} DIRECTORY")
    for run in runs:
        if run.state != State.SUCCEEDED:
            raise ProblemError("run.not_finished", f"run {run.id} is {run.state}", hint="wait until it has succeeded")
    try:
        require("torch", "safetensors", "tensorboard", "sentencepiece", extra="train")
        if request.device == "cuda":
            need_gpu()
        if request.tokenizer is not None:
            places.file(request.tokenizer)
        output = places.output(request.output)
        if is_url(output):
            raise UserError("a model cannot be written to object storage", file=output, hint="choose a directory")
        _check_room(RunDirectory(as_path(output)), places)
        if os.path.lexists(output):
            raise UserError("the output is there already", file=output, hint="choose another")
        weights = request.config.data.weights
        if weights and len(weights) != len(runs):
            raise UserError(f"data.weights has {len(weights)} values for {len(runs)} runs", hint="one for each run")
    except PlaceError as error:
        raise place_problem(error) from error
    except UserError as error:
        raise ProblemError("training.refused", _said(error), hint=error.hint) from error
    model = request.config.model
    return Checked(model.size if model.depth is None else f"depth {model.depth}", output)


@lru_cache(maxsize=1)
def need_gpu() -> None:
    """UserError where this machine, on which trainings compute, has no GPU that torch can use. Asked in a process of
    its own: torch would take memory of the server for good."""
    asked = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    found = subprocess.run([sys.executable, "-c", asked], stderr=subprocess.DEVNULL, check=False)  # noqa: S603 (our own words)
    if found.returncode:
        raise UserError("there is no CUDA device on the machine of the service", hint="leave out device: cpu computes")


def allow_failures(request: WorkRequest, rate: float) -> RunRequest:
    """The request of a run, to go on with another `max_error_rate`. ProblemError where it has too many overrides."""
    values = request.model_dump()
    others = [one for one in values["overrides"] if one.partition("=")[0].strip() != "max_error_rate"]
    try:
        return RunRequest.model_validate({**values, "overrides": [*others, f"max_error_rate={rate}"]})
    except ValidationError as error:
        raise ProblemError("request.invalid", first_problem(error), hint="submit it to another output") from error


def _check_room(directory: RunDirectory, places: Places) -> None:
    """UserError for an output that cannot be made: its name is too long, a file is in the way, or it lies in the
    directory of another run, whose shards it would be taken for."""
    root = directory.root
    if isinstance(root, Path):
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(root / LONGEST_NAME)
        except OSError as error:
            hint = "choose another output"
            raise UserError(f"cannot be made: {error.strerror}", file=str(root), hint=hint) from error
    for above in places.above_output(str(root)):
        if RunDirectory(above).has_begun():
            hint = "choose a place outside of it"
            raise UserError(f"lies in {above}, the directory of a run or model", file=str(root), hint=hint)
        if isinstance(above, Path) and os.path.lexists(above) and not above.is_dir():
            raise UserError(f"{above} is in the way: it is no directory", file=str(root), hint="choose another output")


def request_digest(request: WorkRequest) -> str:
    """SHA-256 of a request, the same for the same values however they were written."""
    text = json.dumps(request.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def place_problem(error: PlaceError) -> ProblemError:
    """The problem of a place that is not open."""
    return ProblemError("place.refused", _said(error), hint=error.hint)


def _load(choice: RecipeChoice) -> Recipe:
    given = choice.overlay
    overlay = None if given is None else load_overlay_text(given.text.encode(), given.name, given.name)
    if isinstance(choice.recipe, str):
        known = packaged_recipes()
        if choice.recipe not in known:  # the command would take it for a file
            hint = nearest(choice.recipe, known) or f"one of: {', '.join(known)}; or give the recipe itself"
            raise UserError(f"there is no recipe {choice.recipe!r}", hint=hint)
        return load_recipe(choice.recipe, choice.overrides, overlay)
    return load_recipe_text(
        json.dumps(choice.recipe, ensure_ascii=False, indent=1), "recipe", choice.overrides, overlay
    )


def _said(error: UserError | DataError) -> str:
    return f"{error.file}: {error.message}" if error.file else error.message
