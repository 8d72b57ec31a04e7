"""An allocator that keeps what is freed, for processes that do nothing but work on a run.

Each batch takes the arrays that the one before gave back. Handed to the system in between, every page of them costs a
fault and is cleared anew: half of a run's page faults, and more than a twentieth of its CPU time. See mallopt(3) and
madvise(2).
"""

from __future__ import annotations

import ctypes
import os

POOL_VARIABLE, MALLOC = "ARROW_DEFAULT_MEMORY_POOL", "system"
"""What Arrow reads when it is loaded, and the value by which it has no pool of its own."""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt: malloc.h of the GNU C library."""
_HUGE_PAGES = 14
"""MADV_HUGEPAGE of Linux."""
_HUGE_PAGE_BYTES = 2 << 20

_OWN_BYTES = 32 << 20
"""Larger pieces for which the heap has no room lie outside it and go back at once; the most that the library takes."""
_HEAP_BYTES = 256 << 20
"""What is set aside, of addresses and not of memory, to lie in huge pages."""
_KEPT_BYTES = 512 << 20
"""What is free at the end of the heap beyond this goes back."""
_STEP_BYTES = 64 << 20


def keep_memory() -> None:
    """Let malloc keep freed memory, in huge pages where the system has them, and Arrow use malloc. Before Arrow is
    loaded; a pool of Arrow's that the environment names stays. Nothing is done where the C library is not GNU's."""
    library = ctypes.CDLL(None)
    try:
        set_option = library.mallopt
    except AttributeError:
        return
    os.environ.setdefault(POOL_VARIABLE, MALLOC)
    set_option(_MMAP_THRESHOLD, _OWN_BYTES)
    set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
    set_option(_TOP_PAD, _HEAP_BYTES)
    begin, end = _grow(library)
    set_option(_TOP_PAD, _STEP_BYTES)
    begin, end = -(-begin // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES, end // _HUGE_PAGE_BYTES * _HUGE_PAGE_BYTES
    if begin < end:
        advise = library.madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        advise(begin, end - begin, _HUGE_PAGES)  # refused where the system has none: small pages do too


def _grow(library: ctypes.CDLL) -> tuple[int, int]:
    """Let the heap grow by its padding; where that lies. Empty where the heap has room or may not grow."""
    end_of_heap, take, give = library.sbrk, library.malloc, library.free
    end_of_heap.argtypes, end_of_heap.restype = (ctypes.c_ssize_t,), ctypes.c_void_p
    take.argtypes, take.restype = (ctypes.c_size_t,), ctypes.c_void_p
    give.argtypes, give.restype = (ctypes.c_void_p,), None
    begin = int(end_of_heap(0))
    give(take(_OWN_BYTES // 2))
    return begin, int(end_of_heap(0))
