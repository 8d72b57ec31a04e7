"""A row that somebody broke by hand: its run is told as damaged, and no other suffers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from curator.errors import DataError
from serve.audit import Auditor
from serve.models import Run, RunRequest
from serve.states import State
from serve.store import Database
from serve.store.queries import Filter, events_after
from serve.store.runs import RunStore
from serve.store.shown import ShownRuns
from tests.serve.databases import DATABASES, open_database
from tests.serve.servers import Running, await_state, make_settings, running, small_request


def break_cell(database: Database, table: str, column: str, value: str, run: str) -> None:
    """Write a value into a JSON column of a run."""
    whose = "id = :run" if table == "runs" else "run = (SELECT number FROM runs WHERE id = :run)"
    with database.engine.begin() as connection:
        statement = f"UPDATE {table} SET {column} = :value WHERE {whose}"  # noqa: S608 (names of our own columns)
        connection.execute(text(statement), {"value": value, "run": run})


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunStore]:
    with open_database(request.param, tmp_path) as database:
        database.upgrade()
        yield RunStore(database, Auditor(b"k" * 32))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running(make_settings(tmp_path), work=False) as opened:
        yield opened


def submit(server: Running, output: str, **more: object) -> str:
    folder = server.settings.state.parent
    with server.client() as client:
        return client.submit(RunRequest.model_validate(small_request(folder, output, **more))).id


def listed(store: RunStore) -> dict[str, Run]:
    with store.database.look() as connection:
        texts, _ = ShownRuns().page(connection, Filter(), None, 10)
    return {run.id: run for run in map(Run.model_validate_json, texts)}


@pytest.mark.parametrize(
    ("column", "value"), [("labels", "[1]"), ("labels", '{"a": 1}'), ("progress", "7"), ("progress", '{"tasks": "x"}')]
)
def test_a_run_with_a_damaged_column_is_listed_and_told_beside_the_others(
    store: RunStore, caplog: pytest.LogCaptureFixture, column: str, value: str
) -> None:
    with store.write() as writer:
        request = RunRequest(inputs=("/in",), output="x", labels={"team": "a"})
        damaged, other = (writer.create(request, "web", f"/out/{name}", "me").id for name in "ab")
    before = listed(store)
    break_cell(store.database, "runs", column, value, damaged)
    after = listed(store)
    told = f"what the store has of it is damaged: {column}"
    assert after[other] == before[other]
    nothing = {"labels": {}, "progress": before[damaged].progress}[column]
    assert after[damaged] == before[damaged].model_copy(update={column: nothing, "error": "DataError", "message": told})
    assert f"run {damaged}: {told}" in caplog.messages
    details = store.details(damaged)
    assert details is not None
    assert (details.message, details.request.inputs) == (told, ("/in",))


def test_a_run_whose_request_is_damaged_says_so_on_its_own_page_alone(store: RunStore) -> None:
    with store.write() as writer:
        run = writer.create(RunRequest(inputs=("/in",), output="x"), "web", "/out/x", "me").id
    break_cell(store.database, "runs", "request", "[]", run)
    assert listed(store)[run].message is None
    with pytest.raises(DataError, match=rf"{run}: what the store has of it is damaged: request"):
        store.details(run)


def test_an_event_that_is_damaged_has_no_fields(store: RunStore) -> None:
    with store.write() as writer:
        row = writer.create(RunRequest(inputs=("/in",), output="x"), "web", "/out/x", "me")
    break_cell(store.database, "events", "fields", "null", row.id)
    with store.database.read() as session:
        assert [(event.kind, event.fields) for event in events_after(session, row.number, 0, 9)] == [
            ("state.changed", {})
        ]


@pytest.mark.slow
def test_text_that_is_no_json_fails_no_route_but_those_that_need_it(server: Running) -> None:
    runs = [submit(server, name, labels={"team": "a"}) for name in "abc"]
    database = server.server.service.runs.database
    for column, run in zip(("labels", "progress", "request"), runs, strict=True):
        break_cell(database, "runs", column, "{", run)
    with server.http() as http:
        page = http.get("/v1/runs")
        assert (page.status_code, [run["id"] for run in page.json()["runs"]]) == (200, runs[::-1])
        assert [http.get(f"/v1/runs/{run}").status_code for run in runs] == [200, 200, 500]
        problem = http.get(f"/v1/runs/{runs[2]}").json()
        assert (problem["code"], runs[2] in problem["detail"]) == ("run.damaged", True)
        assert [http.get(f"/v1/runs/{run}/events").status_code for run in runs] == [200, 200, 200]
        for run in runs:
            assert http.post(f"/v1/runs/{run}/cancel", json={}).status_code == 202
        resumed = [http.post(f"/v1/runs/{run}/resume", json={}) for run in runs]
    assert [answer.status_code for answer in resumed] == [202, 202, 500]


@pytest.mark.slow
def test_the_queue_goes_on_past_a_run_whose_request_is_damaged(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, other = (submit(server, name, attempts=1) for name in "ab")
    break_cell(server.server.service.runs.database, "runs", "request", "{", damaged)
    service = server.server.service
    with caplog.at_level(logging.WARNING, "curator.serve"):
        service.start()
        try:
            with server.client() as client:
                assert await_state(client, other).state == State.SUCCEEDED
                with pytest.raises(DataError, match=r"damaged: request"):
                    client.run(damaged)
        finally:
            service.stop()
    assert listed(service.runs)[damaged].state == State.LOST
    assert any(message.startswith(f"run {damaged} could not be started: its request") for message in caplog.messages)
