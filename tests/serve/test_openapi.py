"""The OpenAPI document: as it was checked in, complete, and kept to by the answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.openapi import document
from serve.problems import CODES
from serve.routes.page import SCRIPTS
from tests.serve.servers import LOOSE, Running, make_settings, running

COPY = Path(__file__).parents[2] / "docs" / "openapi.json"

Json = dict[str, object]


def dig(value: object, *path: str) -> Json:
    for name in path:
        value = cast("Json", value)[name]
    return cast("Json", value)


def operations(found: Json) -> list[tuple[str, str, Json]]:
    return [(path, method, dig(of, method)) for path, of in dig(found, "paths").items() for method in cast("Json", of)]


@pytest.fixture(scope="module")
def unbounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose rates bound nothing."""
    with running(make_settings(tmp_path_factory.mktemp("openapi"), limits=LOOSE), work=False) as server:
        yield server


@pytest.fixture(scope="module")
def openapi(resting: Running) -> Json:
    return document(resting.server.api)


def test_the_copy_in_docs_is_the_document(openapi: Json) -> None:
    text = json.dumps(openapi, indent=1, ensure_ascii=False) + "\n"
    assert COPY.read_text(encoding="utf-8") == text, "write it with `python -m serve.describe > docs/openapi.json`"


def test_it_is_served(resting: Running, openapi: Json) -> None:
    with resting.http() as client:
        assert client.get("/v1/openapi.json").json() == json.loads(json.dumps(openapi))


def test_every_operation_says_what_it_does_what_it_needs_and_how_it_fails(openapi: Json) -> None:
    for path, method, operation in operations(openapi):
        where = f"{method} {path}"
        assert operation["description"], where
        assert operation["tags"], where
        public = not path.startswith("/v1") and path != "/metrics"
        assert ("security" in operation) is not public, where
        responses = dig(operation, "responses")
        assert any(status.startswith("2") for status in responses), where
        for status, response in responses.items():
            if status.startswith("2"):
                continue
            content = dig(response, "content", "application/problem+json")
            for code, example in dig(content, "examples").items():
                assert dig(example, "value")["code"] == code
                assert CODES[code].status == int(status), (where, code)


def test_every_reference_in_it_leads_somewhere(openapi: Json) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(openapi))):
        dig(openapi, *reference.split("/"))


def test_examples_of_requests_are_valid(openapi: Json) -> None:
    schema = dig(openapi, "components", "schemas", "RunRequest")
    examples = cast("list[object]", schema["examples"])
    assert examples
    for example in examples:
        jsonschema.validate(example, {**schema, "components": openapi["components"]})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


INTEGERS = st.integers().map(str)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


def keep(schema: Json, body: object) -> None:
    """AssertionError unless an answer is as the document has it."""
    jsonschema.validate(body, {**schema, "components": DOCUMENT["components"]})


@dataclass(frozen=True)
class Sent:
    """A request of some operation, with values that may or may not do."""

    operation: int
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: object
    has_token: bool


DOCUMENT: Json = json.loads(COPY.read_text(encoding="utf-8"))
OPERATIONS = [each for each in operations(DOCUMENT) if each[0] != "/metrics"]
FIELDS = st.sampled_from(["recipe", "inputs", "output", "overrides", "priority", "x"])


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A request of some operation."""
    number = draw(st.integers(0, len(OPERATIONS) - 1))
    path, _, operation = OPERATIONS[number]
    parameters = cast("list[Json]", operation.get("parameters", []))
    for name in re.findall(r"\{(\w+)\}", path):
        path = path.replace(f"{{{name}}}", quote(draw(WORDS.filter(bool)), safe=""))
    query = {
        str(one["name"]): draw(WORDS | INTEGERS) for one in parameters if one["in"] == "query" and draw(st.booleans())
    }
    headers = {str(one["name"]): draw(VISIBLE) for one in parameters if one["in"] == "header" and draw(st.booleans())}
    body = draw(st.dictionaries(FIELDS, VALUES)) if "requestBody" in operation else None
    return Sent(number, path, query, headers, body, draw(st.booleans()))


@pytest.mark.slow
@settings(max_examples=150)
@given(requests())
def test_whatever_is_sent_is_answered_as_the_document_says(unbounded: Running, sent: Sent) -> None:
    _, method, operation = OPERATIONS[sent.operation]
    with unbounded.http(unbounded.token if sent.has_token else "") as client:
        answer = client.request(method, sent.path, params=sent.query, headers=sent.headers, json=sent.body)
    known = dig(operation, "responses")
    status = str(answer.status_code)
    if status not in known or ("%2F" in sent.path and answer.json().get("code") == "route.unknown"):
        # A path that a part of itself has turned into another.
        assert answer.json()["code"] in ("route.unknown", "route.method", "token.missing"), answer.text
    elif answer.headers["content-type"] == "application/problem+json":
        problem = answer.json()
        assert problem["code"] in dig(known[status], "content", "application/problem+json", "examples")
        keep(dig(DOCUMENT, "components", "schemas", "Problem"), problem)
    elif answer.headers["content-type"] == "application/json":
        keep(dig(known[status], "content", "application/json", "schema"), answer.json())


def test_docs_list_every_problem_and_every_route() -> None:
    text = (COPY.parent / "service.md").read_text(encoding="utf-8")
    listed = {
        code: int(status) for code, status in re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (\d+) \|", text, re.MULTILINE)
    }
    assert listed == {code: kind.status for code, kind in CODES.items()}
    told = set(re.findall(r"`(GET|POST) (/\S*)`", text))
    public = {"/", "/style.css", "/icon.svg", *(f"/{name}" for name in SCRIPTS)}
    assert told == {(method.upper(), path) for path, method, _ in operations(DOCUMENT) if path not in public}


def test_every_problem_that_is_raised_has_a_code_and_every_code_is_raised() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (COPY.parents[1] / "serve").rglob("*.py"))
    raised = set(re.findall(r'"([a-z]+\.[a-z_]+)"', sources.replace(_codes_of(sources), "")))
    assert set(CODES) <= raised


def _codes_of(sources: str) -> str:
    """The table of codes itself."""
    begin = sources.index("CODES: Mapping[str, Kind] = {")
    return sources[begin : sources.index("}", begin)]
