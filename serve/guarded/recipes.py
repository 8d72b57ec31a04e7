"""The stages of a recipe that names files. The limited process looks at them, for some files are read as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from curator.recipe import Recipe
from serve.guarded.call import Guard
from serve.guarded.read import RecipeAnswer, RecipeQuestion
from serve.problems import ProblemError
from serve.stage_checks import check_stages

NAMED = 5
"""How many files an error names."""


def check_guarded_stages(guard: Guard, recipe: Recipe, files: Sequence[str]) -> tuple[str, ...]:
    """`check_stages`, which opens none of the `files` that the recipe names in this process. ProblemError where the
    limits do not allow it, or others are asking."""
    if not files:
        return check_stages(recipe)
    try:
        answer = RecipeAnswer.model_validate(guard.ask(RecipeQuestion.of(recipe)))
    except ProblemError as error:
        if error.problem.code != "preview.failed":
            raise
        raise _refused(files, error.problem.detail) from error
    if answer.error is not None:
        raise answer.error.as_error()
    return answer.phases


def _refused(files: Sequence[str], detail: str) -> ProblemError:
    distinct = list(dict.fromkeys(files))
    further = f" and {len(distinct) - NAMED} more" if len(distinct) > NAMED else ""
    return ProblemError(
        "recipe.invalid",
        f"the files that the recipe names could not be looked at within the limits of the service: {detail}",
        hint=f"it names {', '.join(distinct[:NAMED])}{further}; `curator process` has no such limits",
    )
