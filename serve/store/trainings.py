"""Trainings in the store: rows of runs, of their own kind, as users see them; and their losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve.kinds import Kind
from serve.store.damage import request_of, show
from serve.store.queries import Filter, list_rows
from serve.store.runs import attempts_of, history_of, with_attempt, work_values
from serve.store.tables import AttemptRow, Damaged, EventRow, RunRow
from serve.training_models import (
    Curve,
    CurvePoint,
    Training,
    TrainingDetails,
    TrainingRequest,
    ValidationPoint,
)


def training_model(run: RunRow, attempt: AttemptRow) -> Training:
    """A training as users see it."""
    return show(Training, {"runs": run.request.get("runs"), **work_values(run, attempt)})


def find_training(session: Session, id: str) -> Training | None:  # noqa: A002 (as users call it)
    """The training of this id."""
    found = session.execute(with_attempt(id, Kind.TRAINING)).first()
    return None if found is None else training_model(found[0], found[1])


def training_details(session: Session, id: str) -> TrainingDetails | None:  # noqa: A002 (as users call it)
    """The training of this id, with its attempts and history."""
    found = session.execute(with_attempt(id, Kind.TRAINING)).first()
    if found is None:
        return None
    return TrainingDetails(
        **dict(training_model(found[0], found[1])),
        request=request_of(TrainingRequest, id, found[0].request),
        attempts=attempts_of(session, found[0].number),
        history=history_of(session, found[0].number),
    )


def list_trainings(
    session: Session, chosen: Filter, before: int | None, limit: int
) -> tuple[list[Training], int | None]:
    """The newest trainings of a filter whose internal number is below `before`; the number to go on from, None at the
    end."""
    rows, following = list_rows(session, Kind.TRAINING, chosen, before, limit)
    return [training_model(run, attempt) for run, attempt in rows], following


def curve_of(session: Session, run: int, most: int) -> Curve:
    """The losses of a training, at most so many points of steps: each the mean of as many as it takes."""
    rows = session.execute(
        select(EventRow.kind, EventRow.fields)
        .where(EventRow.run == run, EventRow.origin == "run", EventRow.kind.in_(("training", "step", "validation")))
        .order_by(EventRow.number)
    )
    steps: list[CurvePoint] = []
    validations: list[ValidationPoint] = []
    for kind, fields in rows:
        if isinstance(fields, Damaged):
            continue
        if kind == "training":
            # It goes on from a checkpoint: what was learned beyond that is not in its parameters.
            begin = cast("int", fields["step"])
            steps = [point for point in steps if point.step <= begin]
            validations = [point for point in validations if point.step <= begin]
        elif fields["loss"] is None:
            continue
        elif kind == "step":
            steps.append(CurvePoint.model_validate(fields))
        else:
            validations.append(ValidationPoint.model_validate(fields))
    return Curve(points=tuple(_thinned(steps, most)), validations=tuple(validations))


def _thinned(steps: Sequence[CurvePoint], most: int) -> list[CurvePoint]:
    """Means of as many steps as it takes for `most` points."""
    size = -(-len(steps) // most)
    if size <= 1:
        return list(steps)
    found = []
    for begin in range(0, len(steps), size):
        some = steps[begin : begin + size]
        found.append(some[-1].model_copy(update={"loss": sum(point.loss for point in some) / len(some)}))
    return found
