"""The one way to compile a hot loop.

A kernel works on whole NumPy buffers, releases the GIL and is compiled by Numba. Its machine code is kept on disk, so
that only the first process after a change pays for compilation, and only that process loads Numba at all
(`curator.kernel.machine_code`). Every kernel has a plain reference in `tests/` or beside it.
"""

from __future__ import annotations

from types import ModuleType

from curator.kernel.access import at
from curator.kernel.function import inline_kernel, kernel

__all__ = ["at", "inline_kernel", "kernel"]


def __getattr__(name: str) -> ModuleType:
    """`numba`, loaded when it is asked for."""
    if name != "numba":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from curator.kernel.numba_alone import numba

    return numba
