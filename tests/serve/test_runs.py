"""Runs through the service: made, worked on, ended, resumed, asked about. Real runs of real processes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
import time
from pathlib import Path

import httpx2
import pyarrow.parquet as pq
import pytest

from curator.errors import INTERRUPTED, DataError, TransientError, UserError
from curator.run.directory import RunDirectory
from curator.run.verify import verify
from serve.client import ServiceRefusalError
from serve.models import RunRequest
from serve.states import State
from tests.command import curator
from tests.runs import hashes, make_texts, write_jsonl
from tests.serve.servers import SMALL, Running, await_state, await_that, ids, make_settings, running, small_request


def request_of(server: Running, output: str, **more: object) -> RunRequest:
    return RunRequest.model_validate(small_request(server.settings.state.parent, output, **more))


def root_of(server: Running) -> Path:
    return server.settings.state.parent


RESULTS = ("funnel", "decisions", "failures", "documents/nobody/explain", "shards", "report")
OWN = [None, None, None, "document.unknown", None, None]


def codes_of(http: httpx2.Client, run: str) -> list[str | None]:
    """The codes of the problems that a run has instead of results."""
    answers = [http.get(f"/v1/runs/{run}/{path}") for path in RESULTS]
    return [None if answer.is_success else answer.json()["code"] for answer in answers]


@pytest.fixture(scope="module")
def finished(working: Running) -> str:
    """The id of a run that has succeeded."""
    with working.client() as client:
        run = client.submit(request_of(working, "finished", labels={"team": "a"}))
        assert await_state(client, run.id).state == State.SUCCEEDED
    return run.id


@pytest.mark.slow
def test_a_run_succeeds_with_the_bytes_that_the_command_gives(working: Running, finished: str, tmp_path: Path) -> None:
    with working.client() as client:
        run = client.run(finished)
    assert [change.after for change in run.history] == ["queued", "starting", "running", "succeeded"]
    assert (run.exit_code, run.error, run.attempt) == (0, None, 1)
    assert verify(RunDirectory(Path(run.output))).problems == []
    recipe = tmp_path / "small.json"
    recipe.write_text(json.dumps(SMALL))
    done = curator("process", root_of(working) / "in", "-o", tmp_path / "direct", "-r", recipe, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert hashes(Path(run.output)) == hashes(tmp_path / "direct")


@pytest.mark.slow
def test_what_the_record_says_is_what_the_routes_say(working: Running, finished: str) -> None:
    output = root_of(working) / "out" / "finished"
    manifest = json.loads((output / "manifest.json").read_text())
    with working.client() as client:
        funnel = client.funnel(finished)
        shards = client.shards(finished).shards
        decisions = client.decisions(finished)
        preview = client.preview(finished, shards[0].name, offset=3, limit=2)
        report = client.report(finished)
    assert funnel.is_final
    assert funnel.all["in"].documents == 40
    assert funnel.fingerprint == manifest["fingerprint"]
    assert [shard.sha256 for shard in shards] == [
        file["sha256"] for file in manifest["files"] if file["path"].startswith("shards/")
    ]
    table = pq.read_table(output / "decisions").to_pylist()
    assert [(each.id, each.rule) for each in decisions.decisions] == [(row["id"], row["rule"]) for row in table]
    rows = pq.read_table(output / "shards").slice(3, 2).to_pylist()
    assert [(each.id, each.text) for each in preview.documents] == [(row["id"], row["text"]) for row in rows]
    assert report == (output / "report.html").read_bytes()


@pytest.mark.slow
def test_decisions_come_page_by_page_and_filtered(working: Running, finished: str) -> None:
    with working.http() as client:
        path = f"/v1/runs/{finished}/decisions"
        everything = client.get(path).json()["decisions"]
        seen: list[object] = []
        cursor = None
        while True:
            page = client.get(path, params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
            seen += page["decisions"]
            cursor = page["next"]
            if cursor is None:
                break
        exact = client.get(path, params={"rule": "dedup.exact"}).json()["decisions"]
    assert len(everything) > 3
    assert seen == everything
    assert exact == [row for row in everything if row["rule"] == "dedup.exact"]


@pytest.mark.slow
def test_of_a_run_whose_directory_is_gone_nothing_is_told_as_if_it_had_none(working: Running, finished: str) -> None:
    output = root_of(working) / "out" / "finished"
    aside = output.rename(output.with_name("aside"))
    try:
        with working.http() as http:
            told = codes_of(http, finished)
    finally:
        aside.rename(output)
    assert told == ["run.damaged"] * 6


@pytest.mark.slow
def test_a_run_whose_directory_is_that_of_another_run_does_not_show_the_other_as_its_own(tmp_path: Path) -> None:
    runs: list[str] = []
    told = []
    with running(make_settings(tmp_path)) as server, server.client() as client, server.http() as http:
        for seed in (0, 0, 1):  # the second has the bytes of the first, the third has others
            shutil.rmtree(tmp_path / "out" / "x", ignore_errors=True)
            runs.append(client.submit(request_of(server, "x", overrides=[f"seed={seed}"])).id)
            await_state(client, runs[-1], State.SUCCEEDED)
            told.append([codes_of(http, run) for run in runs])
        training = http.post("/v1/trainings", json={"runs": [runs[0]], "output": "model"})
    assert told == [[OWN], [OWN, OWN], [["run.damaged"] * 6, ["run.damaged"] * 6, OWN]]
    assert training.json()["detail"] == f"{tmp_path}/out/x holds another run than {runs[0]}"


@pytest.mark.slow
def test_a_document_is_explained_whatever_its_id_looks_like(tmp_path: Path) -> None:
    names = ["a/b c", "ü?x=1#y", "../../etc", "%2e%2e", "a/explain", "1"]
    with running(make_settings(tmp_path)) as server, server.client() as client:
        documents = [{"id": name, "text": f"{name} " * 30} for name in names]
        write_jsonl(tmp_path / "in" / "texts.jsonl", documents)
        run = client.submit(request_of(server, "x"))
        await_state(client, run.id, State.SUCCEEDED)
        for name in names:
            assert [found.id for found in client.explain(run.id, name).documents] == [name]
        with pytest.raises(ServiceRefusalError) as refused:
            client.explain(run.id, "nobody")
        assert refused.value.code == "document.unknown"
        (tmp_path / "out" / "x" / "manifest.json").unlink()
        with pytest.raises(DataError, match=r"cannot be read: the run is not finished: it has no manifest\.json"):
            client.explain(run.id, names[0])


@pytest.mark.slow
def test_logs_are_read_in_ranges(working: Running, finished: str) -> None:
    with working.client() as client:
        whole = client.log(finished)
        assert whole.begin == 0
        assert "[1/4] read dedup" in whole.text
        part = client.log(finished, begin=5, limit=7)
        assert (part.text, part.begin, part.end, part.bytes) == (whole.text[5:12], 5, 12, whole.bytes)
        assert client.log(finished, limit=4).end == whole.bytes
        for query, code in (({"begin": whole.bytes + 1}, "range.invalid"), ({"attempt": 2}, "log.missing")):
            with pytest.raises(ServiceRefusalError) as refused:
                client.log(finished, **query)
            assert refused.value.code == code


def test_the_same_key_and_body_give_the_first_answer_and_another_body_is_refused(resting: Running) -> None:
    with resting.http() as client:
        body = small_request(root_of(resting), "keyed")
        headers = {"Idempotency-Key": "k1"}
        first = client.post("/v1/runs", json=body, headers=headers)
        again = client.post("/v1/runs", json={**body, "priority": 0}, headers=headers)
        other = client.post("/v1/runs", json={**body, "output": "keyed2"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 409)
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.headers["Location"] == again.headers["Location"] == f"/v1/runs/{first.json()['id']}"
    assert other.json()["code"] == "key.conflict"


def test_a_key_is_its_owners_alone(resting: Running) -> None:
    token = resting.create_token("second", "submit")
    with resting.http() as first, resting.http(token) as second:
        headers = {"Idempotency-Key": "k2"}
        one = first.post("/v1/runs", json=small_request(root_of(resting), "mine"), headers=headers)
        other = second.post("/v1/runs", json=small_request(root_of(resting), "theirs"), headers=headers)
    assert one.status_code == other.status_code == 202
    assert one.json()["id"] != other.json()["id"]


def test_a_key_that_is_sent_many_times_at_once_makes_one_run(resting: Running) -> None:
    body = small_request(root_of(resting), "at-once")
    answers: list[httpx2.Response] = []

    def send() -> None:
        with resting.http() as client:
            answers.append(client.post("/v1/runs", json=body, headers={"Idempotency-Key": "k3"}))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_one_output_has_one_run_at_a_time(resting: Running) -> None:
    with resting.http() as client:
        assert client.post("/v1/runs", json=small_request(root_of(resting), "once")).status_code == 202
        second = client.post("/v1/runs", json=small_request(root_of(resting), "./once"))
        assert (second.status_code, second.json()["code"]) == (409, "run.output_in_use")


@pytest.mark.parametrize(("first", "second"), [("outer", "outer/shards/x"), ("deep/er/inner", "deep")])
def test_no_run_is_made_inside_of_another_that_has_not_ended(resting: Running, first: str, second: str) -> None:
    with resting.http() as client:
        assert client.post("/v1/runs", json=small_request(root_of(resting), first)).status_code == 202
        answer = client.post("/v1/runs", json=small_request(root_of(resting), second))
        assert (answer.status_code, answer.json()["code"]) == (409, "run.output_in_use")
        assert client.post("/v1/runs", json=small_request(root_of(resting), f"{first}er")).status_code == 202


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"recipe": "wbe"}, 422, "recipe.invalid"),
        ({"recipe": "/etc/passwd"}, 422, "recipe.invalid"),
        ({"recipe": {"name": "x"}}, 422, "recipe.invalid"),
        ({"recipe": {"name": "x", "stages": ["dedup"], "colour": 1}}, 422, "recipe.invalid"),
        ({"recipe": {"name": "x", "stages": [{"dedup": {"against": ["/etc"]}}]}}, 403, "place.refused"),
        ({"recipe": {"name": "x", "stages": [{"augmentation": {"translators": ["absent"]}}]}}, 422, "recipe.invalid"),
        ({"recipe": {"name": "x", "stages": [{"dedup": {"url_field": "url"}}]}}, 422, "recipe.invalid"),
        ({"recipe": {"name": "x", "stages": ["entropy"], "holdout": {"share": 0.1}}}, 422, "recipe.invalid"),
        ({"overrides": ["dedup.threshold=2"]}, 422, "recipe.invalid"),
        ({"overrides": ["dedup.threshold=" + "[" * 900]}, 422, "recipe.invalid"),
        ({"overrides": ["nonsense"]}, 422, "request.invalid"),
        ({"inputs": ["/etc/passwd"]}, 403, "place.refused"),
        ({"inputs": ["in"]}, 403, "place.refused"),
        ({"inputs": ["http://169.254.169.254/"]}, 422, "run.refused"),
        ({"output": "../x"}, 403, "place.refused"),
        ({"output": "used"}, 422, "run.refused"),
        ({"output": "used/file/x"}, 422, "run.refused"),
        ({"output": "a" * 300}, 422, "run.refused"),
        ({"output": "a/" * 2040}, 422, "run.refused"),
        ({"output": "a-run/shards/x"}, 422, "run.refused"),
        ({"output": "begun/x"}, 422, "run.refused"),
        ({"memory": "1MB"}, 422, "run.refused"),
        ({"inputs": []}, 422, "request.invalid"),
        ({"labels": {"Bad Name": "x"}}, 422, "request.invalid"),
        ({"attempts": 0}, 422, "request.invalid"),
        ({"timeout_s": -1}, 422, "request.invalid"),
        ({"unknown": 1}, 422, "request.invalid"),
        ({"\ud800": 1}, 422, "request.invalid"),
        ({"output": "x\x00"}, 403, "place.refused"),
        ({"labels": {"a": "x\x00"}}, 422, "request.invalid"),
        ({"recipe": {"name": "x\x00", "stages": ["dedup"]}}, 422, "request.invalid"),
        ({"recipe": {"name": "\ud800", "stages": ["dedup"]}}, 422, "request.invalid"),
    ],
)
def test_what_could_not_run_is_refused_before_it_is_taken(
    resting: Running, change: dict[str, object], status: int, code: str
) -> None:
    (root_of(resting) / "out" / "used").mkdir(exist_ok=True)
    (root_of(resting) / "out" / "used" / "file").touch()
    (root_of(resting) / "out" / "a-run" / "shards").mkdir(parents=True, exist_ok=True)
    (root_of(resting) / "out" / "a-run" / "manifest.json").touch()
    (root_of(resting) / "out" / "begun" / "events").mkdir(parents=True, exist_ok=True)
    (root_of(resting) / "out" / "begun" / "events" / "000001.jsonl").touch()
    with resting.http() as client:
        before = client.get("/v1/runs?limit=200").json()
        body = json.dumps({**small_request(root_of(resting), "refused"), **change})
        answer = client.post("/v1/runs", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == f"urn:curator:problem:{code}"
        assert client.get("/v1/runs?limit=200").json() == before


@pytest.mark.parametrize("name", ["absent.jsonl", "a" * 300])
def test_a_missing_input_is_refused(resting: Running, name: str) -> None:
    with resting.http() as client:
        body = {**small_request(root_of(resting), "refused"), "inputs": [str(root_of(resting) / "in" / name)]}
        answer = client.post("/v1/runs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "run.refused")


@pytest.mark.slow
def test_without_roots_runs_are_refused_with_the_option_to_set(tmp_path: Path) -> None:
    from serve.places import Places

    with running(make_settings(tmp_path, places=Places()), work=False) as server, server.http() as client:
        answer = client.post("/v1/runs", json=small_request(tmp_path, "x"))
    assert (answer.status_code, answer.json()["code"]) == (403, "roots.missing")
    assert "--input-root" in answer.json()["hint"]


def test_others_runs_are_ended_by_admins_alone_and_high_priorities_are_theirs(resting: Running) -> None:
    token = resting.create_token("third", "submit")
    with resting.http() as admin, resting.http(token) as user:
        run = admin.post("/v1/runs", json=small_request(root_of(resting), "admins")).json()["id"]
        own = user.post("/v1/runs", json=small_request(root_of(resting), "users")).json()["id"]
        urgent = user.post("/v1/runs", json=small_request(root_of(resting), "urgent", priority=1))
        refused = user.post(f"/v1/runs/{run}/cancel")
        assert (refused.status_code, refused.json()["code"]) == (403, "token.scope")
        assert (urgent.status_code, urgent.json()["code"]) == (403, "token.scope")
        assert user.post(f"/v1/runs/{own}/cancel").json()["state"] == "cancelled"
        assert admin.post(f"/v1/runs/{run}/cancel").json()["state"] == "cancelled"
        ended = admin.post(f"/v1/runs/{run}/cancel").json()
        assert (ended["code"], ended["detail"]) == ("run.ended", "it is cancelled")


def test_a_queued_run_that_was_cancelled_is_resumed_in_another_attempt(resting: Running) -> None:
    with resting.client() as client:
        run = client.submit(request_of(resting, "again"))
        with pytest.raises(ServiceRefusalError) as refused:
            client.resume(run.id)
        assert refused.value.code == "run.not_ended"
        client.cancel(run.id)
        assert client.resume(run.id).attempt == 2
        found = client.run(run.id)
    assert [attempt.state for attempt in found.attempts] == ["cancelled", "queued"]


def test_lists_are_filtered_and_paged(resting: Running) -> None:
    with resting.client() as client, resting.http() as http:
        made = [client.submit(request_of(resting, f"page{n}", labels={"page": "x"})).id for n in range(5)]
        assert ids(list(client.runs(labels={"page": "x"}))) == made[::-1]
        first = http.get("/v1/runs?label=page=x&limit=2").json()
        client.submit(request_of(resting, "page9", labels={"page": "x"}))
        second = http.get(f"/v1/runs?label=page=x&limit=2&cursor={first['next']}").json()
        assert [run["id"] for run in first["runs"] + second["runs"]] == made[:0:-1]
        client.cancel(made[0])
        assert ids(list(client.runs(states=[State.CANCELLED], labels={"page": "x"}))) == [made[0]]
        assert http.get("/v1/runs?label=page=y&label=page=x").json()["runs"] == []
        many = "&".join(f"label=l{number}=x" for number in range(70))
        for query in ("state=asleep", "cursor=x", "limit=0", "limit=201", "label=x", many):
            assert http.get(f"/v1/runs?{query}").json()["code"] == "request.invalid", query


def test_what_no_run_is_called_is_a_problem(resting: Running) -> None:
    with resting.http() as client:
        for path in ("", "/events", "/logs", "/funnel", "/shards", "/decisions", "/report", "/documents/x/explain"):
            assert client.get(f"/v1/runs/0123456789ab{path}").json()["code"] == "run.unknown", path


def test_results_of_a_run_that_has_not_finished_are_no_results(resting: Running) -> None:
    with resting.http() as client:
        run = client.post("/v1/runs", json=small_request(root_of(resting), "waits")).json()["id"]
        for path in ("shards", "decisions", "report", "documents/x/explain", "shards/x/preview"):
            answer = client.get(f"/v1/runs/{run}/{path}")
            assert (answer.status_code, answer.json()["code"]) == (409, "run.not_finished"), path
        assert client.get(f"/v1/runs/{run}/funnel").json()["is_final"] is False


def big_input(folder: Path) -> None:
    """An input that takes some seconds."""
    once = make_texts(3000, units=(150, 400))
    again = [{**text, "id": f"{text['id']}-{n}", "text": f"{n} {text['text']} {n}"} for n in range(12) for text in once]
    write_jsonl(folder / "in" / "texts.jsonl", again)


@pytest.mark.slow
def test_a_working_run_is_cancelled_and_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    big_input(tmp_path)
    with running(settings) as server, server.client() as client:
        run = client.submit(request_of(server, "x"))
        await_that(lambda: client.run(run.id).progress.tasks > 0 or client.run(run.id).state.is_terminal)
        client.cancel(run.id)
        ended = await_state(client, run.id)
        assert (ended.state, ended.exit_code) == (State.CANCELLED, INTERRUPTED)
        client.resume(run.id)
        ended = await_state(client, run.id)
        assert (ended.state, ended.attempt) == (State.SUCCEEDED, 2)
        starts = [event for event in client.events(run.id) if event.kind == "run.started"]
        assert len(starts) == 2
    assert verify(RunDirectory(tmp_path / "out" / "x")).problems == []


@pytest.mark.slow
def test_a_run_whose_time_is_up_fails_and_says_so(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    big_input(tmp_path)
    with running(settings) as server, server.client() as client:
        ended = await_state(client, client.submit(request_of(server, "x", timeout_s=2)).id)
    assert (ended.state, ended.error, ended.exit_code) == (State.FAILED, "Timeout", TransientError.exit_code)
    assert ended.history[-2].why == "its 2 s are over"


@pytest.mark.slow
def test_after_too_many_failed_records_a_run_is_resumed_with_another_rate_as_its_message_says(tmp_path: Path) -> None:
    with running(make_settings(tmp_path)) as server, server.client() as client:
        broken = tmp_path / "in" / "broken.jsonl"
        broken.write_text("".join(f'{{"text": "Line {number} of a file."}}\n{{\n' for number in range(150)))
        asked = request_of(
            server, "half", inputs=[str(broken)], overrides=["dedup.threshold=0.9", "max_error_rate=0.1"]
        )
        run = client.submit(asked)
        ended = await_state(client, run.id)
        assert (ended.state, ended.exit_code) == (State.FAILED, DataError.exit_code)
        told = "or resume the run with max_error_rate 0.51: it goes on with what could be read, which is kept)"
        assert ended.message is not None
        assert ended.message.endswith(told)
        client.resume(run.id, max_error_rate=0.51)
        assert await_state(client, run.id).state == State.SUCCEEDED
        asked_anew = client.run(run.id).request
        assert asked_anew.overrides == ("dedup.threshold=0.9", "max_error_rate=0.51")
        assert client.funnel(run.id).all["failed"].documents == 150
        store = server.server.service.runs
        with store.database.read() as session:
            changed = [entry.after for entry in store.auditor.read(session) if entry.action == "run.request"]
    assert changed == [asked_anew.model_dump(mode="json")]


def test_a_run_with_as_many_overrides_as_there_may_be_is_not_resumed_with_one_more(resting: Running) -> None:
    with resting.client() as client:
        run = client.submit(request_of(resting, "many", overrides=[f"seed={number}" for number in range(100)]))
        client.cancel(run.id)
        with pytest.raises(ServiceRefusalError, match="100 items") as refused:
            client.resume(run.id, max_error_rate=0.5)
        assert refused.value.code == "request.invalid"
        assert client.resume(run.id).attempt == 2


@pytest.mark.slow
def test_a_run_that_its_recipe_fails_has_the_exit_code_and_the_words_of_the_command(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), work=False) as server, server.client() as client:
        run = client.submit(request_of(server, "x"))
        (tmp_path / "in" / "texts.jsonl").unlink()  # after it was looked at
        server.server.service.runner.start()
        ended = await_state(client, run.id)
        assert (ended.state, ended.exit_code, ended.error) == (State.FAILED, UserError.exit_code, "UserError")
        assert ended.attempt == 1
        write_jsonl(tmp_path / "in" / "texts.jsonl", make_texts(10))
        client.resume(run.id)
        assert await_state(client, run.id).state == State.SUCCEEDED
        assert [event.kind for event in client.events(run.id)].count("run.started") == 1
        server.server.service.runner.stop()


@pytest.mark.slow
def test_a_process_that_is_killed_is_lost_and_tried_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    big_input(tmp_path)
    with running(settings) as server, server.client() as client:
        run = client.submit(request_of(server, "x"))
        pid = settings.state / "attempts" / run.id / "1" / "pid"
        await_that(pid.exists)
        os.kill(int(pid.read_text()), 9)
        ended = await_state(client, run.id, State.SUCCEEDED)
    assert [attempt.state for attempt in ended.attempts] == [State.LOST, State.SUCCEEDED]
    assert [change.after for change in ended.history[-5:]] == ["lost", "queued", "starting", "running", "succeeded"]
    assert verify(RunDirectory(tmp_path / "out" / "x")).problems == []


@pytest.mark.slow
def test_a_run_is_tried_as_often_as_it_said_and_no_more(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    big_input(tmp_path)
    with running(settings) as server, server.client() as client:
        run = client.submit(request_of(server, "x", attempts=2))
        for attempt in (1, 2):
            pid = settings.state / "attempts" / run.id / str(attempt) / "pid"
            await_that(pid.exists)
            os.kill(int(pid.read_text()), 9)
        ended = await_state(client, run.id, State.LOST)
        time.sleep(0.5)
        assert client.run(run.id).attempt == 2
    assert ended.exit_code == TransientError.exit_code


@pytest.mark.slow
def test_a_queued_request_that_this_version_does_not_understand_is_lost(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), work=False) as server, server.client() as client:
        run = client.submit(request_of(server, "x", attempts=1)).id
        with server.server.service.runs.write() as writer:
            row = writer.run(run)
            assert row is not None
            row.request = {**row.request, "of_another_version": 1}
        for _ in range(2):
            server.server.service.runner.turn()
        assert [(found.id, found.state) for found in client.runs()] == [(run, State.LOST)]


@pytest.mark.slow
def test_no_more_runs_work_at_a_time_than_there_is_room_for(tmp_path: Path) -> None:
    with running(make_settings(tmp_path, concurrency=1)) as server, server.client() as client:
        made = [client.submit(request_of(server, f"r{number}")).id for number in range(3)]
        for run in made:
            await_state(client, run, State.SUCCEEDED)
        times = sorted((found.started or 0, found.ended or 0) for run in made for found in client.run(run).attempts)
    assert all(ended <= started for (_, ended), (started, _) in itertools.pairwise(times))


OVERLAY = "stages: [{entropy: {min_bits: 6.5}}]\n"


def test_an_overlay_is_looked_at_with_its_recipe(resting: Running) -> None:
    choice = {"recipe": "web", "overlay": {"name": "ours.yaml", "text": OVERLAY}}
    with resting.http() as client:
        assert client.post("/v1/recipes/validate", json=choice).status_code == 200
        for text, said in ((OVERLAY.replace("min_bits", "min_bit"), "min_bit"), ("stages: 1", "overlay")):
            answer = client.post("/v1/recipes/validate", json={**choice, "overlay": {"name": "o.yaml", "text": text}})
            assert (answer.json()["code"], said in answer.json()["detail"]) == ("recipe.invalid", True), answer.text
        program = "stages: [{augmentation: {translators: [{name: apertium, options: {program: rm}}]}}]"
        answer = client.post("/v1/recipes/validate", json={**choice, "overlay": {"name": "o.yaml", "text": program}})
        assert answer.json()["code"] == "place.refused"
        answer = client.post("/v1/recipes/validate", json={**choice, "overlay": {"name": "../o.yaml", "text": OVERLAY}})
        assert answer.json()["code"] == "request.invalid"


@pytest.mark.long
def test_a_run_with_an_overlay_has_the_bytes_that_the_command_gives(working: Running, tmp_path: Path) -> None:
    (tmp_path / "ours.yaml").write_text(OVERLAY)
    done = curator(
        "submit", root_of(working) / "in", "-o", "overlaid", "-r", "web", "--overlay", tmp_path / "ours.yaml",
        "--server", working.url, "--wait", env={"CURATOR_TOKEN": working.token},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    direct = curator(
        "process", root_of(working) / "in", "-o", tmp_path / "direct", "-r", "web", "--overlay", tmp_path / "ours.yaml",
        "--workers", "1",
    )  # fmt: skip
    assert direct.returncode == 0, direct.stderr
    assert hashes(root_of(working) / "out" / "overlaid") == hashes(tmp_path / "direct")


def test_what_is_asked_of_a_recipe_is_answered(resting: Running) -> None:
    with resting.http() as client:
        names = [recipe["name"] for recipe in client.get("/v1/recipes").json()["recipes"]]
        assert "web" in names
        valid = client.post("/v1/recipes/validate", json={"recipe": SMALL}).json()
        assert valid["stages"] == ["dedup"]
        assert valid["phases"][0].startswith("read")
        schema = client.get("/v1/recipes/schema").json()
        assert schema["required"] == ["name", "stages"]
        stages = {stage["name"]: stage for stage in client.get("/v1/stages").json()["stages"]}
        assert stages["dedup"]["parameters"]["properties"]["threshold"]["default"] == 0.85
