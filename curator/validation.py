"""What pydantic says of a value, as a sentence of an error."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Union, get_args, get_origin

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
    """The keys that a model has, or what stands at a place in it, in lists and mappings too; none where that has no
    keys of its own."""
    from pydantic import BaseModel

    kinds: list[object] = [model]
    for part in location:
        kinds = [found for kind in kinds for found in _kinds(_inside(kind, part))]
    models = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(next((kind.model_fields for kind in models), ()))


def _inside(kind: object, part: int | str) -> object:
    """What stands at one place in a model, a list or a mapping."""
    from pydantic import BaseModel

    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return None if field is None else field.annotation
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    return arguments[-1] if arguments else None


def _kinds(annotation: object) -> list[object]:
    """The members of a union, without what is annotated to them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for argument in get_args(annotation) for kind in _kinds(argument)]
    return [annotation]
