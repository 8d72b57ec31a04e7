"""What a recipe says about reading, as readers take it."""

from __future__ import annotations

from curator.readers.base import Fields, ReadOptions
from curator.recipe.model import Recipe


def read_options(recipe: Recipe) -> ReadOptions:
    """The options of every reader of a run."""
    given = recipe.input
    return ReadOptions(
        fields=Fields(**given.fields.model_dump(), metadata=given.metadata),
        sample_by=given.sample_by,
        quotes=given.quotes,
        repair=given.repair,
        max_document_bytes=given.max_document_bytes,
    )
