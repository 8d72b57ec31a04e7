"""What a checkpoint says beside its tensors: checked before a training goes on from it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.errors import DataError
from curator.validation import first_problem
from model.checkpoint import EARLIER, STATE, Checkpoint


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Best(_Strict):
    """The lowest validation loss and its step, None before the first; and how many sequences were asked for."""

    loss: float | None
    step: int | None
    sequences: int | None = None


class OptimizerCounts(_Strict):
    """Steps that were taken, and those of them that the hybrid took by Lion."""

    steps: int
    switches: int


class AlarmNumbers(_Strict):
    """See `model.alarms.AlarmState`; a lowest average that is not there yet is None."""

    average: float
    lowest: float | None
    seen: int
    above: int
    idle: list[list[int]]


class LaneState(_Strict):
    """See `model.data.lanes.Lane.state`."""

    places: list[tuple[int, int, int]]
    tokens: list[int]
    open: tuple[int, int, int, int, int] | None


class DataState(_Strict):
    """What the data is bound to (see `model.data.loader`), and where each lane stands."""

    binding: dict[str, object]
    lanes: list[LaneState]


class TrainingState(_Strict):
    """The state of a training. `scaler` has the scale of the loss and the steps since it changed, None without one."""

    tokens: int
    seconds: float = 0.0
    best: Best
    optimizer: OptimizerCounts
    alarms: AlarmNumbers
    scaler: tuple[float, int] | None
    data: DataState


def training_state(checkpoint: Checkpoint) -> TrainingState:
    """The state of a checkpoint. DataError when it is none of a training."""
    try:
        return TrainingState.model_validate(checkpoint.state)
    except ValidationError as error:
        raise DataError(
            f"is no state of a training: {first_problem(error)}", file=str(checkpoint.folder / STATE), hint=EARLIER
        ) from error


def as_lanes(state: DataState) -> Mapping[str, object]:
    """The state of the data as a `Loader` takes it."""
    return state.model_dump(mode="json")
