"""Readers by name: the built-in ones, and those that other packages add under the entry point group
`curator.readers`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from typing import cast

from curator.errors import UserError
from curator.readers.base import Reader
from curator.registry import READERS, registered

BUILT_IN: Mapping[str, str] = {
    "jsonl": "curator.readers.jsonl:JsonlReader",
    "parquet": "curator.readers.parquet:ParquetReader",
    "text": "curator.readers.text:TextReader",
    "csv": "curator.readers.csv:CsvReader",
    "tsv": "curator.readers.csv:TsvReader",
    "html": "curator.readers.html:HtmlReader",
    "warc": "curator.readers.warc:WarcReader",
}
"""Found without entry points too, so that a checkout that was not installed can read. Imported when asked for."""


def reader_names() -> tuple[str, ...]:
    """The formats that can be named, built-in ones first."""
    return (*BUILT_IN, *sorted(added_readers()))


def load_reader(name: str) -> Reader:
    """The reader of a format. UserError when there is none, or its package does not import."""
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name].split(":")
        return cast("Reader", getattr(importlib.import_module(module), attribute)())
    point = added_readers().get(name)
    if point is None:
        raise UserError(f"there is no reader {name!r}", hint=f"one of {', '.join(reader_names())}")
    try:
        return cast("Reader", point.load()())
    except ImportError as error:
        raise UserError(f"the reader {name!r} does not import: {error}", hint=f"check {point.value}") from error


@cache
def added_readers() -> Mapping[str, EntryPoint]:
    """Entry points of other packages. UserError when two packages give one name, or one gives a built-in name."""
    points: dict[str, EntryPoint] = {}
    for point in registered(READERS):
        if point.value == BUILT_IN.get(point.name):
            continue
        other = BUILT_IN.get(point.name) or (points[point.name].value if point.name in points else None)
        if other not in (None, point.value):
            raise UserError(
                f"two readers are called {point.name!r}: {other} and {point.value}", hint="remove one package"
            )
        points[point.name] = point
    return points
