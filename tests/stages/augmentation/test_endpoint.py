"""The translator `endpoint` against a real HTTP server on loopback that behaves as it is told."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from curator.errors import TransientError, UserError
from stages.augmentation import endpoint
from stages.augmentation.endpoint import Endpoint
from stages.augmentation.translator import Translator, TranslatorChoice, create
from tests.command import curator
from tests.runs import recipe_text, rows, write_jsonl

TEXT = "Totes los èssers umans naisson liures\ne egals en dignitat."


class Server(ThreadingHTTPServer):
    """Answers with the text in capitals; `says` maps a word of a text to what happens instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, object]] = []
        self.keys: set[str | None] = set()
        self.seen: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked)
        self.server.keys.add(self.headers["Authorization"])
        content = asked["messages"][0]["content"]
        text = content.split("\n---\n")[1].removesuffix("\n---")
        self.server.seen[text] += 1
        status, reason, said = 200, "stop", text.upper()
        if "busy" in text and self.server.seen[text] < 3:
            status = 503
        elif "always busy" in text:
            status = 429
        elif "forbidden" in text:
            status = 401
        elif "elsewhere" in text:
            status = 307
        elif "cut" in text:
            reason = "length"
        elif "silent" in text:
            said = "  "
        answer = json.dumps({"choices": [{"message": {"content": said}, "finish_reason": reason}]}).encode()
        if "rubbish" in text:
            answer = b"<html>"
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "http://127.0.0.1:9/v1")
        self.end_headers()
        self.wfile.write(answer if self.path == "/v1/chat/completions" else b"{}")

    def log_message(self, *args: object) -> None:
        """Nothing: standard error is the test's."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_MOST_WAIT_S", 0.01)


def translator(server: Server, tmp_path: Path, **options: object) -> Endpoint:
    return Endpoint(url=server.url, model="tiny", cache=str(tmp_path / "cache"), **options)


def test_a_text_is_asked_for_once_and_then_known(server: Server, tmp_path: Path) -> None:
    found = translator(server, tmp_path)
    assert isinstance(found, Translator)
    assert found.translate("oc", "fr", [TEXT, "12", TEXT]) == [TEXT.upper(), "12", TEXT.upper()]
    assert translator(server, tmp_path).translate("oc", "fr", [TEXT]) == [TEXT.upper()]
    assert len(server.asked) == 1
    assert server.asked[0]["temperature"] == 0
    content = server.asked[0]["messages"][0]["content"]  # type: ignore[index]  # JSON
    assert "from Occitan to French" in content


def test_another_pair_or_prompt_is_asked_anew(server: Server, tmp_path: Path) -> None:
    translator(server, tmp_path).translate("oc", "fr", [TEXT])
    translator(server, tmp_path).translate("oc", "es", [TEXT])
    translator(server, tmp_path, prompt="Say in {target}:\n---\n{text}\n---").translate("oc", "fr", [TEXT])
    assert len(server.asked) == 3


def test_answers_that_are_no_translation_count_as_none(server: Server, tmp_path: Path) -> None:
    texts = ["this is cut", "this is silent", "this is rubbish", "this is fine"]
    assert translator(server, tmp_path).translate("oc", "fr", texts) == [None, None, None, "THIS IS FINE"]


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    assert translator(server, tmp_path).translate("oc", "fr", ["busy at first"]) == ["BUSY AT FIRST"]
    assert server.seen["busy at first"] == 3


def test_a_server_that_stays_busy_is_given_up_and_what_it_answered_is_kept(server: Server, tmp_path: Path) -> None:
    found = translator(server, tmp_path, attempts=3, requests=1)
    with pytest.raises(TransientError, match="no answer after 3 attempts"):
        found.translate("oc", "fr", ["this is fine", "always busy"])
    assert found.translate("oc", "fr", ["this is fine"]) == ["THIS IS FINE"]
    assert server.seen["this is fine"] == 1


@pytest.mark.parametrize(("text", "status"), [("forbidden", 401), ("elsewhere", 307)])
def test_a_refusal_and_a_redirect_end_it(server: Server, tmp_path: Path, text: str, status: int) -> None:
    with pytest.raises(UserError, match=f"the server answered with {status}"):
        translator(server, tmp_path).translate("oc", "fr", [text])
    assert server.seen[text] == 1


def test_the_key_comes_from_the_environment_and_stands_nowhere_else(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRANSLATOR_KEY", raising=False)
    unset = translator(server, tmp_path, key_variable="TRANSLATOR_KEY").requirement(("oc", "fr"))
    assert unset.problem == "the environment variable TRANSLATOR_KEY is not set"
    monkeypatch.setenv("TRANSLATOR_KEY", "secret-of-mine")
    found = translator(server, tmp_path, key_variable="TRANSLATOR_KEY")
    found.translate("oc", "fr", [TEXT])
    assert server.keys == {"Bearer secret-of-mine"}
    assert "secret" not in found.requirement(("oc", "fr")).identity
    assert b"secret-of-mine" not in b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())


def test_a_server_that_is_not_there_is_said_before_any_text_is_read(tmp_path: Path) -> None:
    found = Endpoint(url="http://127.0.0.1:9/v1", model="tiny", cache=str(tmp_path))
    problem = found.requirement(("oc", "fr")).problem
    assert problem is not None
    assert "nothing answers there" in problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://example.org/v1"}, "url must be https, or an address of this machine"),
        ({"url": "ftp://example.org/v1"}, r"url must be http\(s\)://HOST"),
        ({"url": "https://user:word@example.org/v1"}, "without a user"),
        ({"url": "https://example.org/v1", "prompt": "Translate."}, r"prompt must have \{text\}"),
        ({}, "url"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        create(TranslatorChoice(name="endpoint", options={"model": "tiny", "cache": str(tmp_path), **options}))


@pytest.mark.slow
def test_a_run_has_children_of_its_translations(server: Server, tmp_path: Path) -> None:
    options = {"url": server.url, "model": "tiny", "cache": str(tmp_path / "cache")}
    choice = {"name": "endpoint", "pivots": {"oc": "fr"}, "options": options}
    recipe = tmp_path / "recipe.yaml"
    augmentation = {"translators": [choice], "min_chrf": 0, "max_chrf": 100}
    recipe.write_text(recipe_text(f"augmentation: {json.dumps(augmentation)}"))
    documents = [{"id": f"d{n}", "text": f"{TEXT} {n} egals", "lang": "oc"} for n in range(8)]
    done = curator("process", write_jsonl(tmp_path / "in.jsonl", documents), "-o", tmp_path / "run", "-r", recipe)
    assert done.returncode == 0, done.stderr
    children = [row for row in rows(tmp_path / "run", "shards") if row["parent"]]
    assert children
    assert all(str(row["text"]).isupper() for row in children)
