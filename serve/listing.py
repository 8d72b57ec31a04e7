"""What lists are asked with: filters and pages, the same for every kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from pydantic import StringConstraints

from serve.models import MAX_LABELS
from serve.states import State
from serve.store.queries import Filter

StatesQuery = Annotated[list[State] | None, Query(max_length=100, description="in one of these states")]
LabelsQuery = Annotated[
    list[Annotated[str, StringConstraints(pattern="^[^=]+=")]] | None,
    Query(
        max_length=MAX_LABELS,
        description="with this label: NAME=VALUE; with all of them, if several are given",
        examples=[["team=web"]],
    ),
]
OwnerQuery = Annotated[str | None, Query(max_length=64, description="made by this token")]
AfterQuery = Annotated[float | None, Query(description="made at this time or later")]
BeforeQuery = Annotated[float | None, Query(description="made before this time")]
CursorQuery = Annotated[str | None, Query(pattern="^[0-9]{1,18}$", description="`next` of the page before")]
LimitQuery = Annotated[int, Query(ge=1, le=200)]


def make_filter(
    states: Sequence[State] | None,
    labels: Sequence[str] | None,
    owner: str | None,
    created_after: float | None,
    created_before: float | None,
) -> Filter:
    """What a list is narrowed to."""
    named = tuple((name, value) for name, _, value in (given.partition("=") for given in labels or ()))
    return Filter(tuple(states or ()), owner, named, created_after, created_before)
