"""Runs from and into object storage: the same bytes as on a local disk, and all that can be done with a run."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from curator.calibrate import Settings, calibrate
from curator.engine import local as engine
from curator.engine.executor import InputT
from curator.engine.job import Job
from curator.errors import UserError
from curator.explain import explain
from curator.recipe import load_recipe_text
from curator.run import execution
from curator.run.directory import RunDirectory
from curator.run.events import EventLog, read_events
from curator.run.forget import forget
from curator.run.manifest import load_manifest
from curator.run.store import Commit, make_folder, put
from curator.run.verify import verify
from curator.storage.objects import copy_object, put_object
from curator.storage.path import StoragePath, matching, relative_name
from model.data.documents import documents_of_run, is_run
from model.data.shards import open_corpus
from tests.curator.storage.conftest import KEY_ID, SECRET, STAGES, make_bucket, upload
from tests.runs import hashes, recipe_text, rows, run_stages

pytestmark = pytest.mark.slow

_made: list[StoragePath] = []


@pytest.fixture
def run(bucket: StoragePath, local: Path) -> StoragePath:
    """A finished run in a bucket, with its input: made once, and copied."""
    if not _made:
        template = make_bucket()
        run_stages([upload(local / "input", template / "in" / "input")], template / "out" / "run", *STAGES)
        _made.append(template)
    for path in _made[0].rglob("*"):
        copy_object(path, bucket / relative_name(path, _made[0]))
    return bucket / "out" / "run"


def test_a_run_from_s3_into_s3_has_the_bytes_of_the_local_one(run: StoragePath, local: Path) -> None:
    assert hashes(run) == hashes(local / "run")
    assert verify(RunDirectory(run)).problems == []


def test_nothing_is_left_beside_a_finished_run(run: StoragePath, tmp_path: Path) -> None:
    folders = {path.relative_to(run).parts[0] for path in run.rglob("*")}
    assert folders == {"manifest.json", "report.html", "shards", "scores", "decisions", "index", "events"}
    assert [*(tmp_path / "spool").glob("*")] == []


def test_a_whole_bucket_may_be_the_run(bucket: StoragePath, local: Path) -> None:
    run_stages([local / "input"], bucket, *STAGES)
    assert hashes(bucket) == hashes(local / "run")
    assert verify(RunDirectory(bucket)).problems == []
    with pytest.raises(UserError, match="the output is not empty"):
        run_stages([local / "input"], bucket, *STAGES)


def test_documents_to_ask_a_model_about_are_those_of_a_run_in_a_bucket(run: StoragePath, local: Path) -> None:
    assert is_run(str(run))
    assert not is_run(str(run / "shards"))
    assert [*documents_of_run(open_corpus(str(run)), 0.2)] == [*documents_of_run(open_corpus(str(local / "run")), 0.2)]


def test_no_secret_is_in_anything_that_a_run_writes(run: StoragePath) -> None:
    for path in run.rglob("*"):
        data = path.read_bytes()
        assert SECRET.encode() not in data, path
        assert KEY_ID.encode() not in data, path


def test_the_manifest_holds_no_place(run: StoragePath) -> None:
    assert b"s3://" not in (run / "manifest.json").read_bytes()


def test_a_document_is_explained_and_then_forgotten(run: StoragePath, local: Path) -> None:
    kept = str(rows(run, "shards")[0]["id"])
    mine, theirs = explain(RunDirectory(run), kept)[0], explain(RunDirectory(local / "run"), kept)[0]
    assert mine == theirs
    outcome = forget(RunDirectory(run), [kept])
    assert outcome.proof.problems == []
    assert outcome.indexes[0]["documents"] == len(outcome.documents) > 0
    assert verify(RunDirectory(run)).problems == []
    with pytest.raises(UserError, match="no document has the id"):
        explain(RunDirectory(run), kept)
    assert not [*(run / ".rewrite").rglob("*")]


def test_a_forget_that_is_stopped_after_its_journal_is_finished_by_the_next(run: StoragePath) -> None:
    kept = [str(row["id"]) for row in rows(run, "shards")[:2]]

    def stop(what: str, _name: str) -> None:
        if what == "journal":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        forget(RunDirectory(run), kept[:1], step=stop)
    assert verify(RunDirectory(run)).problems == ["a `curator forget` was interrupted; run that again"]
    assert forget(RunDirectory(run), kept[:1]).finished_earlier
    assert verify(RunDirectory(run)).problems == []


def test_a_run_in_a_bucket_calibrates(run: StoragePath) -> None:
    recipe = load_recipe_text(recipe_text(*STAGES), "r")
    assert calibrate(RunDirectory(run), recipe, Settings(share=0.5)).documents == 360


def test_a_fresh_run_into_a_used_place_is_refused_and_resuming_a_finished_one_verifies(
    run: StoragePath, local: Path
) -> None:
    source = run.parent.parent / "in" / "input"
    with pytest.raises(UserError, match="the output is not empty"):
        run_stages([source], run, *STAGES)
    assert run_stages([source], run, *STAGES, resume=True).was_finished
    with pytest.raises(UserError, match="started with something else"):
        run_stages([source], run, "dedup", resume=True)


def test_an_input_object_that_changed_is_refused_by_resume(run: StoragePath) -> None:
    source = run.parent.parent / "in" / "input"
    put_object(source / "1.jsonl", (source / "1.jsonl").read_bytes()[::-1])
    with pytest.raises(UserError, match=r"input.1.jsonl changed \(size or ETag\)"):
        run_stages([source], run, *STAGES, resume=True)


def test_a_place_that_holds_something_else_is_refused(bucket: StoragePath, local: Path) -> None:
    put_object(bucket / "run" / "notes.txt", b"mine")
    with pytest.raises(UserError, match="not empty"):
        run_stages([local / "input"], bucket / "run", "dedup")
    with pytest.raises(UserError, match="is not a run directory"):
        run_stages([local / "input"], bucket / "run", "dedup", resume=True)
    with pytest.raises(UserError, match="the output lies in the input"):
        run_stages([bucket / "run"], bucket / "run" / "out", "dedup")
    with pytest.raises(UserError, match="is an object, not a folder"):
        run_stages([local / "input"], bucket / "run" / "notes.txt", "dedup")


def test_what_an_earlier_attempt_left_beside_the_files_goes(bucket: StoragePath, tmp_path: Path) -> None:
    for root in (bucket / "run", tmp_path / "run"):
        for name in ("shards/part-00000.parquet", "shards/part-00001.parquet", "failed/part-00000.parquet"):
            put(make_folder((root / name).parent) / name.partition("/")[2], b"1")
        directory = RunDirectory(root)
        directory.keep_only("shards", ["part-00000.parquet"])
        directory.keep_only("failed", [])
        assert [path.name for path in matching(root, "**/*.parquet")] == ["part-00000.parquet"]
        assert not (root / "failed").exists()


def test_pieces_of_events_are_found_without_a_listing(bucket: StoragePath) -> None:
    for attempt in range(1, 12):
        log = EventLog(bucket / "events")
        assert log.attempt == attempt
        log.emit("said")
        log.flush()
    assert [event["attempt"] for event in read_events(bucket / "events")] == [*range(1, 12)]


class SeparateNodes(engine.LocalExecutor):
    """Runs every other task in a process with a spool of its own, which it shares with nobody: nodes without a disk in
    common. Lone tasks run in the driver, a third node."""

    folder: Path
    used: tuple[set[str], set[str]]

    def __init__(
        self, workers: int, tick: Callable[[], None], done: Callable[[Commit, bool], None], recipe: Path | None = None
    ) -> None:
        super().__init__(2, tick, done, recipe)
        self._turn = 0
        self._nodes = [
            concurrent.futures.ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_move_spool,
                initargs=(str(self.folder / f"node-{number}"),),
            )
            for number in range(2)
        ]

    def _submit(self, job: Job[InputT]) -> concurrent.futures.Future[Commit]:
        self._turn += 1
        self.used[self._turn % 2].add(job.folder.rpartition("/")[2])
        return self._nodes[self._turn % 2].submit(job)

    def close(self, *, kill: bool = False) -> None:
        for node in self._nodes:
            node.shutdown(cancel_futures=True)


def _move_spool(folder: str) -> None:
    os.environ["CURATOR_SPOOL"] = folder


@pytest.mark.slow
def test_tasks_of_a_run_on_nodes_without_a_shared_disk_give_the_same_bytes(
    bucket: StoragePath, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeparateNodes, "folder", tmp_path, raising=False)
    used: tuple[set[str], set[str]] = (set(), set())
    monkeypatch.setattr(SeparateNodes, "used", used, raising=False)
    monkeypatch.setattr(execution, "LocalExecutor", SeparateNodes)
    source = upload(local / "input", bucket / "in" / "input")
    run_stages([source], bucket / "run", *STAGES, workers=2)
    assert hashes(bucket / "run") == hashes(local / "run")
    assert {"read", "emit", "handle", "judge-1"} <= used[0] & used[1]


def test_a_manifest_that_is_not_there_tells_of_the_unfinished_run(bucket: StoragePath) -> None:
    with pytest.raises(UserError, match="there is no such directory"):
        load_manifest(RunDirectory(bucket / "nothing").manifest)
    EventLog(bucket / "run" / "events").emit("run.started")
    log = EventLog(bucket / "run" / "events")
    log.emit("run.started")
    log.flush()
    with pytest.raises(UserError, match="the run is not finished"):
        load_manifest(RunDirectory(bucket / "run").manifest)
