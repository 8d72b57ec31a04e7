"""What pydantic says of a value, as a sentence of an error."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Annotated, Union, get_args, get_origin

from curator.registry import nearest_or_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_A_LIST = "expected a list, as in [one, two]"
_A_MAPPING = "expected a mapping, as in {key: value}"
_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), _A_LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), _A_MAPPING),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "expected a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "expected a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "expected true or false"),
    "finite_number": "expected a finite number",
    "string_type": "expected text",
    "extra_forbidden": "there is no such key",
    "missing": "is required",
}
"""Ours for what pydantic tells in words of Python, by the types of its errors."""
_LIMITS = {
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected {le} or less",
    "literal_error": "expected {expected}",
    "too_short": "expected {min_length} or more, not {actual_length}",
}
"""The same of those that say what would do."""


def words_of(problem: ErrorDetails) -> str:
    """Why a value will not do, without its key."""
    if problem["type"] in _LIMITS:
        limits = {name: f"{limit:g}" if isinstance(limit, float) else limit for name, limit in problem["ctx"].items()}
        return _LIMITS[problem["type"]].format_map(limits)
    return _WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")


def first_problem(error: ValidationError) -> str:
    """The first key that is wrong, and why, without the value: `model.depth: expected 128 or less`."""
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {words_of(first)}" if key else words_of(first)


def misspelling(error: ValidationError, model: type[BaseModel]) -> tuple[str, str | None] | None:
    """Of a first problem that is a key which nobody knows: that, and the nearest key or all that there are."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] != "extra_forbidden":
        return None
    *above, key = first["loc"]
    name = ".".join(str(part) for part in first["loc"])
    return f"unknown key {name!r}", nearest_or_known(str(key), known_keys(model, above))


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
