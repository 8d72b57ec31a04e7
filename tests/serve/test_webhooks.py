"""Webhooks: signed, and kept until they are delivered. Real receivers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select, update

from curator.errors import UserError
from serve.config import ServiceConfig, WebhookSection
from serve.states import Begin, Fail, Launch, Lose, Succeed
from serve.store.runs import Ended
from serve.store.tables import DeliveryRow, RunRow
from serve.webhooks import outbox
from serve.webhooks.addresses import Pinned
from serve.webhooks.deliverer import post
from serve.webhooks.signing import load_secret, sign
from tests.serve.receivers import receiving
from tests.serve.servers import Running, await_that, make_settings, running, small_request
from tests.serve.test_stream import make_run

SECRET = b"0123456789abcdef0123456789abcdef"


def section(folder: Path, url: str, **more: object) -> WebhookSection:
    path = folder / "webhook.secret"
    path.write_text("whsec_" + base64.b64encode(SECRET).decode())
    path.chmod(0o600)
    values = {"secrets": [path], "networks": ["127.0.0.0/8", "::1/128"], **more}
    return ServiceConfig.model_validate({"webhooks": {"targets": [{"url": url}] if url else [], **values}}).webhooks


def finish(server: Running, run: RunRow) -> None:
    for transition in (Launch(), Begin(), Succeed()):
        with server.server.service.runs.write() as writer:
            writer.take(writer.session.get_one(RunRow, run.number), 1, transition, ended=Ended(0))


@contextmanager
def delivering(folder: Path, url: str, **more: object) -> Iterator[Running]:
    """A server that delivers, and whose runner rests."""
    with running(make_settings(folder, webhooks=section(folder, url, **more)), work=False) as server:
        server.server.service.deliverer.start()
        try:
            yield server
        finally:
            server.server.service.deliverer.stop()


def deliveries(server: Running) -> list[dict[str, object]]:
    with server.http() as client:
        found: list[dict[str, object]] = client.get("/v1/deliveries").json()["deliveries"]
    return found


@pytest.mark.slow
def test_an_end_is_told_once_signed_by_the_standard(tmp_path: Path) -> None:
    with receiving() as receiver, delivering(tmp_path, receiver.url) as server:
        run = make_run(server, "x")
        finish(server, run)
        await_that(lambda: bool(receiver.got))
        await_that(lambda: deliveries(server)[0]["standing"] == "delivered")
        headers, body = receiver.got[0]
    told = json.loads(body)
    assert (told["type"], told["data"]["id"], told["data"]["exit_code"]) == ("run.succeeded", run.id, 0)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert len(receiver.got) == 1
    assert deliveries_of(headers) == {"application/json", receiver.url.split("/")[2]}


def deliveries_of(headers: dict[str, str]) -> set[str]:
    return {headers["content-type"], headers["host"]}


def test_the_signature_is_that_of_the_published_example() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")  # that of Svix's manual on verifying by hand
    headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.slow
def test_a_receiver_that_fails_is_tried_again_with_the_same_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "BACKOFF_SECONDS", (0.0,))
    with receiving(500, 302) as receiver, delivering(tmp_path, receiver.url) as server:
        finish(server, make_run(server, "x"))
        await_that(lambda: len(receiver.got) == 3)
        await_that(lambda: deliveries(server)[0]["standing"] == "delivered")
        (found,) = deliveries(server)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert (found["tries"], found["status"], found["error"]) == (3, 204, None)


@pytest.mark.slow
def test_a_receiver_that_is_gone_or_fails_for_good_is_given_up_and_can_be_sent_to_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BACKOFF_SECONDS", (0.0,))
    monkeypatch.setattr(outbox, "TRIES", 2)
    with receiving(410, 500, 500) as receiver, delivering(tmp_path, receiver.url) as server:
        for output in ("gone", "failing"):
            finish(server, make_run(server, output))
            await_that(lambda: all(each["standing"] == "given up" for each in deliveries(server)))
        failing, gone = deliveries(server)
        assert (gone["tries"], gone["status"]) == (1, 410)
        assert (failing["tries"], failing["status"], failing["error"]) == (2, 500, "answered 500")
        with server.http() as client:
            assert client.post(f"/v1/deliveries/{gone['id']}/send").json()["standing"] == "waiting"
            assert client.post("/v1/deliveries/msg_none/send").json()["code"] == "delivery.unknown"
        await_that(lambda: deliveries(server)[1]["standing"] == "delivered")


@pytest.mark.slow
def test_a_message_is_kept_over_a_restart_and_an_end_that_is_not_committed_leaves_none(tmp_path: Path) -> None:
    with receiving() as receiver:
        settings = make_settings(tmp_path, webhooks=section(tmp_path, receiver.url))
        with running(settings, work=False) as server:
            kept = make_run(server, "kept")
            finish(server, kept)
            other = make_run(server, "other")
            with pytest.raises(ZeroDivisionError), server.server.service.runs.write() as writer:  # noqa: PT012
                row = writer.session.get_one(RunRow, other.number)
                writer.take(row, 1, Launch())
                writer.take(row, 1, Fail())
                raise ZeroDivisionError
        with running(settings, work=False) as server:
            server.server.service.deliverer.start()
            await_that(lambda: len(receiver.got) == 1)
            server.server.service.deliverer.stop()
            assert [each["run"] for each in deliveries(server)] == [kept.id]
    assert json.loads(receiver.got[0][1])["data"]["output"] == "/kept"


@pytest.mark.slow
def test_a_host_that_cannot_be_is_an_error_of_its_message_alone(tmp_path: Path) -> None:
    with delivering(tmp_path, f"http://{'a' * 70}.example/") as server:
        finish(server, make_run(server, "x"))
        await_that(lambda: bool(deliveries(server)[0]["error"]))
        assert deliveries(server)[0]["standing"] == "waiting"
        assert not server.server.service.deliverer.has_died


def claim_due(server: Running) -> list[outbox.Message]:
    """What a server claims that looks now."""
    with server.server.service.runs.database.write() as session:
        due = outbox.first_due(session, time.time())
        claimed = outbox.claim(session, [each.number for each in due], time.time())
    return sorted(claimed, key=lambda message: message.url)


@pytest.mark.slow
def test_while_one_server_sends_a_message_no_other_sends_it_or_another_to_its_receiver(tmp_path: Path) -> None:
    targets = [{"url": "http://localhost:9/a"}, {"url": "http://localhost:9/b"}]
    with running(make_settings(tmp_path, webhooks=section(tmp_path, "", targets=targets)), work=False) as server:
        finish(server, make_run(server, "x"))
        finish(server, make_run(server, "y"))
        database = server.server.service.runs.database
        claimed = claim_due(server)
        assert [message.url[-1] for message in claimed] == ["a", "b"]
        assert claim_due(server) == []
        with database.write() as session:
            outbox.settle(session, claimed[0], outbox.Sent(204, None), time.time())
        assert [message.url[-1] for message in claim_due(server)] == ["a"]
        with database.write() as session:
            session.execute(update(DeliveryRow).values(sending_until=0.0))  # their server was killed
        again = claim_due(server)
        assert [(message.url[-1], message.tries) for message in again] == [("a", 2), ("b", 2)]
        with database.write() as session:  # and was not, but slow
            outbox.settle(session, claimed[1], outbox.Sent(500, "answered 500"), time.time())
        assert claim_due(server) == []


@dataclass
class Slow:
    """A receiver of several addresses, which answers those that end with `/slow` when it is told to. `most` is how many
    it was asked at once."""

    url: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    got: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0
    most: int = 0

    def of(self, path: str) -> list[str]:
        """What an address got."""
        return [output for where, output in list(self.got) if where == path]


@contextmanager
def slow_receiving(*, seconds: float = 0.0) -> Iterator[Slow]:
    slow = Slow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with slow.lock:
                slow.asked += 1
                slow.most = max(slow.most, slow.asked)
                slow.got.append((self.path, body["data"]["output"]))
            time.sleep(seconds)
            if self.path.endswith("/slow"):
                slow.go_on.wait(60)
            with slow.lock:
                slow.asked -= 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    slow.url = f"http://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield slow
    finally:
        slow.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def standings(server: Running) -> list[object]:
    """Where messages stand, the oldest first."""
    return [each["standing"] for each in reversed(deliveries(server))]


@pytest.mark.slow
def test_a_receiver_that_is_slow_holds_up_its_own_messages_alone(tmp_path: Path) -> None:
    with slow_receiving() as slow:
        targets = [{"url": f"{slow.url}/slow"}, {"url": f"{slow.url}/fast"}]
        with delivering(tmp_path, "", targets=targets) as server:
            for output in "abc":
                finish(server, make_run(server, output))
                await_that(lambda output=output: f"/{output}" in slow.of("/fast"), seconds=20)  # type: ignore[misc]
            assert slow.of("/slow") == ["/a"]
            await_that(lambda: standings(server) == ["waiting", "delivered"] * 3)  # noted after it has answered
            slow.go_on.set()
            await_that(lambda: standings(server) == ["delivered"] * 6)
    assert slow.of("/slow") == slow.of("/fast") == ["/a", "/b", "/c"]


@pytest.mark.slow
def test_a_receiver_gets_its_messages_one_at_a_time_in_the_order_of_the_ends(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(12)]
    with slow_receiving(seconds=0.05) as slow, delivering(tmp_path, f"{slow.url}/hook") as server:
        for run in [make_run(server, name) for name in names]:
            finish(server, run)
        await_that(lambda: standings(server) == ["delivered"] * len(names))
    assert slow.of("/hook") == [f"/{name}" for name in names]
    assert slow.most == 1


@pytest.mark.slow
def test_many_slow_addresses_of_one_host_leave_room_for_other_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.AT_ONCE", 6)
    with slow_receiving() as slow, slow_receiving() as other:
        urls = [f"{slow.url}/{number}/slow" for number in range(20)]
        targets = [{"url": url} for url in (*urls, f"{other.url}/a/slow", f"{other.url}/b/slow", f"{other.url}/c")]
        with delivering(tmp_path, "", targets=targets) as server:
            finish(server, make_run(server, "x"))
            await_that(lambda: (len(slow.got), len(other.got)) == (4, 2))  # six in all, the last has to wait
            other.go_on.set()
            await_that(lambda: other.of("/c") == ["/x"])
            assert (slow.most, len(slow.got)) == (4, 4)
            slow.go_on.set()
            await_that(lambda: standings(server) == ["delivered"] * len(targets))
    assert slow.most == 4


@pytest.mark.slow
def test_a_receiver_that_never_answers_does_not_hold_up_others_by_how_much_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.AT_ONCE", 1)
    monkeypatch.setattr("serve.webhooks.deliverer.WHOLE_SECONDS", 0.2)
    with slow_receiving() as slow, slow_receiving() as other:
        targets = [{"url": f"{slow.url}/slow"}, {"url": f"{other.url}/x", "states": ["cancelled"]}]
        settings = make_settings(tmp_path, webhooks=section(tmp_path, "", targets=targets))
        with running(settings, work=False) as server:
            for number in range(10):
                finish(server, make_run(server, f"r{number}"))
            last = make_run(server, "last")
            with server.client() as client:
                client.cancel(last.id)
            server.server.service.deliverer.start()
            await_that(lambda: other.of("/x") == ["/last"])
            assert len(slow.got) < 4
            server.server.service.deliverer.stop()


@pytest.mark.slow
def test_a_server_that_ends_notes_what_is_under_way_and_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    with slow_receiving() as slow:
        settings = make_settings(tmp_path, webhooks=section(tmp_path, f"{slow.url}/slow"))
        with running(settings, work=False) as server:
            deliverer = server.server.service.deliverer
            deliverer.start()
            for output in "abc":
                finish(server, make_run(server, output))
            await_that(lambda: slow.of("/slow") == ["/a"])
            stopping = threading.Thread(target=deliverer.stop)
            stopping.start()
            time.sleep(0.3)
            assert stopping.is_alive()
            slow.go_on.set()
            stopping.join(20)
            assert not stopping.is_alive()
            assert not deliverer.has_died
            assert standings(server) == ["delivered", "waiting", "waiting"]
            assert [each["tries"] for each in deliveries(server)] == [0, 0, 1]
        with running(settings, work=False) as server:
            server.server.service.deliverer.start()
            await_that(lambda: standings(server) == ["delivered"] * 3, seconds=20)
            server.server.service.deliverer.stop()
    assert slow.of("/slow") == ["/a", "/b", "/c"]


@pytest.mark.slow
def test_what_was_sent_while_the_store_did_not_answer_is_noted_later_and_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.store.database.BUSY_SECONDS", 0.2)
    monkeypatch.setattr("serve.webhooks.deliverer.LOOK_SECONDS", 0.2)
    with slow_receiving() as slow, delivering(tmp_path, f"{slow.url}/slow") as server:
        finish(server, make_run(server, "x"))
        await_that(lambda: slow.of("/slow") == ["/x"])
        with server.server.service.runs.database.write() as session:
            session.execute(select(DeliveryRow.number))  # it begins with the first statement
            slow.go_on.set()
            time.sleep(1.0)
            assert standings(server) == ["waiting"]
        await_that(lambda: standings(server) == ["delivered"])
    assert slow.of("/slow") == ["/x"]


@pytest.mark.slow
def test_a_message_is_looked_for_once_it_is_committed_whoever_asks_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.LOOK_SECONDS", 3600.0)
    with receiving() as receiver, delivering(tmp_path, receiver.url) as server:
        run = make_run(server, "x")
        service = server.server.service
        for transition in (Launch(), Begin()):
            with service.runs.write() as writer:
                writer.take(writer.session.get_one(RunRow, run.number), 1, transition)
        with service.runs.write() as writer:
            writer.take(writer.session.get_one(RunRow, run.number), 1, Succeed(), ended=Ended(0))
            service.deliverer.wake()  # as somebody does whose change was committed just before
        await_that(lambda: bool(receiver.got), seconds=30)


@pytest.mark.slow
def test_a_message_is_tried_again_when_its_time_has_come_and_not_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(outbox, "BACKOFF_SECONDS", (0.5,))
    with receiving(500, 500) as receiver, delivering(tmp_path, receiver.url) as server:
        finish(server, make_run(server, "x"))
        await_that(lambda: standings(server) == ["delivered"], seconds=30)


@pytest.mark.slow
def test_addresses_that_do_not_answer_take_no_longer_together_than_one_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.webhooks.deliverer.TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("serve.webhooks.deliverer.WHOLE_SECONDS", 0.5)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # nobody takes them, and there is room for no more
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        pinned = Pinned("http", "localhost", full.getsockname()[1], ("127.0.0.1",) * 50, "/")
        started = time.monotonic()
        with pytest.raises(OSError, match=r"too long|timed out"):
            post(pinned, b"{}", {})
        assert time.monotonic() - started < 5


@pytest.mark.slow
def test_an_attempt_that_is_followed_by_another_is_no_end(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, webhooks=section(tmp_path, "http://localhost:9/"))
    with running(settings, work=False) as server:
        run = make_run(server, "x")
        with server.server.service.runs.write() as writer:
            row = writer.session.get_one(RunRow, run.number)
            writer.take(row, 1, Launch())
            writer.take(row, 1, Lose(), is_final=False)
            writer.try_again(row, "again", "service", 0)
        assert deliveries(server) == []


@pytest.mark.slow
def test_a_submission_names_those_webhooks_alone_that_are_allowed(tmp_path: Path) -> None:
    with receiving() as receiver:
        base = receiver.url.removesuffix("hook")
        with delivering(tmp_path, "http://localhost:9/", allow=[f"{base}teams/"]) as server, server.http() as client:
            for url in (receiver.url, f"{base}teamster", f"{base}teams/../hook", "http://127.0.0.1:9/teams/"):
                body = small_request(tmp_path, "x", notify=[url])
                assert client.post("/v1/runs", json=body).json()["code"] == "webhook.refused", url
            body = small_request(tmp_path, "x", notify=[f"{base}teams/a"])
            run = client.post("/v1/runs", json=body).json()["id"]
            client.post(f"/v1/runs/{run}/cancel")
            await_that(lambda: bool(receiver.got))
    assert json.loads(receiver.got[0][1])["type"] == "run.cancelled"


def test_a_secret_that_others_may_read_or_that_is_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(base64.b64encode(SECRET).decode())
    path.chmod(0o640)
    with pytest.raises(UserError, match="others may read"):
        load_secret(path)
    path.chmod(0o600)
    assert load_secret(path) == SECRET
    path.write_text("c2hvcnQ=")
    with pytest.raises(UserError, match="24 to 64 bytes"):
        load_secret(path)
