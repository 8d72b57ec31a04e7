"""Which machine code arguments ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

_C_ORDER, _FORTRAN_ORDER, _ALIGNED, _WRITABLE = 0x1, 0x2, 0x100, 0x400
"""Bits of `ndarray.flags.num`."""
_ALL = _C_ORDER | _FORTRAN_ORDER | _ALIGNED | _WRITABLE

_LARGEST = 2**63 - 1


def kinds(arguments: tuple[object, ...]) -> tuple[object, ...]:
    """What decides which machine code is right for arguments, to be compared within a process."""
    return tuple([_kind(argument) for argument in arguments])


def signature(arguments: tuple[object, ...]) -> str | None:
    """The same, to be compared between processes; None where there is an argument of a type that is not known here."""
    described = [_describe(argument) for argument in arguments]
    return None if None in described else ", ".join(map(str, described))


def _kind(value: Any) -> object:
    cls = type(value)
    if isinstance(value, np.ndarray):
        return cls, value.dtype, value.ndim, value.flags.num & _ALL
    if isinstance(value, tuple):
        return cls, kinds(value)
    return (cls, value > _LARGEST) if cls is int else cls


def _layout(flags: int) -> int:
    """The bits that count: of an array that is in both orders, such as one of one dimension, Numba sees the first."""
    return flags & (_ALL & ~_FORTRAN_ORDER if flags & _C_ORDER else _ALL)


def _describe(value: Any) -> str | None:
    cls = type(value)
    if cls in (np.ndarray, np.memmap):
        plain = value.dtype.kind in "biuf" and value.dtype.isnative
        return f"{value.dtype.str}[{value.ndim}]{_layout(value.flags.num):x}" if plain else None
    if isinstance(value, tuple):
        parts = [_describe(part) for part in value]
        fields = getattr(cls, "_fields", ())
        return None if None in parts else f"{cls.__module__}.{cls.__qualname__}{fields}({', '.join(map(str, parts))})"
    if cls is int:
        return "uint64" if value > _LARGEST else "int"
    if cls in (bool, float) or (isinstance(value, np.generic) and value.dtype.kind in "biuf"):
        return cls.__name__
    return None
