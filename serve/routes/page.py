"""The web page: a shell without data, whose script asks for a token and fetches the rest with it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi.responses import Response

from serve.routing import Routes

ROUTES = Routes("page")

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
SCRIPTS = (
    "app.js",
    "client.js",
    "elements.js",
    "list.js",
    "live.js",
    "results.js",
    "submit.js",
    "trainings.js",
    "work.js",
)
OTHERS = ("style.css", "icon.svg")


@ROUTES.add("GET", "/", None, media_type="text/html")
def show_page() -> Response:
    """The page."""
    return _file("index.html")


def _file(name: str) -> Response:
    return Response(_read(name), media_type=TYPES[name[name.rindex(".") :]], headers={"Cache-Control": "no-cache"})


@cache
def _read(name: str) -> bytes:
    return (files("serve") / "page" / name).read_bytes()


def _add_file(name: str) -> None:
    def show() -> Response:
        return _file(name)

    show.__name__ = f"show_{name.replace('.', '_')}"
    show.__doc__ = f"A part of the page: {name}."
    ROUTES.add("GET", f"/{name}", None, media_type=TYPES[name[name.rindex(".") :]].partition(";")[0])(show)


for _name in (*SCRIPTS, *OTHERS):
    _add_file(_name)
