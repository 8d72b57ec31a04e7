"""The one way to compile a hot loop.

A kernel works on whole NumPy buffers, releases the GIL and is cached on disk, so that only the first process after a
change of its source pays for compilation. Every kernel has a plain reference in `tests/` or beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba


def _load_arrays_without_scipy() -> None:
    """Load Numba's array functions as if SciPy were absent: they look for its BLAS, which takes 0.15 CPU seconds a
    process to import and which no kernel here uses."""
    name = "scipy.linalg.cython_blas"
    if name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python notes that a module is not to be found
        try:
            importlib.import_module("numba.np.arraymath")
        finally:
            del sys.modules[name]


_load_arrays_without_scipy()

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
