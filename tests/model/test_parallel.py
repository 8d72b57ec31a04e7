"""Several processes over gloo learn what one learns, however they share the model: the same losses, gradient norms and
parameters, up to the order in which floats are added; and a training goes on with another number of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from curator.run.events import read_events
from curator.tokenize import Tokenizer
from model.checkpoint import latest
from model.train import Request, train
from tests.model.corpora import tiny_config
from tests.model.processes import train_on

TOLERANCE = 1e-5
"""Of a loss and of a gradient's norm, as a share. Gradients are sums over the parts of a batch instead of one."""
MOVED = 1e-4
"""Of a parameter's norm after 6 steps. Adam divides by a root of squares, so small differences grow."""

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
            {"loss__balance": "switch", "recompute": True, "accumulation": 2}, [(2, EXPERTS), (4, FSDP)],
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
