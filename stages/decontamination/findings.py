"""Which example of which set a document has text of, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.stage import State
    from stages.decontamination.index import Index

MATCHES = "decontamination.matches"
MATCH = pa.struct([("ngram", pa.int32()), ("unit", pa.int32()), ("begin", pa.int32()), ("end", pa.int32())])
"""An n-gram found: its number in the index, the unit at which it begins, its place in code points (half-open)."""


@dataclass(frozen=True)
class Found:
    """The matches of several documents, ascending by unit: document i has matches `offsets[i]` to `offsets[i + 1]`.
    `lengths` are in units; `kept` is False for common phrases."""

    offsets: NDArray[np.int64]
    ngrams: NDArray[np.int32]
    units: NDArray[np.int32]
    begins: NDArray[np.int32]
    ends: NDArray[np.int32]
    lengths: NDArray[np.int32]
    kept: NDArray[np.bool_]

    def of(self, document: int) -> Found:
        """The matches of one document that are no common phrases."""
        matches = np.arange(self.offsets[document], self.offsets[document + 1])
        return self._select(matches[self.kept[matches]])

    def within(self, begin: int, end: int) -> Found:
        """The matches of one document that lie in [begin, end), in code points."""
        return self._select(np.flatnonzero((self.begins >= begin) & (self.ends <= end)))

    def _select(self, matches: NDArray[np.int64]) -> Found:
        return Found(
            np.array([0, len(matches)], dtype=np.int64),
            self.ngrams[matches],
            self.units[matches],
            self.begins[matches],
            self.ends[matches],
            self.lengths[matches],
            self.kept[matches],
        )


def read_matches(column: pa.ListArray, index: Index, state: State) -> Found:
    """The matches of a batch from their column."""
    offsets = np.zeros(len(column) + 1, dtype=np.int64)
    np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False), out=offsets[1:])
    matches = column.flatten()
    ngrams, units, begins, ends = (
        matches.field(field.name).to_numpy(zero_copy_only=False).astype(np.int32) for field in MATCH
    )
    kept = ~np.isin(ngrams, state["common"])
    return Found(offsets, ngrams, units, begins, ends, index.lengths[ngrams], kept)


@dataclass(frozen=True)
class Finding:
    """Text of one set in a document: the example that most of the n-grams are of, how many units of the document stand
    in n-grams of the set, and the longest passage of them (code points)."""

    set: int
    example: int
    units: int
    begin: int
    end: int


def find_sets(found: Found, index: Index) -> list[Finding]:
    """What the matches of one document say, the set with most units first, then in the order of the sets."""
    ngrams, inverse = np.unique(found.ngrams, return_inverse=True)
    which, examples = index.occurrences(ngrams.astype(np.int64))
    findings = []
    for number in np.unique(index.sets[examples]).tolist():
        of_set = index.sets[examples] == number
        candidates, votes = np.unique(examples[of_set], return_counts=True)
        example = int(candidates[int(np.argmax(votes))])
        of_ngram = np.zeros(len(ngrams), dtype=np.bool_)
        of_ngram[which[of_set]] = True
        mask = of_ngram[inverse.reshape(-1)]
        units, _, _ = _passages(found.units[mask], found.units[mask] + found.lengths[mask])
        begins, ends = found.begins[mask], found.ends[mask]
        _, first, last = _passages(begins, ends)
        longest = int(np.argmax(last - first))
        findings.append(Finding(number, example, units, int(first[longest]), int(last[longest])))
    return sorted(findings, key=lambda finding: (-finding.units, finding.set))


def passages(found: Found) -> list[tuple[int, int]]:
    """The places (code points, half-open, ascending) that the matches of one document cover, those that touch or
    overlap as one."""
    _, begins, ends = _passages(found.begins, found.ends)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _passages(begins: NDArray[np.int32], ends: NDArray[np.int32]) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """The union of intervals ascending by begin: its size, and the begins and ends of its parts."""
    reach = np.maximum.accumulate(ends.astype(np.int64))
    is_first = np.ones(len(begins), dtype=np.bool_)
    is_first[1:] = begins[1:] > reach[:-1]
    first = begins[is_first].astype(np.int64)
    last = reach[np.append(np.flatnonzero(is_first)[1:], len(begins)) - 1]
    return int((last - first).sum()), first, last
