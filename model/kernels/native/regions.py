"""Parallel regions on torch's own threads, whose work Numba has compiled.

A region is a function of the address of its numbers: how many parts there are, which one is next, how many threads
have come, and what the parts need to know. Threads take parts until none is left, so what comes out hangs neither on
how many threads there are nor on which of them takes what. The threads are those of the OpenMP runtime that torch has
loaded; a second set of threads would wait in the way of the first.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from curator.kernel import numba  # isort: skip  # it hides from Numba what Numba need not load
from numba.core.ccallback import CFunc

from model.kernels.native.vectors import claim, pointer
from model.openmp import load_openmp

_types = numba.core.types

NUMBERS: Final = 32
"""Integers that a region is given, its three of bookkeeping included."""

_FAST: Final = {"contract", "reassoc", "nsz"}
"""What LLVM may do to sums and products (https://llvm.org/docs/LangRef.html#fast-math-flags)."""


def compiled(function: Callable[..., Any]) -> Any:
    """A part of a kernel: as `curator.kernel.kernel`, with sums that may be taken in vectors and fused products.

    It is inlined wherever it is called. Of a part that is called, each kernel brings a copy, optimised anew and so with
    other roundings, and all kernels of a process call the first that it has met: which one that is hangs on what it
    compiled itself and what it found on disk.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy", fastmath=_FAST, forceinline=True)(function)
    _keep(dispatcher)
    return dispatcher


def _keep(compiled_function: Any) -> None:
    """Keep on disk what is compiled, for as long as no file of this folder changes: Numba itself looks at the file of a
    function alone, and would go on with the code that other files had when it was inlined."""
    compiled_function.enable_caching()
    compiled_function._cache._cache_file._source_stamp = _sources()


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@compiled
def next_part(data: int) -> int:
    """A part of the region whose numbers are at `data` that nobody has taken yet; -1 when there is none left."""
    part = claim(data + 8)
    return part if part < numba.carray(pointer(data, 0), 1)[0] else -1


@compiled
def new_slot(data: int) -> int:
    """A number that no other thread of the region has, from 0: for memory of its own."""
    slot: int = claim(data + 16)
    return slot


@compiled
def numbers_of(data: int) -> Any:
    """What the caller of a region gave it."""
    return numba.carray(pointer(data + 24, 0), NUMBERS - 3)


class Region:
    """A function of float32 and its twin of float64, compiled when first used."""

    def __init__(self, single: Callable[[int], None], double: Callable[[int], None]) -> None:
        self._functions = {torch.float32: single, torch.float64: double}
        self._compiled: dict[torch.dtype, Any] = {}

    def run(self, dtype: torch.dtype, parts: int, *numbers: int) -> None:
        """Do all parts, on as many threads as torch uses."""
        if dtype not in self._compiled:
            function = CFunc(
                self._functions[dtype], ((_types.int64,), _types.void), locals={}, options={"nopython": True}
            )
            _keep(function)
            function.compile()
            self._compiled[dtype] = function
        data = np.zeros(NUMBERS, dtype=np.int64)
        data[0] = parts
        data[3 : 3 + len(numbers)] = numbers
        _parallel()(self._compiled[dtype].address, data.ctypes.data, min(parts, torch.get_num_threads()), 0)


@cache
def _parallel() -> Callable[[int, int, int, int], None]:
    """`GOMP_parallel` of GCC's OpenMP runtime (libgomp ABI): call a function on each of some threads, and wait."""
    function = load_openmp().GOMP_parallel
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    function.restype = None
    found: Callable[[int, int, int, int], None] = function
    return found


def address(tensor: torch.Tensor | None) -> int:
    """Where the numbers of a tensor begin; 0 for none."""
    return 0 if tensor is None else tensor.data_ptr()
