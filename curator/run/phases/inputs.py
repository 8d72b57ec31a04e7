"""What the tasks of phase `read` read: a split of a large file, or the splits of many small ones.

A task costs some tens of milliseconds over all phases, however little it reads: without this, a corpus of a file for
each document would take that for every document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from curator.readers.base import InputFile, ReadOptions, Split
from curator.readers.registry import load_reader

LEAST_WEIGHT = 1 << 12
"""Bytes that a split counts for at least: to open a file takes its time, however little is in it."""


@dataclass(frozen=True)
class ReadInput:
    """Splits that follow each other in the input; the name puts parts in input order. `file_index` is the place of the
    first file in the input, `before` are the bytes of all files before the last one."""

    file_index: int
    splits: tuple[Split, ...]
    before: int

    @property
    def name(self) -> str:
        """The name of the task."""
        return f"{self.file_index:06d}-{self.splits[0].index:06d}"

    @property
    def held_bytes(self) -> int:
        """Data that travels with it, of files that one producer reads."""
        return sum(len(split.data or b"") for split in self.splits)

    @property
    def consumed(self) -> int | None:
        """Up to which byte the input is read with it, as far as the reader can tell; None where it can tell nothing."""
        return self.before + (self.splits[-1].consumed or 0) or None


def read_inputs(files: Sequence[InputFile], options: ReadOptions, split_bytes: int) -> Iterator[ReadInput]:
    """The splits of all files, gathered as long as they stay within `split_bytes` together: by what the input holds
    alone. Lazy: no more than two gatherings are held."""
    gathered: list[Split] = []
    weight = first = before = passed = 0
    for index, file in enumerate(files):
        for split in load_reader(file.format).splits(file, options, split_bytes):
            own = max(split.weight, LEAST_WEIGHT)
            if gathered and weight + own > split_bytes:
                yield ReadInput(first, tuple(gathered), before)
                gathered = []
            if not gathered:
                first, weight = index, 0
            gathered.append(split)
            weight += own
            before = passed
        passed += file.size
    if gathered:
        yield ReadInput(first, tuple(gathered), before)
