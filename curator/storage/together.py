"""Several objects at once: each takes requests, and a request takes the time to the storage and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

OBJECTS_TOGETHER = 16
"""Objects that are looked at or read at once."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def each(function: Callable[[_Item], _Result], items: Sequence[_Item], *, remote: bool) -> Iterator[_Result]:
    """The function of each, in their order: where they are `remote`, several at a time, else as they are asked for."""
    if not remote:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(OBJECTS_TOGETHER) as pool:
        yield from pool.map(function, items)
