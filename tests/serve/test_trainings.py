"""Trainings through the service: made on a finished run, worked on, ended, resumed, asked about. Real processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.errors import INTERRUPTED, DataError, UserError
from serve.client import Client, ServiceRefusalError
from serve.kinds import Kind
from serve.models import RunRequest
from serve.runner.work import TrainingWork
from serve.states import State
from serve.training_models import TrainingDetails, TrainingRequest
from tests.runs import run_stages
from tests.serve.servers import DEADLINE_S, Running, await_that, make_settings, running, small_request

TINY = {
    "steps": 6,
    "model": {"depth": 1, "experts": 2, "width": 32, "heads": 1, "key_value_heads": 1, "expert_width": 32},
    "data": {"sequence": 32, "batch": 2, "validation_share": 0.1},
    "tokenizer": {"vocabulary": 400, "kind": "bpe"},
    "checkpoint": {"every": 3},
    "validation": {"every": 3, "sequences": 2},
}
"""A training that is done in a second after torch is loaded."""

ENDLESS = {**TINY, "steps": 1_000_000, "checkpoint": {"every": 1_000_000}, "validation": {"every": 1_000_000}}


def body(run: str, output: str, config: dict[str, object] | None = None, **more: object) -> dict[str, object]:
    return {"runs": [run], "output": output, "config": config or TINY, **more}


def request_of(run: str, output: str, config: dict[str, object] | None = None, **more: object) -> TrainingRequest:
    return TrainingRequest.model_validate(body(run, output, config, **more))


def await_training(client: Client, training: str) -> TrainingDetails:
    await_that(lambda: client.training(training).state.is_terminal, seconds=2 * DEADLINE_S)
    return client.training(training)


@pytest.fixture(scope="module")
def trained_on(working: Running) -> str:
    """The id of a run that has succeeded."""
    with working.client() as client:
        run = client.submit(RunRequest.model_validate(small_request(working.settings.state.parent, "corpus")))
        await_that(lambda: client.run(run.id).state.is_terminal)
        assert client.run(run.id).state == State.SUCCEEDED
    return run.id


@pytest.fixture(scope="module")
def finished(working: Running, trained_on: str) -> Iterator[TrainingDetails]:
    """A training that has succeeded."""
    with working.client() as client:
        training = client.train(request_of(trained_on, "model", labels={"team": "a"}), "key")
        assert client.train(request_of(trained_on, "model", labels={"team": "a"}), "key").id == training.id
        found = await_training(client, training.id)
        assert found.state == State.SUCCEEDED, client.training_log(training.id).text
        yield found


@pytest.mark.slow
def test_a_training_succeeds_and_says_how_far_it_came(working: Running, finished: TrainingDetails) -> None:
    assert [change.after for change in finished.history] == ["queued", "starting", "running", "succeeded"]
    progress = finished.progress
    assert (progress.step, progress.steps, progress.checkpoint) == (6, 6, 6)
    assert (finished.exit_code, finished.error, finished.attempt) == (0, None, 1)
    assert progress.loss is not None
    assert progress.loss > 0
    assert progress.best_loss is not None
    description = json.loads((Path(finished.output) / "training.json").read_text())
    assert description["config"]["threads"] == working.settings.workers
    assert description["sources"][0]["place"] == str(working.settings.state.parent / "out" / "corpus")


@pytest.mark.slow
def test_its_losses_are_those_of_its_event_log(working: Running, finished: TrainingDetails) -> None:
    told = [
        json.loads(line)
        for piece in sorted((Path(finished.output) / "events").iterdir())
        for line in piece.read_text().splitlines()
    ]
    steps = {event["step"]: event["loss"] for event in told if event["kind"] == "step"}
    with working.client() as client:
        curve = client.curve(finished.id)
        events = list(client.training_events(finished.id))
        assert "loss" in client.training_log(finished.id).text
    assert curve.points[-1].step == 6
    assert all(point.loss == steps[point.step] for point in curve.points)
    assert [(point.step, point.loss) for point in curve.validations] == [
        (event["step"], event["loss"]) for event in told if event["kind"] == "validation"
    ]
    assert next(event.kind for event in events if event.origin == "run") == "training"
    assert events[-1].fields["final"] is True


@pytest.mark.long
def test_a_training_is_cancelled_with_a_checkpoint_and_goes_on_from_there(working: Running, trained_on: str) -> None:
    with working.client() as client:
        training = client.train(request_of(trained_on, "stopped", ENDLESS)).id
        await_that(lambda: client.training(training).progress.step > 0, seconds=2 * DEADLINE_S)
        client.cancel_training(training)
        ended = await_training(client, training)
        assert (ended.state, ended.exit_code) == (State.CANCELLED, INTERRUPTED)
        reached = ended.progress.step
        assert ended.progress.checkpoint == reached
        client.resume_training(training)
        await_that(lambda: client.training(training).progress.step > reached, seconds=2 * DEADLINE_S)
        client.cancel_training(training)
        assert await_training(client, training).attempt == 2
        steps = [point.step for point in client.curve(training, points=5000).points]
        begins = [event.fields["step"] for event in client.training_events(training) if event.kind == "training"]
        few = client.curve(training, points=2).points
    assert begins == [0, reached]
    assert steps == sorted(set(steps))
    assert len(few) <= 2
    assert few[-1].step == steps[-1]


@pytest.mark.long
def test_a_training_whose_process_is_killed_is_tried_again_and_its_curve_is_of_what_it_kept(
    working: Running, trained_on: str
) -> None:
    config = {**ENDLESS, "checkpoint": {"every": 50}}
    with working.client() as client:
        training = client.train(request_of(trained_on, "killed", config)).id
        await_that(lambda: (client.training(training).progress.checkpoint or 0) > 0, seconds=2 * DEADLINE_S)
        pid = working.settings.state / "attempts" / training / "1" / "pid"
        os.kill(int(pid.read_text()), 9)
        await_that(lambda: client.training(training).attempt == 2, seconds=2 * DEADLINE_S)
        await_that(lambda: client.training(training).state == State.RUNNING, seconds=2 * DEADLINE_S)
        client.cancel_training(training)
        ended = await_training(client, training)
        assert [attempt.state for attempt in ended.attempts] == [State.LOST, State.CANCELLED]
        steps = [point.step for point in client.curve(training, points=5000).points]
    assert steps == sorted(set(steps))


@pytest.mark.long
def test_a_training_that_cannot_be_has_the_words_and_the_exit_code_of_the_command(
    working: Running, trained_on: str
) -> None:
    config = {**TINY, "data": {**TINY["data"], "languages": ["tlh"]}}  # type: ignore[dict-item]
    with working.client() as client:
        ended = await_training(client, client.train(request_of(trained_on, "refused", config)).id)
    assert (ended.state, ended.exit_code, ended.error) == (State.FAILED, UserError.exit_code, "UserError")
    assert not (working.settings.state.parent / "out" / "refused").exists()


@pytest.mark.slow
def test_lists_of_trainings_and_of_runs_hold_their_own_kind(
    working: Running, trained_on: str, finished: TrainingDetails
) -> None:
    with working.client() as client, working.http() as http:
        assert finished.id in [found.id for found in client.trainings()]
        assert [found.id for found in client.trainings(labels={"team": "a"})] == [finished.id]
        assert finished.id not in [found.id for found in client.runs()]
        assert http.get(f"/v1/runs/{finished.id}").json()["code"] == "run.unknown"
        assert http.get(f"/v1/trainings/{trained_on}").json()["code"] == "training.unknown"
        assert http.post(f"/v1/runs/{finished.id}/cancel").json()["code"] == "run.unknown"
        for path in ("", "/events", "/logs", "/curve"):
            answer = http.get(f"/v1/trainings/0123456789ab{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, "training.unknown"), path
        text = http.get("/metrics").text
    assert 'curator_trainings{state="succeeded"}' in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"runs": ["0123456789ab"]}, "run.unknown"),
        ({"runs": []}, "request.invalid"),
        ({"output": "corpus"}, "training.refused"),
        ({"output": "/etc/model"}, "place.refused"),
        ({"tokenizer": "/etc/passwd"}, "place.refused"),
        ({"config": {"steps": 0}}, "request.invalid"),
        ({"config": {"data": {"weights": [0.5, 0.5]}}}, "training.refused"),
        ({"config": {"model": {"depht": 1}}}, "request.invalid"),
        ({"priority": 1, "x": 1}, "request.invalid"),
    ],
)
def test_a_training_that_could_not_begin_is_refused_before_it_is_made(
    working: Running, trained_on: str, change: dict[str, object], code: str
) -> None:
    with working.http() as client:
        answer = client.post("/v1/trainings", json={**body(trained_on, "never"), **change})
    assert answer.json()["code"] == code


def test_a_training_on_a_run_that_has_not_succeeded_is_refused(resting: Running) -> None:
    with resting.http() as client:
        run = client.post("/v1/runs", json=small_request(resting.settings.state.parent, "waiting")).json()["id"]
        answer = client.post("/v1/trainings", json=body(run, "never"))
    assert (answer.status_code, answer.json()["code"]) == (409, "run.not_finished")


@pytest.mark.slow
def test_a_training_whose_run_is_replaced_while_it_waits_is_not_trained_on_the_other(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with running(settings) as server, server.client() as client:
        run = client.submit(RunRequest.model_validate(small_request(tmp_path, "corpus"))).id
        await_that(lambda: client.run(run).state == State.SUCCEEDED)
    with running(settings, work=False) as server, server.client() as client:
        training = client.train(request_of(run, "model")).id
    shutil.rmtree(tmp_path / "out" / "corpus")
    run_stages([tmp_path / "in" / "texts.jsonl"], tmp_path / "out" / "corpus", "entropy")
    with running(settings) as server, server.client() as client:
        ended = await_training(client, training)
    assert (ended.state, ended.exit_code, ended.error) == (State.FAILED, DataError.exit_code, "DataError")
    assert f"holds another run than {run}" in str(ended.message)
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.slow
@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine may have a GPU")
def test_a_training_for_a_gpu_is_refused_where_there_is_none(working: Running, trained_on: str) -> None:
    with working.http() as client:
        answer = client.post("/v1/trainings", json=body(trained_on, "never", device="cuda"))
    assert (answer.status_code, answer.json()["code"]) == (422, "training.refused")
    assert "no CUDA device" in answer.json()["detail"]


@pytest.mark.slow
def test_others_trainings_are_ended_by_admins_alone(tmp_path: Path) -> None:
    with running(make_settings(tmp_path), work=False) as server:
        with server.server.service.runs.write() as writer:
            row = writer.create(request_of("0" * 12, "m"), "tiny", str(tmp_path / "out" / "m"), "me", Kind.TRAINING)
        token = server.create_token("third", "submit")
        with server.client(token) as other, server.client() as admin:
            with pytest.raises(ServiceRefusalError) as refused:
                other.cancel_training(row.id)
            assert refused.value.code == "token.scope"
            assert admin.cancel_training(row.id).state == State.CANCELLED
            assert admin.resume_training(row.id).state == State.QUEUED


def test_of_later_steps_of_a_piece_the_last_is_kept_with_all_else() -> None:
    kinds = ["training", "step", "step", "validation", "checkpoint", "step", "end"]
    for first, expected in ((500, [0, 3, 4, 5, 6]), (1, [0, 1, 2, 3, 4, 5, 6])):
        kept = TrainingWork().kept([{"kind": kind, "seq": n, "step": first + n} for n, kind in enumerate(kinds)])
        assert [event["seq"] for event in kept] == expected
        assert kept[-1]["kind"] == "training.ended"
