"""What TensorBoard is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model.metrics import Board, StepMetrics

pytestmark = pytest.mark.slow


def metrics(step: int, loss: float) -> StepMetrics:
    return StepMetrics(step, loss, loss, 0.0, 0.0, 1.0, 1e-3, "adamw", 1000.0, 0.5, 1.5, 0)


def shown(folder: Path, tag: str) -> list[tuple[int, float]]:
    """What TensorBoard reads of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars(tag)]


def test_steps_beyond_the_one_that_a_training_goes_on_from_are_hidden(tmp_path: Path) -> None:
    first = Board(tmp_path / "board", 1)
    for step in range(1, 5):
        first.step(metrics(step, 8.0 - step), [[1.5, 0.5], [0.75, 1.25]])
    first.validation(4, 2.5)
    # It was killed: nothing more is written.
    second = Board(tmp_path / "board", 3)
    second.step(metrics(3, 0.5), [[2.0, 0.0], [1.0, 1.0]])
    second.close()
    assert shown(tmp_path / "board", "train/loss") == [(1, 7.0), (2, 6.0), (3, 0.5)]
    assert shown(tmp_path / "board", "experts/busiest_1") == [(1, 1.25), (2, 1.25), (3, 1.0)]
    first.close()


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    script = f"""
import resource
from pathlib import Path
from curator.errors import TransientError
from model.metrics import Board
from tests.model.test_metrics import metrics
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
board = Board(Path({str(tmp_path / "board")!r}), 1)
try:
    for step in range(1, 200):
        board.step(metrics(step, 1.0), [[1.0, 1.0]] * 4)
except TransientError as error:
    print(error.message, error.hint)
try:
    board.close()
except TransientError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "cannot be written: File too large free some space, then try again",
        "cannot be written: File too large",
    ]
    assert done.stderr == ""
