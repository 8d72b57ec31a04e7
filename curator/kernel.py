"""The one way to compile a hot loop.

A kernel works on whole NumPy buffers, releases the GIL and is cached on disk, so that only the first process after a
change of its source pays for compilation. Every kernel has a plain reference in `tests/` or beside it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import ParamSpec, TypeVar, cast

_NOT_NEEDED = ("scipy", "scipy.linalg.cython_blas", "cffi", "coverage")
"""What Numba loads where it is installed, and no kernel here uses: 0.3 CPU seconds a process. What a process has loaded
already (coverage, when it measures) stays."""


def _load_numba() -> ModuleType:
    """Numba with its array functions, as if the packages of _NOT_NEEDED were absent."""
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python notes that a module is not to be found
    try:
        for module in ("numba.np.arraymath", "numba.core.typing.cffi_utils"):
            importlib.import_module(module)
        return importlib.import_module("numba")
    finally:
        for name in hidden:
            del sys.modules[name]


numba = _load_numba()

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile `function` with Numba: no Python objects, no GIL, IEEE division, result cached beside the source."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast("Callable[_Parameters, _Result]", compiled)


def inline_kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Like `kernel`, for a helper that other kernels call and that makes no arrays; LLVM inlines small ones there.

    It is compiled without reference counts (`_nrt`): its caller holds the arrays, and an atomic instruction for each
    array at each call took half the time of the kernels that find names.
    """
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy", inline="never", _nrt=False)(function)
    return cast("Callable[_Parameters, _Result]", compiled)
