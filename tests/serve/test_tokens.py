"""Tokens: what the store keeps of them, when they are good, and that the server is not exposed without."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curator.cli.main import app
from curator.errors import UserError
from serve.audit import Auditor
from serve.server import check_exposure
from serve.settings import Settings, is_loopback
from serve.store import Database
from serve.tokens import Tokens
from tests.command import curator, told, unprivileged


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    database = Database(f"sqlite:///{tmp_path}/service.db")
    database.upgrade()
    yield Tokens(database, Auditor(b"k" * 32))
    database.close()


def test_the_store_has_no_secret(tokens: Tokens, tmp_path: Path) -> None:
    token = tokens.create("a", "admin", None, "me")
    rotated = tokens.rotate("a", 60.0, "me")
    tokens._database.engine.dispose()  # so that all is in the file
    connection = sqlite3.connect(tmp_path / "service.db")
    dump = "\n".join(connection.iterdump())
    connection.close()
    for text in (token, rotated):
        assert text.split("_", 2)[2] not in dump


def test_a_token_is_whose_it_is(tokens: Tokens) -> None:
    token = tokens.create("a", "submit", None, "me")
    found = tokens.find(token)
    assert found is not None
    assert (found.name, found.scope) == ("a", "submit")
    assert [found.may(scope) for scope in ("read", "submit", "admin")] == [True, True, False]


def test_a_token_of_another_secret_is_none(tokens: Tokens) -> None:
    first, second = tokens.create("a", "read", None, "me"), tokens.create("b", "read", None, "me")
    crossed = f"{first[:20]}{second[20:]}"
    assert tokens.find(crossed) is None


def test_a_token_is_good_until_it_expires(tokens: Tokens) -> None:
    assert tokens.find(tokens.create("a", "read", time.time() + 60, "me")) is not None
    assert tokens.find(tokens.create("b", "read", time.time() - 1, "me")) is None
    assert tokens.any_valid()


def test_a_revoked_token_is_none_at_once(tokens: Tokens) -> None:
    token = tokens.create("a", "read", None, "me")
    tokens.revoke("a", "me")
    assert tokens.find(token) is None
    assert not tokens.any_valid()
    with pytest.raises(UserError):
        tokens.rotate("a", 0.0, "me")


def test_after_a_rotation_both_secrets_are_good_for_a_while(tokens: Tokens) -> None:
    before = tokens.create("a", "read", None, "me")
    after = tokens.rotate("a", 60.0, "me")
    assert tokens.find(before) is not None
    assert tokens.find(after) is not None
    last = tokens.rotate("a", 0.0, "me")
    assert tokens.find(before) is None
    assert tokens.find(after) is None
    assert tokens.find(last) is not None


@pytest.mark.parametrize("name", ["service", "one-time", "", "a b", "shell:root", "x" * 65])
def test_no_token_has_a_name_that_stands_for_somebody_else(tokens: Tokens, name: str) -> None:
    with pytest.raises(UserError):
        tokens.create(name, "read", None, "me")


def test_a_token_that_has_expired_gets_no_new_secret(tokens: Tokens) -> None:
    tokens.create("a", "read", time.time() - 1, "me")
    with pytest.raises(UserError, match="has expired"):
        tokens.rotate("a", 60.0, "me")


def test_a_one_time_token_is_known_to_this_process_alone(tokens: Tokens) -> None:
    token = tokens.one_time()
    assert tokens.find(token) is not None
    assert Tokens(tokens._database, Auditor(b"k" * 32)).find(token) is None
    assert tokens.list() == []


def test_beyond_this_machine_nothing_is_served_without_a_token(tokens: Tokens, tmp_path: Path) -> None:
    exposed = Settings(tmp_path, "", host="0.0.0.0")  # noqa: S104 (what is refused)
    with pytest.raises(UserError, match="no token is configured"):
        check_exposure(exposed, tokens)
    assert check_exposure(Settings(tmp_path, ""), tokens) is not None
    tokens.create("a", "read", None, "me")
    assert check_exposure(exposed, tokens) is None
    assert check_exposure(Settings(tmp_path, ""), tokens) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "example.org", "10.0.0.1", "127.0.0.1.example.org"])  # noqa: S104 (what is refused)
def test_what_others_reach(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.slow
def test_the_commands_make_list_rotate_and_end_tokens(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))

    def invoke(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, *state])
        assert done.exit_code == 0, done.output
        return done.stdout

    made = json.loads(invoke("tokens", "create", "ci", "--scope", "submit", "--days", "1", "--json"))["token"]
    rotated = invoke("tokens", "rotate", "ci").strip().splitlines()[-1]
    assert rotated[:21] == made[:21]
    invoke("tokens", "revoke", "ci")
    assert invoke("tokens", "list").splitlines()[1].split()[:2] == ["ci", "submit"]
    exported = [json.loads(line) for line in invoke("audit", "export").splitlines()]
    assert [entry["action"] for entry in exported] == ["log.begun", "token.create", "token.rotate", "token.revoke"]
    assert made.split("_", 2)[2] not in json.dumps(exported)
    assert json.loads(invoke("audit", "verify", "--json"))["entries"] == 4


@pytest.mark.slow
def test_what_the_commands_refuse_is_one_line(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    for command in (("audit", "verify"), ("audit", "export"), ("tokens", "list"), ("tokens", "rotate", "x")):
        assert "there is no store of a service here" in told(curator(*command, *state))
    assert not (tmp_path / "state").exists()
    assert "there is no scope 'all'" in told(curator("tokens", "create", "x", "--scope", "all", *state))
    assert "such a token is never good" in told(curator("tokens", "create", "x", "--days", "0", *state))
    assert "--memory 1 MB is too little" in told(curator("serve", "--memory", "1MB", "--port", "0", *state))
    assert "--ray-jobs head has no port" in told(curator("serve", "--ray-jobs", "head", "--port", "0", *state))
    assert not (tmp_path / "state").exists()
    endless = CliRunner().invoke(app, ["tokens", "create", "x", "--days", "inf", *state])
    assert endless.exit_code == 2
    assert "'nonsense' is not an origin" in told(curator("serve", "--allow-origin", "nonsense", "--port", "0", *state))
    assert "'a:80' is not a host name" in told(curator("serve", "--allow-host", "a:80", "--port", "0", *state))
    exposed = curator("serve", "--host", "0.0.0.0", "--port", "0", *state)  # noqa: S104 (what is refused)
    assert exposed.returncode == 2
    assert "no token is configured" in exposed.stderr  # below the note that a key was made


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_is_no_database_that_is_away(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_text("not a database, by far " * 100)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for command in (("serve", "--port", "0"), ("tokens", "list")):
        done = curator(*command, "--state", tmp_path / "state", "--store", f"sqlite:///{garbage}")
        assert done.returncode == 3
        assert "garbage.db: the store is damaged, or none: file is not a database (restore it" in told(done)
    done = unprivileged("serve", "--port", "0", "--state", closed)
    assert done.returncode == 2
    assert "service.db: the store cannot be opened: unable to open database file (check the perm" in told(done)
    done = curator("serve", "--port", "0", "--state", tmp_path / "state", "--store", "postgresql://a:b@127.0.0.1:9/x")
    assert done.returncode == 75
    assert "(is the database up?)" in told(done)
    done = curator("serve", "--port", "0", "--state", tmp_path / "state", "--store", "mysql://a:swordfish@h/x")
    assert told(done).startswith("curator: --store is not the URL of a store (")
    assert "swordfish" not in told(done)
