"""The attention layer: grouped-query, causal, within documents, with rotary positions.

Training sees whole documents laid end to end and takes the fused operation. Generation sees a few new tokens of one
document and a cache of the keys and values before them, and takes plain torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.config import AttentionPattern, ModelConfig
from model.kernels import BlockSparse, Dense, Pattern, Window, attention, linear, rotate


class Cache:
    """Keys and values of the tokens of one document so far, of one layer: [tokens, M, H] each, in rows made before."""

    def __init__(self, config: ModelConfig, tokens: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (tokens, config.key_value_heads, config.head_width)
        self._keys = torch.empty(shape, device=device, dtype=dtype)
        self._values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    def append(self, k_TMH: Tensor, v_TMH: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new tokens; those of all tokens so far."""
        end = self.length + k_TMH.shape[0]
        self._keys[self.length : end] = k_TMH
        self._values[self.length : end] = v_TMH
        self.length = end
        return self._keys[:end], self._values[:end]


class Attention(nn.Module):
    """Projections, rotation and attention of a layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._config = config
        self._pattern = kernel_pattern(config.pattern)
        heads = config.heads + 2 * config.key_value_heads
        self.query_key_value_CD = nn.Parameter(torch.empty(heads * config.head_width, config.width))
        self.output_DC = nn.Parameter(torch.empty(config.width, config.heads * config.head_width))

    def forward(
        self, x_TD: Tensor, cosine_TR: Tensor, sine_TR: Tensor, documents: Tensor, cache: Cache | None = None
    ) -> Tensor:
        """[T, D] -> [T, D]. With a cache the T tokens go on with its document, and `documents` is not looked at."""
        config = self._config
        packed_TNH = linear(x_TD, self.query_key_value_CD.to(x_TD.dtype)).view(x_TD.shape[0], -1, config.head_width)
        # Split, not sliced: the gradient is then one copy, where each slice would make zeros to be added.
        rotated = config.heads + config.key_value_heads
        turned_TNH, v_TMH = torch.split(packed_TNH, [rotated, config.key_value_heads], 1)
        rotated_TNH = rotate(turned_TNH, cosine_TR, sine_TR)
        q_TNH, k_TMH = torch.split(rotated_TNH, [config.heads, config.key_value_heads], 1)
        if cache is None:
            y_TNH = attention(q_TNH, k_TMH, v_TMH, documents, self._pattern)
        else:
            y_TNH = attend_to_cache(q_TNH, *cache.append(k_TMH, v_TMH), config.pattern)
        return linear(y_TNH.reshape(x_TD.shape[0], -1), self.output_DC.to(x_TD.dtype))


def kernel_pattern(pattern: AttentionPattern) -> Pattern:
    """The pattern as the fused operation takes it."""
    match pattern.kind:
        case "window":
            return Window(pattern.window)
        case "block_sparse":
            return BlockSparse(pattern.block, pattern.local, pattern.stride)
        case "dense":
            return Dense()


def attend_to_cache(q_TNH: Tensor, k_SMH: Tensor, v_SMH: Tensor, pattern: AttentionPattern) -> Tensor:
    """Attention of the last T of S tokens of one document to all of them: [T, N, H], [S, M, H] twice -> [T, N, H]."""
    tokens, context = q_TNH.shape[0], k_SMH.shape[0]
    query_T1 = torch.arange(context - tokens, context, device=q_TNH.device)[:, None]
    key_1S = torch.arange(context, device=q_TNH.device)[None, :]
    seen_TS = key_1S <= query_T1
    if pattern.kind == "window":
        seen_TS &= query_T1 - key_1S < pattern.window
    elif pattern.kind == "block_sparse":
        distance_TS = query_T1 // pattern.block - key_1S // pattern.block
        seen_TS &= (distance_TS < pattern.local) | (distance_TS % pattern.stride == 0)
    y_NTH = nn.functional.scaled_dot_product_attention(
        q_TNH.transpose(0, 1)[None],
        k_SMH.transpose(0, 1)[None],
        v_SMH.transpose(0, 1)[None],
        attn_mask=seen_TS,
        enable_gqa=True,
    )[0]
    return y_NTH.transpose(0, 1)
