"""Recipes: the YAML file that says what a run does."""

from curator.recipe.load import (
    load_overlay_text,
    load_recipe,
    load_recipe_text,
    load_with_origins,
    packaged_recipes,
)
from curator.recipe.model import Recipe, StageEntry
from curator.recipe.schema import recipe_schema

__all__ = [
    "Recipe",
    "StageEntry",
    "load_overlay_text",
    "load_recipe",
    "load_recipe_text",
    "load_with_origins",
    "packaged_recipes",
    "recipe_schema",
]
