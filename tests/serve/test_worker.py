"""The process of an attempt, as the runner starts it, where a file can take no more: what it leaves for a client."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from curator.errors import DataError, TransientError
from curator.run.events import read_events
from curator.training import TrainingConfig
from serve.runner.task import LOCK, TASK, AnyTask, Outcome, Task, TrainedOn, TrainingTask, read_outcome
from tests.runs import make_texts, run_stages, write_jsonl
from tests.serve.servers import SMALL
from tests.serve.test_trainings import TINY


def work(folder: Path, task: AnyTask, file_bytes: int) -> Outcome:
    """Work on a task in a process whose files may be so large; how it ended."""
    folder.mkdir()
    (folder / TASK).write_text(task.model_dump_json())
    # A file of bytecode that is cut short would be taken for whole by the next process (`-B`).
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    command = [sys.executable, "-B", "-m", "serve.runner.worker", str(folder), str(lock)]
    done = subprocess.run(command, pass_fds=(lock,), preexec_fn=limit, capture_output=True, text=True, check=False)
    os.close(lock)
    outcome = read_outcome(folder)
    assert outcome is not None, done.stderr
    return outcome


def _task(folder: Path, texts: list[dict[str, str]]) -> Task:
    return Task(
        inputs=(str(write_jsonl(folder / "in.jsonl", texts)),),
        output=str(folder / "out"),
        recipe="small",
        recipe_text=json.dumps(SMALL),
        overrides=(),
        workers=1,
        memory_bytes=2_000_000_000,
        ray=None,
        resume=False,
        input_roots=(str(folder),),
        output_roots=(str(folder),),
    )


@pytest.mark.slow
def test_a_run_whose_disk_is_full_says_what_a_client_can_do(tmp_path: Path) -> None:
    outcome = work(tmp_path / "attempt", _task(tmp_path, make_texts(400)), 20_000)
    assert (outcome.exit_code, outcome.error) == (TransientError.exit_code, "TransientError")
    assert str(outcome.message).endswith(" (free some space, then resume the run)")
    last = read_events(tmp_path / "out" / "events")[-1]
    assert (last["kind"], last["message"]) == ("run.stopped", outcome.message)


@pytest.mark.slow
def test_a_client_is_told_of_its_recipe_and_not_of_an_option_that_it_lacks(tmp_path: Path) -> None:
    outcome = work(tmp_path / "attempt", _task(tmp_path, [{"content": "a text"}] * 200), 10**9)
    assert outcome.exit_code == DataError.exit_code
    assert "say where the text is with the recipe's input.fields.text=NAME; or resume the run" in str(outcome.message)


@pytest.mark.slow
def test_a_training_whose_disk_is_full_says_what_a_client_can_do(tmp_path: Path) -> None:
    run_stages([write_jsonl(tmp_path / "in.jsonl", make_texts(40))], tmp_path / "run", "dedup")
    task = TrainingTask(
        runs=(TrainedOn(id="0123456789ab", output=str(tmp_path / "run"), fingerprint=None),),
        output=str(tmp_path / "model"),
        config=TrainingConfig.model_validate(TINY),
        tokenizer=None,
        device="cpu",
        resume=False,
        input_roots=(str(tmp_path),),
        output_roots=(str(tmp_path),),
    )
    outcome = work(tmp_path / "attempt", task, 100_000)
    assert outcome.exit_code == TransientError.exit_code
    told = "cannot be written: File too large (free some space, then resume the training)"
    assert outcome.message == told
