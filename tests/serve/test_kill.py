"""kill -9 of the server at every point where something was done and the next thing was not: the next server goes on,
every run comes to one right terminal state, and its shards verify."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil
import pytest

from curator.errors import TransientError
from curator.run.directory import RunDirectory
from curator.run.verify import verify
from serve.client import Client
from serve.models import RunDetails, RunRequest
from serve.states import State
from tests.runs import make_texts, write_jsonl
from tests.serve.servers import Command, await_state, await_that, make_settings, small_request

FAULT = """
import os, signal
from {module} import {owner}

def _wrap(original):
    def wrapped(*arguments, **options):
        if {before} and {condition}:
            os.kill(os.getpid(), signal.SIGKILL)
        found = original(*arguments, **options)
        if not {before} and {condition}:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    return wrapped

{owner}.{method} = _wrap({owner}.{method})
"""
"""Wraps a method of the real server: the process dies before or after it."""

OFTEN = """
import serve.runner.runner
serve.runner.runner.RENEW_SECONDS = 0
"""
"""Leases are renewed at every turn: the run may be done before it is time for it."""

RUNNER, WRITER, PROCESS = "serve.runner.runner", "serve.store.runs", "serve.runner.process"


def fault(module: str, owner: str, method: str, when: str, condition: str = "True") -> str:
    return FAULT.format(module=module, owner=owner, method=method, before=when == "before", condition=condition)


def takes(rule: str) -> str:
    """The condition that a transition is the one of a rule."""
    return f"type(arguments[3]).__name__ == {rule!r}"


POINTS = {
    "a submission is in its transaction": fault(WRITER, "Writer", "create", "after"),
    "a run was taken, in the transaction": fault(WRITER, "Writer", "take", "after", takes("Launch")),
    "a run was taken, and no process was started": fault(PROCESS, "WorkerProcess", "launch", "before"),
    "a process was started": fault(PROCESS, "WorkerProcess", "launch", "after"),
    "events are read, and not taken in": fault(WRITER, "Writer", "take_in", "before"),
    "events are taken in, in the transaction": fault(WRITER, "Writer", "take_in", "after"),
    "the run began, in the transaction": fault(WRITER, "Writer", "take", "after", takes("Begin")),
    "leases are to be renewed": OFTEN + fault(WRITER, "Writer", "renew_leases", "before"),
    "the process has ended, and nothing says so": fault(RUNNER, "Runner", "_settle", "before"),
    "the end is in its transaction": fault(WRITER, "Writer", "take", "after", takes("Succeed")),
    "the end was said": fault(RUNNER, "Runner", "_settle", "after"),
}
"""Where the server dies, by what was done."""

SAMPLE = ("a run was taken, and no process was started", "a process was started", "the end is in its transaction")
"""Those of the normal suite."""


def sampled() -> list[object]:
    return [point if point in SAMPLE else pytest.param(point, marks=pytest.mark.long) for point in POINTS]


def check(found: RunDetails, output: Path) -> None:
    """One terminal state, reached once; nothing done twice; shards as they were written."""
    assert found.state == State.SUCCEEDED
    assert [attempt.state for attempt in found.attempts[:-1]] == [State.LOST] * (len(found.attempts) - 1)
    ends = [change for change in found.history if change.after.is_terminal]
    assert len(ends) == len(found.attempts)
    assert [change.version for change in found.history] == list(range(1, found.version + 1))
    assert verify(RunDirectory(output)).problems == []


@pytest.mark.slow
@pytest.mark.parametrize("point", sampled())
def test_a_server_that_is_killed_is_followed_by_one_that_goes_on(point: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    request = RunRequest.model_validate(small_request(tmp_path, "x"))
    command = Command(settings)
    first = command.start(prelude=POINTS[point])
    run = None
    with contextlib.suppress(TransientError), Client(first.url, first.token, timeout_s=30, tries=1) as client:
        run = client.submit(request, "key").id
    assert first.await_death() == -signal.SIGKILL, "the fault did not fire"
    second = command.start()
    try:
        with second.client() as client:
            again = client.submit(request, "key").id  # as a client does that got no answer
            assert run in (None, again)
            found = await_state(client, again)
            assert len(list(client.runs())) == 1
            check(found, tmp_path / "out" / "x")
            events = list(client.events(again))
            assert [event.id for event in events] == sorted({event.id for event in events})
            told = [(event.attempt, event.seq) for event in events if event.origin == "run"]
            assert len(told) == len(set(told))
            assert [event.kind for event in events].count("run.finished") == 1
    finally:
        assert second.stop() == 0


@pytest.mark.slow
def test_a_run_goes_on_while_no_server_is_there_and_is_adopted_by_the_next(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    write_jsonl(tmp_path / "in" / "texts.jsonl", make_texts(5000, units=(150, 400)))
    command = Command(settings).start()
    with command.client() as client:
        run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x"))).id
        await_that((settings.state / "attempts" / run / "1" / "pid").exists)
    command.kill()  # seconds before the run could be done
    pid = (settings.state / "attempts" / run / "1" / "pid").read_text()
    assert Path(f"/proc/{pid}").exists()
    command.start()
    with command.client() as client:
        found = await_state(client, run)
    assert (settings.state / "attempts" / run / "1" / "pid").read_text() == pid
    assert found.attempt == 1
    check(found, tmp_path / "out" / "x")
    assert command.stop() == 0


@pytest.mark.slow
def test_a_run_is_cancelled_by_the_server_that_adopted_it(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    write_jsonl(tmp_path / "in" / "texts.jsonl", make_texts(6000, units=(150, 400)))
    command = Command(settings).start()
    with command.client() as client:
        run = client.submit(RunRequest.model_validate(small_request(tmp_path, "x"))).id
        await_that(lambda: client.run(run).state == State.RUNNING)
        process = psutil.Process(int((settings.state / "attempts" / run / "1" / "pid").read_text()))
        process.suspend()  # it cannot be done before the next server is there
        client.cancel(run)
    command.kill()
    command.start()
    process.resume()
    with command.client() as client:
        assert await_state(client, run).state == State.CANCELLED
    assert command.stop() == 0


@pytest.mark.slow
def test_a_second_server_of_the_same_state_folder_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    command = Command(settings).start()
    other = Command(settings)
    with pytest.raises(RuntimeError, match="another server works in this state folder"):
        other.start()
    assert other.await_death() == 2
    assert command.stop() == 0
