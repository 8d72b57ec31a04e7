"""`curator runs … --server` and `curator submit --server`, as people run them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curator.cli.main import app
from curator.cli.remote import TOKEN_VARIABLE, Remote, client_of, exit_code_of
from curator.errors import CuratorError, TransientError, UserError
from serve.client import Client
from serve.models import Progress, Run, RunRequest
from serve.states import TERMINAL, State
from tests.command import curator, told
from tests.serve.servers import SMALL, Running, running, small_request
from tests.serve.servers import make_settings as make_settings_of


def invoke(server: Running, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments, "--server", server.url], env={TOKEN_VARIABLE: server.token})
    if isinstance(done.exception, CuratorError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout


def requests_of(folder: Path, number: int) -> Iterator[RunRequest]:
    """Requests for small runs."""
    for name in range(number):
        yield RunRequest.model_validate(small_request(folder, f"run{name}"))


@pytest.mark.slow
def test_a_run_is_submitted_followed_listed_and_shown(working: Running, tmp_path: Path) -> None:
    folder = working.settings.state.parent
    recipe = tmp_path / "small.json"
    recipe.write_text(json.dumps(SMALL))
    arguments = ("submit", str(folder / "in"), "-o", "commanded", "-r", str(recipe), "--key", "c1", "--json")
    found = json.loads(invoke(working, *arguments, "--wait"))
    assert (found["state"], found["output"]) == ("succeeded", str(folder / "out" / "commanded"))
    assert json.loads(invoke(working, *arguments))["id"] == found["id"]
    assert found["id"] in [run["id"] for run in json.loads(invoke(working, "runs", "list", "--json"))]
    shown = invoke(working, "runs", "show", found["id"])
    assert [line.split()[3] for line in shown.splitlines()[-4:]] == ["queued", "starting", "running", "succeeded"]
    assert "[4/4] write" in invoke(working, "runs", "logs", found["id"])
    with pytest.raises(UserError, match="the run has ended: it has succeeded"):
        invoke(working, "runs", "cancel", found["id"])


@pytest.mark.slow
def test_who_waits_is_told_what_came_of_the_run(working: Running, tmp_path: Path) -> None:
    folder = working.settings.state.parent
    (folder / "in" / "rough").mkdir()
    (folder / "in" / "rough" / "a.jsonl").write_text('{"text": "one"}\nbroken\n{"text": "two"}\n')
    (folder / "in" / "rough" / "b.jsonl").write_text("broken\n")
    (folder / "in" / "rough" / "README").write_text("Read this.")
    recipe = tmp_path / "small.json"
    recipe.write_text(json.dumps(SMALL))
    arguments = ("submit", str(folder / "in" / "rough"), "-o", "rough", "-r", str(recipe), "--wait")
    asked = ("--server", working.url)
    done = CliRunner().invoke(app, [*arguments, *asked], env={TOKEN_VARIABLE: working.token})
    assert done.stdout.splitlines() == [
        "2 documents in (2 records could not be read), 2 kept",
        "note: of 1 file nothing could be read: b.jsonl",
        f"directory: {folder / 'out' / 'rough'}",
    ]
    skipped = f"curator: 1 file is not read: {folder / 'in' / 'rough' / 'README'}; it is of unknown format: "
    assert any(line.startswith(skipped) for line in done.stderr.splitlines())
    assert re.search(r"^curator: run [0-9a-f]{12} has succeeded$", done.stderr, re.MULTILINE)


@pytest.mark.slow
def test_the_shell_offers_the_runs_of_a_service(resting: Running, tmp_path: Path) -> None:
    with resting.http() as client:
        body = small_request(resting.settings.state.parent, "offered")
        run = client.post("/v1/runs", json=body).json()["id"]
    for server, expected in ((resting.url, [run]), ("http://127.0.0.1:9", [])):
        words = f"curator runs show --server {server} {run[:6]}"
        asked = {"_CURATOR_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "5"}
        done = curator(env={**asked, TOKEN_VARIABLE: resting.token})
        assert done.stdout.split() == expected, done.stderr


@pytest.mark.slow
def test_a_run_is_cancelled_and_resumed(tmp_path: Path) -> None:
    with running(make_settings_of(tmp_path), work=False) as server:
        made = invoke(server, "submit", str(tmp_path / "in"), "-o", "x", "--set", "dedup.threshold=0.9")
        run = made.strip().splitlines()[-1]
        assert json.loads(invoke(server, "runs", "cancel", run, "--json"))["state"] == "cancelled"
        allowing = ("--max-error-rate", "0.5", "--json")
        assert json.loads(invoke(server, "runs", "resume", run, *allowing))["state"] == "queued"
        asked = json.loads(invoke(server, "runs", "show", run, "--json"))["request"]
        assert asked["overrides"] == ["dedup.threshold=0.9", "max_error_rate=0.5"]
        assert run in invoke(server, "runs", "list")


@pytest.mark.slow
def test_a_run_is_named_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    with running(make_settings_of(tmp_path), work=False) as server, server.client() as client:
        made = [client.submit(request).id for request in requests_of(tmp_path, 17)]  # two of which begin alike
        first = next(run for run in made if sum(other[0] == run[0] for other in made) > 1)
        with pytest.raises(UserError, match=f"'{first[0]}' is more than one run: .*{first}"):
            invoke(server, "runs", "show", first[0])
        begins = next(
            first[:length] for length in range(12) if sum(run.startswith(first[:length]) for run in made) == 1
        )
        assert first in invoke(server, "runs", "show", begins.upper())
        assert json.loads(invoke(server, "runs", "cancel", begins, "--json"))["id"] == first
        assert json.loads(invoke(server, "runs", "resume", begins, "--json"))["id"] == first
        with pytest.raises(
            UserError, match=r"no run has the id 'x' \(`curator runs list --server http:\S+` lists them"
        ):
            invoke(server, "runs", "logs", "x")


@pytest.mark.slow
def test_what_the_service_refuses_is_what_the_command_says(resting: Running) -> None:
    with pytest.raises(UserError, match="there is no such run"):
        invoke(resting, "runs", "show", "0123456789ab")
    with pytest.raises(UserError, match="does not lie below an input root"):
        invoke(resting, "submit", "/etc/passwd", "-o", "x")
    for option in ("--resume", "--install", "--address=http://x"):
        with pytest.raises(UserError, match="does not go with --server"):
            invoke(resting, "submit", "/x", "-o", "x", option)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "nonsense"), "overrides.0"),
        (("-o", ""), "output"),
        (("--key", "ü"), "is no Idempotency-Key"),
        (("--key", "a b"), "is no Idempotency-Key"),
    ],
)
def test_what_a_submission_cannot_say_is_refused_before_it_is_sent(
    resting: Running, arguments: tuple[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        invoke(resting, "submit", "/in", "-o", "x", "-r", "web", *arguments)


@pytest.mark.parametrize(
    ("url", "token"), [("http://[::1", "x"), ("http://a", "tökén"), ("http://a", "a\nb"), ("http://a", "")]
)
def test_what_is_no_address_or_token_is_told(url: str, token: str) -> None:
    with pytest.raises(UserError):
        Client(url, token)


@contextmanager
def proxy(statuses: list[int]) -> Iterator[str]:
    """What stands before a service that is away: gives these answers, and then that of a service."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses.pop(0) if statuses else 200
            self.send_response(status)
            self.send_header("Retry-After", "Fri, 27 Nov 2026 07:00:00 GMT")
            self.end_headers()
            self.wfile.write(b'{"name": "a", "scope": "read", "expires": null}' if status == 200 else b"<html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in http.server)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.slow
def test_a_proxy_whose_service_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.client.LONGEST_WAIT_S", 0.01)
    with proxy([502, 503, 504]) as url, Client(url, "x") as client:
        assert client.me().name == "a"
    with proxy([502] * 9) as url, Client(url, "x", tries=3) as client:
        with pytest.raises(TransientError, match="answers 502"):
            client.me()
        with pytest.raises(TransientError, match="answers 502"):
            client.wait("0123456789ab")
    with proxy([404]) as url, Client(url, "x") as client, pytest.raises(UserError, match="is it a service of Curator"):
        client.me()


@pytest.mark.slow
def test_without_a_token_or_a_server_it_is_one_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = curator("runs", "list", "--server", "http://127.0.0.1:9", env={TOKEN_VARIABLE: ""})
    assert (done.returncode, "no token is given" in told(done)) == (2, True)
    file = tmp_path / "token"
    for data, said in ((b"\r\n", "it is empty"), ("curator_x".encode("utf-16"), "not ASCII")):
        file.write_bytes(data)
        done = curator("runs", "list", "--server", "http://127.0.0.1:9", "--token-file", file)
        assert f"{file}: holds no token: {said} (`curator tokens create` prints" in told(done)
    file.write_bytes(b"curator_x\r\n")
    monkeypatch.setenv(TOKEN_VARIABLE, "curator_x\r\n")
    for given in (file, None):
        remote = client_of(Remote("http://127.0.0.1:9", given), tries=1)  # whose header holds no line end
        with remote as client, pytest.raises(TransientError, match="does not answer"):
            client.me()
    with Client("http://127.0.0.1:9", "x", tries=1) as client, pytest.raises(TransientError, match="does not answer"):
        client.me()
    with pytest.raises(UserError, match="not the URL of a service"):
        Client("ftp://x", "x")


@pytest.mark.parametrize(
    ("state", "exit_code", "expected"),
    [
        (State.SUCCEEDED, 0, 0),
        (State.CANCELLED, 130, 130),
        (State.LOST, 75, 75),
        (State.FAILED, 2, 2),
        (State.FAILED, 3, 3),
        (State.FAILED, 70, 70),
        (State.FAILED, 75, 75),
    ],
)
def test_each_terminal_state_has_its_exit_code(state: State, exit_code: int, expected: int) -> None:
    run = Run(
        id="x",
        owner="x",
        recipe="x",
        output="x",
        labels={},
        priority=0,
        created=0,
        updated=0,
        state=state,
        attempt=1,
        version=1,
        progress=Progress(),
        exit_code=exit_code,
    )
    assert exit_code_of(run) == expected
    assert state in TERMINAL
