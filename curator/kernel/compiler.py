"""What compiles kernels: Numba, loaded where no machine code is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from curator.kernel.numba_alone import numba  # isort: skip  # it hides from Numba what Numba need not load
from llvmlite.binding import parse_bitcode
from numba.core.caching import FunctionCache

from curator.kernel import machine_code


class Compiler:
    """What compiles a function, and keeps the machine code."""

    def __init__(self, function: FunctionType, options: Mapping[str, object], stamp: str) -> None:
        self._dispatcher: Any = numba.njit(cache=True, **options)(function)
        self._cache = self._dispatcher._cache = _Cache(function, stamp)

    @property
    def type(self) -> object:
        """Numba's type for it, where another kernel calls it."""
        return self._dispatcher._numba_type_

    def compile(self, arguments: tuple[object, ...], path: Path | None) -> Callable[..., Any]:
        """Something to call with such arguments. What is compiled for it is kept at `path` for processes to come."""
        self._cache.path = path
        try:
            self._dispatcher.compile(tuple(map(self._dispatcher.typeof_pyval, arguments)))
        finally:
            self._cache.path = None
        dispatcher: Callable[..., Any] = self._dispatcher
        return dispatcher


class _Cache(FunctionCache):
    """Numba's files of compiled code, which count for one stamp, and what goes from them into a file of ours."""

    def __init__(self, function: FunctionType, stamp: str) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]  # Numba's own, here and below
        self.path: Path | None = None
        self._stamp = stamp
        self._cache_file._source_stamp = stamp

    def _load_overload(self, types: object, target: Any) -> object:
        kept = self._cache_file.load(self._index_key(types, target.codegen()))  # type: ignore[no-untyped-call]
        if kept is None:
            return None
        self._export(kept)
        return self._impl.rebuild(target, kept)

    def _save_overload(self, types: object, result: Any) -> None:
        super()._save_overload(types, result)  # type: ignore[no-untyped-call]
        _tell()
        self._export(self._impl.reduce(result))

    def _export(self, kept: Any) -> None:
        (_, kind, payload), description, own, _, objectmode, lifted, _, initialise, environments = kept
        if self.path is None or kind != "object" or objectmode or lifted or initialise:
            return
        constants = {each.env_name: list(each.consts) for each in (own, *environments)}
        if any(not isinstance(constant, np.dtype) for each in constants.values() for constant in each):
            return
        objects, bitcode = payload
        functions = parse_bitcode(bitcode).functions
        calls = {each.name for each in functions if each.is_declaration and not each.name.startswith("llvm.")}
        code = machine_code.Code(
            self._stamp,
            description.llvm_cpython_wrapper_name,
            own.env_name,
            {name: [dtype.str for dtype in each] for name, each in constants.items()},
        )
        machine_code.save(self.path, code, objects, numba.__version__, calls)


@cache
def _tell() -> None:
    """Say on a terminal, once, why so little happens: to compile what a recipe needs takes most of a minute."""
    if sys.stderr.isatty():
        # Over the line of a progress bar, which is drawn again below it.
        sys.stderr.write("\r\x1b[Kcurator: loops are compiled for this machine; later runs find them\n")
        sys.stderr.flush()
