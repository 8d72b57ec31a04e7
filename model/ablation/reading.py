"""How the input of a comparison is read: once, as its recipes say, into JSON lines that every arm reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from curator.errors import UserError
from curator.recipe.model import FieldNames, Input, Recipe

NAMES = tuple(FieldNames().model_dump())
"""The fields of a document in the JSON lines."""

_FREE = ("metadata", "source", "source_groups")
"""Of `input`: what recipes may differ in. All metadata that one of them names is read, and of sources those of the
first recipe; each recipe groups them in its own way."""


def reading_of(recipes: Sequence[Recipe]) -> Recipe:
    """The recipe without stages that reads for all of these: their input and language, and the metadata of all.

    UserError when they read differently, so that there is no one input to compare them on; or when metadata cannot be
    carried.
    """
    first, *others = recipes
    for other in others:
        ours, theirs = (recipe.input.model_dump() for recipe in (first, other))
        different = [f"input.{key}" for key in ours if key not in _FREE and ours[key] != theirs[key]]
        different += ["language"] if first.language != other.language else []
        if different:
            raise UserError(
                f"recipes {first.name} and {other.name} read the input differently: {', '.join(different)}",
                hint="recipes are compared on one input, so give them the same",
            )
    metadata = tuple(dict.fromkeys(name for recipe in recipes for name in recipe.input.metadata))
    taken = [name for name in metadata if name.split(".")[0] in NAMES]
    if taken:
        raise UserError(
            f"input.metadata names {taken[0]!r}, and a comparison writes each document under {', '.join(NAMES)}",
            hint="leave it out of the recipes",
        )
    return Recipe(
        name="read",
        input=first.input.model_copy(update={"metadata": metadata}),
        language=first.language,
        stages=(),
        max_error_rate=max(recipe.max_error_rate for recipe in recipes),
    )


def of_lines(recipe: Recipe) -> Recipe:
    """The same recipe for the JSON lines that were written of its input."""
    plain = Input(format="jsonl").model_dump(include={"format", "fields", "sample_by", "quotes"})
    return recipe.model_copy(update={"input": Input.model_validate(recipe.input.model_dump() | plain)})


def with_metadata(document: Mapping[str, object], metadata: str | None) -> dict[str, object]:
    """A document of the JSON lines with its metadata, a JSON object of names: those with dots are nested again."""
    found: dict[str, object] = dict(document)
    # A field before those within it.
    for name, value in sorted(json.loads(metadata or "{}").items()):
        *path, last = name.split(".")
        place: object = found
        for step in path:
            place = place.setdefault(step, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = value
    return found
