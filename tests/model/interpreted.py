"""Trains a tiny model for some steps and prints its losses as JSON. `test_interpreted.py` runs it in a process of its
own: with `TRITON_INTERPRET=1` through Triton's interpreter alone, without it through the CPU's path."""

from __future__ import annotations

import json
import sys

import torch

from model.config import ModelConfig
from model.decoder import Decoder
from model.kernels.dispatch import INTERPRETED
from model.losses import LossSettings
from model.optimizers import Optimizer, OptimizerSettings, gradient_norm
from model.step import Tensors, add_gradients

SHAPE = ModelConfig(
    vocabulary=61,
    layers=1,
    width=32,
    heads=2,
    key_value_heads=1,
    head_width=16,
    experts=4,
    experts_per_token=2,
    expert_width=16,
)
TOKENS = 32


def a_batch(seed: int, device: str) -> Tensors:
    """Three documents of 32 tokens together, with weights."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, SHAPE.vocabulary, (2, TOKENS), generator=random)
    weights = torch.rand(TOKENS, generator=random) + 0.5
    documents = torch.tensor([0, 11, 12, TOKENS], dtype=torch.int32)
    return Tensors(*(tensor.to(device) for tensor in (tokens[0], tokens[1], weights, documents)))


def losses(steps: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[float]:
    """The loss of each step; batches repeat, so that it falls."""
    model = Decoder(SHAPE, dtype=dtype).to(device)
    model.initialise(0)
    optimizer = Optimizer(model, OptimizerSettings(learning_rate=0.01))
    found = []
    for step in range(steps):
        for parameter in model.parameters():
            parameter.grad = None
        terms = add_gradients(model, [a_batch(step % 2, device)], LossSettings(balance_weight=0.1, router_z=0.01))
        norm = gradient_norm(model)
        optimizer.step(0.01, norm.item(), (1.0 / (norm + 1e-6)).clamp(max=1.0))
        found.append(terms.total.item())
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump({"interpreted": INTERPRETED, "losses": losses(int(sys.argv[1]))}, sys.stdout)
