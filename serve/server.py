"""A server, put together and run."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from types import FrameType

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from curator.errors import DataError, TransientError, UserError
from curator.validation import words_of
from serve.audit import open_auditor
from serve.context import Service
from serve.feed import MOST_EVENTS, Feed, News
from serve.gate import Gate, store_problem
from serve.guarded.call import Guard
from serve.models import Violation
from serve.problems import MEDIA_TYPE, ProblemError, storage_problem
from serve.routes import ALL_ROUTES
from serve.routing import install
from serve.runner.runner import Runner
from serve.settings import Settings
from serve.store import Database
from serve.store.queries import events_beyond
from serve.store.runs import RunStore
from serve.store.shown import ShownRuns
from serve.tokens import Tokens
from serve.webhooks.deliverer import Deliverer
from serve.webhooks.outbox import Outbox
from serve.webhooks.signing import load_secret

GRACE_SECONDS = 5
"""How long requests may take to end when the server shall."""

UNHEARD_MILLISECONDS = 60_000
"""How long a client may leave what was sent to it unacknowledged: then its connection is gone, and with it what it
holds. An event stream sends something every 15 s, so one whose client went away without a word ends."""


@dataclass(frozen=True)
class Server:
    """A server that is not running yet."""

    app: ASGIApp
    api: FastAPI
    service: Service


def build(settings: Settings) -> Server:
    """Open the store, and put a server together. UserError where the configuration will not do."""
    database = Database(settings.store)
    database.upgrade()
    auditor = open_auditor(database, settings.audit_key_file)
    outbox = Outbox(settings.webhooks)
    runs = RunStore(database, auditor, outbox)
    secrets = [load_secret(path) for path in settings.webhooks.secrets]
    deliverer = Deliverer(database, settings.webhooks, outbox, secrets)
    feed = Feed(partial(_news, database))
    runner = Runner(runs, settings)
    runs.listeners += [feed.tell, runner.wake, deliverer.wake]
    tokens, guard = Tokens(database, auditor), Guard(settings.limits)
    service = Service(settings, runs, tokens, runner, feed, guard, outbox, deliverer, ShownRuns())
    api = make_api()
    api.state.service = service
    return Server(Gate(api, ALL_ROUTES, service.tokens, settings), api, service)


def _news(database: Database, after: int, runs: Collection[int]) -> News:
    with database.look() as connection:
        return events_beyond(connection, after, runs, MOST_EVENTS)


def make_api() -> FastAPI:
    """The application with its routes, which has no service yet."""
    api = FastAPI(
        title="Curator", version=version("curator-corpora"), openapi_url=None, lifespan=_lifespan, docs_url=None
    )
    install(api, ALL_ROUTES)
    _handle_errors(api)
    return api


def check_exposure(settings: Settings, tokens: Tokens) -> str | None:
    """A one-time token where none is configured and only this machine reaches the server. UserError beyond that."""
    if tokens.any_valid():
        return None
    if not settings.is_loopback:
        raise UserError(
            f"{settings.host} is reached from other machines, and no token is configured",
            hint="make one with `curator tokens create NAME --scope admin`, or bind 127.0.0.1",
        )
    return tokens.one_time()


def listen(settings: Settings) -> socket.socket:
    """The socket of a server. UserError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named: asyncio sends at once (TCP_NODELAY) on such sockets alone, else an answer waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Those that are accepted have it too (RFC 5482; tcp(7)).
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MILLISECONDS)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen()  # who is told the address may connect at once, and is answered when the server has begun
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"{where} cannot be bound: {error.strerror}", hint="choose another --port") from error
    return listening


def make_web(server: Server) -> uvicorn.Server:
    """What speaks HTTP for a server."""
    config = uvicorn.Config(
        server.app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=64 << 10,
        ws="none",
    )
    return uvicorn.Server(config)


def run(server: Server, listening: socket.socket) -> None:
    """Serve until the process is told to end. Runs go on; the next server of this state folder adopts them."""
    web = make_web(server)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)  # uvicorn ends at either, and raises it again when it has
    try:
        web.run(sockets=[listening])
    finally:
        server.service.stop()
        server.service.runs.database.close()


def _end(_number: int, _frame: FrameType | None) -> None:
    """The server has ended as it was told to: nothing is left to do."""


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    service: Service = api.state.service
    service.feed.open()
    yield
    service.feed.close()


def _handle_errors(api: FastAPI) -> None:
    handlers = {
        ProblemError: _told,
        RequestValidationError: _invalid,
        HTTPException: _malformed,
        UserError: _refused,
        DataError: _damaged,
        TransientError: _away,
        DBAPIError: _unavailable,
        PoolTimeout: _unavailable,
        Exception: _fault,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _answer(error: ProblemError) -> Response:
    return Response(error.body, error.problem.status, error.headers, media_type=MEDIA_TYPE)


def _told(_request: Request, error: Exception) -> Response:
    return _answer(error if isinstance(error, ProblemError) else ProblemError("service.fault", "see the log"))


def _invalid(_request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(each["type"] == "json_invalid" for each in found):
        return _answer(ProblemError("request.malformed", "the body is not valid JSON"))
    errors = tuple(
        Violation(place=_plain(".".join(map(str, each["loc"]))), message=_plain(words_of(each))) for each in found
    )
    detail = "; ".join(f"{each.place}: {each.message}" for each in errors[:3])
    return _answer(ProblemError("request.invalid", detail, errors=errors[:50]))


def _plain(text: str) -> str:
    """The text with halves of surrogate pairs escaped: what was sent may stand in it."""
    return text.encode(errors="backslashreplace").decode()


def _malformed(_request: Request, error: Exception) -> Response:
    detail = str(error.detail) if isinstance(error, HTTPException) else ""
    return _answer(ProblemError("request.malformed", detail))


def _refused(_request: Request, error: Exception) -> Response:
    hint = error.hint if isinstance(error, UserError) else None
    return _answer(ProblemError("run.refused", str(error), hint=hint))


def _damaged(_request: Request, error: Exception) -> Response:
    return _answer(ProblemError("run.damaged", str(error)))


def _away(_request: Request, error: Exception) -> Response:
    return _answer(storage_problem(error) if isinstance(error, TransientError) else store_problem(error))


def _unavailable(_request: Request, error: Exception) -> Response:
    logging.getLogger("curator.serve").warning("the store does not answer: %s", type(error).__name__)
    return _answer(store_problem(error))


def _fault(_request: Request, _error: Exception) -> Response:
    return _answer(ProblemError("service.fault", "the log of the service has more"))
