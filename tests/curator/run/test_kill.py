"""SIGKILL at random points, then `--resume`: the same bytes as an undisturbed run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from curator.run.execution import MIN_SPLIT_BYTES
from tests.runs import hashes, make_texts, recipe_text, write_jsonl

STAGES = ("dedup: {index: true}", "entropy: {min_bits: 3}", "outliers: {min_documents: 20}", "sampling: {alpha: 0.5}")

KILLED_AT_EVENT = """
import os, signal, sys, threading, time
from pathlib import Path
from curator.recipe import load_with_origins
from curator.run.driver import Request, run

def main():
    source, output, recipe, workers, at, delay = sys.argv[1:]
    seen = 0

    def kill(event):
        nonlocal seen
        seen += 1
        if seen == int(at):
            time.sleep(float(delay))
            os.kill(os.getpid(), signal.SIGKILL)

    inputs = tuple(sorted(str(path) for path in Path(source).iterdir()))
    loaded, origins = load_with_origins(recipe)
    run(Request(inputs, Path(output), loaded, workers=int(workers), resume=True, origins=origins), [kill])

if __name__ == "__main__":
    main()
"""


class Scene:
    """An input, a recipe, and the hashes of an undisturbed run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "input"
        for number in range(4):  # each fills a part
            file = write_jsonl(self.source / f"{number}.jsonl", make_texts(900, seed=number, units=(200, 800)))
            assert file.stat().st_size > MIN_SPLIT_BYTES // 2
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(recipe_text(*STAGES))
        self.script = folder / "killed.py"
        self.script.write_text(KILLED_AT_EVENT)
        began = time.monotonic()
        self.expected = hashes(self.run_through("whole", workers=1))
        self.seconds = time.monotonic() - began
        events = sorted((folder / "whole" / "events").iterdir())
        self.events = sum(len(path.read_bytes().splitlines()) for path in events)

    def command(self, name: str, workers: int, memory: str = "4GB") -> list[str]:
        inputs = sorted(str(path) for path in self.source.iterdir())
        options = ["-o", str(self.folder / name), "-r", str(self.recipe), "--workers", str(workers), "--memory", memory]
        return [sys.executable, "-m", "curator", "process", *inputs, *options, "--resume", "--json"]

    def run_through(self, name: str, workers: int, memory: str = "4GB") -> Path:
        done = subprocess.run(self.command(name, workers, memory), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return self.folder / name

    def kill_at_event(self, name: str, workers: int, at: int, delay: float) -> int:
        arguments = [str(self.source), str(self.folder / name), str(self.recipe), str(workers), str(at), str(delay)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run([sys.executable, str(self.script), *arguments], capture_output=True, env=environment)
        return done.returncode

    def kill_after(self, name: str, workers: int, seconds: float) -> tuple[int, list[psutil.Process]]:
        """The exit code, and the processes that the command had started."""
        process = subprocess.Popen(self.command(name, workers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        children = [] if process.poll() is not None else psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        return process.wait(), children


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("kill"))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "memory"), [(1, "500MB"), (2, "4GB"), (4, "4GB"), (4, "1.5GB")])
def test_workers_and_memory_change_no_byte(scene: Scene, workers: int, memory: str) -> None:
    name = f"same-{workers}-{memory}"
    assert hashes(scene.run_through(name, workers, memory)) == scene.expected


@pytest.mark.slow
@pytest.mark.parametrize("least", [6, pytest.param(30, marks=pytest.mark.long)])
def test_a_run_killed_many_times_equals_one_that_was_not(scene: Scene, least: int) -> None:
    """Kills at seeded random events over several runs; each run is killed until it ends, then compared."""
    chosen = random.Random(20_261_121)
    kills = finished = 0
    while kills < least:
        name = f"killed-{finished}"
        workers = chosen.choice([1, 2])
        for _ in range(8):
            code = scene.kill_at_event(name, workers, chosen.randint(2, scene.events), chosen.choice([0, 0.01, 0.05]))
            assert code in (-signal.SIGKILL, 0)
            if code == 0:
                break
            kills += 1
        assert hashes(scene.run_through(name, chosen.choice([1, 2]))) == scene.expected
        shutil.rmtree(scene.folder / name)
        finished += 1
        assert finished < 60, "the kills do not fire"
    assert kills >= least


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_no_worker_and_resumes(scene: Scene) -> None:
    """Kills by the clock, from outside, of the command that people type. The first run of the scene may have compiled
    loops, or had the machine to itself: the span that moments are drawn from follows what the commands do."""
    chosen = random.Random(7)
    span = scene.seconds
    kills = with_workers = ended = 0
    while kills < 4 or not with_workers:
        assert kills + ended < 40, (kills, with_workers, span)
        code, children = scene.kill_after(f"clock-{ended}", 2, chosen.uniform(0.1, 1) * span)
        assert psutil.wait_procs(children, timeout=30)[1] == []
        assert code in (-signal.SIGKILL, 0)
        kills += code == -signal.SIGKILL
        with_workers += len(children) > 1
        if code == 0:  # too late: nothing is left of this run to be killed
            assert hashes(scene.folder / f"clock-{ended}") == scene.expected
            ended += 1
        span *= 0.7 if code == 0 else 1.1
    assert hashes(scene.run_through(f"clock-{ended}", 2)) == scene.expected


@pytest.mark.long
@pytest.mark.parametrize("number", range(25))
def test_a_run_killed_up_to_eight_times_equals_one_that_was_not(scene: Scene, number: int) -> None:
    chosen = random.Random(number)
    name = f"long-{number}"
    kills = 0
    while kills < 8:
        code = scene.kill_at_event(name, chosen.choice([1, 2, 4]), chosen.randint(1, 12), chosen.random() / 10)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills
    assert hashes(scene.run_through(name, 2)) == scene.expected
    shutil.rmtree(scene.folder / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "exit_code"),
    [((signal.SIGINT,), 130), ((signal.SIGINT, signal.SIGINT), 130), ((signal.SIGTERM, signal.SIGINT), 143)],
)
def test_ctrl_c_and_sigterm_say_how_to_go_on(scene: Scene, sent: tuple[signal.Signals, ...], exit_code: int) -> None:
    process = subprocess.Popen(
        scene.command("interrupted", 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not any((scene.folder / "interrupted").rglob("work/*/*.json")):  # until a task has committed
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for number in sent:  # to all processes, as a terminal or a supervisor does
        os.killpg(process.pid, number)
        time.sleep(0.05)
    answer, errors = process.communicate(timeout=20)
    if process.returncode == 0:
        pytest.fail("the run ended before it could be interrupted")
    assert process.returncode == exit_code
    assert "--resume" in errors
    assert "resource_tracker" not in errors
    assert json.loads(answer)["error"] == "Stopped"
    assert "Traceback" not in errors
    assert hashes(scene.run_through("interrupted", 1)) == scene.expected
    shutil.rmtree(scene.folder / "interrupted")
