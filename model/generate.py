"""Text from a model, token by token, with a cache of keys and values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from curator.errors import UserError
from curator.tokenize import Tokenizer
from model.decoder import Decoder


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn. UserError on values that leave nothing to draw from.

    `temperature` 0 takes the likeliest. `top_k` 0 and `top_p` 1 leave all tokens in. `repetition` above 1 makes tokens
    that occurred less likely (Keskar et al. 2019, CTRL, https://arxiv.org/abs/1909.05858, section 4.1).
    """

    tokens: int = 100
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    repetition: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tokens < 1 or not 0 <= self.temperature < math.inf or self.top_k < 0:
            raise UserError("tokens is at least 1, temperature and top_k at least 0")
        if not 0 < self.top_p <= 1 or self.repetition < 1:
            raise UserError("top_p is above 0 and at most 1, repetition at least 1")


@torch.inference_mode()
def generate(decoder: Decoder, tokenizer: Tokenizer, prompt: str, sampling: Sampling) -> Iterator[int]:
    """The tokens that follow a prompt, until the end of the document or `sampling.tokens` of them."""
    device = decoder.embedding_VD.device
    ids = [tokenizer.begin, *tokenizer.encode([prompt])[0].tolist()] if prompt else [tokenizer.begin]
    caches = decoder.caches(len(ids) + sampling.tokens)
    random = torch.Generator(device="cpu").manual_seed(sampling.seed)
    seen = torch.zeros(decoder.config.vocabulary, dtype=torch.bool)
    seen[torch.tensor(ids)] = True
    following = ids
    for _ in range(sampling.tokens):
        logits_V = decoder.continue_with(torch.tensor(following, device=device), caches).float().cpu()
        token = draw(logits_V, seen, sampling, random)
        if token == tokenizer.end:
            return
        yield token
        seen[token] = True
        following = [token]


def draw(logits_V: Tensor, seen_V: Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """A token by its logits [V]; `seen_V` bool [V] are tokens that occurred."""
    if sampling.repetition > 1:
        lowered_V = torch.where(logits_V > 0, logits_V / sampling.repetition, logits_V * sampling.repetition)
        logits_V = torch.where(seen_V, lowered_V, logits_V)
    if sampling.temperature == 0:
        return int(logits_V.argmax())
    # None is above 0: what a small temperature makes too large for a number is then minus infinity.
    scaled_V = (logits_V - logits_V.max()).double() / sampling.temperature
    ordered_V, tokens_V = torch.sort(scaled_V, descending=True, stable=True)
    if sampling.top_k:
        ordered_V = ordered_V[: sampling.top_k]
    shares = torch.softmax(ordered_V, 0)
    # A token stays while those before it have less than top_p: the likeliest always does.
    shares = torch.where(shares.cumsum(0) - shares < sampling.top_p, shares, 0.0)
    return int(tokens_V[torch.multinomial(shares, 1, generator=random)])
