"""Whether the server lives and can work, what it counts, who asks, and its OpenAPI document."""

from __future__ import annotations

import time
from importlib.metadata import version

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text

from serve.context import PrincipalOf, ServiceOf
from serve.metrics import MEDIA_TYPE, exposition
from serve.models import Health, Me
from serve.openapi import document
from serve.problems import ProblemError
from serve.routing import Routes

ROUTES = Routes("health")

TURN_SECONDS = 60.0
"""A runner that has not made a turn for so long is not ready."""


@ROUTES.add("GET", "/healthz", None, model=Health)
def live() -> Health:
    """Whether the server answers."""
    return Health(status="ok", version=version("curator-corpora"))


@ROUTES.add("GET", "/readyz", None, model=Health, problems=("store.unavailable",))
def ready(service: ServiceOf) -> Health:
    """Whether the store answers and the runner works."""
    with service.runs.database.read() as session:
        session.execute(text("SELECT 1"))
    if not service.runner.is_alive or time.time() - service.runner.turned > TURN_SECONDS:
        raise ProblemError("store.unavailable", "the runner does not get on", headers={"Retry-After": "5"})
    if service.deliverer.has_died:
        raise ProblemError("store.unavailable", "webhooks are not delivered", headers={"Retry-After": "5"})
    if service.feed.has_died:
        raise ProblemError("store.unavailable", "event streams get nothing new", headers={"Retry-After": "5"})
    return live()


@ROUTES.add("GET", "/metrics", "read", media_type="text/plain")
def metrics(service: ServiceOf) -> Response:
    """What is counted, for Prometheus."""
    return Response(exposition(service), media_type=MEDIA_TYPE)


@ROUTES.add("GET", "/v1/me", "read", model=Me)
def show_me(principal: PrincipalOf) -> Me:
    """Whose token this is, and what it may do."""
    return Me(name=principal.name, scope=principal.scope, expires=principal.expires)


@ROUTES.add("GET", "/v1/openapi.json", "read", media_type="application/json")
def show_openapi(request: Request) -> Response:
    """This interface as an OpenAPI document."""
    return JSONResponse(document(request.app))
