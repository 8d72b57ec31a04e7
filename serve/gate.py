"""What stands before every route: host, origin, size, token, rate, scope; and the headers of every answer.

Nothing is let through unless it says otherwise: a path that is not in the table of routes is answered here, and only
to who has a token, so that others learn nothing. Cookies are neither set nor read, and no other origin may read an
answer, so a page of somebody else can do nothing with a browser's reach.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence

from anyio import to_thread
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from curator.errors import Bug
from serve.metrics import observe
from serve.problems import MEDIA_TYPE, ProblemError
from serve.rates import Rate
from serve.routing import Route
from serve.settings import Settings
from serve.tokens import Principal, Tokens

PRINCIPAL = "principal"
"""Where a request's state holds who asks."""

SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_HEADERS = (
    (b"content-security-policy", SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Those that are counted by name: anybody can make up others."""
_LINK = ("navigate", "document")
"""What a browser says of a request for a whole page (Fetch Metadata Request Headers, sections 2.1 and 2.2)."""
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

DISK_FULL = "53100"
"""PostgreSQL, appendix A: error codes."""

_log = logging.getLogger("curator.serve")


class Gate:
    """The middleware."""

    def __init__(self, app: ASGIApp, routes: Sequence[Route], tokens: Tokens, settings: Settings) -> None:
        self._app = app
        self._routes = routes
        self._tokens = tokens
        self._body_bytes = settings.limits.body_bytes
        self._hosts = {*_LOOPBACK_HOSTS, *settings.hosts}
        self._origins = set(settings.origins)
        limits = settings.limits
        self._reads = Rate(limits.read_rate, limits.read_burst)
        self._writes = Rate(limits.submit_rate, limits.submit_burst)
        self._refused = Rate(limits.refused_rate, limits.refused_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise Bug(f"the service has no {scope['type']}")
        answer = _Answer(send, scope["method"])
        try:
            await self._admit(scope, answer)
            await self._app(scope, await self._with_body(scope["method"], receive), answer)
        except ProblemError as error:
            await answer.tell(error)
        except (DBAPIError, PoolTimeout) as error:
            _log.warning("the store does not answer: %s", type(error).__name__)
            await answer.tell(store_problem(error))

    async def _admit(self, scope: Scope, answer: _Answer) -> None:
        """ProblemError unless the request may be passed on; who asks stands in the request's state afterwards."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_host(scope["method"], headers)
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            raise ProblemError("request.malformed", "the address holds a NUL")
        self._check_body(scope["method"], headers)
        route, others = self._match(scope)
        answer.route = "" if route is None else route.path
        scope.setdefault("state", {})[PRINCIPAL] = None
        if route is not None and route.scope is None:
            return
        principal = await self._principal(scope, headers)
        scope["state"][PRINCIPAL] = principal
        rate = self._writes if route is not None and route.writes else self._reads
        wait = rate.take(principal.token)
        if wait:
            raise ProblemError("rate.exceeded", f"try again in {wait} s", headers={"Retry-After": str(wait)})
        if route is None:
            if others:
                allowed = ", ".join(sorted(others))
                raise ProblemError("route.method", f"it takes {allowed}", headers={"Allow": allowed})
            raise ProblemError("route.unknown", "see /v1/openapi.json for those that there are")
        if route.scope is not None and not principal.may(route.scope):
            raise ProblemError("token.scope", f"it needs the scope {route.scope}, the token has {principal.scope}")

    async def _with_body(self, method: str, receive: Receive) -> Receive:
        """What receives the body again that was read here, where there may be one. ProblemError if it is too large."""
        if method in ("GET", "HEAD"):
            return receive
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ProblemError("request.malformed", "the body ended too early")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._body_bytes:
                raise _too_large(self._body_bytes)
        return _Replay(body, receive)

    def _match(self, scope: Scope) -> tuple[Route | None, set[str]]:
        """The route of a request, and the methods of its path."""
        matching = [route for route in self._routes if route.pattern.match(scope["path"])]
        found = next((route for route in matching if route.method == scope["method"]), None)
        return found, {route.method for route in matching}

    def _check_host(self, method: str, headers: Mapping[str, str]) -> None:
        host = headers.get("host", "").lower()
        name = re.sub(r":\d+$", "", host)
        if name not in self._hosts:
            raise ProblemError("request.host", "the Host header names another", hint="--allow-host adds a name")
        origin = headers.get("origin", "").lower()
        if origin and origin not in (f"http://{host}", f"https://{host}") and origin not in self._origins:
            raise ProblemError("request.origin", "the request comes from a page of another origin")
        # Who follows a link from elsewhere opens the page, in a tab of its own, with no token.
        is_link = method == "GET" and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == _LINK
        is_own = is_link or headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        if not is_own and origin not in self._origins:
            raise ProblemError("request.origin", "the request comes from a page of another origin")

    def _check_body(self, method: str, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length")
        if length is not None and (not length.isdecimal() or int(length) > self._body_bytes):
            raise _too_large(self._body_bytes)
        has_body = (length is not None and length != "0") or "transfer-encoding" in headers
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method not in ("GET", "HEAD") and has_body and media_type != "application/json":
            raise ProblemError("request.media_type", "send Content-Type: application/json")

    async def _principal(self, scope: Scope, headers: Mapping[str, str]) -> Principal:
        given = headers.get("authorization", "")
        token = token_of(given)
        principal = await to_thread.run_sync(self._tokens.find, token) if token else None
        if principal is not None:  # whatever else comes from its address: behind a proxy all have one
            return principal
        wait = self._refused.take(scope["client"][0] if scope.get("client") else "")
        if wait:
            raise ProblemError(
                "rate.exceeded", "too many requests without a good token", headers={"Retry-After": str(wait)}
            )
        challenge = {"WWW-Authenticate": 'Bearer realm="curator"'}
        if not given:
            raise ProblemError("token.missing", "send Authorization: Bearer TOKEN", headers=challenge)
        raise ProblemError("token.invalid", "it is not known, has expired, or is revoked", headers=challenge)


def token_of(header: str) -> str | None:
    """The token of an `Authorization` header, None where it has none."""
    match = _BEARER.fullmatch(header)
    return None if match is None else match[1]


class _Answer:
    """Sends an answer with the headers that every one has, and counts it under its route."""

    def __init__(self, send: Send, method: str) -> None:
        self._send = send
        self._method = method if method in _METHODS else "other"
        self._begun = False
        self._asked = time.monotonic()
        self.route = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            observe(self._method, self.route, message["status"], time.monotonic() - self._asked)
            own = {name.lower() for name, _ in message.get("headers", [])}
            message["headers"] = [
                *message.get("headers", []),
                *((name, value) for name, value in _HEADERS if name not in own),
            ]
        await self._send(message)

    async def tell(self, error: ProblemError) -> None:
        """Send a problem, unless an answer has begun: then it is cut off, which the client sees."""
        if self._begun:
            raise error
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
        headers += [(b"content-length", str(len(error.body)).encode())]
        await self({"type": "http.response.start", "status": error.problem.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": error.body})


class _Replay:
    """Receives a body that was read before."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()


def store_problem(error: Exception) -> ProblemError:
    """The problem of a store that does not answer, or cannot write."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(cause, sqlite3.OperationalError):
        is_full = cause.sqlite_errorcode == sqlite3.SQLITE_FULL
    else:
        is_full = getattr(cause, "sqlstate", None) == DISK_FULL
    code = "service.full" if is_full else "store.unavailable"
    return ProblemError(code, "nothing was changed", hint="try again later", headers={"Retry-After": "5"})


def _too_large(most: int) -> ProblemError:
    return ProblemError("request.too_large", f"a body has at most {most} bytes")
