"""Tables that are laid out from lists once on a machine, and read from then on."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import msgspec
import numpy as np
import pyarrow as pa

from curator import document
from curator import text as curator_text
from curator.code import files_below, hash_files
from curator.kernel.files import digest, folder_beside, read_kept, write_kept

_Parameters = ParamSpec("_Parameters")
_Table = TypeVar("_Table")

_ALIGNMENT = 16
_OF_UNITS = (Path(curator_text.__file__).parent, Path(__file__).parent, Path(document.__file__))
"""What says where units begin and how they are folded and hashed; all tables are made of these."""


def kept(*classes: type) -> Callable[[Callable[_Parameters, _Table]], Callable[_Parameters, _Table]]:
    """Keep what a function lays out from its arguments, the files of its folder, and how text is cut into units.

    `classes` are those of the table and of what is in it (dataclasses, named tuples, enumerations), beside arrays,
    numbers, text, bytes, tuples, sets and mappings: no other can come out of a file.

    Each byte of these files is hashed, in some 2 ms: what is kept is right whatever was installed, copied or changed. A
    table that is asked for with a path of another folder is made each time.
    """
    known = {one.__name__: one for one in classes}

    def keep(make: Callable[_Parameters, _Table]) -> Callable[_Parameters, _Table]:
        source = Path(make.__code__.co_filename)

        @wraps(make)
        def read_or_make(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Table:
            given = (*arguments, *named.values())
            if any(isinstance(value, Path) and source.parent not in value.parents for value in given):
                return make(*arguments, **named)
            asked = repr((arguments, sorted(named.items())))
            path = folder_beside(source) / f"{source.stem}.{make.__name__}-{digest(asked.encode())}.table"
            stamp = _stamp(source.parent)
            content = read_kept(path)
            if content[: len(stamp)] == stamp:
                return cast("_Table", _unpack(content[len(stamp) :], known))
            table = make(*arguments, **named)
            write_kept(path, stamp + _pack(table, known))
            return table

        return read_or_make

    return keep


def _stamp(folder: Path) -> bytes:
    """A hash of all that tables of a folder are made from and by."""
    hashes = [_hash(place) for place in (folder, *_OF_UNITS)]
    return digest(f"{hashes} {sys.version} {np.__version__} {pa.__version__}".encode()).encode()


@cache
def _hash(place: Path) -> str:
    return hash_files(files_below(place) if place.is_dir() else [place])


class _Head(msgspec.Struct, frozen=True):
    """A table but for its arrays, and of each of these the type, shape, and whether it may be written to."""

    table: Any
    arrays: list[tuple[str, list[int], bool]]


def _pack(table: object, known: Mapping[str, type]) -> bytes:
    """A table as bytes: a length, `_Head` in MessagePack, and the arrays, each at a multiple of _ALIGNMENT bytes."""
    arrays: list[np.ndarray[Any, Any]] = []
    plain = _plain(table, known, arrays)
    head = _Head(plain, [(array.dtype.str, list(array.shape), array.flags.writeable) for array in arrays])
    packed = msgspec.msgpack.encode(head)
    pieces = [len(packed).to_bytes(_ALIGNMENT, "little"), packed, *(array.tobytes() for array in arrays)]
    return b"".join(piece + bytes(-len(piece) % _ALIGNMENT) for piece in pieces)


def _unpack(content: memoryview, known: Mapping[str, type]) -> object:
    """The table whose arrays lie in these bytes; they are not copied."""
    end = _ALIGNMENT + int.from_bytes(content[:_ALIGNMENT], "little")
    head = msgspec.msgpack.decode(content[_ALIGNMENT:end], type=_Head)
    arrays = []
    for kind, shape, is_writeable in head.arrays:
        dtype = np.dtype(kind)
        begin = end + -end % _ALIGNMENT
        end = begin + dtype.itemsize * math.prod(shape)
        array = np.frombuffer(content[begin:end], dtype=dtype).reshape(shape)
        array.flags.writeable = is_writeable
        arrays.append(array)
    return _made(head.table, known, arrays)


def _plain(value: Any, known: Mapping[str, type], arrays: list[np.ndarray[Any, Any]]) -> object:
    """A value of a table as MessagePack has it: lists that begin with what they are. Arrays are gathered. TypeError for
    what is neither known nor plain."""
    kind = type(value)
    if known.get(kind.__name__) is kind:
        if dataclasses.is_dataclass(kind):
            parts = [getattr(value, field.name) for field in dataclasses.fields(kind)]
        else:
            parts = [value.value] if isinstance(value, enum.Enum) else list(value)
        return [kind.__name__, *(_plain(part, known, arrays) for part in parts)]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return ["array", len(arrays) - 1]
    if isinstance(value, np.generic):
        return ["number", value.dtype.str, value.item()]
    if kind in (tuple, list, frozenset):
        return [kind.__name__, *(_plain(part, known, arrays) for part in value)]
    if kind is dict:
        return ["dict", *([_plain(key, known, arrays), _plain(part, known, arrays)] for key, part in value.items())]
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    raise TypeError(f"a table that is kept has a {kind.__name__}")


def _made(plain: Any, known: Mapping[str, type], arrays: list[np.ndarray[Any, Any]]) -> Any:
    """The value that `_plain` made so."""
    if not isinstance(plain, list):
        return plain
    kind, *parts = plain
    if kind == "array":
        return arrays[parts[0]]
    if kind == "number":
        return np.dtype(parts[0]).type(parts[1])
    if kind == "dict":
        return {_made(key, known, arrays): _made(part, known, arrays) for key, part in parts}
    values = (_made(part, known, arrays) for part in parts)
    return _COLLECTIONS[kind](values) if kind in _COLLECTIONS else known[kind](*values)


_COLLECTIONS: Mapping[str, Callable[[Any], object]] = {"tuple": tuple, "list": list, "frozenset": frozenset}
