"""`curator submit` and `curator runs` against a real cluster: two raylets and a dashboard on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curator.cluster.dashboard import Dashboard
from tests.cluster import wait_until
from tests.command import curator, json_of, told, write_package
from tests.curator.cluster.submitting import (
    LINGER,
    DashboardCluster,
    Place,
    dashboard_cluster,
    interrupt_when,
    make_place,
)
from tests.runs import hashes, make_texts, recipe_text, write_jsonl

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HELD = """
import atexit
import sys


def hold():
    while not Path("{until}").exists():
        time.sleep(0.05)


if "curator.cluster.job" in sys.orig_argv:
    atexit.register(hold)
"""
"""Behind a stage: its driver does not end before a file is there."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DashboardCluster]:
    with dashboard_cluster(2, 3) as found:
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = make_place(tmp_path)
    yield place
    place.gate.touch()


def submit(
    cluster: DashboardCluster, place: Place, output: str, *more: str | Path, recipe: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = ("submit", place.input, "-o", place.folder / output, "-r", recipe or place.recipe)
    return curator(*command, "--address", cluster.url, *more, env=place.env)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal; before it a busy cluster may have made `submit` say that it waits."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if not re.fullmatch(r"curator: run \w+ waits for .*", line)]
    assert len(lines) == 1, done.stderr
    assert not done.stdout
    return lines[0]


def shown(place: Place, run: str) -> dict[str, object]:
    return json_of(curator("runs", "show", run, "--json", env=place.env))


def test_a_submitted_run_has_the_bytes_of_a_local_one(cluster: DashboardCluster, place: Place) -> None:
    recipe = place.folder / "plain.yaml"
    recipe.write_text(recipe_text("dedup", "entropy"))
    write_jsonl(place.input, make_texts(300, units=(60, 200)))
    done = submit(cluster, place, "on-ray", "--wait", recipe=recipe)
    assert done.returncode == 0, done.stderr
    local = curator("process", place.input, "-o", place.folder / "local", "-r", recipe, env=place.env)
    assert hashes(place.folder / "on-ray") == hashes(place.folder / "local")
    assert done.stdout.startswith(local.stdout.partition("\n\n")[0])
    assert "has begun" in done.stderr
    assert "[1/" in done.stderr, "progress is followed"

    # As on a machine that has not mounted the output.
    (place.folder / "on-ray").rename(place.folder / "hidden")
    again = submit(cluster, place, "on-ray", "--wait", recipe=recipe)
    assert again.returncode == 0, again.stderr
    assert "is not seen from here; where it was removed, --resume makes it anew" in again.stderr
    (record,) = (place.folder / "state" / "runs").glob("*.json")
    assert shown(place, record.stem)["state"] == "finished"
    anew = submit(cluster, place, "on-ray", "--wait", "--resume", recipe=recipe)
    assert anew.returncode == 0, anew.stderr
    assert hashes(place.folder / "on-ray") == hashes(place.folder / "local")


def test_a_stage_that_the_cluster_lacks_works_through_its_wheel(cluster: DashboardCluster, place: Place) -> None:
    place.gate.touch()
    done = submit(cluster, place, "run", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    told_of = json_of(done)
    assert told_of["state"] == "finished"
    manifest = json.loads((place.folder / "run" / "manifest.json").read_text())
    assert told_of["fingerprint"] == manifest["fingerprint"]
    assert "linger" in manifest["code"]


def test_a_job_of_one_id_is_taken_once(cluster: DashboardCluster) -> None:
    job = {"entrypoint": "true", "submission_id": f"once-{time.time_ns()}"}
    assert [Dashboard(cluster.url).submit(job) for _ in range(2)] == [True, False]


def test_an_empty_key_is_refused(cluster: DashboardCluster, place: Place) -> None:
    assert "--key is empty" in refusal(submit(cluster, place, "run", "--key", ""))


@pytest.mark.long
def test_two_requests_with_one_key_at_once_are_one_run_and_one_refusal(cluster: DashboardCluster, place: Place) -> None:
    command = ("submit", place.input, "-r", place.recipe, "--address", cluster.url, "--key", "both")
    both = [place.start(*command, "-o", place.folder / output) for output in ("one", "two")]
    errors = [process.communicate(timeout=480)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], errors
    assert "this key was used for another run" in "".join(errors)


@pytest.mark.long
def test_the_same_submission_sent_twice_at_once_is_one_run(cluster: DashboardCluster, place: Place) -> None:
    command = ("submit", place.input, "-o", place.folder / "run", "-r", place.recipe, "--address", cluster.url)
    both = [place.start(*command), place.start(*command)]
    answers = [process.communicate(timeout=480) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    run = answers[0][0].strip()
    jobs = [job for job in Dashboard(cluster.url).jobs() if run in job.submission]
    assert [job.submission for job in jobs] == [f"curator-{run}-1"]
    place.gate.touch()
    wait_until(lambda: shown(place, run)["job"] == "SUCCEEDED")
    again = submit(cluster, place, "run")
    assert again.returncode == 0
    assert again.stdout.strip() == run
    assert "finished already" in again.stderr
    (log,) = cluster.wheels.parent.rglob(f"session_2*/logs/job-driver-curator-{run}-1.log")
    log.unlink()
    assert submit(cluster, place, "run").stdout.strip() == run
    assert "Ray cannot read the log" in told(curator("runs", "logs", run, env=place.env))
    other = submit(cluster, place, "elsewhere", "--key", "mine")
    assert other.returncode == 0, other.stderr
    assert other.stdout.strip() != run
    clash = submit(cluster, place, "third", "--key", "mine")
    assert "this key was used for another run" in refusal(clash)


def test_a_run_whose_manifest_is_written_is_finished_while_its_job_still_ends(
    cluster: DashboardCluster, place: Place
) -> None:
    module = place.folder / "package" / "linger.py"
    module.write_text(LINGER + HELD.format(until=place.folder / "end"))
    place.gate.touch()
    try:
        first = submit(cluster, place, "run")
        assert first.returncode == 0, first.stderr
        run = first.stdout.strip()
        wait_until(lambda: shown(place, run)["state"] == "finished")
        again = submit(cluster, place, "run")
        assert shown(place, run)["job"] == "RUNNING"
    finally:
        (place.folder / "end").touch()
    assert again.stdout.strip() == run
    assert f"run {run} is finished already" in told(again)


def test_ctrl_c_leaves_the_run_and_cancel_leaves_one_to_resume(cluster: DashboardCluster, place: Place) -> None:
    command = ("submit", place.input, "-o", place.folder / "run", "-r", place.recipe, "--address", cluster.url)
    waiting = place.start(*command, "--wait")
    out, err = interrupt_when(waiting, "[1/")
    assert waiting.returncode == 130
    assert not out
    (record,) = (place.folder / "state" / "runs").glob("*.json")
    assert record.stat().st_mode & 0o077 == 0
    run = record.stem
    assert f"curator runs cancel {run}" in err
    assert shown(place, run)["state"] == "running"

    cancelled = curator("runs", "cancel", run[:6], env=place.env)
    assert cancelled.returncode == 0
    assert f"run {run} is cancelled" in told(cancelled)
    state = shown(place, run)
    assert (state["state"], state["job"]) == ("stopped", "STOPPED")
    refused = submit(cluster, place, "run")
    assert "was cancelled (go on with it with --resume)" in refusal(refused)

    place.gate.touch()
    resumed = curator("runs", "resume", place.folder / "run", "--wait", "--json", env=place.env)
    assert resumed.returncode == 0, resumed.stderr
    assert json_of(resumed)["submission"] == f"curator-{run}-2"
    assert shown(place, run)["attempt"] == 2
    assert curator("verify", place.folder / "run").returncode == 0
    again = curator("runs", "cancel", run, env=place.env)
    assert "was not running: it is finished" in told(again)


@pytest.mark.long
def test_two_runs_work_at_once_and_two_into_one_directory_do_not(cluster: DashboardCluster, place: Place) -> None:
    first = submit(cluster, place, "first")
    second = submit(cluster, place, "second")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    ids = [first.stdout.strip(), second.stdout.strip()]
    assert [shown(place, run)["state"] for run in ids] == ["running", "running"]
    into_one = submit(cluster, place, "first", "--key", "another", "--resume")
    assert "another process is working in this run directory" in refusal(into_one)
    anew = submit(cluster, place, "first", "--key", "a third")
    assert "the output is not empty" in refusal(anew)
    place.gate.touch()
    wait_until(lambda: all(shown(place, run)["state"] == "finished" for run in ids))
    listed = curator("runs", "list", "--json", env=place.env)
    assert {entry["id"]: entry["state"] for entry in json.loads(listed.stdout)} == dict.fromkeys(ids, "finished")
    logs = curator("runs", "logs", ids[0], "--bytes", "20", env=place.env)
    assert logs.returncode == 0
    assert len(logs.stdout.strip()) <= 20
    assert "[3/3] write" in curator("runs", "logs", ids[0], env=place.env).stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--workers", "90"), "--workers 90 is more than the cluster has CPUs for (4)"),
        (("--memory", "900TB"), "--memory 900 TB is more than the cluster has"),
    ],
)
def test_more_than_the_cluster_has_is_refused(
    cluster: DashboardCluster, place: Place, more: tuple[str, str], said: str
) -> None:
    done = submit(cluster, place, "run", *more)
    assert said in refusal(done)
    assert not (place.folder / "run").exists()


def test_input_that_is_not_there_is_refused(cluster: DashboardCluster, place: Place) -> None:
    place.input.unlink()
    done = submit(cluster, place, "run")
    assert str(place.input) in refusal(done)
    assert not (place.folder / "run").exists()
    assert not list((place.folder / "state" / "runs").iterdir())


def test_a_package_that_the_nodes_lack_is_refused(cluster: DashboardCluster, place: Place) -> None:
    write_package(place.folder / "package", "extra_words", "curator.none", "x = extra_words:x", "x = 1")
    metadata = place.folder / "package" / "linger-0.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: extra_words>=0.1\n")
    done = submit(cluster, place, "deep/run")
    assert "extra_words 0.1 is not installed" in refusal(done)
    assert "--install" in done.stderr
    assert not (place.folder / "deep").exists()


def can_unshare() -> bool:
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="mount namespaces need root")
@pytest.mark.parametrize("hidden", ["out", pytest.param("in", marks=pytest.mark.long)])
def test_what_a_node_does_not_see_is_refused(cluster: DashboardCluster, place: Place, hidden: str) -> None:
    folder = place.folder / hidden
    folder.mkdir()
    if hidden == "in":
        shutil.copy(place.input, folder / "in.jsonl")
    node = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', folder, sys.executable, "-m",
         "ray.scripts.scripts", "start", f"--address={cluster.head}", "--num-cpus=1", "--block",
         "--object-store-memory=100000000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    dashboard = Dashboard(cluster.url)
    try:
        wait_until(lambda: len(dashboard.nodes()) == 3)
        source = folder / "in.jsonl" if hidden == "in" else place.input
        output = folder / "run" if hidden == "out" else place.folder / "run"
        begun = time.monotonic()
        done = curator("submit", source, "-o", output, "-r", place.recipe, "--address", cluster.url, env=place.env)
        seconds = time.monotonic() - begun
    finally:
        node.terminate()
        node.wait(timeout=120)
        wait_until(lambda: len(dashboard.nodes()) == 2)
    line = refusal(done)
    if hidden == "out" or "does not see" in line:
        assert "mount at the same path" in line
    # The driver may be on any of the nodes, also on that which sees nothing.
    expected = f"does not share the output {output}" if hidden == "out" else str(source)
    assert expected in line
    assert not output.exists()
    assert seconds < 60
