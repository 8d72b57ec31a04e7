"""Two processes over gloo learn what one learns: the same losses and parameters, up to the order in which floats are
added; and a training goes on with another number of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curator.run.events import read_events
from curator.tokenize import Tokenizer
from model.checkpoint import latest
from model.train import Request, train
from tests.model.corpora import tiny_config

TOLERANCE = 1e-5
"""Of a loss, as a share. Gradients are sums over two parts of a batch instead of one."""


def train_on_two(place: str, output: Path, config: Path, tokenizer: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command += ["-m", "curator", "train", place, "-o", str(output), "-c", str(config), "--tokenizer", str(tokenizer)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr


def losses(model: Path) -> list[float]:
    return [float(str(event["loss"])) for event in read_events(model / "events") if event["kind"] == "step"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"loss__balance_weight": 0.5, "accumulation": 2}, marks=pytest.mark.slow, id="cv"),
        pytest.param({"loss__balance": "switch", "recompute": True}, marks=pytest.mark.long, id="switch"),
        pytest.param({"loss__balance": "bias"}, marks=pytest.mark.long, id="bias"),
    ],
)
def test_two_processes_learn_what_one_learns(
    tmp_path: Path, place: str, tokenizer: Tokenizer, changes: dict[str, object]
) -> None:
    config = tiny_config(**changes, checkpoint__every=3)
    file, tokens = tmp_path / "config.yaml", tmp_path / "tokenizer.model"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    tokens.write_bytes(tokenizer.data)
    train(Request((place,), tmp_path / "one", config, tokens))
    train_on_two(place, tmp_path / "two", file, tokens, "--steps", "3")
    # The second half goes on alone, from what two ranks left.
    train(Request((place,), tmp_path / "two", config, resume=True))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=TOLERANCE)
    one, two = latest(tmp_path / "one"), latest(tmp_path / "two")
    assert one.state["data"] == two.state["data"]
    expected, found = one.tensors("model"), two.tensors("model")
    for name, tensor in expected.items():
        moved = found[name] - tensor
        assert torch.linalg.vector_norm(moved) <= 1e-4 * torch.linalg.vector_norm(tensor) + 1e-6, name
