"""Fields of JSON objects by dotted path: read into typed structs all at once, or walked in a decoded object."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import msgspec

if TYPE_CHECKING:
    from curator.readers.base import Fields

FieldPath: TypeAlias = tuple[str, ...]

_Value = TypeVar("_Value")

UNSET = msgspec.UNSET
"""A field that is not there, as opposed to null."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that stand for no undecodable byte (PEP 383)."""
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Paths:
    """The fields of a recipe as paths."""

    text: FieldPath
    id: FieldPath
    source: FieldPath
    lang: FieldPath
    metadata: Mapping[str, FieldPath]

    @staticmethod
    def of(fields: Fields) -> Paths:
        """A name with dots names a nested field."""
        return Paths(
            field_path(fields.text),
            field_path(fields.id),
            field_path(fields.source),
            field_path(fields.lang),
            {name: field_path(name) for name in fields.metadata},
        )


@dataclass(frozen=True)
class Layout:
    """A struct type that holds the fields asked for and nothing else, and where in it each path is."""

    struct: type[msgspec.Struct]
    attributes: Mapping[FieldPath, tuple[str, ...]]

    def values(self, path: FieldPath, structs: Sequence[msgspec.Struct]) -> list[object]:
        """One field of all structs; UNSET or None where it, or an object around it, is missing."""
        first, *further = self.attributes[path]
        values: list[object] = list(map(attrgetter(first), structs))
        for attribute in further:
            get = attrgetter(attribute)
            values = [UNSET if value is None else get(value) for value in values]
        return values


_Leaf: TypeAlias = tuple[object, object]
_Tree: TypeAlias = "dict[str, _Tree | _Leaf]"
_TEXT: _Leaf = (str | None, None)
_ANY: _Leaf = (object, UNSET)
"""Type and default of a field. Only the text's type is asked of the decoder: that of others is looked at afterwards."""


def layout(paths: Paths) -> Layout | None:
    """The layout of these paths, None when one stands inside another: no struct has both."""
    tree: _Tree = {}
    others = (paths.id, paths.source, paths.lang, *paths.metadata.values())
    for path, leaf in [(paths.text, _TEXT), *((path, _ANY) for path in others)]:
        node = tree
        for name in path[:-1]:
            below = node.setdefault(name, {})
            if not isinstance(below, dict):
                return None
            node = below
        if isinstance(node.setdefault(path[-1], leaf), dict):
            return None
    attributes: dict[FieldPath, tuple[str, ...]] = {}
    return Layout(_struct(tree, (), (), attributes), attributes)


def _struct(
    tree: _Tree, path: FieldPath, place: tuple[str, ...], attributes: dict[FieldPath, tuple[str, ...]]
) -> type[msgspec.Struct]:
    fields: list[tuple[str, object, object]] = []
    rename: dict[str, str] = {}
    for number, (name, node) in enumerate(tree.items()):
        attribute = f"field_{number}"
        rename[attribute] = name
        if isinstance(node, dict):
            fields.append((attribute, _struct(node, (*path, name), (*place, attribute), attributes) | None, None))
        else:
            fields.append((attribute, *node))
            attributes[(*path, name)] = (*place, attribute)
    return msgspec.defstruct("Record", cast("list[tuple[str, type, object]]", fields), rename=rename, gc=False)


def field_path(name: str) -> FieldPath:
    """`meta.url` as a path."""
    return tuple(name.split("."))


def walk(record: object, path: FieldPath) -> object:
    """The field at `path` of a decoded object; UNSET when it, or an object around it, is missing."""
    return reduce(lambda value, name: value.get(name, UNSET) if isinstance(value, dict) else UNSET, path, record)


def identifier(value: object) -> str | None:
    """An id as a string: numbers in decimal, None for what cannot be an id."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(value)


def label(value: object) -> str | None:
    """A source or lang: None for what is not a string, or empty."""
    return value if isinstance(value, str) and value else None


def metadata_json(values: Mapping[str, object]) -> str | None:
    """The fields that are there, as a JSON object; None when none is. UnicodeEncodeError on a lone surrogate."""
    present = {name: value for name, value in values.items() if value is not UNSET}
    return msgspec.json.encode(present).decode() if present else None


def has_surrogates(text: object) -> bool:
    """Whether a string holds a surrogate, which no UTF-8 can."""
    return isinstance(text, str) and _SURROGATE.search(text) is not None


def without_halves(value: _Value, *, escaped_bytes: bool) -> _Value:
    """Decoded values with U+FFFD for each half of a surrogate pair in them (Unicode 16, 3.9 and 5.22); with
    `escaped_bytes`, not for those that stand for undecodable bytes. RecursionError where they are nested too deep."""
    half = _ESCAPED_HALF if escaped_bytes else _SURROGATE

    def mend(part: object) -> object:
        if isinstance(part, str):
            return half.sub(_REPLACEMENT, part)
        if isinstance(part, dict):
            return {mend(name): mend(inner) for name, inner in part.items()}
        return type(part)(map(mend, part)) if isinstance(part, list | tuple) else part

    return cast("_Value", mend(value))


def damaged_bytes(text: str, *, escaped_bytes: bool) -> bytes:
    """The bytes of a text with surrogates: each in three bytes (WTF-8), or, with `escaped_bytes`, those that stand for
    undecodable bytes (PEP 383) as these bytes."""
    if not escaped_bytes:
        return text.encode("utf-8", "surrogatepass")
    return b"".join(
        part.encode("utf-8", "surrogateescape" if "\udc80" <= part[0] <= "\udcff" else "surrogatepass")
        for part in re.split("([\udc80-\udcff]+)", text)
        if part
    )
