"""The OpenAPI document: what FastAPI makes of the routes, with the token and the form of problems."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI

from serve.models import Problem

_ABOUT = """Runs of Curator: submit, watch, explain.

Every request but those for the page, `/healthz` and `/readyz` needs `Authorization: Bearer TOKEN`. Errors are problem
details (RFC 9457) with a stable `code`. Times are seconds since 1970."""


def document(app: FastAPI) -> dict[str, object]:
    """The document of an application."""
    if app.openapi_schema is None:
        app.description = _ABOUT
        found = app.openapi()
        components = cast("dict[str, dict[str, object]]", found.setdefault("components", {}))
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = components.setdefault("schemas", {})
        schemas.update(schema.pop("$defs", {}))
        schemas["Problem"] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return cast("dict[str, object]", app.openapi_schema)
