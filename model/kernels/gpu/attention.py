"""What the forward and the backward kernels of attention share: blocks, and who sees whom.

Two tables make documents and windows one thing: `first_T`, the first key that a query sees, and `last_T`, the last
query that sees a key. Neither decreases, so a block's bounds are those of its first and last token; a block may span
documents. Keys and queries between the bounds that do not see each other are masked; where a whole block sees a whole
block the mask is left out; where the block-sparse pattern leaves nothing of a block, the block is.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

import torch
import triton
import triton.language as tl
from torch import Tensor

from model.kernels.dispatch import INTERPRETED
from model.kernels.gpu.launch import architecture, blocks, device_of

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN_2: tl.constexpr = tl.constexpr(0.6931471805599453)


class Tile(NamedTuple):
    """Tokens of a block of queries and of a block of keys."""

    queries: int
    keys: int
    warps: int
    stages: int

    def options(self) -> dict[str, int]:
        """As a kernel takes them."""
        return {"QUERIES": self.queries, "KEYS": self.keys, "num_warps": self.warps, "num_stages": self.stages}


Chosen = TypeVar("Chosen")


INTERPRETED_TILE: Final = Tile(32, 16, 1, 1)
SINGLE_TILE: Final = Tile(32, 32, 8, 1)
"""For float32, whose exact products run on no tensor core, and for heads wider than 128."""


def tile_of(tensor: Tensor, tiles: dict[tuple[str, int], Chosen], single: Chosen, interpreted: Chosen) -> Chosen:
    """The blocks for the dtype and the head width of a tensor, on the GPU at hand."""
    if INTERPRETED:
        return interpreted
    width = tensor.shape[2]
    if tensor.dtype == torch.float32 or width > 128:
        return single
    return tiles[architecture(), 64 if width <= 64 else 128]


@triton.jit
def sees(
    i: tl.tensor,
    j: tl.tensor,
    first: tl.tensor,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
) -> tl.tensor:
    """Whether query i sees key j; the three broadcast. `first` of a query that does not exist lies past all keys."""
    seen = (j <= i) & (j >= first)
    if BLOCK > 0:
        distance = (i - first) // BLOCK - (j - first) // BLOCK
        seen = seen & ((distance < LOCAL) | (distance % STRIDE == 0))
    return seen


@triton.jit
def may_see(
    i_low: tl.tensor,
    i_high: tl.tensor,
    j_low: tl.tensor,
    j_high: tl.tensor,
    first: tl.tensor,
    BLOCK: tl.constexpr,
    LOCAL: tl.constexpr,
    STRIDE: tl.constexpr,
) -> tl.tensor:
    """False only where the block-sparse pattern lets no query of a block see a key of another.

    `first` is that of the first query. A document that begins further on in the block of queries has all its keys
    there, at a distance below LOCAL by this count too.
    """
    nearest = (i_low - first) // BLOCK - tl.maximum(j_high - first, 0) // BLOCK
    farthest = (i_high - first) // BLOCK - tl.maximum(j_low - first, 0) // BLOCK
    return (nearest < LOCAL) | (farthest // STRIDE * STRIDE >= nearest)


@triton.jit
def open_keys(
    i_low: tl.tensor, first_low: tl.tensor, first_high: tl.tensor, stop: tl.tensor, KEYS: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """From where to where no mask is needed: whole blocks of keys, counted from `first_low`, that all queries see."""
    begin = tl.minimum(first_low + tl.cdiv(first_high - first_low, KEYS) * KEYS, stop)
    return begin, tl.maximum(first_low + (i_low + 1 - first_low) // KEYS * KEYS, begin)


@triton.jit
def bounds_kernel(
    documents: tl.tensor,
    first_keys: tl.tensor,
    last_queries: tl.tensor,
    tokens: int,
    boundaries: int,
    window: int,
    steps: int,
    BLOCK: tl.constexpr,
) -> None:
    """First key that each query of a block sees, and last query that sees each key."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < tokens
    # Bisection for how many boundaries lie at or before the token: at least one, that at 0.
    low = tl.zeros((BLOCK,), dtype=tl.int32)
    high = tl.full((BLOCK,), 0, dtype=tl.int32) + boundaries
    for _ in range(steps):
        searching = low < high
        middle = (low + high) // 2
        before = tl.load(documents + middle, mask=inside & searching, other=0) <= place
        low = tl.where(searching & before, middle + 1, low)
        high = tl.where(searching & ~before, middle, high)
    first = tl.load(documents + low - 1, mask=inside, other=0)
    last = tl.load(documents + low, mask=inside, other=0) - 1
    if window > 0:
        first = tl.maximum(first, place - (window - 1))
        last = tl.minimum(last, place + (window - 1))
    tl.store(first_keys + place, first, mask=inside)
    tl.store(last_queries + place, last, mask=inside)


def bounds(documents: Tensor, tokens: int, window: int) -> tuple[Tensor, Tensor]:
    """The first key that each query sees, and the last query that sees each key: int32 [T], [T]."""
    first_T = torch.empty(tokens, dtype=torch.int32, device=documents.device)
    last_T = torch.empty_like(first_T)
    boundaries = documents.shape[0]
    block = 256
    with device_of(documents):
        bounds_kernel[(blocks(tokens, block),)](
            documents.contiguous(), first_T, last_T, tokens, boundaries, window, boundaries.bit_length(), BLOCK=block
        )
    return first_T, last_T
