"""Documents that kill the process which works on them: found, left out, and named in failed/."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from curator.run.journal import STRIKES, Journal
from curator.run.phases.judge import JudgeTask
from curator.run.phases.read import ReadTask
from tests.cluster import ray_cluster
from tests.command import curator, json_of, write_package
from tests.runs import hashes, make_texts, recipe_text, rows, run_stages, write_jsonl

FATAL = """
    import os, signal
    import pyarrow as pa
    from curator.stage import Column, Parameters, Resources, Stage
    from curator.verdict import VerdictBuilder

    def look(batch):
        for text in batch.documents.column("text").to_pylist():
            if "kill-{name}" in text:
                os.kill(os.getpid(), signal.SIGSEGV)
        return batch.units.counts

    class Fatal(Stage[Parameters]):
        name = "{name}"
        about = "ends its process at a text that says so"
        parameters_type = Parameters
        columns = (Column("{name}.units", pa.int64(), "units"),)
        costly = {costly}
        resources = Resources(holds_model={costly})

        def annotate(self, batch):
            return {{"{name}.units": pa.array(look(batch))}}
"""


def packages(folder: Path) -> dict[str, str]:
    """Two stages of somebody else: `early` annotates while reading, `late` while survivors are judged."""
    paths = []
    for name, costly in (("early", False), ("late", True)):
        source = FATAL.format(name=name, costly=costly)
        entry = f"{name} = {name}_stage:Fatal"
        paths.append(write_package(folder / name, f"{name}_stage", "curator.stages", entry, source)["PYTHONPATH"])
    return {"PYTHONPATH": os.pathsep.join(paths)}


def write_inputs(folder: Path) -> tuple[list[Path], dict[str, int]]:
    """Two files that are read together, the first with a text for `late`, the second with one for `early`; and where
    each line begins in its file, in bytes."""
    files, positions = [], {}
    for name, count, number, killed in (("a", 400, 111, "late"), ("b", 300, 37, "early")):
        documents = [{**each, "id": f"{name}-{each['id']}"} for each in make_texts(count, seed=count)]
        documents[number]["text"] = f"this will kill-{killed} it, and is long enough to be kept number {number}"
        files.append(write_jsonl(folder / f"{name}.jsonl", documents))
        begin = 0
        for document, line in zip(documents, files[-1].read_bytes().splitlines(keepends=True), strict=True):
            positions[document["id"]] = begin
            begin += len(line)
    return files, positions


def check(run: Path, positions: dict[str, int]) -> None:
    """That both are named in failed/, one never read, one dropped; and that the run verifies."""
    failed = {(row["file"], row["position"], row["stage"], row["code"]) for row in rows(run, "failed")}
    assert failed == {
        ("b.jsonl", positions["b-d37"], "read", "crash"),
        ("a.jsonl", positions["a-d111"], "late", "crash"),
    }
    kept = {row["id"] for row in rows(run, "shards")}
    assert not kept & {"b-d37", "a-d111"}
    crashed = [row["id"] for row in rows(run, "decisions") if row["rule"] == "late.crash"]
    assert crashed == ["a-d111"]
    assert curator("verify", run).returncode == 0


@pytest.fixture
def scene(tmp_path: Path) -> tuple[list[str], dict[str, int], dict[str, str]]:
    environment = packages(tmp_path / "packages")
    inputs, positions = write_inputs(tmp_path / "in")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_text("dedup", "early", "late"))
    return [*map(str, inputs), "-r", str(recipe), "--json"], positions, environment


@pytest.mark.slow
def test_documents_that_kill_their_worker_are_left_out_and_named(
    tmp_path: Path, scene: tuple[list[str], dict[str, int], dict[str, str]]
) -> None:
    arguments, positions, environment = scene
    run = tmp_path / "run"
    done = curator("process", *arguments, "-o", run, env=environment)
    for _ in range(4):  # inputs this small are worked on in the process itself, which dies
        if done.returncode != -signal.SIGSEGV:
            break
        done = curator("process", *arguments, "-o", run, "--resume", env=environment)
    assert done.returncode == 0, done.stderr
    failures = json_of(done)["failed"]
    assert isinstance(failures, list)
    assert [(each["code"], each["records"]) for each in failures] == [("crash", 1)] * 2
    check(run, positions)
    told = curator("explain", run, "a-d111", env=environment).stdout
    assert "dropped by late" in told
    assert "the process that worked on it ended each time" in told


@pytest.mark.slow
@pytest.mark.long
def test_on_ray_the_same_documents_are_left_out(
    tmp_path: Path, scene: tuple[list[str], dict[str, int], dict[str, str]]
) -> None:
    arguments, positions, environment = scene
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment["PYTHONPATH"])
        with ray_cluster(2) as cluster:
            done = curator("process", *arguments, "-o", tmp_path / "ray", "--ray", cluster.address)
    assert done.returncode == 0, done.stderr
    check(tmp_path / "ray", positions)


def test_a_journal_blames_only_who_was_met_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for _ in range(STRIKES):
        journal = Journal(path)
        assert journal.poison == frozenset()
        with journal.about(3):
            pass
        journal._write(7)  # and there the process ends
    assert Journal(path).poison == {7}
    Journal(path).close()
    assert not path.exists()


@pytest.mark.slow
def test_work_done_carefully_leaves_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = ("dedup", "entropy: {min_bits: 3}", "outliers: {min_documents: 20}", "pii", "sampling")
    source = write_jsonl(tmp_path / "in.jsonl", make_texts(150))
    plain = run_stages([source], tmp_path / "plain", *stages)
    monkeypatch.setattr("curator.run.execution.ReadTask", lambda *given: ReadTask(*given).carefully())
    monkeypatch.setattr("curator.run.execution.JudgeTask", lambda *given: JudgeTask(*given).carefully())
    careful = run_stages([source], tmp_path / "careful", *stages)
    assert hashes(careful.directory.root) == hashes(plain.directory.root)


def test_an_error_that_is_raised_is_no_death(tmp_path: Path) -> None:
    path = tmp_path / "task.journal"
    for _ in range(STRIKES):
        with pytest.raises(TimeoutError), Journal(path).about(7):
            raise TimeoutError
    assert Journal(path).poison == frozenset()
