"""Functions that are compiled for the types of their arguments, once on a machine."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from curator.kernel import machine_code
from curator.kernel.signature import kinds, signature
from curator.kernel.stamp import stamp

if TYPE_CHECKING:
    from curator.kernel.compiler import Compiler

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_OPTIONS: Mapping[str, object] = {"nogil": True, "error_model": "numpy"}
_INLINE_OPTIONS: Mapping[str, object] = {**_OPTIONS, "inline": "never", "_nrt": False, "forceinline": True}

_preparing = threading.RLock()
"""One thread at a time loads or compiles: LLVM's engine is shared, and a kernel compiles those that it calls. A process
that forks waits for it, so that its child does not find it held."""
os.register_at_fork(before=_preparing.acquire, after_in_parent=_preparing.release, after_in_child=_preparing.release)


def kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile `function` with Numba: no Python objects, no GIL, IEEE division, machine code kept on disk.

    It is called with positional arguments alone.
    """
    return cast("Callable[_Parameters, _Result]", Kernel(cast("FunctionType", function), _OPTIONS))


def inline_kernel(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Like `kernel`, for a helper that other kernels call and that makes no arrays; its code becomes part of theirs.

    Left to LLVM it would be called where it is large, with each field of each array as an argument: an eighth of the
    time in which languages are identified.

    It is compiled without reference counts (`_nrt`): its caller holds the arrays, and an atomic instruction for each
    array at each call took half the time of the kernels that find names.
    """
    return cast("Callable[_Parameters, _Result]", Kernel(cast("FunctionType", function), _INLINE_OPTIONS))


class Kernel:
    """A function with the machine code for each combination of kinds of arguments that it was called with."""

    def __init__(self, function: FunctionType, options: Mapping[str, object]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self.options = options
        self._ready: dict[tuple[object, ...], Callable[..., Any]] = {}

    def __call__(self, *arguments: object) -> Any:
        """Run the machine code for arguments of these kinds."""
        key = kinds(arguments)
        run = self._ready.get(key)
        if run is None:
            run = self._prepare(key, arguments)
        return run(*arguments)

    def __reduce__(self) -> str:
        """A kernel is named, not copied, where it goes to another process."""
        return self.py_func.__qualname__

    @property
    def _numba_type_(self) -> object:
        """How Numba asks what this is, where another kernel calls it."""
        return self.compiler.type

    @functools.cached_property
    def stamp(self) -> str:
        """A hash of all that the machine code is made from: this function, kernels that it calls, constants."""
        return stamp(self.py_func, self.options)

    @functools.cached_property
    def compiler(self) -> Compiler:
        """What compiles it, with Numba loaded."""
        from curator.kernel.compiler import Compiler

        return Compiler(self.py_func, self.options, self.stamp)

    def _prepare(self, key: tuple[object, ...], arguments: tuple[object, ...]) -> Callable[..., Any]:
        with _preparing:
            run = self._ready.get(key)
            if run is not None:
                return run
            place = self._place(arguments)
            run = machine_code.load(place, self.stamp, self.py_func) if place is not None else None
            self._ready[key] = run = run or self.compiler.compile(arguments, place)
            return run

    def _place(self, arguments: tuple[object, ...]) -> Path | None:
        described = signature(arguments)
        source = Path(self.py_func.__code__.co_filename)
        return None if described is None else machine_code.place(source, self.py_func.__name__, described)
