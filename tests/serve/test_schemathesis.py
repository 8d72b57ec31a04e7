"""The OpenAPI document against the server, by Schemathesis: requests as the document has them and as it has not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from serve.places import Places
from tests.serve.servers import Running, make_settings, running

FOLDER = Path(__file__).parent
COPY = FOLDER.parents[1] / "docs" / "openapi.json"

pytestmark = pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without roots: whatever is submitted is refused, so that nothing is worked on."""
    with running(make_settings(tmp_path_factory.mktemp("schemathesis"), places=Places())) as server:
        yield server


def run(server: Running, *options: str) -> None:
    """AssertionError unless nothing fails."""
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(FOLDER / "schemathesis.toml"), "run"]
    given = ["--url", server.url, "--seed", "0", "--no-color", *options]
    folder = server.settings.state.parent  # it leaves a cache where it runs
    done = subprocess.run([*program, str(COPY), *given], cwd=folder, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    assert "failures" not in done.stdout.splitlines()[-1]


def with_token(server: Running) -> tuple[str, str]:
    return "--header", f"Authorization: Bearer {server.token}"


@pytest.mark.long
def test_a_sample_of_requests_is_answered_as_the_document_says(served: Running) -> None:
    run(served, *with_token(served), "--phases=examples,fuzzing", "--max-examples=1")


@pytest.mark.long
@pytest.mark.timeout(1600)
def test_requests_with_a_token_are_answered_as_the_document_says(served: Running) -> None:
    run(served, *with_token(served), "--phases=examples,coverage,fuzzing", "--max-examples=20")


@pytest.mark.long
@pytest.mark.timeout(1600)
def test_requests_without_a_token_are_refused_as_the_document_says(served: Running) -> None:
    # Who has no token is not told which methods there are.
    run(served, "--phases=examples,coverage,fuzzing", "--max-examples=20", "--exclude-checks=unsupported_method")
