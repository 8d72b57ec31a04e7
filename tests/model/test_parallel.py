"""Several processes over gloo learn what one learns, however they share the model: the same losses, gradient norms and
parameters, up to the order in which floats are added; and a training goes on with another number of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curator.run.events import read_events
from curator.tokenize import Tokenizer
from model.checkpoint import latest
from model.kernels import grouped_gemm, sort_by_expert, swiglu
from model.train import Request, train
from tests.model.corpora import tiny_config
from tests.model.processes import train_on

TOLERANCE = 1e-5
"""Of a loss and of a gradient's norm, as a share. Gradients are sums over the parts of a batch instead of one."""
MOVED = 1e-4
"""Of a parameter's norm after 6 steps. Adam divides by a root of squares, so small differences grow."""

DRIFT = 1e-3
"""Of a loss, after as many steps as a training took until it was stopped."""
PATIENCE_S = 400

DATA, FSDP, EXPERTS = "data", "fsdp", "experts"


def numbers(model: Path, name: str) -> list[float]:
    """A number of each step as the event log has it."""
    return [float(str(event[name])) for event in read_events(model / "events") if event["kind"] == "step"]


def assert_same_training(one: Path, other: Path) -> None:
    for name in ("loss", "next_token", "balance", "router_z", "gradient_norm"):
        assert numbers(other, name) == pytest.approx(numbers(one, name), rel=TOLERANCE, abs=1e-7), name
    expected, found = latest(one), latest(other)
    assert expected.step == found.step
    assert expected.state["data"] == found.state["data"]
    for kind in ("model", "average") if "average.safetensors" in expected.hashes else ("model",):
        before, after = expected.tensors(kind), found.tensors(kind)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            moved = torch.linalg.vector_norm(after[name] - tensor)
            assert moved <= MOVED * torch.linalg.vector_norm(tensor) + 1e-6, name


long = pytest.mark.long
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        pytest.param({"loss__balance_weight": 0.5, "accumulation": 2}, [(2, DATA), (1, DATA)], id="data", marks=slow),
        pytest.param({"loss__balance_weight": 0.5, "accumulation": 2}, [(2, FSDP), (1, DATA)], id="fsdp", marks=slow),
        pytest.param(
            {"loss__balance_weight": 0.5, "optimizer__clip_norm": 0.1}, [(2, EXPERTS), (1, DATA)], id="experts",
            marks=slow,
        ),
        pytest.param({"loss__balance": "switch", "recompute": True}, [(2, DATA)], id="data switch", marks=long),
        pytest.param({"loss__balance": "bias"}, [(2, DATA)], id="data bias", marks=long),
        pytest.param(
            {"loss__balance": "switch", "recompute": True}, [(2, FSDP), (4, DATA)], id="fsdp switch", marks=long,
        ),
        pytest.param({"loss__balance": "bias"}, [(2, FSDP), (4, FSDP)], id="fsdp bias", marks=long),
        pytest.param(
            {"loss__balance": "switch", "recompute": True, "accumulation": 2}, [(2, EXPERTS), (3, FSDP)],
            id="experts switch", marks=long,
        ),
        pytest.param(
            {"loss__balance": "bias", "model__router": "sigmoid", "model__shared_expert_width": 16},
            [(4, EXPERTS), (2, EXPERTS)], id="experts bias", marks=long,
        ),
        pytest.param({"optimizer__name": "muon", "accumulation": 2}, [(2, DATA)], id="data muon", marks=long),
        pytest.param({"optimizer__name": "muon", "average": 0.9}, [(2, FSDP), (3, FSDP)], id="fsdp muon", marks=long),
        pytest.param({"optimizer__name": "muon"}, [(2, EXPERTS), (3, FSDP)], id="experts muon", marks=long),
        pytest.param(
            {"optimizer__name": "hybrid", "optimizer__switch_norm": 0.9, "average": 0.9}, [(2, EXPERTS), (2, FSDP)],
            id="experts hybrid", marks=long,
        ),
        pytest.param({"optimizer__name": "lion"}, [(2, FSDP), (1, DATA)], id="fsdp lion", marks=long),
    ],
)  # fmt: skip
def test_several_processes_learn_what_one_learns(
    tmp_path: Path, place: str, tokenizer: Tokenizer, changes: dict[str, object], turns: list[tuple[int, str]]
) -> None:
    """Each turn takes the training on from where the one before left it."""
    tokens = tmp_path / "tokenizer.model"
    tokens.write_bytes(tokenizer.data)
    # A cosine of its own, so that the rate does not depend on where a turn ends.
    config = tiny_config(**{"data__batch": 12, "schedule__cycle": 4, **changes}, checkpoint__every=3)
    train(Request((place,), tmp_path / "one", config, tokens))
    output = tmp_path / "several"
    for number, (count, parallel) in enumerate(turns, 1):
        turn = config.model_copy(update={"parallel": parallel, "steps": 6 * number // len(turns)})
        request = Request((place,), output, turn, tokens, resume=number > 1)
        if count == 1:
            train(request)
        else:
            train_on(count, request, tmp_path / f"meeting-{number}")
    assert_same_training(tmp_path / "one", output)


def test_experts_that_no_token_comes_to_answer_nothing_and_learn_nothing() -> None:
    rows = torch.zeros(0, 8, requires_grad=True)
    gate_up, down = torch.randn(2, 8, 6, requires_grad=True), torch.randn(2, 3, 8, requires_grad=True)
    order = sort_by_expert(torch.zeros(0, 1, dtype=torch.int32), 2)
    packed = grouped_gemm(rows, gate_up, order.offsets_E, gather=order)
    answers = grouped_gemm(swiglu(packed), down, order.offsets_E, scatter=order)
    torch.autograd.backward(answers.sum())
    assert answers.shape == (0, 8)
    for weight in (gate_up, down):
        assert weight.grad is not None
        assert not weight.grad.any()


@pytest.mark.long
@pytest.mark.parametrize("parallel", [DATA, FSDP, EXPERTS])
def test_torchrun_stops_with_a_checkpoint_and_goes_on(
    tmp_path: Path, place: str, tokenizer: Tokenizer, parallel: str
) -> None:
    one, several, tokens = tmp_path / "one", tmp_path / "several", tmp_path / "tokenizer.model"
    tokens.write_bytes(tokenizer.data)
    config = tiny_config(parallel=parallel, steps=100_000, checkpoint__every=100_000, schedule__cycle=4)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    arguments = ["train", place, "-o", str(several), "-c", str(file), "--tokenizer", str(tokens)]
    running = torchrun(*arguments)
    assert running.stderr is not None
    for line in running.stderr:
        if "loss" in line:
            break
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=PATIENCE_S)
    assert "to go on, run the same command with --resume" in errors
    stopped = latest(several).step
    assert 0 < stopped < 100_000
    running = torchrun(*arguments, "--resume", "--steps", str(stopped + 3))
    _, errors = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, errors
    train(Request((place,), one, config.model_copy(update={"steps": stopped + 3}), tokens))
    assert numbers(several, "loss") == pytest.approx(numbers(one, "loss"), rel=DRIFT)


@pytest.mark.long
@pytest.mark.parametrize("parallel", [DATA, EXPERTS])
def test_a_process_that_is_killed_ends_the_others_in_one_line(
    tmp_path: Path, place: str, tokenizer: Tokenizer, parallel: str
) -> None:
    tokens = tmp_path / "tokenizer.model"
    tokens.write_bytes(tokenizer.data)
    config = tiny_config(parallel=parallel, steps=1_000_000)
    with pytest.raises(RuntimeError, match="TransientError: another process of the training is gone"):
        train_on(2, Request((place,), tmp_path / "model", config, tokens), tmp_path / "meeting", killed_at=2)
    step = latest(tmp_path / "model").step
    assert step >= 2
    longer = config.model_copy(update={"steps": step + 1})
    assert train(Request((place,), tmp_path / "model", longer, tokens, resume=True)).step == step + 1


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    """Two processes of `curator`, as a user starts them."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1", "-m", "curator", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
