"""The routes, by what they are about."""

from serve.routes.events import ROUTES as EVENTS
from serve.routes.health import ROUTES as HEALTH
from serve.routes.page import ROUTES as PAGE
from serve.routes.recipes import ROUTES as RECIPES
from serve.routes.results import ROUTES as RESULTS
from serve.routes.runs import ROUTES as RUNS
from serve.routes.trainings import ROUTES as TRAININGS
from serve.routes.webhooks import ROUTES as WEBHOOKS

ALL_ROUTES = [*RUNS, *TRAININGS, *EVENTS, *RESULTS, *RECIPES, *WEBHOOKS, *HEALTH, *PAGE]

__all__ = ["ALL_ROUTES"]
