"""What pydantic says of a value, as a sentence of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel, ValidationError


def first_problem(error: ValidationError) -> str:
    """The first key that is wrong, and why, without the value: `model.depth: Input should be less than …`."""
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return f"{key}: {what}" if key else what


def known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that a model has, or what stands at a place in it; none where that is no mapping with keys of its
    own."""
    from pydantic import BaseModel

    for part in location:
        field = model.model_fields.get(str(part))
        candidates = [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = next((kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
