"""What stands before the routes: nothing is reached that was not meant to be."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from serve.routes import ALL_ROUTES
from serve.settings import Settings, host_of, origin_of
from serve.tokens import SCOPES
from tests.serve.servers import LOOSE, Running, make_settings, running, small_request

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/"),
    *(("GET", f"/{name}") for name in ("style.css", "icon.svg", "app.js", "client.js", "elements.js", "list.js")),
    *(("GET", f"/{name}") for name in ("live.js", "results.js", "submit.js", "trainings.js", "work.js")),
}
"""All that is answered without a token."""


@pytest.fixture(scope="module")
def open_gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose rates bound nothing."""
    with running(make_settings(tmp_path_factory.mktemp("gate"), limits=LOOSE), work=False) as server:
        yield server


def example(path: str) -> str:
    """A path that a route's pattern matches."""
    return re.sub(r"\{\w+(:path)?\}", "0123456789ab", path)


def code_of(body: bytes) -> str:
    return str(json.loads(body)["code"])


def raw(
    server: Running, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[int, bytes]:
    """A request with exactly these headers."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_every_route_and_method_without_a_token_is_denied_unless_it_is_public(open_gate: Running) -> None:
    with open_gate.http("") as client:
        for path in sorted({route.path for route in ALL_ROUTES}):
            for method in METHODS:
                status = client.request(method, example(path)).status_code
                expected = {200} if (method, path) in PUBLIC else {401}
                assert status in expected or (path == "/readyz" and status == 503), (method, path, status)


def test_the_routes_of_the_application_are_those_of_the_table(open_gate: Running) -> None:
    routes = [route for route in open_gate.server.api.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(open_gate.server.api.routes)
    served = {(method, route.path) for route in routes for method in route.methods or ()}
    assert served == {(route.method, route.path) for route in ALL_ROUTES}
    assert {(route.method, route.path) for route in ALL_ROUTES if route.scope is None} == PUBLIC


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
def test_every_route_needs_the_scope_that_it_says(open_gate: Running, scope: str) -> None:
    token = open_gate.create_token(f"of-{scope}", scope)
    with open_gate.http(token) as client:
        for route in ALL_ROUTES:
            if route.scope is None or "openapi" in route.path:
                continue
            response = client.request(route.method, example(route.path))
            may = SCOPES.index(scope) >= SCOPES.index(route.scope)
            assert (response.status_code == 403) is not may, (route.path, response.text)


def test_a_route_that_is_not_in_the_table_is_not_reached(open_gate: Running) -> None:
    open_gate.server.api.add_api_route("/forgotten", lambda: {"secret": 1})
    try:
        with open_gate.http() as client, open_gate.http("") as stranger:
            assert client.get("/forgotten").json()["code"] == "route.unknown"
            assert stranger.get("/forgotten").status_code == 401
    finally:
        open_gate.server.api.router.routes.pop()


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"], exclude_characters="?#"), max_size=40))
def test_no_other_path_is_answered_without_a_token(open_gate: Running, path: str) -> None:
    if ("GET", f"/{path}") not in PUBLIC:
        status, _ = raw(open_gate, "GET", f"/{path}", {"Host": "localhost"})
        assert status in (400, 401)


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/v1/runs/healthz", "/app.js/../v1/runs", "/%68ealthz/x", "/v1/../app.js"]
)
def test_a_path_that_only_looks_public_is_not(open_gate: Running, path: str) -> None:
    assert raw(open_gate, "GET", path, {"Host": "localhost"})[0] == 401


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer x",
        "bearer curator_000000000000_" + "a" * 43,
        "Bearer \u00e9",
        "Token x",
    ],
)
def test_a_token_that_is_none_is_refused(open_gate: Running, value: str) -> None:
    headers = {"Host": "localhost", "Authorization": value}
    connection_status, body = raw(open_gate, "GET", "/v1/runs", headers)
    assert (connection_status, code_of(body)) in ((401, "token.invalid"), (401, "token.missing"))


@pytest.mark.parametrize("path", ["/v1/runs/a%00b", "/v1/runs?owner=%00", "/v1/runs?label=a=%00"])
def test_an_address_with_a_nul_is_malformed(open_gate: Running, path: str) -> None:
    headers = {"Host": "localhost", "Authorization": f"Bearer {open_gate.token}"}
    status, body = raw(open_gate, "GET", path, headers)
    assert (status, code_of(body)) == (400, "request.malformed")


def test_a_challenge_says_how_to_authenticate(open_gate: Running) -> None:
    with open_gate.http("") as client:
        assert client.get("/v1/runs").headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, "request.host"),
        ({"Host": "localhost.evil.example"}, "request.host"),
        ({"Host": ""}, "request.host"),
        ({"Host": "127.0.0.1", "Origin": "http://evil.example"}, "request.origin"),
        ({"Host": "127.0.0.1", "Origin": "null"}, "request.origin"),
        ({"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"}, "request.origin"),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1:1"}, "request.origin"),
    ],
)
def test_another_host_or_origin_is_refused_even_with_a_token(
    open_gate: Running, headers: dict[str, str], code: str
) -> None:
    given_headers = {"Authorization": f"Bearer {open_gate.token}", **headers}
    assert code_of(raw(open_gate, "GET", "/v1/runs", given_headers)[1]) == code
    assert code_of(raw(open_gate, "GET", "/", given_headers)[1]) == code


def test_a_link_from_elsewhere_opens_the_page_and_nothing_else_comes_from_there(open_gate: Running) -> None:
    elsewhere = {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
    link = {**elsewhere, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert raw(open_gate, "GET", "/", link)[0] == 200
    assert code_of(raw(open_gate, "GET", "/v1/runs", link)[1]) == "token.missing"
    for headers in (
        {**link, "Sec-Fetch-Dest": "iframe"},
        {**link, "Origin": "http://evil.example"},
        {**elsewhere, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    ):
        assert code_of(raw(open_gate, "GET", "/", headers)[1]) == "request.origin"
    assert code_of(raw(open_gate, "POST", "/v1/runs", link, b"{}")[1]) == "request.origin"


@pytest.mark.slow
def test_the_own_origin_and_allowed_names_pass(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, hosts=("curator.example",), origins=("https://tools.example",))
    with running(settings, work=False) as server:
        token = {"Authorization": f"Bearer {server.token}"}
        for headers in (
            {"Host": "curator.example", "Origin": "https://curator.example"},
            {"Host": "CURATOR.example:80"},
            {"Host": "localhost", "Origin": "https://tools.example", "Sec-Fetch-Site": "cross-site"},
        ):
            assert raw(server, "GET", "/v1/me", {**token, **headers})[0] == 200


def test_no_answer_lets_another_origin_read_it_or_sets_a_cookie(open_gate: Running) -> None:
    with open_gate.http() as client:
        for path in ("/", "/app.js", "/v1/runs", "/v1/nothing", "/healthz"):
            headers = client.get(path).headers
            assert "access-control-allow-origin" not in headers
            assert "set-cookie" not in headers
            assert headers["x-content-type-options"] == "nosniff"
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in policy


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(open_gate: Running) -> None:
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {open_gate.token}",
        "Content-Type": "application/json",
    }
    most = open_gate.settings.limits.body_bytes
    status, body = raw(open_gate, "POST", "/v1/runs", {**headers, "Content-Length": str(most + 1)})
    assert (status, code_of(body)) == (413, "request.too_large")
    with open_gate.http() as client:
        chunks = (b" " * 65_536 for _ in range(most // 65_536 + 1))
        response = client.post("/v1/runs", content=chunks, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "request.too_large")


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"{}", "text/plain", 415, "request.media_type"),
        (b"{}", "application/x-www-form-urlencoded", 415, "request.media_type"),
        (b"{}", None, 415, "request.media_type"),
        (b"{", "application/json", 400, "request.malformed"),
        (b"\xff\xfe", "application/json", 400, "request.malformed"),
        (b"[" * 100_000, "application/json", 400, "request.malformed"),
        (b"[]", "application/json", 422, "request.invalid"),
        (b"{}", "application/json; charset=utf-8", 422, "request.invalid"),
        (b'{"inputs": ["/x"], "output": "x", "more": 1}', "application/json", 422, "request.invalid"),
    ],
)
def test_a_body_that_will_not_do_is_told_as_a_problem(
    open_gate: Running, body: bytes, media_type: str | None, status: int, code: str
) -> None:
    headers = {"Host": "localhost", "Authorization": f"Bearer {open_gate.token}"}
    if media_type:
        headers["Content-Type"] = media_type
    found, answer = raw(open_gate, "POST", "/v1/runs", headers, body)
    assert (found, code_of(answer)) == (status, code)


def with_limits(folder: Path, **limits: float) -> Settings:
    return make_settings(folder, limits=replace(LOOSE, **limits))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_token_that_asks_too_often_is_told_when_to_come_again_and_others_are_not(tmp_path: Path) -> None:
    with running(with_limits(tmp_path, read_rate=0.01, read_burst=3), work=False) as server:
        other = server.create_token("other", "read")
        with server.http() as client, server.http(other) as second:
            answers = [client.get("/v1/me") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            assert int(answers[-1].headers["Retry-After"]) > 50
            assert second.get("/v1/me").status_code == 200


@pytest.mark.slow
def test_submissions_have_a_rate_of_their_own(tmp_path: Path) -> None:
    with (
        running(with_limits(tmp_path, submit_rate=0.01, submit_burst=1), work=False) as server,
        server.http() as client,
    ):
        statuses = [client.post("/v1/runs", json=small_request(tmp_path, f"r{number}")).status_code for number in "12"]
        assert statuses == [202, 429]
        assert client.get("/v1/me").status_code == 200


@pytest.mark.slow
def test_who_guesses_tokens_is_slowed_down_and_who_has_one_is_not_counted(tmp_path: Path) -> None:
    with running(with_limits(tmp_path, refused_rate=0.01, refused_burst=5), work=False) as server:
        with server.http() as client:
            assert {client.get("/v1/me").status_code for _ in range(10)} == {200}
        with server.http("curator_000000000000_" + "a" * 43) as guesser:
            assert [guesser.get("/v1/me").status_code for _ in range(7)] == [401] * 5 + [429] * 2
        with server.http("") as stranger:
            assert stranger.get("/v1/me").status_code == 429
        with server.http() as client:  # from the same address, as all are behind a proxy
            assert {client.get("/v1/me").status_code for _ in range(10)} == {200}


def test_what_is_counted_names_no_method_or_path_that_somebody_made_up(open_gate: Running) -> None:
    with open_gate.http() as client:
        client.request("BREW", "/v1/runs/secret-name")
        text = client.get("/metrics").text
    assert 'method="other"' in text
    assert "BREW" not in text
    assert "secret-name" not in text
    assert 'curator_runs{state="queued"}' in text


@pytest.mark.parametrize("text", ["nonsense", "https://", "https://host/page", "ftp://host", "https://me@host", "*"])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not an origin"):
        origin_of(text)


@pytest.mark.parametrize("text", ["https://host", "http://10.0.0.1:8080", "https://[::1]:443", "HTTPS://Host"])
def test_an_origin_is_taken_as_browsers_send_it(text: str) -> None:
    assert origin_of(text) == text.lower()


@pytest.mark.parametrize("text", ["", "https://host", "host:8000", "host/page", "*.host", "::1"])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a host name"):
        host_of(text)


@pytest.mark.parametrize("text", ["curator-service.curator.svc", "Host", "10.0.0.1", "[2001:DB8::1]"])
def test_a_host_name_is_taken_as_the_header_has_it(text: str) -> None:
    assert host_of(text) == text.lower()
