"""The arms of a comparison: the raw input curated by each recipe, and models of one shape trained on what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from curator.recipe.model import Recipe
from curator.run.driver import Request, run
from curator.run.events import Event, iterate_events
from curator.run.store import put
from curator.storage.path import as_path
from curator.training import TrainingConfig
from model.ablation.held_out import RAW
from model.data.documents import TextDocument
from model.data.shards import open_corpus
from model.directory import ModelDirectory, load_decoder
from model.evaluate import DocumentScores, score_documents
from model.tokenizer_training import train_tokenizer
from model.train import Request as TrainingRequest
from model.train import train

_BY_CORPUS = ("sampling", "augmentation")
"""Stages that judge a document by the rest of the corpus and its languages, not by itself."""


class StoppedError(Exception):
    """A signal ended a training before its last step: its model is not one to be compared yet."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


TOKENS, SECONDS = "tokens", "seconds"
"""What all arms are given the same of."""


@dataclass(frozen=True)
class Arm:
    """A recipe to be compared, under its name. `bought` names two arms: what a stage, or the recipe, bought is the
    difference of the first to the second."""

    name: str
    recipe: Recipe
    bought: tuple[str, str] | None = None


@dataclass(frozen=True)
class Budget:
    """What each model of each arm is trained for: so many tokens, or so many seconds."""

    kind: str
    config: TrainingConfig

    @property
    def suffix(self) -> str:
        """What tells its files from those of other budgets."""
        return "" if self.kind == TOKENS else f"-{self.kind}"


@dataclass(frozen=True)
class ArmScores:
    """What one model of an arm makes of the held-out documents; what it took, and how often it saw its data."""

    arm: str
    seed: int
    nats: NDArray[np.float64]
    training_seconds: float
    epochs: int
    documents: int
    budget: str = TOKENS
    tokens: int = 0


def make_arms(
    reading: Recipe, recipes: Sequence[tuple[str, Recipe]], *, by_stage: bool = False, each_stage: bool = False
) -> list[Arm]:
    """The raw arm, which reads and does nothing else, then each recipe; with `by_stage` each beginning of its stages
    before it, with `each_stage` the recipe without each of its stages after it."""
    arms = [Arm(RAW, reading.model_copy(update={"name": RAW}))]
    for name, recipe in recipes:
        before = RAW
        if by_stage:
            for count in range(1, len(recipe.stages)):
                part = recipe.model_copy(update={"stages": recipe.stages[:count]})
                arm = f"{name} to {recipe.stages[count - 1].name}"
                arms.append(Arm(arm, part, (arm, before)))
                before = arm
        arms.append(Arm(name, recipe, (name, before)))
        # Without its only stage a recipe is the raw arm.
        for left_out in range(len(recipe.stages)) if each_stage and len(recipe.stages) > 1 else ():
            rest = recipe.stages[:left_out] + recipe.stages[left_out + 1 :]
            arm = f"{name} without {recipe.stages[left_out].name}"
            arms.append(Arm(arm, recipe.model_copy(update={"stages": rest}), (name, arm)))
    return arms


def curate(arm: Arm, raw: Path, output: Path, workers: int, listener: Callable[[Event], None]) -> Path:
    """The run of an arm on the raw input; one that is finished is left as it is."""
    place = output / "arms" / folder_of(arm.name) / "run"
    run(Request((str(raw),), as_path(str(place)), arm.recipe, workers=workers, resume=True), [listener])
    return place


def kept_of_held_out(arm: Arm, held_out: Path, output: Path, workers: int) -> set[str]:
    """The ids of held-out documents that a recipe would keep, judged by its stages that look at one document."""
    place = output / "arms" / folder_of(arm.name) / "held-out"
    stages = tuple(stage for stage in arm.recipe.stages if stage.name not in _BY_CORPUS)
    recipe = arm.recipe.model_copy(update={"stages": stages})
    run(Request((str(held_out),), as_path(str(place)), recipe, workers=workers, resume=True))
    corpus = open_corpus(str(place))
    return {name for group in corpus.groups for name in corpus.read(group, ("id",))["id"].to_pylist()}


def shared_tokenizer(raw_run: Path, output: Path, config: TrainingConfig, listener: Callable[[Event], None]) -> Path:
    """One tokenizer for all arms, trained on the raw one, so that none of them is told apart by its tokens."""
    path = output / "tokenizer.model"
    if not path.exists():
        put(path, train_tokenizer([open_corpus(str(raw_run))], config.tokenizer, config.seed, (listener,)).data)
    return path


def train_and_score(
    arm: Arm,
    seed: int,
    budget: Budget,
    place: Path,
    documents: Sequence[TextDocument],
    tokenizer: Path,
    output: Path,
    device: str,
    listener: Callable[[Event], None],
) -> ArmScores:
    """Train the model of an arm, a seed and a budget, and score it; what was done already is read.

    StoppedError when a signal stopped the training, which goes on the next time.
    """
    model = output / "arms" / folder_of(arm.name) / f"seed-{seed}{budget.suffix}"
    record = output / "arms" / folder_of(arm.name) / f"scores-{seed}{budget.suffix}.json"
    if not record.exists():
        config = budget.config
        data = config.data.model_copy(update={"seed": seed, "validation_share": 0.0})
        of_seed = config.model_copy(update={"seed": seed, "data": data})
        outcome = train(TrainingRequest((str(place),), model, of_seed, tokenizer, device, resume=True), (listener,))
        if outcome.signal is not None:
            raise StoppedError(outcome.signal)
        scores = _score(model, documents, of_seed, device)
        # A training that was killed takes the steps after its last checkpoint again: the last time counts.
        steps = {event["step"]: event for event in iterate_events(model / "events") if event["kind"] == "step"}.values()
        rows = sum(group.rows for group in open_corpus(str(place)).groups)
        each = config.data.batch * config.data.sequence
        values = {
            "nats": [float(f"{nats:.9g}") for nats in scores.nats.tolist()],
            "training_seconds": sum(each / float(str(event["tokens_per_second"])) for event in steps),
            "epochs": max(int(str(event["epoch"])) for event in steps) + 1,
            "documents": rows,
            "tokens": outcome.tokens,
        }
        put(record, json.dumps(values).encode())
    found = json.loads(record.read_bytes())
    nats = np.array(found.pop("nats"), np.float64)
    return ArmScores(arm.name, seed, nats, budget=budget.kind, **found)


def _score(model: Path, documents: Sequence[TextDocument], config: TrainingConfig, device: str) -> DocumentScores:
    decoder, tokenizer, _, _ = load_decoder(ModelDirectory(model), torch.device(device))
    return score_documents(decoder, tokenizer, documents, sequence=config.data.sequence)


def folder_of(name: str) -> str:
    """The name of an arm as the name of a folder."""
    return "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
