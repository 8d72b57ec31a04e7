"""What is looked at of the stages of a recipe: their order, and whether they can run here."""

from __future__ import annotations

from curator.plan import make_plan
from curator.recipe import Recipe
from curator.run.checks import check_recipe


def check_stages(recipe: Recipe) -> tuple[str, ...]:
    """The phases of a recipe that can run here, in words. UserError where it cannot. Files that it names are opened,
    some as a whole."""
    return tuple(phase.describe() for phase in make_plan(check_recipe(recipe)))
