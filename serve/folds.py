"""How far work is, folded from its events as they come, as the store keeps it."""

from __future__ import annotations

import math
from typing import Protocol

from curator.run.events import Event
from curator.run.progress import ProgressFold
from serve.training_models import TrainingProgress


class Fold(Protocol):
    """Takes in events, given in order."""

    def add(self, event: Event) -> None:
        """Take in the next event."""

    def progress(self) -> dict[str, object]:
        """How far it is, as the model of its progress has it."""

    def counted(self) -> dict[str, object]:
        """What it has counted."""


class RunFold:
    """That of a run: phases and tasks, and the funnel as it forms."""

    def __init__(self) -> None:
        self._fold = ProgressFold()

    def add(self, event: Event) -> None:
        """Take in the next event."""
        self._fold.add(event)

    def progress(self) -> dict[str, object]:
        """How far it is."""
        return dict(vars(self._fold.reached))

    def counted(self) -> dict[str, object]:
        """Documents and tokens by event of the funnel, in all and by language."""
        return {"all": self._fold.counts, "languages": self._fold.languages}


_OF_A_STEP = ("step", "epoch", "loss", "gradient_norm", "learning_rate", "tokens_per_second")


class TrainingFold:
    """That of a training: its step, and the last losses."""

    def __init__(self) -> None:
        self._values: dict[str, object] = {}

    def add(self, event: Event) -> None:
        """Take in the next event."""
        kind = event["kind"]
        if kind == "training":
            kept = {name: self._values.get(name) for name in ("validation_loss", "best_loss", "checkpoint")}
            told = {name: event[name] for name in ("step", "steps", "shape", "tokens_per_step")}
            self._values = {**kept, **told, "began": event["time"]}
        elif kind == "step":
            self._values.update({name: finite(event[name]) for name in _OF_A_STEP})
        elif kind == "validation":
            loss = finite(event["loss"])
            best = self._values.get("best_loss")
            self._values["validation_loss"] = loss
            if isinstance(loss, float) and (not isinstance(best, float) or loss < best):
                self._values["best_loss"] = loss
        elif kind == "checkpoint":
            self._values["checkpoint"] = event["step"]

    def progress(self) -> dict[str, object]:
        """How far it is."""
        return TrainingProgress.model_validate(self._values).model_dump()

    def counted(self) -> dict[str, object]:
        """Nothing: a training counts no documents."""
        return {}


def finite(value: object) -> object:
    """The value; None for a float that is no number or infinite, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
