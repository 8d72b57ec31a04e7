"""Runs of the service whose drivers are jobs of a Ray cluster: followed, adopted, ended, and lost with the cluster."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.cluster.dashboard import Dashboard
from curator.errors import DataError
from curator.run.directory import RunDirectory
from curator.run.events import read_events
from curator.run.verify import verify
from serve.client import Client
from serve.models import RunRequest
from serve.states import State
from tests.cluster import wait_until
from tests.command import curator
from tests.curator.cluster.submitting import DashboardCluster, Place, dashboard_cluster, make_place
from tests.runs import hashes
from tests.serve.servers import Command, await_state, await_that, make_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[DashboardCluster]:
    with dashboard_cluster(2) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def serving(place: Place, cluster: DashboardCluster) -> Command:
    return Command(
        make_settings(place.folder),
        options=("--ray-jobs", cluster.url, "--input-root", str(place.folder)),
        environment=place.env,
    )


def request_of(place: Place, output: str) -> RunRequest:
    recipe = {"name": "lingering", "stages": [{"linger": {"until": str(place.gate)}}]}
    return RunRequest.model_validate({"inputs": [str(place.folder / "in")], "output": output, "recipe": recipe})


def follower_of(command: Command, run: str, attempt: int) -> int:
    """The process that follows an attempt, once it is there."""
    path = command.settings.state / "attempts" / run / str(attempt) / "pid"
    await_that(path.exists)
    return int(path.read_text())


def log_of(command: Command, run: str, attempt: int) -> str:
    """What the process that follows an attempt has written."""
    path = command.settings.state / "attempts" / run / str(attempt) / "log"
    return path.read_text() if path.exists() else ""


def jobs_of(cluster: DashboardCluster, run: str) -> dict[str, str]:
    """The jobs of a run in the cluster, and how they stand."""
    return {job.submission: job.status for job in Dashboard(cluster.url).jobs() if run in job.submission}


def starts(place: Place, output: str) -> int:
    """How often a run began."""
    events = read_events(RunDirectory(place.folder / "out" / output).events)
    return sum(event["kind"] == "run.started" for event in events)


def begin(client: Client, place: Place, output: str) -> str:
    """Submit a run, and wait until it works."""
    run = client.submit(request_of(place, output)).id
    await_state(client, run, State.RUNNING)
    return run


def test_a_job_is_adopted_by_the_next_server_and_the_next_attempt_and_never_runs_twice(
    cluster: DashboardCluster, place: Place
) -> None:
    command = serving(place, cluster).start()
    with command.client() as client:
        run = begin(client, place, "x")
    command.kill()
    os.kill(follower_of(command, run, 1), signal.SIGKILL)
    command.start()
    try:
        with command.client() as client:
            await_that(lambda: client.run(run).attempt == 2)
            await_state(client, run, State.RUNNING)
            assert jobs_of(cluster, run) == {f"curator-{run}-1": "RUNNING"}
            place.gate.touch()
            found = await_state(client, run)
            assert "[1/" in client.log(run).text
    finally:
        assert command.stop() == 0
    assert [(attempt.state, attempt.exit_code) for attempt in found.attempts] == [(State.LOST, 75), ("succeeded", 0)]
    wait_until(lambda: jobs_of(cluster, run) == {f"curator-{run}-1": "SUCCEEDED"})  # a moment after its run
    assert starts(place, "x") == 1
    output = place.folder / "out" / "x"
    assert verify(RunDirectory(output)).problems == []
    recipe = place.folder / "lingering.json"
    recipe.write_text(json.dumps(request_of(place, "x").recipe))
    done = curator("process", place.folder / "in", "-o", place.folder / "local", "-r", recipe, env=place.env)
    assert done.returncode == 0, done.stderr
    assert hashes(output) == hashes(place.folder / "local")


@pytest.mark.long
def test_a_cancelled_run_leaves_no_job_and_goes_on_when_it_is_resumed(cluster: DashboardCluster, place: Place) -> None:
    command = serving(place, cluster).start()
    try:
        with command.client() as client:
            run = begin(client, place, "x")
            client.cancel(run)
            assert await_state(client, run).state == State.CANCELLED
            assert jobs_of(cluster, run) == {f"curator-{run}-1": "STOPPED"}
            place.gate.touch()
            client.resume(run)
            assert await_state(client, run).state == State.SUCCEEDED
    finally:
        assert command.stop() == 0
    ended = {f"curator-{run}-1": "STOPPED", f"curator-{run}-2": "SUCCEEDED"}
    wait_until(lambda: jobs_of(cluster, run) == ended)  # a moment after its run
    assert starts(place, "x") == 2


@pytest.mark.long
def test_a_run_with_too_many_broken_records_goes_on_with_another_rate(cluster: DashboardCluster, place: Place) -> None:
    broken = place.folder / "in" / "broken.jsonl"
    broken.parent.mkdir(exist_ok=True)  # `serving` puts whole records beside it
    broken.write_text("{\n" * 300)
    place.gate.touch()
    command = serving(place, cluster).start()
    try:
        with command.client() as client:
            run = client.submit(request_of(place, "x")).id
            failed = await_state(client, run)
            assert (failed.state, failed.exit_code) == (State.FAILED, DataError.exit_code)
            assert "or resume the run with max_error_rate 0." in str(failed.message)
            client.resume(run, max_error_rate=0.99)
            assert await_state(client, run).state == State.SUCCEEDED
            assert client.funnel(run).all["failed"].documents == 300
    finally:
        assert command.stop() == 0


@pytest.mark.long
def test_a_run_that_the_cluster_cannot_do_is_refused_in_its_words(cluster: DashboardCluster, place: Place) -> None:
    command = serving(place, cluster).start()
    try:
        with command.client() as client:
            asked = request_of(place, "x").model_copy(update={"workers": 64})
            found = await_state(client, client.submit(asked).id)
    finally:
        assert command.stop() == 0
    assert (found.state, found.exit_code, found.attempt) == (State.FAILED, 2, 1)
    assert "64" in (found.message or "")


@pytest.mark.long
def test_a_run_whose_cluster_is_gone_is_lost_and_goes_on_when_there_is_one_again(place: Place) -> None:
    with dashboard_cluster(2) as gone:
        command = serving(place, gone).start()
        with command.client() as client:
            run = begin(client, place, "x")
        # Its events are there a moment before the process that follows it has heard that it began.
        await_that(lambda: f"job curator-{run}-1 of {gone.url}: began" in log_of(command, run, 1))
    try:
        with command.client() as client:
            # The driver waits a minute for its head, and holds the run directory meanwhile.
            await_that(lambda: client.run(run).attempt == 2, seconds=240)
            assert client.run(run).attempts[0].state == State.LOST
            await_that(lambda: "waits: no Ray dashboard answers" in log_of(command, run, 2))
            place.gate.touch()
            with dashboard_cluster(2, port=int(gone.url.rpartition(":")[2])) as again:
                assert await_state(client, run).state == State.SUCCEEDED
                wait_until(lambda: jobs_of(again, run) == {f"curator-{run}-1": "SUCCEEDED"})
    finally:
        assert command.stop() == 0
    assert starts(place, "x") == 2
