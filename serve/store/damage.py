"""Rows whose JSON somebody else than the service wrote: shown as far as they can be, and told as damaged.

A column of type `JsonObject` (see `serve.store.tables`) gives `Damaged` where there is no JSON object; what is in one
is looked at by the models.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from curator.errors import DataError
from serve.models import Work, WorkRequest
from serve.store.tables import Damaged

_log = logging.getLogger("curator.serve")

_NOTHING: Mapping[str, object] = {"labels": {}, "progress": {}, "runs": ()}
"""What is shown in the place of what is damaged."""

Shown = TypeVar("Shown", bound=Work)
Asked = TypeVar("Asked", bound=WorkRequest)


def show(model: type[Shown], values: Mapping[str, object]) -> Shown:
    """A run or training as users see it, of the values of its row. What is damaged is left out, and its message says
    so: it would take the others of a list with it."""
    damaged = [name for name, value in values.items() if isinstance(value, Damaged)]
    if not damaged:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            damaged = sorted({str(each["loc"][0]) for each in error.errors()})
    told = _describe(damaged)
    _log.error("run %s: %s", values["id"], told)
    without = {name: _NOTHING[name] for name in damaged if name in _NOTHING}
    message = "; ".join(str(part) for part in (values["message"], told) if part)
    return model.model_validate(
        {**values, **without, "error": values["error"] or DataError.__name__, "message": message}
    )


def request_of(model: type[Asked], id: str, request: Mapping[str, object]) -> Asked:  # noqa: A002 (as users call it)
    """What a run or training was asked with. DataError where that is damaged."""
    try:
        return model.model_validate(request)
    except ValidationError as error:
        _log.error("run %s: %s", id, _describe(["request"]))
        raise DataError(f"{id}: {_describe(['request'])}", hint="restore the store, or ask for the run anew") from error


def _describe(columns: list[str]) -> str:
    return f"what the store has of it is damaged: {', '.join(columns)}"
