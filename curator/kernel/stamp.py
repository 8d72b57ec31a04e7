"""What the machine code of a kernel is made from, as a hash.

Numba looks at the file of a function alone: where that calls a kernel of another file, or has a constant of one in it,
a change there would go unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType

import numpy as np

_ROOTS = ("curator", "stages", "model", "serve")
_stamps: dict[FunctionType, str] = {}


def stamp(function: FunctionType, options: Mapping[str, object]) -> str:
    """A hash over the bytecode of a function and over all that it names: constants, and other kernels with all theirs.

    Of modules of this project what is named of them counts; other modules, types and functions count by their names.
    """
    if function in _stamps:
        return _stamps[function]
    _stamps[function] = f"{function.__module__}.{function.__qualname__}"  # where it calls itself
    digest = hashlib.blake2b(repr(sorted(options.items())).encode(), digest_size=16)
    for part in _parts(function):
        digest.update(f"{len(part)}:{part}".encode())
    _stamps[function] = digest.hexdigest()
    return _stamps[function]


def _parts(function: FunctionType) -> Iterator[str]:
    values = dict(zip(function.__code__.co_freevars, _cells(function), strict=True))
    for code in _codes(function.__code__):
        yield code.co_code.hex()
        yield from (_describe(constant) for constant in code.co_consts if not isinstance(constant, CodeType))
        yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
        for name in (*code.co_names, *code.co_freevars):
            value = values.get(name, function.__globals__.get(name))
            yield f"{name}={_describe(value)}"
            if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in _ROOTS:
                for attribute in code.co_names:
                    yield f"{name}.{attribute}={_describe(getattr(value, attribute, None))}"


def _cells(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        yield cell.cell_contents


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _describe(value: object) -> str:
    from curator.kernel.function import Kernel

    if isinstance(value, Kernel):
        return value.stamp
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{hashlib.blake2b(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, tuple):
        return f"{type(value).__name__}({', '.join(map(_describe, value))})"
    if isinstance(value, frozenset):
        return f"frozenset({', '.join(sorted(map(_describe, value)))})"
    if isinstance(value, bool | int | float | str | bytes | np.generic | None):
        return f"{type(value).__name__} {value!r}"
    return f"{type(value).__name__} {getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
