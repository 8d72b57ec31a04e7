"""The lease of a run directory: two runs at once are refused, one that was killed is taken over."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from curator.cluster.state import is_worked_in
from curator.errors import UserError
from curator.run.directory import FIRST_EVENTS, RunDirectory, RunLock
from curator.storage import lease
from curator.storage.lease import NAME, Lease
from curator.storage.objects import put_object
from curator.storage.path import StoragePath
from tests.curator.storage.conftest import STAGES
from tests.runs import hashes, run_stages


@pytest.mark.slow
def test_two_runs_into_one_directory_at_once_are_refused(bucket: StoragePath, local: Path) -> None:
    with (
        RunLock(RunDirectory(bucket / "run")),
        pytest.raises(UserError, match="wait until it has ended"),
    ):
        run_stages([local / "input"], bucket / "run", *STAGES)
    assert not (bucket / "run" / NAME).is_file()


@pytest.mark.slow
def test_a_lease_that_nobody_renews_is_taken_over(
    bucket: StoragePath, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "WATCH_SECONDS", 1.0)
    put_object(bucket / "run" / NAME, b'{"owner": "one that was killed", "number": 3}')
    run_stages([local / "input"], bucket / "run", *STAGES)
    assert hashes(bucket / "run") == hashes(local / "run")


@pytest.mark.slow
def test_a_directory_in_a_bucket_is_worked_in_while_its_lease_is_renewed(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_worked_in(bucket / "run")
    with Lease(bucket / "run"):
        assert is_worked_in(bucket / "run")
    monkeypatch.setattr(lease, "WATCH_SECONDS", 1.0)
    put_object(bucket / "run" / NAME, b'{"owner": "one that was killed", "number": 3}')
    assert not is_worked_in(bucket / "run")


@pytest.mark.slow
def test_a_run_that_was_begun_while_this_one_waited_is_not_gone_on_with(bucket: StoragePath, local: Path) -> None:
    refused: list[UserError] = []

    def begin() -> None:
        try:
            run_stages([local / "input"], bucket / "run", *STAGES)
        except UserError as error:
            refused.append(error)

    with Lease(bucket / "run"):
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join(2)  # it finds nothing, and then this lease; on a slow machine it finds what follows
        put_object(bucket / "run" / "events" / FIRST_EVENTS, b'{"kind": "run.started", "attempt": 1}\n')
    thread.join()
    assert len(refused) == 1
    assert not (bucket / "run" / "manifest.json").exists()


@pytest.mark.slow
def test_of_several_that_begin_together_one_holds_the_lease(bucket: StoragePath) -> None:
    started, done = threading.Barrier(4), threading.Event()
    held: list[int] = []
    refused: list[str] = []

    def begin(number: int) -> None:
        started.wait()
        try:
            with Lease(bucket / "run"):
                held.append(number)
                done.wait(60)
        except UserError as error:
            refused.append(error.message)
        if len(refused) == 3:
            done.set()

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    assert refused == ["another process is working in this run directory"] * 3


@pytest.mark.slow
def test_a_holder_that_was_taken_over_stops_and_leaves_the_lease_of_the_other(
    bucket: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    other = b'{"owner": "another", "number": 1}'
    with Lease(bucket / "run") as held:
        held.check()
        while (bucket / "run" / NAME).read_bytes() != other:
            put_object(bucket / "run" / NAME, other)  # until no renewal under way comes after it
            held._thread.join(1)
        with pytest.raises(UserError, match="took this run directory over"):
            held.check()
        assert held.lost
    assert (bucket / "run" / NAME).read_bytes() == other
