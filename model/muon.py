"""Muon: momentum whose matrices are made orthogonal before they are added (Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon/).

    m <- beta m + (1 - beta) g;   u = (1 - beta) g + beta m
    X_0 = u / ||u||_F,   X_i+1 = a X_i + b (X_i X_i^T) X_i + c (X_i X_i^T)^2 X_i
    p <- p (1 - rate decay) - rate 0.2 sqrt(max(rows, columns)) X_5

The iteration (Newton-Schulz) does to each singular value s of X what a s + b s^3 + c s^5 does to a number: five times
over, all that are not tiny come near 1. The factor before X gives an update the mean square that AdamW's have, so that
both share a rate and a decay (Liu et al. 2025, https://arxiv.org/abs/2502.16982, section 2.2).

Only hidden matrices are moved so: those of attention and of each expert. What was laid side by side in one tensor for
the sake of one product (queries, keys and values; gate and up) is as many matrices here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from model.config import ModelConfig
from model.decoder import Decoder

COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
"""a, b and c (Jordan et al. 2024): steep at 0, and within 0.3 of 1 once there."""
ITERATIONS: Final = 5
UPDATE_DEVIATION: Final = 0.2
"""The root of the mean square of AdamW's updates (Liu et al. 2025, section 2.2)."""
_TINY: Final = 1e-7


@dataclass(frozen=True)
class Blocks:
    """How a tensor [..., rows, columns] is cut into matrices: along `dimension` (-2 or -1) into these sizes."""

    dimension: int
    sizes: tuple[int, ...]


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearly orthogonal matrix next to each [..., rows, columns], by the iteration above; 0 stays 0."""
    a, b, c = COEFFICIENTS
    rows, columns = matrices.shape[-2:]
    # The product X X^T is made of the shorter side.
    x: Tensor = matrices.transpose(-1, -2) if rows > columns else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=_TINY)
    for _ in range(ITERATIONS):
        square = x @ x.transpose(-1, -2)
        x = a * x + (b * square + c * square @ square) @ x
    return x.transpose(-1, -2) if rows > columns else x


def directions(updates: Tensor, blocks: Blocks) -> Tensor:
    """What of the parameter is moved by a rate of 1 against these updates: each matrix orthogonal, and scaled."""
    parts = []
    for part in torch.split(updates, list(blocks.sizes), blocks.dimension):
        parts.append(UPDATE_DEVIATION * math.sqrt(max(part.shape[-2:])) * orthogonalise(part))
    return torch.cat(parts, blocks.dimension)


def matrices_of(model: Decoder) -> dict[str, Blocks]:
    """The parameters of a model that Muon moves, by name. Embedding, head, router and norms are AdamW's."""
    found = {}
    for name, parameter in model.named_parameters():
        blocks = _blocks(name.rpartition(".")[2], parameter, model.config)
        if blocks is not None:
            found[name] = blocks
    return found


def _blocks(name: str, parameter: Tensor, shape: ModelConfig) -> Blocks | None:
    match name:
        case "query_key_value_CD":
            keys = shape.key_value_heads * shape.head_width
            return Blocks(-2, (shape.heads * shape.head_width, keys, keys))
        case "gate_up_EDG":
            return Blocks(-1, (shape.expert_width, shape.expert_width))
        case "shared_gate_up_GD":
            return Blocks(-2, (shape.shared_expert_width, shape.shared_expert_width))
        case "output_DC" | "down_EFD" | "shared_down_DF":
            return Blocks(-2, (parameter.shape[-2],))
        case _:
            return None
