"""Which recipe made the better model: the same raw input, the same model and tokens, the same held-out documents."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from curator.errors import AGAIN, DataError, UserError
from curator.recipe.model import Recipe
from curator.run.checks import check_recipe
from curator.run.events import Event
from curator.run.store import make_folder, put
from curator.training import TrainingConfig
from model.ablation.arms import (
    SECONDS,
    TOKENS,
    Arm,
    ArmScores,
    Budget,
    curate,
    folder_of,
    kept_of_held_out,
    make_arms,
    shared_tokenizer,
    train_and_score,
)
from model.ablation.compare import Comparison, compare
from model.ablation.held_out import Split, check_input, split_input
from model.ablation.reading import of_lines, reading_of
from model.data.documents import documents_of_files

RESULT = "ablation.json"
REQUEST = "request.json"


@dataclass(frozen=True)
class Request:
    """What to compare. `tokens` are those that each model is trained on, `seeds` how many models each arm has; with
    `seconds` as many more are trained for that time each."""

    inputs: tuple[str, ...]
    recipes: tuple[tuple[str, Recipe], ...]
    output: Path
    config: TrainingConfig
    tokens: int
    seeds: int = 1
    seconds: float | None = None
    held_out_share: float = 0.01
    by_stage: bool = False
    each_stage: bool = False
    workers: int = 1
    device: str = "cpu"
    resume: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came out."""

    split: Split
    filtered_documents: int
    scores: tuple[ArmScores, ...]
    comparisons: tuple[Comparison, ...]


def ablate(request: Request, listener: Callable[[Event], None]) -> Outcome:
    """Curate, train, and compare. What an earlier, stopped attempt in the same folder finished is not done again.

    UserError when the recipes read their input differently, or the folder is used by something else or was begun with
    another request; StoppedError when a signal stopped a training.
    """
    budgets = _budgets(request)
    reading = reading_of([recipe for _, recipe in request.recipes])
    recipes = [(name, of_lines(recipe)) for name, recipe in request.recipes]
    arms = make_arms(of_lines(reading), recipes, by_stage=request.by_stage, each_stage=request.each_stage)
    for arm in arms:
        check_recipe(arm.recipe)
    check_input(request.inputs, reading)
    is_new = _begin(request, arms, budgets[0].config)
    output = request.output
    share = request.held_out_share
    try:
        split = split_input(request.inputs, output, reading, share, request.config.seed, request.workers)
    except (UserError, DataError):
        # What is to be changed makes another request of it, which would be refused in this folder.
        if is_new:
            shutil.rmtree(output, ignore_errors=True)
        raise
    documents, _ = documents_of_files([str(split.held_out)])
    runs = {}
    for arm in arms:
        listener({"kind": "arm", "arm": arm.name, "what": "curated"})
        runs[arm.name] = curate(arm, split.raw, output, request.workers, listener)
    kept = set.intersection(*(kept_of_held_out(arm, split.held_out, output, request.workers) for arm in arms))
    tokenizer = shared_tokenizer(runs[arms[0].name], output, request.config, listener)
    scores = []
    # Budget by budget and seed by seed, the arms one after the other: what slows the machine slows them alike.
    for budget in budgets:
        for seed in range(request.config.seed, request.config.seed + request.seeds):
            for arm in arms:
                listener({"kind": "arm", "arm": arm.name, "what": f"trained, seed {seed}, the same {budget.kind}"})
                place = runs[arm.name]
                scores.append(
                    train_and_score(arm, seed, budget, place, documents, tokenizer, output, request.device, listener)
                )
    sizes = np.array([len(document.text.encode()) for document in documents], np.float64)
    is_kept = np.array([document.name in kept for document in documents])
    bought = {arm.name: arm.bought for arm in arms if arm.bought is not None}
    comparisons = compare(scores, sizes, [document.lang for document in documents], is_kept, bought)
    outcome = Outcome(split, int(is_kept.sum()), tuple(scores), tuple(comparisons))
    put(output / RESULT, (json.dumps(as_json(outcome), indent=1) + "\n").encode())
    return outcome


def as_json(outcome: Outcome) -> dict[str, object]:
    """What came out, as JSON has it."""
    return {
        "held_out_documents": outcome.split.held_out_documents,
        "filtered_documents": outcome.filtered_documents,
        "raw_documents": outcome.split.raw_documents,
        "too_similar_to_held_out": outcome.split.too_similar,
        "trainings": [
            {
                "arm": score.arm,
                "budget": score.budget,
                "seed": score.seed,
                "tokens": score.tokens,
                "seconds": round(score.training_seconds, 3),
                "epochs": score.epochs,
                "documents": score.documents,
            }
            for score in outcome.scores
        ],
        "comparisons": [asdict(comparison) for comparison in outcome.comparisons],
    }


def _budgets(request: Request) -> list[Budget]:
    steps = math.ceil(request.tokens / (request.config.data.batch * request.config.data.sequence))
    budgets = [Budget(TOKENS, request.config.model_copy(update={"steps": steps, "seconds": None}))]
    if request.seconds is not None:
        limits = {"steps": sys.maxsize, "seconds": request.seconds}
        budgets.append(Budget(SECONDS, request.config.model_copy(update=limits)))
    return budgets


def _begin(request: Request, arms: Sequence[Arm], config: TrainingConfig) -> bool:
    """Note what is asked for; or hold it against what was asked for before. Whether it is new."""
    output = request.output
    folders = [folder_of(arm.name) for arm in arms]
    if len(set(folders)) < len(folders):
        raise UserError("two arms have the same name", hint="recipes need different names, and none may be `raw`")
    asked = {
        "inputs": list(request.inputs),
        "recipes": [[name, recipe.model_dump(mode="json")] for name, recipe in request.recipes],
        "config": config.model_dump(mode="json"),
        "seeds": request.seeds,
        "held_out_share": request.held_out_share,
        "by_stage": request.by_stage,
        "each_stage": request.each_stage,
        "seconds": request.seconds,
    }
    path = output / REQUEST
    if path.exists() and request.resume:
        before = json.loads(path.read_bytes())
        changed = [key for key in asked if json.loads(json.dumps(asked[key])) != before.get(key)]
        if changed:
            raise UserError(
                f"was begun with another request: {', '.join(changed)} changed",
                file=str(output),
                hint="repeat the first, or choose another output",
            )
        return False
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        hint = "choose another output" if request.resume else f"choose another output, or {AGAIN}"
        raise UserError("the output is not empty", file=str(output), hint=hint)
    make_folder(output)
    put(path, (json.dumps(asked, indent=1) + "\n").encode())
    return True
