"""The event stream: every event once, in order, whatever breaks."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from serve.folds import RunFold
from serve.models import RunRequest, StoredEvent
from serve.states import Begin, CancelQueued, Launch, Lose, State, Succeed, Transition
from serve.store.runs import Taken
from serve.store.tables import RunRow
from tests.serve.servers import Command, Running, await_that, make_settings, running, small_request

CLIENTS = 200


def make_run(server: Running, output: str) -> RunRow:
    with server.server.service.runs.write() as writer:
        request = RunRequest.model_validate(small_request(server.settings.state.parent, output))
        return writer.create(request, "small", f"/{output}", "me")


def put_events(server: Running, run: RunRow, piece: int, seqs: Sequence[int]) -> None:
    """A piece of events, as the runner takes it in."""
    events = [{"attempt": 1, "seq": seq, "time": time.time(), "kind": "note"} for seq in seqs]
    with server.server.service.runs.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        writer.take_in([Taken(row, f"{piece:06d}.jsonl", events, RunFold())])


def finish(server: Running, run: RunRow, *transitions: Transition) -> None:
    for transition in transitions or (Launch(), Begin(), Succeed()):
        with server.server.service.runs.write() as writer:
            writer.take(writer.session.get_one(RunRow, run.number), 1, transition)


def read_stream(server: Running, run: str, after: int = 0, most: int | None = None) -> list[tuple[str, str]]:
    """(id, event) of a stream, to its end or up to `most` events."""
    found: list[tuple[str, str]] = []
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    with server.http() as client, client.stream("GET", f"/v1/runs/{run}/events", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        identity = ""
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                identity = value
            elif name == "event":
                found.append((identity if value != "end" else "", value))
                if len(found) == most:
                    break
    return found


@pytest.mark.slow
def test_a_stream_goes_on_after_the_last_event_without_loss_or_repeat(resting: Running) -> None:
    run = make_run(resting, "s1")
    put_events(resting, run, 1, range(1, 8))
    finish(resting, run)
    whole = read_stream(resting, run.id)
    assert [kind for _, kind in whole].count("note") == 7
    assert whole[-1] == ("", "end")
    ids = [int(identity) for identity, _ in whole[:-1]]
    assert ids == sorted(set(ids))
    for place, identity in enumerate(ids):
        assert read_stream(resting, run.id, after=identity) == whole[place + 1 :]


def test_a_stream_ends_when_its_token_is_revoked_and_tells_nothing_more(
    resting: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.streaming.CHECK_SECONDS", 0.0)
    run = make_run(resting, "s-revoked")
    token = resting.create_token("to-be-revoked", "read")
    headers = {"Accept": "text/event-stream"}
    with resting.http(token) as client, client.stream("GET", f"/v1/runs/{run.id}/events", headers=headers) as response:
        lines = response.iter_lines()
        assert any(line.startswith("id: ") for line in lines)
        resting.server.service.tokens.revoke("to-be-revoked", "test")
        put_events(resting, run, 1, [1])
        assert [line for line in lines if "note" in line or "end" in line] == []
    finish(resting, run)


def test_pages_have_the_events_of_the_stream(resting: Running) -> None:
    run = make_run(resting, "s2")
    put_events(resting, run, 1, range(1, 8))
    finish(resting, run)
    seen: list[int] = []
    after = 0
    with resting.http() as client:
        while True:
            page = client.get(f"/v1/runs/{run.id}/events", params={"after": after, "limit": 3}).json()
            if not page["events"]:
                break
            seen += [event["id"] for event in page["events"]]
            after = page["next"]
    assert [str(identity) for identity in seen] == [identity for identity, _ in read_stream(resting, run.id)[:-1]]


def test_events_reach_the_client_while_it_waits(resting: Running) -> None:
    run = make_run(resting, "s3")
    heard: list[StoredEvent] = []

    def listen() -> None:
        with resting.client() as client:
            heard.extend(client.events(run.id))

    thread = threading.Thread(target=listen)
    thread.start()
    await_that(lambda: resting.server.service.feed.count() == 1)
    for piece in range(1, 4):
        put_events(resting, run, piece, [piece])
    finish(resting, run)
    thread.join(20)
    assert not thread.is_alive()
    assert [event.kind for event in heard] == ["state.changed", *["note"] * 3, *["state.changed"] * 3]
    assert heard[-1].fields["final"] is True


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, "1 OR 1=1"])
def test_a_last_event_id_that_is_none_is_a_problem(resting: Running, value: str) -> None:
    run = make_run(resting, f"s4{value}")
    with resting.http() as client:
        answer = client.get(f"/v1/runs/{run.id}/events", headers={"Last-Event-ID": value})
    assert answer.json()["code"] == "request.invalid"


def test_a_resumed_run_streams_on_and_ends_again(resting: Running) -> None:
    run = make_run(resting, "s5")
    finish(resting, run, CancelQueued())
    first = read_stream(resting, run.id)
    with resting.client() as client:
        client.resume(run.id)
        client.cancel(run.id)
    assert read_stream(resting, run.id, after=int(first[-2][0]))[-1] == ("", "end")
    assert read_stream(resting, run.id)[: len(first) - 1] == first[:-1]


@pytest.mark.slow
def test_many_clients_stream_at_once_and_each_gets_everything(resting: Running) -> None:
    run = make_run(resting, "s6")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        streams = [pool.submit(read_stream, resting, run.id) for _ in range(CLIENTS)]
        await_that(lambda: resting.server.service.feed.count() == CLIENTS)
        for piece in range(1, 6):
            put_events(resting, run, piece, range(10 * piece, 10 * piece + 10))
        finish(resting, run)
        found = {tuple(stream.result(timeout=240)) for stream in streams}
    (one,) = found
    assert [kind for _, kind in one].count("note") == 50
    await_that(lambda: resting.server.service.feed.count() == 0)


def test_more_streams_than_it_may_have_are_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    settings = replace(settings, limits=replace(settings.limits, streams=1))
    with running(settings, work=False) as server:
        run = make_run(server, "x")
        headers = {"Accept": "text/event-stream"}
        with server.http() as client, client.stream("GET", f"/v1/runs/{run.id}/events", headers=headers) as first:
            lines = first.iter_lines()  # held: a generator that nobody has any more closes the response
            next(lines)
            second = client.get(f"/v1/runs/{run.id}/events", headers=headers)
            assert (second.status_code, second.json()["code"]) == (503, "service.busy")
        await_that(lambda: server.server.service.feed.count() == 0)


STREAM = {"Accept": "text/event-stream"}


@contextmanager
def at_most(folder: Path, **limits: int) -> Iterator[Running]:
    """A server with these limits."""
    settings = make_settings(folder)
    with running(replace(settings, limits=replace(settings.limits, **limits)), work=False) as server:
        yield server


@pytest.mark.slow
def test_a_token_may_have_so_many_streams_and_others_have_theirs(tmp_path: Path) -> None:
    with at_most(tmp_path, streams_per_token=2) as server, ExitStack() as held:
        run = make_run(server, "x")
        path = f"/v1/runs/{run.id}/events"
        mine, others = server.http(server.create_token("mine", "read")), server.http()
        held.enter_context(mine)
        held.enter_context(others)
        streams = [held.enter_context(ExitStack()) for _ in range(2)]
        answers = [stream.enter_context(mine.stream("GET", path, headers=STREAM)) for stream in streams]
        assert [answer.status_code for answer in answers] == [200, 200]
        refused = mine.get(path, headers=STREAM)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
        assert refused.headers["content-type"] == "application/problem+json"
        problem = refused.json()
        assert (problem["code"], problem["status"]) == ("streams.exceeded", 429)
        assert problem["detail"] == "this token has 2 open, and may have no more"
        assert mine.get(path).status_code == 200  # a page is no stream
        with others.stream("GET", path, headers=STREAM) as answer:
            assert answer.status_code == 200
        streams[0].close()  # the client goes away
        await_that(lambda: server.server.service.feed.count() == 1)
        with mine.stream("GET", path, headers=STREAM) as answer:
            assert answer.status_code == 200
        finish(server, run)
        await_that(lambda: server.server.service.feed.count() == 0)  # they have ended, and nobody has read them yet
        with mine.stream("GET", path, headers=STREAM) as answer:
            assert answer.status_code == 200


@pytest.mark.slow
def test_of_streams_that_are_asked_for_at_one_moment_no_more_are_given_than_there_may_be(tmp_path: Path) -> None:
    asked, most = 24, 3
    with at_most(tmp_path, streams_per_token=most) as server, ExitStack() as held:
        path = f"/v1/runs/{make_run(server, 'x').id}/events"
        together = threading.Barrier(asked)
        clients = [held.enter_context(server.http()) for _ in range(asked)]

        def ask(client: httpx2.Client) -> int:
            together.wait()
            return held.enter_context(client.stream("GET", path, headers=STREAM)).status_code

        with concurrent.futures.ThreadPoolExecutor(asked) as pool:
            statuses = sorted(pool.map(ask, clients))
        assert statuses == [200] * most + [429] * (asked - most)
        assert server.server.service.feed.count() == most
    assert server.server.service.feed.count() == 0


@pytest.mark.slow
def test_the_configuration_file_says_how_many_streams_there_may_be(tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text("streams: {per_token: 1}\n")
    command = Command(make_settings(tmp_path), options=("--config", str(tmp_path / "service.yaml"))).start()
    try:
        with command.client() as client:
            run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x")))
        headers = {**STREAM, "Authorization": f"Bearer {command.token}"}
        with httpx2.Client(base_url=command.url, headers=headers, timeout=60) as http:
            path = f"/v1/runs/{run.id}/events"
            with http.stream("GET", path) as first:  # its process takes longer to start than both requests
                assert first.status_code == 200
                assert http.get(path).json()["code"] == "streams.exceeded"
    finally:
        command.stop()


@pytest.mark.slow
def test_a_client_that_takes_nothing_any_more_does_not_keep_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.server.UNHEARD_MILLISECONDS", 1000)
    with at_most(tmp_path) as server, socket.socket() as client:
        run = make_run(server, "x")
        for piece in range(20):
            put_events(server, run, piece, range(1000 * piece, 1000 * (piece + 1)))
        address = urlsplit(server.url)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        lines = [f"GET /v1/runs/{run.id}/events HTTP/1.1", f"Host: {address.netloc}", "Accept: text/event-stream"]
        client.sendall("\r\n".join([*lines, f"Authorization: Bearer {server.token}", "", ""]).encode())
        await_that(lambda: server.server.service.feed.count() == 1)
        await_that(lambda: server.server.service.feed.count() == 0, seconds=60)


def cut(stream: Iterator[str], lines: int) -> None:
    for _ in range(lines):
        next(stream)


def test_a_client_that_goes_away_leaves_nothing_behind(resting: Running) -> None:
    run = make_run(resting, "s7")
    with resting.http() as client:
        with client.stream("GET", f"/v1/runs/{run.id}/events", headers={"Accept": "text/event-stream"}) as response:
            cut(response.iter_lines(), 3)
        await_that(lambda: resting.server.service.feed.count() == 0)


@pytest.mark.slow
def test_the_client_goes_on_where_a_server_that_was_started_again_is(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings, work=False) as server:
        run = make_run(server, "x")
        put_events(server, run, 1, [1, 2])
        with server.client() as client:
            events = client.events(run.id)
            seen = [next(events).id for _ in range(3)]
    with running(settings, work=False) as server:
        put_events(server, run, 1, [1, 2])
        put_events(server, run, 2, [3])
        finish(server, run)
        with server.client() as client:
            rest = [event.id for event in client.events(run.id, after=seen[-1])]
            whole = [event.id for event in client.events(run.id)]
    assert seen + rest == whole


def test_a_run_is_not_over_while_it_is_tried_again(resting: Running) -> None:
    run = make_run(resting, "s8")
    with resting.server.service.runs.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        writer.take(row, 1, Launch())
    with resting.server.service.runs.write() as writer:
        row = writer.session.get_one(RunRow, run.number)
        writer.take(row, 1, Lose(), is_final=False)
        writer.try_again(row, "again", "service", 0)
    found = read_stream(resting, run.id, most=4)
    assert [kind for _, kind in found] == ["state.changed"] * 4
    with resting.client() as client:
        assert client.run(run.id).state == State.QUEUED
