"""What the tasks of phase `read` read: a split of a large file, or the splits of many small ones.

A task costs some tens of milliseconds over all phases, however little it reads: without this, a corpus of a file for
each document would take that for every document.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from curator.readers.base import InputFile, ReadOptions, Records, Split
from curator.readers.registry import load_reader
from curator.storage.path import is_url
from curator.storage.together import OBJECTS_TOGETHER, each

SMALL_OBJECT = 1 << 20
"""Bytes of an object up to which its first split is asked for before those of the object before it are through."""

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
    for index, (file, splits) in enumerate(_splits_of(files, options, split_bytes)):
        for split in splits:
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


def _splits_of(
    files: Sequence[InputFile], options: ReadOptions, split_bytes: int
) -> Iterator[tuple[InputFile, Iterable[Split]]]:
    """Each file with its splits."""

    def begin(file: InputFile) -> tuple[InputFile, Iterable[Split]]:
        splits = iter(load_reader(file.format).splits(file, options, split_bytes))
        begun = itertools.islice(splits, 1) if _is_small_object(file) else ()
        return file, itertools.chain([*begun], splits)

    for small, group in itertools.groupby(files, _is_small_object):
        while several := list(itertools.islice(group, OBJECTS_TOGETHER)):
            yield from each(begin, several, remote=small)


def _is_small_object(file: InputFile) -> bool:
    return is_url(file.path) and file.size <= SMALL_OBJECT


@dataclass(frozen=True)
class Reading:
    """What a reader makes of a split: its records, and, once these are through, the digest of its bytes."""

    split: Split
    records: Iterable[Records]
    digest: Callable[[], str]


def read_splits(splits: Sequence[Split], options: ReadOptions) -> Iterator[Reading]:
    """Read splits in their order; small objects several at a time, each to its end."""
    remote = len(splits) > 1 and any(is_url(split.file.path) for split in splits)

    def read(split: Split) -> Reading:
        reader = load_reader(split.file.format)
        records = reader.read(split, options)
        if not remote:
            return Reading(split, records, partial(reader.digest, split))
        found, digest = [*records], reader.digest(split)
        return Reading(split, found, lambda: digest)

    return each(read, splits, remote=remote)
