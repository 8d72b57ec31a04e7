"""`curator calibrate`: thresholds fitted to known-good text, as an overlay and as a table."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from glob import has_magic
from pathlib import Path
from typing import cast

from curator.calibrate import Grouping, Outcome, Settings, calibrate, measure
from curator.calibrate.sample import Group, Rule
from curator.cli.interrupt import stopping
from curator.cli.memory import parse_memory
from curator.cli.output import counted, print_json, print_line, print_note, print_table
from curator.cli.process import show_progress
from curator.errors import UserError
from curator.recipe import Recipe, load_recipe, load_recipe_text
from curator.recipe.overlay import Fitted, Unfitted, dump_overlay
from curator.run.directory import RunDirectory
from curator.run.failures import describe_failures, failures_of
from curator.run.manifest import load_manifest
from curator.run.store import put
from curator.storage.path import as_path, is_url

GROUPINGS = ("source", "language")
UNFITTED_SHOWN = 20


def calibrate_command(
    inputs: Sequence[str],
    recipe: str | None,
    share: float,
    confidence: float,
    minimum: int | None,
    by: str,
    output: Path | None,
    workers: int,
    memory: str,
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """Fit thresholds; write the overlay to `output`, or print it."""
    memory_bytes = parse_memory(memory)
    if by not in GROUPINGS:
        raise UserError(f"--by {by}: expected {' or '.join(GROUPINGS)}")
    settings = Settings(share, confidence, minimum, cast("Grouping", by), memory_bytes)
    settings.least()  # what is wrong with them, or with the output, is said before anything is read
    _check_output(output)
    with ExitStack() as stack:
        directory = _finished_run(inputs)
        if directory is None:
            loaded = load_recipe(recipe or "web", overrides)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curator-calibrate-")))
            progress = show_progress(as_json=as_json)
            stack.callback(progress.close)
            number = workers or len(os.sched_getaffinity(0))
            with stopping("nothing was written"):
                directory = measure(inputs, loaded, folder, number, memory_bytes, [progress])
            failures = failures_of(directory.failed)
            if failures:
                print_note(f"curator: not all records could be read: {describe_failures(failures)}")
        else:
            loaded = load_recipe(recipe, overrides) if recipe else _recipe_of(directory, overrides)
        outcome = calibrate(directory, loaded, settings)
    if not outcome.calibration.fitted:
        print_note("curator: no threshold was fitted: the overlay changes nothing")
    if by == "source" and 2 * outcome.in_small_groups > outcome.documents:
        print_note(
            f"curator: {outcome.in_small_groups:,} of {outcome.documents:,} documents are of a source that has too few "
            "of their language; --by language takes all sources together"
        )
    overlay = dump_overlay(loaded.name, outcome.calibration)
    if output is not None:
        put(output, overlay.encode())
    if as_json:
        print_json(_as_json(outcome, settings, output))
    elif output is None:
        print_line(overlay.rstrip())
        print_note(_summary(outcome))
    else:
        _print(outcome)
        print_line(f"overlay: {output}")


def _check_output(output: Path | None) -> None:
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        what = "is a directory" if output.is_dir() else "lies in no folder that there is"
        raise UserError(what, file=str(output), hint="name the file of the overlay")


def _finished_run(inputs: Sequence[str]) -> RunDirectory | None:
    """The run whose scores are asked for; None where the input is text. UserError when the run is not finished."""
    runs = [RunDirectory(as_path(given)) for given in inputs if not (is_url(given) and has_magic(given))]
    runs = [run for run in runs if run.manifest.exists() or (run.events.is_dir() and run.work.is_dir())]
    if not runs:
        return None
    if len(inputs) > 1:
        raise UserError("a run is calibrated by itself", file=str(runs[0].root), hint="give its shards, or one run")
    load_manifest(runs[0].manifest)
    return runs[0]


def _recipe_of(directory: RunDirectory, overrides: Sequence[str]) -> Recipe:
    """The recipe of a finished run, with overrides."""
    values = Recipe.model_validate(load_manifest(directory.manifest)["recipe"]).model_dump(mode="json")
    values["stages"] = [{stage["name"]: stage["parameters"]} for stage in values["stages"]]
    values["language"] = values["language"] or "off"
    return load_recipe_text(json.dumps(values), str(directory.manifest), overrides)


def _as_json(outcome: Outcome, settings: Settings, output: Path | None) -> dict[str, object]:
    calibration = outcome.calibration
    return {
        "overlay": None if output is None else str(output),
        "documents": outcome.documents,
        "in_small_groups": outcome.in_small_groups,
        "unseen": outcome.unseen,
        "by": settings.by,
        "minimum": settings.least(),
        **calibration.model_dump(mode="json", exclude={"fitted"}),
        "fitted": [{**row.model_dump(mode="json"), "before": _before(outcome, row)} for row in calibration.fitted],
    }


def _before(outcome: Outcome, row: Fitted) -> float | None:
    return outcome.before[Group(row.source, row.language), Rule(row.stage, row.parameter)]


def _print(outcome: Outcome) -> None:
    rows = [
        [
            *_group(row),
            f"{row.stage}.{row.parameter}",
            row.documents,
            "" if (before := _before(outcome, row)) is None else f"{before:g}",
            f"{row.threshold:g}",
            f"{100 * row.low:.2f} to {100 * row.high:.2f}%",
        ]
        for row in outcome.calibration.fitted
    ]
    if rows:
        print_table(["source", "lang", "threshold", "documents", "before", "fitted", "such text passes"], rows, left=3)
        print_line()
    unfitted = outcome.calibration.unfitted
    if unfitted:
        print_line("not calibrated, for too few documents; the recipe's thresholds stay:")
        few = [[*_group(row), _what(row), row.documents, row.needed] for row in unfitted[:UNFITTED_SHOWN]]
        print_table(["source", "lang", "threshold", "documents", "needed"], few, left=3)
        if len(unfitted) > UNFITTED_SHOWN:
            more = len(unfitted) - UNFITTED_SHOWN + outcome.calibration.unlisted
            most = "the largest" if outcome.calibration.unlisted else "all"
            print_line(f"and {more:,} more ({most} are in the overlay)")
        print_line()
    print_line(_summary(outcome))


def _summary(outcome: Outcome) -> str:
    fitted, unfitted = outcome.calibration.fitted, outcome.calibration.unfitted
    groups = len({(row.source, row.language) for row in fitted})
    left = sum(row.stage is None for row in unfitted) + outcome.calibration.unlisted
    unseen = f", {counted(outcome.unseen, 'document')} in groups at which no rule looks" if outcome.unseen else ""
    return (
        f"{counted(outcome.documents, 'document')}: {counted(len(fitted), 'threshold')} fitted in "
        f"{counted(groups, 'group')}, {counted(left, 'group')} not calibrated{unseen}"
    )


def _group(row: Fitted | Unfitted) -> tuple[str, str]:
    return row.source or "any", row.language


def _what(row: Unfitted) -> str:
    return "all" if row.stage is None else f"{row.stage}.{row.parameter}"
