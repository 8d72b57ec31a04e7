"""Access to arrays inside kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from curator.kernel.function import inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


@inline_kernel
def at(values: NDArray[_Scalar], place: int | np.int64) -> _Scalar:
    """The entry of a one-dimensional array at a place that is not negative. Numba lets a negative index count from the
    end, and tests each signed one for it where LLVM cannot tell: an eighth of the time of `curator.text.segment`."""
    value: _Scalar = values[np.uint64(place)]
    return value
