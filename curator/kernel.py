"""The one way to compile a hot loop.

A kernel works on whole NumPy buffers, releases the GIL and is cached on disk, so that only the first process after a
change of its source pays for compilation. Every kernel has a plain reference in `tests/` or beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile `function` with Numba: no Python objects, no GIL, IEEE division, result cached beside the source."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Callable[_Parameters, _Result]", compiled)


def inline_kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Like `kernel`, for a small helper that other kernels call; LLVM inlines it there."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", inline="never")(function)
    return cast("Callable[_Parameters, _Result]", compiled)
