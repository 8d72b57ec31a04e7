"""Machine code of kernels on disk, run without the compiler.

To load Numba and its types takes a third of a CPU second, which is a third of what a run of ten documents takes. What
is needed to run code that Numba made is a tenth of that: LLVM, to link an object file into the process, and three of
Numba's extension modules, which have the functions that the code calls (to look into an array, to make one).

A file (see `files`) is a line of JSON (`Code`) and the object file. Its name says for which function, types of
arguments, CPU and versions it is; the stamp in it, from which source. What is damaged, of another source, or made by a
version of Numba for which this was not tried is as if it were not there: the compiler is asked, which keeps files of
its own.
"""

from __future__ import annotations

import builtins
import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import msgspec
import numpy as np

from curator.kernel.files import digest, folder_beside, read_kept, write_kept

_TRIED = ("0.68.",)
"""Versions of Numba whose code is known to run so."""

_HARMLESS = frozenset({"NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES", "NUMBA_NUM_THREADS"})
"""Variables of Numba's that do not change what it compiles."""

_EXTENSIONS = ("_dynfunc", "_helperlib", "core.runtime._nrt_python")


class Code(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a kernel needs to run, beside its object file.

    `wrapper` is the function in it that Python calls. `environments` has the name of each environment that code looks
    into, with the dtypes that it makes arrays of; `own` is that of the kernel itself. `stamp` says from which source.
    """

    stamp: str
    wrapper: str
    own: str
    environments: dict[str, list[str]]


@dataclass(frozen=True)
class _Engine:
    """LLVM's, the extension module of Numba that makes functions of addresses, and what code may call by name."""

    llvm: Any
    functions: Any
    names: frozenset[str]

    def knows(self, name: str) -> bool:
        """Whether code can call a function of this name: one of Numba's, or of a library that every process has."""
        return name in self.names or hasattr(ctypes.CDLL(None), name)

    def link(self, code: Code, objects: bytes, function: FunctionType) -> Callable[..., Any]:
        """Put code into this process, as a function of Python."""
        from llvmlite.binding import ObjectFileRef

        self.llvm.add_object_file(ObjectFileRef.from_data(objects))
        self.llvm.finalize_object()
        environments = {}
        for name, dtypes in code.environments.items():
            environments[name] = environment = self.functions.Environment({})
            environment.consts.extend(np.dtype(dtype) for dtype in dtypes)
            ctypes.c_void_p.from_address(self.llvm.get_global_value_address(name)).value = id(environment)
        return self.functions.make_function(  # type: ignore[no-any-return]  # of a module without types
            sys.modules[function.__module__],
            function.__name__,
            function.__doc__ or "",
            self.llvm.get_function_address(code.wrapper),
            environments[code.own],
            (self, environments),  # what must live as long as the function
        )


def place(source: Path, name: str, signature: str) -> Path | None:
    """The file for a function of a source file and for types of arguments; None where nothing is kept."""
    machine = _machine()
    if machine is None:
        return None
    made_for = digest(f"{machine}\n{signature}".encode())
    return folder_beside(source) / f"{source.stem}.{name}-{made_for}.kernel"


def load(path: Path, stamp: str, function: FunctionType) -> Callable[..., Any] | None:
    """The machine code of a function, linked into this process; None where there is none that is right."""
    header, _, objects = bytes(read_kept(path)).partition(b"\n")
    try:
        code = msgspec.json.decode(header, type=Code) if header else None
    except msgspec.DecodeError:
        return None
    engine = _engine() if code is not None and code.stamp == stamp else None
    return None if code is None or engine is None else engine.link(code, objects, function)


def save(path: Path, code: Code, objects: bytes, version: str, calls: Iterable[str]) -> None:
    """Keep what a version of Numba compiled, for processes to come. `calls` are the functions it calls that are not in
    it. Nothing is kept where they are not known here, or where the folder can't be written to."""
    engine = _engine() if version.startswith(_TRIED) else None
    if engine is None or not all(map(engine.knows, calls)):
        return
    write_kept(path, msgspec.json.encode(code) + b"\n" + objects)


@cache
def _machine() -> str | None:
    """What machine code is made for, beside its source: the CPU and the versions. None where no code is kept."""
    changed = {name for name in os.environ if name.startswith("NUMBA_")} - _HARMLESS
    root = _numba()
    if sys.platform != "linux" or changed or root is None:
        return None
    import llvmlite
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

    try:
        numba = root.joinpath("_version.py").read_text()
    except OSError:
        return None
    cpu = f"{platform.machine()} {get_host_cpu_name()} {get_host_cpu_features().flatten()}"
    return f"{sys.implementation.cache_tag}\n{np.__version__}\n{llvmlite.__version__}\n{numba}\n{cpu}"


def _numba() -> Path | None:
    """The folder of Numba, which is not loaded to know it."""
    spec = find_spec("numba")
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


@cache
def _engine() -> _Engine | None:
    """The engine of this process, None where Numba's modules are not as they are known."""
    import llvmlite.binding as llvm

    try:
        functions, helpers, runtime = map(_extension, _EXTENSIONS)
        symbols = {f"numba_{name}": address for module in (helpers, functions) for name, address in _helpers(module)}
        symbols |= {name if name.startswith("_") else f"NRT_{name}": address for name, address in _helpers(runtime)}
        _ = functions.Environment, functions.make_function
    except (OSError, ImportError, AttributeError, TypeError):
        return None
    # In the code these names are the objects, not the variables of the interpreter that point to them.
    symbols["_Py_NoneStruct"] = id(None)
    symbols |= {f"PyExc_{name}": id(value) for name, value in vars(builtins).items() if _is_exception(value)}
    for name, address in symbols.items():
        llvm.add_symbol(name, address)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    return _Engine(llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine), functions, frozenset(symbols))


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _helpers(module: Any) -> Iterable[tuple[str, int]]:
    return module.c_helpers.items()  # type: ignore[no-any-return]


def _extension(name: str) -> ModuleType:
    """An extension module of Numba, without the package; Numba finds it there when it is loaded later."""
    full = f"numba.{name}"
    if full in sys.modules:
        return sys.modules[full]
    root = _numba()
    if root is None:
        raise ImportError(full)
    path = str(root.joinpath(*name.split("."))) + EXTENSION_SUFFIXES[0]
    spec = spec_from_file_location(full, path, loader=ExtensionFileLoader(full, path))
    if spec is None or spec.loader is None:
        raise ImportError(full)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[full] = module
    return module
