"""The comparison of recipes that `curator ablate` wrote, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from curator.errors import DataError, UserError
from curator.report.model import ArmComparison, ArmRow

RESULT = "ablation.json"
WHOLE, FILTERED = "whole", "filtered"
ALL = "all"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Training(_Frozen):
    arm: str
    budget: str
    seed: int
    tokens: int
    seconds: float
    epochs: int
    documents: int


class _Row(_Frozen):
    arm: str
    budget: str
    part: str
    language: str
    documents: int
    bits_per_byte: float
    difference: float
    difference_low: float
    difference_high: float
    bought: float | None
    bought_low: float | None
    bought_high: float | None


class _Result(_Frozen):
    held_out_documents: int
    filtered_documents: int
    raw_documents: int
    too_similar_to_held_out: int
    trainings: tuple[_Training, ...]
    comparisons: tuple[_Row, ...]


def read_comparison(folder: Path) -> list[ArmComparison]:
    """What each budget of a comparison gave. UserError where there is none, DataError where it cannot be understood."""
    path = folder / RESULT
    try:
        result = _Result.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "give the folder that `curator ablate -o` wrote to its end"
        raise UserError("holds no comparison", file=str(folder), hint=hint) from error
    except (OSError, ValidationError) as error:
        raise DataError("is no comparison of this version", file=str(path), hint="repeat curator ablate") from error
    return [_of_budget(result, budget) for budget in dict.fromkeys(row.budget for row in result.comparisons)]


def _of_budget(result: _Result, budget: str) -> ArmComparison:
    rows = [row for row in result.comparisons if row.budget == budget]
    trainings = [training for training in result.trainings if training.budget == budget]
    documents = {row.language: row.documents for row in rows if row.part == WHOLE}
    languages = sorted(documents.keys() - {ALL}, key=lambda tag: (-documents[tag], tag))
    return ArmComparison(
        budget=budget,
        tokens=_span([training.tokens for training in trainings]),
        seconds=_span([training.seconds for training in trainings]),
        seeds=len({training.seed for training in trainings}),
        documents=result.held_out_documents,
        kept_by_all=result.filtered_documents,
        rows=_arms(rows, ALL, trainings),
        languages=[(tag, documents[tag], _arms(rows, tag, trainings)) for tag in languages],
    )


def _arms(rows: Sequence[_Row], language: str, trainings: Sequence[_Training]) -> list[ArmRow]:
    own = [row for row in rows if row.language == language]
    filtered = {row.arm: row.difference for row in own if row.part == FILTERED}
    epochs = {training.arm: training.epochs for training in trainings}
    documents = {training.arm: training.documents for training in trainings}
    return [
        ArmRow(
            arm=row.arm,
            documents=documents.get(row.arm, 0),
            epochs=epochs.get(row.arm, 0),
            bits_per_byte=row.bits_per_byte,
            difference=row.difference,
            low=row.difference_low,
            high=row.difference_high,
            filtered=filtered.get(row.arm),
            bought=row.bought,
            bought_low=row.bought_low,
            bought_high=row.bought_high,
        )
        for row in own
        if row.part == WHOLE
    ]


def _span(values: Sequence[float]) -> tuple[float, float]:
    return (min(values, default=0.0), max(values, default=0.0))
