"""What is known of a run whose cluster is gone: its record, and what its run directory says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from curator.cluster.dashboard import SubmittedJob
from curator.cluster.follow import follow
from curator.cluster.job import Report, reports_of, without_reports
from curator.cluster.records import RunRecord, find_record, read_records, save_record
from curator.cluster.specification import Specification
from curator.cluster.state import Progress, exit_code_of, is_worked_in, progress_of
from curator.cluster.submit import renew, run_id
from curator.errors import DataError, UserError
from curator.recipe import load_recipe_text
from curator.recipe.overlay import Origins
from curator.run.directory import RunDirectory, RunLock
from curator.run.events import EventLog
from tests.command import curator, json_of, told
from tests.curator.cluster.submitting import free_port
from tests.runs import make_texts, recipe_text, run_stages, write_jsonl

JOB = SubmittedJob("curator-0123456789ab-1", "RUNNING", "", None, {})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CURATOR_STATE", str(tmp_path / "state"))
    return tmp_path


def make_record(output: Path, run: str = "0123456789ab") -> RunRecord:
    """A run that was submitted to a cluster which is gone."""
    specification = Specification(
        inputs=(str(output.parent / "in.jsonl"),),
        output=str(output),
        recipe=load_recipe_text(recipe_text("entropy"), "test.yaml"),
        origins=Origins(),
        workers=None,
        memory_bytes=4_000_000_000,
        resume=False,
        expected={},
        models={},
    )
    record = RunRecord(
        id=run,
        address=f"http://127.0.0.1:{free_port()}",
        submission=f"curator-{run}-1",
        submitted=time.time(),
        install=False,
        specification=specification,
    )
    save_record(record)
    return record


def run_here(output: Path, documents: int = 20) -> None:
    run_stages([write_jsonl(output.parent / "in.jsonl", make_texts(documents))], output, "entropy")


def test_a_run_that_is_resumed_with_another_rate_of_errors_is_the_same_run(home: Path) -> None:
    specification = make_record(home / "run").specification
    renewed = renew(specification, 0.5)
    assert (renewed.recipe.max_error_rate, renewed.resume) == (0.5, True)
    assert run_id(renewed, None) == run_id(specification, None)
    other = specification.model_copy(update={"recipe": specification.recipe.model_copy(update={"seed": 1})})
    assert run_id(other, None) != run_id(specification, None)


@pytest.mark.slow
def test_a_finished_run_is_shown_without_its_cluster(home: Path) -> None:
    record = make_record(home / "run")
    run_here(home / "run")
    shown = json_of(curator("runs", "show", record.id, "--json"))
    assert (shown["state"], shown["cluster_answers"], shown["job"]) == ("finished", False, None)
    done = curator("runs", "list")
    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:]] == [[record.id, "test", "finished"]]
    text = curator("runs", "show", str(record.directory)).stdout
    assert f"{record.submission}: does not answer" in text


@pytest.mark.slow
@pytest.mark.parametrize("command", ["logs", "cancel", "resume"])
def test_what_needs_the_cluster_says_that_it_does_not_answer(home: Path, command: str) -> None:
    record = make_record(home / "run")
    run_here(home / "run")
    done = curator("runs", command, record.id)
    assert done.returncode in (2, 75)
    assert f"no Ray dashboard answers at {record.address}" in told(done)


def test_a_run_that_failed_is_shown_with_its_error(home: Path) -> None:
    record = make_record(home / "run")
    (home / "in.jsonl").write_text("no JSON\n" * 200)
    with pytest.raises(DataError):
        run_stages([home / "in.jsonl"], record.directory, "entropy")
    found = progress_of(record.directory)
    assert (found.state, found.error, found.exit_code) == ("failed", "DataError", 3)
    assert found.message is not None
    assert "200 of 200 records could not be read" in found.message


@pytest.mark.slow
def test_waiting_goes_on_with_the_events_when_the_cluster_falls_silent(home: Path) -> None:
    record = make_record(home / "run")
    directory = RunDirectory(record.directory)
    directory.create()
    log = EventLog(directory.events)
    said: list[str] = []
    kinds: list[object] = []

    def drive() -> None:
        with RunLock(directory):
            for kind, fields in (
                ("run.started", {"bytes": 1}),
                ("phase.started", {"phase": "a", "index": 0, "phases": 1}),
            ):
                log.emit(kind, **fields)
                log.flush()
                time.sleep(1.5)
            log.emit("run.stopped", error="TransientError", message="a worker died")
            log.flush()

    driver = threading.Thread(target=drive)
    driver.start()
    found = follow(record, 1, lambda event: kinds.append(event["kind"]), said.append)
    driver.join()
    assert said == ["the cluster does not answer; going on with what the run directory says"]
    assert kinds == ["run.started", "phase.started", "run.stopped"]
    assert (found.state, found.exit_code, found.message) == ("failed", 75, "a worker died")


@pytest.mark.slow
def test_waiting_ends_when_the_cluster_is_silent_and_nobody_works(home: Path) -> None:
    record = make_record(home / "run")
    directory = RunDirectory(record.directory)
    directory.create()
    log = EventLog(directory.events)
    log.emit("run.started", bytes=1)
    log.flush()
    found = follow(record, 1, lambda event: None, lambda sentence: None)
    assert (found.state, found.exit_code) == ("lost", 75)
    assert found.message == "the cluster does not answer, and nothing works in the run directory"


@pytest.mark.parametrize(
    ("job", "state"),
    [
        (None, "running"),
        (JOB, "running"),
        (replace(JOB, status="STOPPED"), "stopped"),
        (replace(JOB, status="FAILED", message="a\nthe node died\n"), "lost"),
    ],
)
def test_a_run_without_a_last_word_is_what_ray_says_of_its_job(
    tmp_path: Path, job: SubmittedJob | None, state: str
) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    log = EventLog(directory.events)
    log.emit("run.started", bytes=1)
    log.flush()
    found = progress_of(directory.root, job)
    assert found.state == state
    if state == "lost":
        assert found.message == "the node died"


@pytest.mark.parametrize(
    ("job", "state", "error"),
    [
        (None, "unknown", None),
        (replace(JOB, status="PENDING"), "waiting", None),
        (JOB, "running", None),
        (replace(JOB, status="STOPPED"), "stopped", "KeyboardInterrupt"),
        (replace(JOB, status="SUCCEEDED", message="Job finished successfully.", exit_code=0), "finished", None),
        (replace(JOB, status="FAILED", exit_code=3), "failed", "DataError"),
        (replace(JOB, status="FAILED", exit_code=-9), "lost", None),
    ],
)
def test_a_run_whose_directory_is_not_seen_from_here_is_what_ray_says_of_its_job(
    tmp_path: Path, job: SubmittedJob | None, state: str, error: str | None
) -> None:
    found = progress_of(tmp_path / "not-mounted", job)
    assert (found.state, found.error) == (state, error)
    assert found.exit_code == {"finished": 0, "stopped": 130, "failed": 3}.get(state, 75)


@pytest.mark.slow
def test_waiting_for_a_run_of_which_nothing_is_seen_ends_and_does_not_call_it_lost(home: Path) -> None:
    record = make_record(home / "not-mounted")
    found = follow(record, 1, lambda event: None, lambda sentence: None)
    assert (found.state, found.exit_code) == ("unknown", 75)
    assert found.message == "the cluster does not answer, and the run directory is not seen from here"


def test_an_attempt_that_has_not_begun_waits(tmp_path: Path) -> None:
    assert progress_of(tmp_path / "run", replace(JOB, status="PENDING")) == Progress("waiting")
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    log = EventLog(directory.events)
    log.emit("run.stopped", error="KeyboardInterrupt", message=None)
    log.flush()
    assert progress_of(directory.root).state == "stopped"
    assert progress_of(directory.root, JOB).state == "waiting"


def test_a_directory_is_worked_in_while_it_is_locked(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with RunLock(directory):
        assert is_worked_in(tmp_path)
    assert not is_worked_in(tmp_path)
    assert not is_worked_in(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("error", "code"), [("UserError", 2), ("KeyboardInterrupt", 130), ("KeyError", 70), (None, 70)]
)
def test_an_error_has_the_exit_code_of_the_command_line(error: str | None, code: int) -> None:
    assert exit_code_of(error) == code


def test_records_are_the_owners_alone_and_found_by_a_part_of_the_id(home: Path) -> None:
    first, second = make_record(home / "a", "aaaa00000000"), make_record(home / "b", "aaab00000000")
    folder = home / "state" / "runs"
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    assert [record.id for record in read_records().runs] == [second.id, first.id]
    assert find_record("AAAA").id == first.id
    assert find_record(str(home / "b")).id == second.id
    with pytest.raises(UserError, match="more than one run: "):
        find_record("aaa")
    with pytest.raises(UserError, match="no run 'ffff' was submitted from here"):
        find_record("ffff")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["{", "{}", ""])
def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(home: Path, damage: str) -> None:
    whole, damaged = make_record(home / "run", "aaaa00000000"), make_record(home / "b", "aaab00000000")
    run_here(home / "run")
    file = home / "state" / "runs" / f"{damaged.id}.json"
    file.write_text(damage)
    for listed in (curator("runs", "list", "--json"), curator("runs", "list")):
        assert listed.returncode == 3
        assert listed.stderr.startswith(f"curator: {file}: is not a record of a run (")
        assert len(listed.stderr.splitlines()) == 1
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["run", whole.id]
    for named in ("aaaa", str(home / "run")):
        assert json_of(curator("runs", "show", named, "--json"))["state"] == "finished"
    shown = curator("runs", "show", "aaab")
    assert (shown.returncode, f"{file}: is not a record of a run" in told(shown)) == (3, True)
    with pytest.raises(UserError, match="more than one run: aaaa00000000, aaab00000000"):
        find_record("aaa")
    with pytest.raises(UserError, match=r"no run .* and names the records that cannot be read"):
        find_record(str(home / "b"))


@pytest.mark.slow
def test_a_run_whose_events_are_damaged_is_named_and_hides_no_other(home: Path) -> None:
    whole, damaged = make_record(home / "a" / "run"), make_record(home / "b" / "run", "aaab00000000")
    for record in (whole, damaged):
        Path(record.specification.output).parent.mkdir()
        run_here(Path(record.specification.output))
    piece = home / "b" / "run" / "events" / "000001.jsonl"
    piece.write_text("{")
    listed = curator("runs", "list", "--json")
    assert listed.returncode == 3
    assert [run["id"] for run in json.loads(listed.stdout)] == [whole.id]
    assert str(piece) in listed.stderr
    assert curator("runs", "show", whole.id).returncode == 0
    assert curator("runs", "show", damaged.id).returncode == 3


def test_reports_are_read_from_a_log_and_left_out_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    from curator.cluster.job import Driver

    driver = Driver()
    driver.note({"kind": "run.started", "attempt": 2})
    driver.note({"kind": "task.done"})
    assert driver.end(3, "too many failed\nrecords") == 3
    log = f"before\n{capsys.readouterr().out}curator-report {{cut"
    assert list(reports_of(log)) == [
        Report(kind="began", attempt=2),
        Report(kind="ended", attempt=2, exit_code=3, message="too many failed\nrecords"),
    ]
    assert without_reports(log) == "before\n"
    refusing: Callable[[int], int] = Driver().end
    assert refusing(2) == 2
    assert [report.kind for report in reports_of(capsys.readouterr().out)] == ["refused"]
