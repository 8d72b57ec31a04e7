"""What the service takes and gives about trainings. Losses are in nats, times are seconds since 1970."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from curator.training import TrainingConfig
from serve.models import Attempt, Change, Place, Told, Work, WorkRequest

MAX_RUNS = 100

RunId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{1,32}$")]


class TrainingRequest(WorkRequest):
    """A training to be made on the shards of runs of this service that have succeeded."""

    runs: tuple[RunId, ...] = Field(min_length=1, max_length=MAX_RUNS, description="ids of runs, in this order")
    config: TrainingConfig = Field(TrainingConfig(), description="as a file for `curator train -c` has it")
    tokenizer: Place | None = Field(
        None,
        description="a SentencePiece model or tokenizer.json below an input root; else trained on the runs",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="what it computes on")

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "runs": ["0123456789ab"],
                    "output": "model-2026-11",
                    "config": {"steps": 2000, "model": {"size": "small"}},
                    "labels": {"team": "web"},
                }
            ]
        },
    )


class TrainingProgress(Told):
    """How far a training is: step `step` of `steps`, with the last losses and rates that it told; `shape` in words.
    Of the step that it goes on from, no loss is known until the next."""

    step: int = 0
    steps: int = 0
    tokens_per_step: int = 0
    shape: str = ""
    epoch: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    best_loss: float | None = None
    gradient_norm: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    checkpoint: int | None = None
    began: float | None = None


class Training(Work):
    """A training. `state` is that of its last attempt, `attempt` the number of that."""

    runs: tuple[str, ...]
    progress: TrainingProgress


class TrainingDetails(Training):
    """A training with what was asked, its attempts and its history."""

    request: TrainingRequest
    attempts: tuple[Attempt, ...]
    history: tuple[Change, ...]


class TrainingPage(Told):
    """Some trainings, the newest first; `next` is the cursor of those that follow, null at the end."""

    trainings: tuple[Training, ...]
    next: str | None


class CurvePoint(Told):
    """The mean loss of some steps, `step` being the last of them, with its learning rate and gradient norm."""

    step: int
    loss: float
    learning_rate: float | None
    gradient_norm: float | None


class ValidationPoint(Told):
    """The loss of a validation after a step."""

    step: int
    loss: float


class Curve(Told):
    """The losses of a training by step, those alone that its parameters come from: what an attempt did beyond the
    checkpoint that the next went on from is left out."""

    points: tuple[CurvePoint, ...]
    validations: tuple[ValidationPoint, ...]
