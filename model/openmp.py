"""Whether the kernels that Numba compiles can run: they share the threads of torch's OpenMP runtime. Loads no torch."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Final

_NAME: Final = "libgomp.so.1"
"""GCC's OpenMP runtime: torch's packages for Linux bring it along; elsewhere torch has another one."""


@cache
def load_openmp() -> ctypes.CDLL:
    """The runtime that torch takes: the one in its package, else that of the system. OSError where there is none."""
    torch = importlib.util.find_spec("torch")
    if torch is not None and torch.origin is not None:
        brought = Path(torch.origin).parent / "lib" / _NAME
        if brought.exists():
            return ctypes.CDLL(str(brought))
    return ctypes.CDLL(_NAME)


@cache
def native_problem() -> str | None:
    """Why float32 on a CPU takes plain torch; None where it takes the kernels that Numba compiles."""
    if sys.byteorder != "little" or sys.maxsize != 2**63 - 1:
        return "the processor does not have 64 bits, little-endian"
    try:
        load_openmp()
    except OSError as error:
        return f"GCC's OpenMP runtime is not here ({error})"
    return None
