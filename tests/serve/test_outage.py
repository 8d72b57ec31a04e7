"""The store is gone, its disk is full, or that of a run fails: told as such, nothing is lost, and all goes on then."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, event, text

from serve.models import RunRequest
from serve.runner.task import LOCK, OUTCOME, read_outcome
from serve.settings import attempt_folder
from serve.states import Launch, State
from serve.store import Database
from serve.store.tables import RunRow
from tests.serve.databases import PROBLEM, open_database
from tests.serve.servers import Running, await_state, await_that, make_settings, running, small_request


def fill_disk(server: Running) -> None:
    """Let the database grow no more: SQLite says then what it says of a full disk."""
    engine = server.server.service.runs.database.engine
    engine.dispose()

    @event.listens_for(engine, "connect")
    def bound(connection: sqlite3.Connection, _entry: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")


def free_disk(server: Running) -> None:
    engine = server.server.service.runs.database.engine
    engine.dispose()

    @event.listens_for(engine, "connect")
    def unbound(connection: sqlite3.Connection, _entry: object) -> None:
        connection.execute("PRAGMA max_page_count = 1073741823")


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), work=False) as server, server.http() as client:
        first = client.post("/v1/runs", json=small_request(tmp_path, "first")).json()["id"]
        fill_disk(server)
        statuses = []
        for number in range(60):
            body = small_request(tmp_path, f"r{number}", labels={"filler": "x" * 250})
            answer = client.post("/v1/runs", json=body, headers={"Idempotency-Key": f"k{number}"})
            statuses.append(answer.status_code)
            if answer.status_code != 202:
                break
        assert (answer.status_code, answer.json()["code"]) in ((503, "service.full"), (429, "rate.exceeded")), (
            answer.text
        )
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert client.get(f"/v1/runs/{first}").json()["state"] == "queued"
        kept = len(client.get("/v1/runs?limit=200").json()["runs"])
        assert kept == 1 + statuses.count(202)
        free_disk(server)
        again = client.post("/v1/runs", json=body, headers={"Idempotency-Key": f"k{number}"})
        assert again.status_code == 202
        with server.server.service.runs.database.read() as session:
            assert server.server.service.runs.auditor.verify(session).count == kept + 2


@pytest.mark.slow
def test_a_store_that_somebody_holds_is_told_and_runs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.store.database.BUSY_SECONDS", 0.3)
    with running(make_settings(tmp_path)) as server, server.client() as client:
        run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x"))).id
        await_that(lambda: client.run(run).state in (State.STARTING, State.RUNNING))
        holder = sqlite3.connect(tmp_path / "state" / "service.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with server.http() as http:
            answer = http.post("/v1/runs", json=small_request(tmp_path, "y"))
            assert (answer.status_code, answer.json()["code"]) == (503, "store.unavailable")
            assert http.get("/v1/runs").status_code == 200  # readers do not wait
        outcome = tmp_path / "state" / "attempts" / run / "1" / "outcome.json"
        await_that(outcome.exists)
        holder.execute("ROLLBACK")
        holder.close()
        assert await_state(client, run).state == State.SUCCEEDED
        kinds = [found.kind for found in client.events(run)]
        assert kinds.count("run.finished") == kinds.count("run.started") == 1


@pytest.mark.slow
@pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)
def test_a_run_on_postgresql_succeeds_also_where_its_connections_are_cut(tmp_path: Path) -> None:
    with open_database("postgresql", tmp_path) as database:
        settings = make_settings(tmp_path, store=database.url.render_as_string(hide_password=False))
        with running(settings) as server, server.client() as client:
            run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x"))).id
            with database.engine.connect() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid != pg_backend_pid()"
                    )
                )
            assert await_state(client, run).state == State.SUCCEEDED
            assert [found.kind for found in client.events(run)].count("run.finished") == 1
            with server.server.service.runs.database.read() as session:
                assert session.get_one(RunRow, 1).id == run


@contextmanager
def administering(database: Database) -> Iterator[Connection]:
    """A connection to the same PostgreSQL, in another database."""
    engine = create_engine(database.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def allow(connection: Connection, name: str | None, *, connections: bool) -> None:
    """Let nobody connect to a database, and end who has; or let them again."""
    connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {connections}"))
    if not connections:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )


@pytest.mark.slow
@pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)
def test_a_postgresql_that_is_down_is_told_and_runs_go_on(tmp_path: Path) -> None:
    with open_database("postgresql", tmp_path) as database, administering(database) as admin:
        settings = make_settings(tmp_path, store=database.url.render_as_string(hide_password=False))
        with running(settings) as server, server.client() as client:
            run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x"))).id
            await_that(lambda: client.run(run).state in (State.STARTING, State.RUNNING))
            allow(admin, database.url.database, connections=False)
            with server.http() as http:
                body = small_request(tmp_path, "y")
                refused = http.post("/v1/runs", json=body, headers={"Idempotency-Key": "y"})
                assert (refused.status_code, refused.json()["code"]) == (503, "store.unavailable")
                assert refused.headers["Retry-After"]
                assert http.get("/readyz").status_code == 503
                assert http.get("/healthz").status_code == 200
                await_that((settings.state / "attempts" / run / "1" / "outcome.json").exists)
                allow(admin, database.url.database, connections=True)
                assert await_state(client, run).state == State.SUCCEEDED
                assert [found.kind for found in client.events(run)].count("run.finished") == 1
                again = http.post("/v1/runs", json=body, headers={"Idempotency-Key": "y"})
                assert again.status_code == 202
                assert len(list(client.runs())) == 2


@pytest.mark.slow
@pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)
def test_a_postgresql_that_says_that_its_disk_is_full_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with open_database("postgresql", tmp_path) as database:
        settings = make_settings(tmp_path, store=database.url.render_as_string(hide_password=False))
        with running(settings, work=False) as server, server.http() as client:
            first = client.post("/v1/runs", json=small_request(tmp_path, "first")).json()["id"]
            # Not a disk that is full, but the same error of the same server, in the middle of the transaction.
            with database.engine.begin() as connection:
                connection.execute(
                    text(
                        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                        "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"
                    )
                )
                connection.execute(
                    text("CREATE TRIGGER full_disk BEFORE INSERT ON history EXECUTE FUNCTION full_disk()")
                )
            body = small_request(tmp_path, "second")
            refused = client.post("/v1/runs", json=body, headers={"Idempotency-Key": "k"})
            assert (refused.status_code, refused.json()["code"]) == (503, "service.full")
            assert refused.headers["Retry-After"]
            assert [run["id"] for run in client.get("/v1/runs").json()["runs"]] == [first]
            with database.engine.begin() as connection:
                connection.execute(text("DROP TRIGGER full_disk ON history"))
            assert client.post("/v1/runs", json=body, headers={"Idempotency-Key": "k"}).status_code == 202
            with server.server.service.runs.database.read() as session:
                assert server.server.service.runs.auditor.verify(session).count == 3


@pytest.mark.slow
def test_a_run_whose_directory_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings) as server, server.client() as client:
        store, lease = server.server.service.runs, server.server.service.runner.lease
        output = tmp_path / "out" / "bad"
        piece = output / "events" / "000001.jsonl"
        piece.mkdir(parents=True)  # as where a disk fails: it is there, and reading it is an error
        with store.write() as writer:
            request = RunRequest.model_validate(small_request(tmp_path, "bad"))
            bad = writer.create(request, "small", str(output), "me")
            folder = attempt_folder(settings.state, bad.id, 1)
            folder.mkdir(parents=True)
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX)
            writer.attempt_of(bad).lease = lease
            writer.attempt_of(bad).lease_until = time.time() + 60
            writer.take(bad, 1, Launch())
        good = client.submit(RunRequest.model_validate(small_request(tmp_path, "good")))
        assert await_state(client, good.id).state == State.SUCCEEDED
        os.close(lock)
        client.cancel(bad.id)
        piece.rmdir()  # it can be read again: only now is it known that nothing is lost
        assert await_state(client, bad.id).state == State.CANCELLED


def launched(server: Running, output: Path) -> str:
    """A run that was taken from the queue, and whose process is gone without a word; it is tried no more."""
    store, lease = server.server.service.runs, server.server.service.runner.lease
    with store.write() as writer:
        body = small_request(server.settings.state.parent, output.name[:20], attempts=1)
        run = writer.create(RunRequest.model_validate(body), "small", str(output), "me")
        writer.attempt_of(run).lease = lease
        writer.attempt_of(run).lease_until = time.time() + 60
        writer.take(run, 1, Launch())
        return run.id


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"\0" * 100, b"[1]\n", b'{"kind": "task"}\n', b'{"kind": "ta'])
def test_a_run_whose_events_are_damaged_ends_and_others_go_on(tmp_path: Path, damage: bytes) -> None:
    output = tmp_path / "out" / "damaged"
    (output / "events").mkdir(parents=True)
    (output / "events" / "000001.jsonl").write_bytes(damage)
    with running(make_settings(tmp_path, concurrency=1)) as server, server.client() as client:
        assert await_state(client, launched(server, output)).state == State.LOST
        good = client.submit(RunRequest.model_validate(small_request(tmp_path, "good")))
        assert await_state(client, good.id).state == State.SUCCEEDED
        assert server.server.service.runner.is_alive


@pytest.mark.slow
def test_a_run_in_a_place_where_nothing_can_lie_ends(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server, server.client() as client:
        run = launched(server, tmp_path / "out" / ("a" * 300))
        assert await_state(client, run).state == State.LOST


@pytest.mark.slow
def test_a_directory_that_stays_unreadable_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.runner.runner.UNREAD_SECONDS", 0.5)
    output = tmp_path / "out" / "unreadable"
    (output / "events" / "000001.jsonl").mkdir(parents=True)
    with running(make_settings(tmp_path)) as server, server.client() as client:
        assert await_state(client, launched(server, output)).state == State.LOST


def test_an_outcome_that_is_torn_is_no_word(tmp_path: Path) -> None:
    (tmp_path / OUTCOME).write_bytes(b"")
    assert read_outcome(tmp_path) is None
