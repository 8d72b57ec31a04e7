"""Counting what happened to documents: exact integers, by language, by source and by file, that merge by addition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

_EXACT = 1 << 53
"""All integers below it are floats of 64 bits."""


class Tally:
    """Documents, tokens and bytes by (dimension, name, event). An event is `in`, `created`, `failed`, `kept`,
    `held out`, `copies`, `erased`, or `stage/action/rule`. Documents are distinct ones; copies are counted apart."""

    def __init__(self, rows: Iterable[Sequence[object]] = ()) -> None:
        self._counts: dict[str, dict[str, dict[str, list[int]]]] = {}
        for dimension, name, event, *numbers in rows:
            self._add((cast("str", dimension), cast("str", name), cast("str", event)), cast("list[int]", numbers))

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
        self._add((ALL, "", event), totals)
        for dimension, encoded in dimensions.items():
            codes, names = encoded.codes[rows], encoded.names
            if len(names) == 1:
                self._add((dimension, names[0], event), totals)
                continue
            counts = np.bincount(codes, minlength=len(names))
            present = np.flatnonzero(counts)
            sums = [_sums(codes, measure, len(names))[present].tolist() for measure in measures]
            for code, *numbers in zip(present.tolist(), counts[present].tolist(), *sums, strict=True):
                self._add((dimension, names[code], event), numbers)

    def count_failed(self, file: str, records: int) -> None:
        """Count records that could not be read."""
        if records:
            self._add((ALL, "", FAILED), [records, 0, 0])
            self._add((FILE, file, FAILED), [records, 0, 0])

    def merge(self, other: Tally) -> None:
        """Add the counts of another tally."""
        for dimension, name, event, numbers in other._entries():
            self._add((dimension, name, event), numbers)

    def subtract(self, other: Tally) -> None:
        """Take away the counts of another tally; what is left without documents is no entry any more."""
        for dimension, name, event, numbers in other._entries():
            self._add((dimension, name, event), [-number for number in numbers])
            if self._counts[dimension][name][event][0] == 0:
                del self._counts[dimension][name][event]

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

    def _add(self, key: tuple[str, str, str], numbers: Sequence[int]) -> None:
        dimension, name, event = key
        totals = self._counts.setdefault(dimension, {}).setdefault(name, {}).setdefault(event, [0, 0, 0])
        for place, number in enumerate(numbers):
            totals[place] += number


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
