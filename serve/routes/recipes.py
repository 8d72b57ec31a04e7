"""Recipes and stages: what there is, and whether a recipe can run."""

from __future__ import annotations

from functools import cache

from fastapi.responses import JSONResponse, Response

from curator.errors import CuratorError
from curator.recipe import packaged_recipes, recipe_schema
from curator.registry import STAGES, names, stage_class
from serve.context import ServiceOf
from serve.models import BrokenStage, RecipeChoice, RecipeList, RecipeSummary, StageList, StageSummary, ValidRecipe
from serve.packages import told_as_theirs
from serve.problems import ProblemError
from serve.routing import Routes
from serve.submission import check_recipe

ROUTES = Routes("recipes")


@ROUTES.add("GET", "/v1/recipes", "read", model=RecipeList)
def list_recipes() -> RecipeList:
    """The packaged recipes."""
    found = {name: path.read_text(encoding="utf-8").splitlines()[0] for name, path in packaged_recipes().items()}
    return RecipeList(recipes=tuple(RecipeSummary(name=name, about=line.lstrip("# ")) for name, line in found.items()))


@ROUTES.add(
    "POST",
    "/v1/recipes/validate",
    "read",
    model=ValidRecipe,
    problems=(
        "request.invalid",
        "request.malformed",
        "request.media_type",
        "recipe.invalid",
        "package.failed",
        "place.refused",
        "service.busy",
        "storage.unavailable",
    ),
)
def validate_recipe(choice: RecipeChoice, service: ServiceOf) -> ValidRecipe:
    """Whether a recipe can run here; a problem names the line and the nearest known key."""
    recipe, phases = check_recipe(choice, service.settings.places, service.guard)
    return ValidRecipe(name=recipe.name, stages=tuple(entry.name for entry in recipe.stages), phases=phases)


@ROUTES.add("GET", "/v1/recipes/schema", "read", problems=("package.failed",), media_type="application/schema+json")
def show_schema() -> Response:
    """The JSON schema of recipes, with the parameters of every stage that is installed."""
    with told_as_theirs():
        return JSONResponse(_schema(), media_type="application/schema+json")


@ROUTES.add("GET", "/v1/stages", "read", model=StageList)
def list_stages() -> StageList:
    """The stages that are installed, with their rules and parameters; and those that could not be loaded."""
    return _stages()


@cache
def _schema() -> dict[str, object]:
    return recipe_schema()


@cache
def _stages() -> StageList:
    stages: list[StageSummary] = []
    broken: list[BrokenStage] = []
    for name in names(STAGES):
        try:
            with told_as_theirs():
                stages.append(_summary(name))
        except ProblemError as error:
            broken.append(BrokenStage(name=name, detail=error.problem.detail))
        except CuratorError as error:
            broken.append(BrokenStage(name=name, detail=error.message))
    return StageList(stages=tuple(stages), broken=tuple(broken))


def _summary(name: str) -> StageSummary:
    stage = stage_class(name)
    return StageSummary(
        name=name,
        about=stage.about,
        rules=dict(stage.rules),
        parameters=stage.parameters_type.model_json_schema(),
    )
