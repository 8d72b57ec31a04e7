"""`curator train --ray`: Ray Train starts the processes, and they learn what those of torchrun learn."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from pathlib import Path

import pytest

from curator.tokenize import Tokenizer
from model.checkpoint import latest
from model.train import Request
from tests.cluster import ray_cluster
from tests.command import EXECUTABLE, curator, json_of, told
from tests.model.corpora import tiny_config
from tests.model.processes import train_on

PATIENCE_S = 400
"""Of a command: on a busy machine a cluster takes minutes to start its processes."""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `curator` to its end."""
    return subprocess.run([EXECUTABLE, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE_S)


def hashes(model: Path) -> dict[str, str]:
    folder = latest(model).folder
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_an_address_without_a_cluster_is_an_error_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    done = curator("train", place, "-o", tmp_path / "model", "--ray", "127.0.0.1:1")
    assert done.returncode == 2
    assert "no Ray cluster answers at 127.0.0.1:1" in told(done)
    assert not (tmp_path / "model").exists()


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("parallel", ["data", "experts"])
def test_ray_trains_bit_by_bit_as_torchs_processes_do(
    tmp_path: Path, place: str, tokenizer: Tokenizer, parallel: str
) -> None:
    config = tiny_config(parallel=parallel)
    tokens, file = tmp_path / "tokenizer.model", tmp_path / "config.json"
    tokens.write_bytes(tokenizer.data)
    file.write_text(json.dumps(config.model_dump(mode="json")))
    train_on(2, Request((place,), tmp_path / "torch", config, tokens), tmp_path / "meeting")
    arguments: list[str | Path] = ["train", place, "-o", tmp_path / "ray", "-c", file, "--tokenizer", tokens]
    with ray_cluster(2) as cluster:
        done = run(*arguments, "--ray", cluster.address, "--workers", "2", "--json")
        assert done.returncode == 0, done.stderr
        assert json_of(done)["step"] == 6
        assert hashes(tmp_path / "ray") == hashes(tmp_path / "torch")
        # A configuration that differs is refused in as clear a line as without Ray.
        done = run(*arguments, "--ray", cluster.address, "--resume", "--set", "model.experts=8")
        assert done.returncode == 2
        assert "model.experts changed" in told(done)
        done = run(*arguments, "--ray", cluster.address, "--workers", "3", "--resume")
        assert done.returncode == 2
        assert "the cluster has room for 2 processes with 1 CPU each, not for 3" in told(done)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_signal_ends_a_training_on_ray_with_a_checkpoint(tmp_path: Path, place: str, tokenizer: Tokenizer) -> None:
    tokens = tmp_path / "tokenizer.model"
    tokens.write_bytes(tokenizer.data)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(tiny_config(steps=100_000, checkpoint__every=100_000).model_dump(mode="json")))
    arguments = ["train", place, "-o", str(tmp_path / "model"), "-c", str(file), "--tokenizer", str(tokens)]
    with ray_cluster(2) as cluster:
        command = [EXECUTABLE, *arguments, "--ray", cluster.address, "--workers", "2"]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert running.stderr is not None
        for line in running.stderr:
            if "loss" in line:
                break
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 143, errors
        assert "to go on, run the same command with --resume" in errors
        step = latest(tmp_path / "model").step
        assert step > 0
        done = run(*arguments, "--ray", cluster.address, "--workers", "2", "--resume", "--steps", str(step + 2))
        assert done.returncode == 0, done.stderr
        assert latest(tmp_path / "model").step == step + 2
