"""The language model: a decoder of attention and expert layers. It knows nothing of training, devices or other ranks.

Tokens of all documents of a batch lie end to end, T in all; `documents` says where each begins. Shapes are in the names
of tensors as in `model/kernels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.attention import Attention, Cache
from model.config import ModelConfig
from model.experts import Experts, RouterStatistics
from model.kernels import rms_norm

INITIAL_DEVIATION = 0.02
"""Standard deviation of the first weights (GPT-2, Radford et al. 2019; Mixtral's `initializer_range`)."""


class Hidden(NamedTuple):
    """What the head is given, and what the routers of L layers did with T tokens."""

    hidden_TD: Tensor
    counts_LE: Tensor
    probability_sums_LE: Tensor
    squared_logsumexp_L: Tensor


class Layer(nn.Module):
    """Attention, then experts, each behind a norm and beside a residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._epsilon = config.norm_epsilon
        self.attention_norm_D = nn.Parameter(torch.empty(config.width))
        self.attention = Attention(config)
        self.experts_norm_D = nn.Parameter(torch.empty(config.width))
        self.experts = Experts(config)

    def forward(
        self, x_TD: Tensor, cosine_TR: Tensor, sine_TR: Tensor, documents: Tensor, cache: Cache | None = None
    ) -> tuple[Tensor, RouterStatistics]:
        """[T, D] -> [T, D] and the router's statistics."""
        normed_TD = rms_norm(x_TD, self.attention_norm_D, self._epsilon)
        x_TD = x_TD + self.attention(normed_TD, cosine_TR, sine_TR, documents, cache)
        y_TD, statistics = self.experts(rms_norm(x_TD, self.experts_norm_D, self._epsilon))
        return x_TD + y_TD, statistics


class Decoder(nn.Module):
    """Embedding, layers, norm and head. Parameters are float32; `dtype` is what activations are computed in."""

    def __init__(self, config: ModelConfig, *, dtype: torch.dtype = torch.float32, recompute: bool = False) -> None:
        super().__init__()
        self.config = config
        self._dtype = dtype
        self._recompute = recompute
        self.embedding_VD = nn.Parameter(torch.empty(config.vocabulary, config.width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm_D = nn.Parameter(torch.empty(config.width))
        self.head_VD = nn.Parameter(torch.empty(config.vocabulary, config.width))

    def initialise(self, seed: int) -> None:
        """Draw the first parameters: the same for the same seed, on whatever device the model is."""
        random = torch.Generator().manual_seed(seed)
        # What is added to the residual stream is scaled by its 2 additions a layer (GPT-2, section 2.3).
        residual = INITIAL_DEVIATION / (2 * self.config.layers) ** 0.5
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.dim() == 1:
                    parameter.fill_(1.0)
                    continue
                deviation = (
                    residual if name.endswith(("output_DC", "down_EFD", "shared_down_DF")) else INITIAL_DEVIATION
                )
                parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation, generator=random))

    def forward(self, tokens_T: Tensor, documents: Tensor) -> Hidden:
        """int64 [T], int32 [documents + 1] -> what stands before the head. Statistics count each token once, also when
        activations are computed again."""
        x_TD = self._embed(tokens_T)
        angles = self._angles(places(documents, tokens_T.shape[0]))
        found: list[RouterStatistics] = []
        for layer in self.layers:
            if self._recompute and torch.is_grad_enabled():
                x_TD, statistics = checkpoint(layer, x_TD, *angles, documents, use_reentrant=False)
            else:
                x_TD, statistics = layer(x_TD, *angles, documents)
            found.append(statistics)
        hidden_TD = rms_norm(x_TD, self.norm_D, self.config.norm_epsilon)
        return Hidden(hidden_TD, *(torch.stack(values) for values in zip(*found, strict=True)))

    def continue_with(self, tokens_T: Tensor, caches: Sequence[Cache]) -> Tensor:
        """The T next tokens of the document in the caches (one a layer): logits [V] of the token behind the last."""
        x_TD = self._embed(tokens_T)
        start = caches[0].length
        angles = self._angles(torch.arange(start, start + tokens_T.shape[0], device=tokens_T.device))
        documents = torch.empty(0, dtype=torch.int32, device=tokens_T.device)
        for layer, cache in zip(self.layers, caches, strict=True):
            x_TD, _ = layer(x_TD, *angles, documents, cache)
        return self.logits(rms_norm(x_TD[-1:], self.norm_D, self.config.norm_epsilon))[0]

    def logits(self, hidden_TD: Tensor) -> Tensor:
        """[T, D] -> [T, V], for a few tokens: training never makes this matrix."""
        return nn.functional.linear(hidden_TD, self.head_VD.to(hidden_TD.dtype))

    def router_biases(self) -> list[Tensor]:
        """The bias [E] of each layer's router, to be moved in place; none where the model has no such bias."""
        experts = [module for module in self.modules() if isinstance(module, Experts)]
        return [layer.router_bias_E for layer in experts if layer.router_bias_E is not None]

    def caches(self, tokens: int) -> list[Cache]:
        """Empty caches for a document of so many tokens."""
        device = self.embedding_VD.device
        return [Cache(self.config, tokens, device, self._dtype) for _ in range(self.config.layers)]

    def _embed(self, tokens_T: Tensor) -> Tensor:
        return nn.functional.embedding(tokens_T, self.embedding_VD).to(self._dtype)

    def _angles(self, places_T: Tensor) -> tuple[Tensor, Tensor]:
        half = self.config.head_width // 2
        exponents_R = torch.arange(half, dtype=torch.float32, device=places_T.device) / half
        angles_TR = places_T[:, None] * self.config.rope_base**-exponents_R
        dtype = self.norm_D.dtype
        return angles_TR.cos().to(dtype), angles_TR.sin().to(dtype)


def places(documents: Tensor, tokens: int) -> Tensor:
    """The place of each of T tokens in its document, from 0: int64 [T]."""
    starts = documents[:-1].to(torch.int64)
    lengths = documents.diff().to(torch.int64)
    all_T = torch.arange(tokens, device=documents.device)
    return all_T - starts.repeat_interleave(lengths, output_size=tokens)
