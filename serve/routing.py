"""Routes and who may use them. A route says what scope it needs when it is made; one that does not is not reachable.

`Gate` stands before the application: it answers for every request whether its host, origin, size, token and rate will
do, and passes on only what matches a route of the table. So nothing can be reached that was forgotten here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.routing import compile_path

from serve.models import Problem, Scope
from serve.problems import CODES, MEDIA_TYPE

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


@dataclass(frozen=True)
class Route:
    """A route: who may use it (None: everybody), and what OpenAPI tells. `writes` counts against the rate of
    submissions; `problems` are the codes that it may answer with, beside those of every route."""

    method: str
    path: str
    scope: Scope | None
    endpoint: Callable[..., object]
    status: int
    tag: str
    model: type[BaseModel] | None
    problems: tuple[str, ...]
    writes: bool
    media_type: str | None
    pattern: re.Pattern[str]


@dataclass
class Routes:
    """A table of routes, filled by decorators."""

    tag: str
    _routes: list[Route] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        scope: Scope | None,
        *,
        status: int = 200,
        model: type[BaseModel] | None = None,
        problems: tuple[str, ...] = (),
        media_type: str | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """The decorator of an endpoint."""

        def register(endpoint: Endpoint) -> Endpoint:
            pattern = compile_path(path)[0]
            writes = method not in ("GET", "HEAD")
            self._routes.append(
                Route(method, path, scope, endpoint, status, self.tag, model, problems, writes, media_type, pattern)
            )
            return endpoint

        return register

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)


EVERYWHERE = (
    "request.malformed",
    "token.missing",
    "token.invalid",
    "token.scope",
    "rate.exceeded",
    "request.host",
    "store.unavailable",
)
"""Codes that any route but the public ones may answer with."""


def install(app: FastAPI, routes: list[Route]) -> None:
    """Add the routes to an application."""
    for route in routes:
        codes = (*route.problems, *(EVERYWHERE if route.scope is not None else ("request.host", "request.malformed")))
        responses = _responses(codes)
        if route.media_type is not None:
            responses[route.status] = {
                "content": {
                    route.media_type: {"schema": {"type": "object" if route.media_type.endswith("json") else "string"}}
                },
                "description": "OK",
            }
        app.add_api_route(
            route.path,
            route.endpoint,
            methods=[route.method],
            status_code=route.status,
            tags=[route.tag],
            response_model=route.model,
            responses=responses,
            openapi_extra=None if route.scope is None else {"security": [{"token": []}], "x-scope": route.scope},
            operation_id=route.endpoint.__name__,
        )


def _responses(codes: tuple[str, ...]) -> dict[int | str, dict[str, object]]:
    found: dict[int | str, dict[str, object]] = {}
    for code in codes:
        kind = CODES[code]
        response = found.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        content = response["content"]
        if isinstance(content, dict):
            content[MEDIA_TYPE]["examples"][code] = {"value": example_problem(code)}
    return found


def example_problem(code: str) -> dict[str, object]:
    """A problem of this code, for OpenAPI."""
    kind = CODES[code]
    return Problem(
        type=f"urn:curator:problem:{code}", title=kind.title, status=kind.status, detail=kind.title, code=code
    ).model_dump(exclude_none=True)
