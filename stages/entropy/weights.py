"""c log2 c of small counts, of which entropies are made."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABULATED = 4096
"""Counts below this one are looked up."""


@lru_cache(maxsize=1)
def weights() -> NDArray[np.float64]:
    """c log2 c for c from 0 to TABULATED - 1: float64[TABULATED]."""
    counts = np.arange(TABULATED, dtype=np.float64)
    counts[1:] *= np.log2(counts[1:])
    return counts
