"""The shape of a model, and how one dial sets it. Standard library alone: kernels are measured without the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from curator.errors import UserError

DEPTHS = {"tiny": 4, "small": 8, "base": 16}
"""Layers of the named sizes."""
WIDTH_PER_LAYER = 64
"""The aspect ratio: nanochat's (Karpathy 2025), whose one dial is the depth too."""
HEAD_WIDTH = 64
EXPERT_FACTOR = 2
"""Inner width of an expert by the width of the model: two experts have the parameters of a dense layer of factor 4."""


@dataclass(frozen=True)
class AttentionPattern:
    """What a token may look at, within its document and never ahead.

    `window`: the last `window` tokens, itself included. `block_sparse`: in blocks of `block` tokens, its own and the
    `local - 1` before it, and beyond them every `stride`-th (Child et al. 2019, https://arxiv.org/abs/1904.10509).
    """

    kind: Literal["dense", "window", "block_sparse"] = "dense"
    window: int = 0
    block: int = 0
    local: int = 0
    stride: int = 0


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder. Widths count numbers; `vocabulary` counts tokens.

    UserError where numbers don't fit each other.
    """

    vocabulary: int
    layers: int
    width: int
    heads: int
    key_value_heads: int
    head_width: int
    experts: int
    experts_per_token: int
    expert_width: int
    shared_expert_width: int = 0
    router: Literal["softmax", "sigmoid"] = "softmax"
    router_bias: bool = False
    pattern: AttentionPattern = AttentionPattern()
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads % self.key_value_heads:
            raise UserError(
                f"{self.heads} query heads cannot share {self.key_value_heads} heads of keys and values",
                hint="model.key_value_heads has to divide model.heads",
            )
        if self.head_width % 2:
            raise UserError(f"a head of {self.head_width} cannot be rotated in pairs", hint="make it even")
        if self.experts_per_token > self.experts:
            raise UserError(f"a token cannot go to {self.experts_per_token} of {self.experts} experts")

    @property
    def parameters(self) -> int:
        """Numbers that are learned."""
        return self._parameters(self.experts)

    @property
    def active_parameters(self) -> int:
        """Numbers that take part in the computation of one token, the embedding's rows for other tokens included."""
        return self._parameters(self.experts_per_token)

    def flops_per_token(self, context: float) -> float:
        """Floating point operations of a training step for one token that sees `context` others on average.

        6 for each active parameter of a matrix (2 forward, 4 backward; Kaplan et al. 2020, section 2.1), and 12 times
        layers, heads' width and context for attention (Chowdhery et al. 2022, appendix B). Looking up an embedding
        costs none.
        """
        norms = self.width * (2 * self.layers + 1)
        matrices = self.active_parameters - self.vocabulary * self.width - norms
        return 6.0 * matrices + 12.0 * self.layers * self.heads * self.head_width * context

    def _parameters(self, experts: int) -> int:
        attention = self.width * self.head_width * (2 * self.heads + 2 * self.key_value_heads)
        routed = 3 * self.width * self.expert_width * experts + self.width * self.experts
        shared = 3 * self.width * self.shared_expert_width
        return self.layers * (attention + routed + shared + 2 * self.width) + self.width * (2 * self.vocabulary + 1)
