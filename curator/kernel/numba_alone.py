"""Numba, without what no kernel needs."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

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
