"""Counting what happened to documents: exact integers, by language, by source and by file, that merge by addition."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Codes

ALL = "all"
LANGUAGE = "lang"
SOURCE = "source"
FILE = "file"

IN, CREATED, FAILED, KEPT, COPIES, ERASED = "in", "created", "failed", "kept", "copies", "erased"
HELD = "held out"

OTHERS = ":others"
"""All source groups, or tags, together that have no counts of their own: none can have this name, which holds a
colon."""

ALL_OTHERS = "all others"
"""What pages and tables call them."""

MOST_SOURCES = 10_000
"""Source groups that have counts of their own in a run: the first ones, part by part, in a part by name. Where each
document names another source (a domain, a page), all of them would take more memory than the text."""

MOST_TAGS = 1_000
"""Languages beyond which a tag that is none gets no counts of its own: where the field of another thing (an address, a
title) was taken for the language, each document has another one."""

_EXACT = 1 << 53
"""All integers below it are floats of 64 bits."""


class Tally:
    """Documents, tokens and bytes by (dimension, name, event). An event is `in`, `created`, `failed`, `kept`,
    `held out`, `copies`, `erased`, or `stage/action/rule`. Documents are distinct ones; copies are counted apart.

    With `limits` (`source` and `lang` may have one), names that come after so many count together as `OTHERS`, but for
    source groups among `named` and for language tags that are valid: which ones hangs on the order in which they come.
    To a tally that began with rows of `OTHERS`, no other name of that dimension is added."""

    def __init__(
        self,
        rows: Iterable[Sequence[object]] = (),
        limits: Mapping[str, int] = MappingProxyType({}),
        named: Collection[str] = (),
    ) -> None:
        self._counts: dict[str, dict[str, dict[str, list[int]]]] = {}
        self._limits = dict(limits)
        self._named = frozenset(named)
        self.add(rows)
        self._limits |= {dimension: 0 for dimension, names in self._counts.items() if OTHERS in names}

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Add counts as `rows` gives them."""
        for dimension, name, event, *numbers in cast("Iterable[tuple[str, str, str, int, int, int]]", rows):
            _add(self._events(dimension, name), event, *numbers)

    def count(
        self,
        event: str,
        rows: NDArray[np.bool_],
        dimensions: dict[str, Codes],
        tokens: NDArray[np.int64],
        size: NDArray[np.int64],
    ) -> None:
        """Count the documents of the mask `rows` under `event`; `tokens` and `size` (bytes) are per document."""
        documents = int(np.count_nonzero(rows))
        if documents == 0:
            return
        measures = tokens[rows], size[rows]
        totals = [documents, *(int(measure.sum()) for measure in measures)]
        _add(self._events(ALL, ""), event, *totals)
        for dimension, encoded in dimensions.items():
            names = encoded.names
            if len(names) == 1:
                _add(self._events(dimension, names[0]), event, *totals)
                continue
            codes = encoded.codes[rows]
            counts = np.bincount(codes, minlength=len(names))
            present = np.flatnonzero(counts)
            sums = [_sums(codes, measure, len(names))[present].tolist() for measure in measures]
            for code, *numbers in zip(present.tolist(), counts[present].tolist(), *sums, strict=True):
                _add(self._events(dimension, names[code]), event, *numbers)

    def count_failed(self, file: str, records: int) -> None:
        """Count records that could not be read."""
        if records:
            _add(self._events(ALL, ""), FAILED, records, 0, 0)
            _add(self._events(FILE, file), FAILED, records, 0, 0)

    def merge(self, other: Tally) -> None:
        """Add the counts of another tally."""
        for dimension, name, event, numbers in other._entries():
            _add(self._events(dimension, name), event, *numbers)

    def subtract(self, other: Tally) -> None:
        """Take away the counts of another tally; what is left without documents is no entry any more."""
        for dimension, name, event, numbers in other._entries():
            events = self._events(dimension, name)
            _add(events, event, *(-number for number in numbers))
            if events[event][0] == 0:
                del events[event]

    def rows(self) -> list[list[object]]:
        """The counts as JSON: [dimension, name, event, documents, tokens, bytes], sorted."""
        return sorted([dimension, name, event, *numbers] for dimension, name, event, numbers in self._entries())

    def names(self, dimension: str) -> list[str]:
        """The names that occur in a dimension, sorted."""
        return sorted(self._counts.get(dimension, {}))

    def events(self, dimension: str = ALL, name: str = "") -> dict[str, tuple[int, int, int]]:
        """Documents, tokens and bytes of every event of one name."""
        found = self._counts.get(dimension, {}).get(name, {})
        return {event: (numbers[0], numbers[1], numbers[2]) for event, numbers in sorted(found.items())}

    def documents(self, event: str, dimension: str = ALL, name: str = "") -> int:
        """The number of documents of one event."""
        return self._counts.get(dimension, {}).get(name, {}).get(event, [0])[0]

    def _entries(self) -> Iterator[tuple[str, str, str, list[int]]]:
        for dimension, names in self._counts.items():
            for name, events in names.items():
                for event, numbers in events.items():
                    yield dimension, name, event, numbers

    def _events(self, dimension: str, name: str) -> dict[str, list[int]]:
        """The counts of a name by event, to be added to."""
        names = self._counts.get(dimension)
        if names is None:
            names = self._counts[dimension] = {}
        events = names.get(name)
        if events is None:
            if len(names) >= self._limits.get(dimension, sys.maxsize) and self._is_other(dimension, name):
                return names.setdefault(OTHERS, {})
            events = names[name] = {}
        return events

    def _is_other(self, dimension: str, name: str) -> bool:
        """Whether a name gets no counts of its own once the limit of its dimension is reached."""
        if dimension == SOURCE:
            return name not in self._named
        from curator.language.tags import is_valid

        return not is_valid(name)


def _add(events: dict[str, list[int]], event: str, documents: int, tokens: int, size: int) -> None:
    totals = events.get(event)
    if totals is None:
        events[event] = [documents, tokens, size]
    else:
        totals[0] += documents
        totals[1] += tokens
        totals[2] += size


def _sums(codes: NDArray[np.int32], measure: NDArray[np.int64], names: int) -> NDArray[np.int64]:
    """The exact sum of a measure (none of it negative) for each code: int64[names]."""
    # bincount adds in float64, which is exact below 2**53.
    if int(measure.max()) * len(measure) < _EXACT:
        return np.bincount(codes, weights=measure, minlength=names).astype(np.int64)
    low = np.bincount(codes, weights=measure & 0xFFFF_FFFF, minlength=names)
    high = np.bincount(codes, weights=measure >> 32, minlength=names)
    return low.astype(np.int64) + (high.astype(np.int64) << 32)


def verdict_event(stage: str, action: str, rule: str) -> str:
    """The event under which a verdict is counted."""
    return f"{stage}/{action}/{rule}"


def parse_event(event: str) -> tuple[str, str, str] | None:
    """(stage, action, rule) of a verdict's event; None for the others."""
    parts = event.split("/", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None
