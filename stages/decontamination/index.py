"""The index of all evaluation sets of a recipe: their distinct n-grams, and the examples that have them.

The length of the n-grams of a set follows Brown et al. 2020 (GPT-3), appendix C: the 5th percentile of the lengths of
its examples, at most 13 units and at least 8, below which matches are mostly accidental. Examples whose units are
mostly characters of scripts without spaces have a length of their own, between `min_characters` and `ngram_characters`.
An example that is shorter than that is one n-gram as a whole, down to the minimum; a shorter one cannot be looked for.

Memory: about 55 bytes for each distinct n-gram, and 200 while it is made (see docs/decisions/0016-decontamination.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from curator.document import string_buffer
from curator.errors import UserError
from curator.readers.base import InputFile
from curator.text.segment import UNSPACED, Units, segment
from stages.decontamination.ngrams import Table, hash_ngrams, make_table
from stages.decontamination.parameters import DecontaminationParameters, EvaluationSet
from stages.decontamination.sets import Examples, list_files, read_examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERCENTILE = 5
"""Of the lengths of a set's examples (Brown et al. 2020, appendix C)."""


@dataclass(frozen=True)
class Index:
    """`table` has the distinct n-grams; n-gram i has `lengths[i]` units and stands in the examples
    `examples[offsets[i]:offsets[i + 1]]` (int32, ascending; once for each place). Example j is number `numbers[j]` of
    set `sets[j]` and has n-grams at `places[j]` places, 0 where it is too short. `set_units` and `set_characters` are
    the lengths chosen for each set, 0 where it has no such example; `identities` tell the files of each set."""

    table: Table
    lengths: NDArray[np.int32]
    offsets: NDArray[np.int64]
    examples: NDArray[np.int32]
    sets: NDArray[np.int32]
    numbers: NDArray[np.int64]
    places: NDArray[np.int64]
    set_units: tuple[int, ...]
    set_characters: tuple[int, ...]
    identities: tuple[str, ...]

    def occurrences(self, ngrams: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All places of these n-grams in examples: which of `ngrams` (its place there), and the example."""
        counts = self.offsets[ngrams + 1] - self.offsets[ngrams]
        which = np.repeat(np.arange(len(ngrams)), counts)
        within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        return which, self.examples[self.offsets[ngrams][which] + within]


def load_index(parameters: DecontaminationParameters) -> Index:
    """The index of the sets of a recipe, made once a process for files as they are. UserError as of `read_examples`,
    and when no example of a set is long enough."""
    return _load(parameters, tuple(list_files(given) for given in parameters.sets))


@lru_cache(maxsize=2)
def _load(parameters: DecontaminationParameters, files: tuple[tuple[InputFile, ...], ...]) -> Index:
    read = [read_examples(given, of_set) for given, of_set in zip(parameters.sets, files, strict=True)]
    return build_index(parameters, read)


@dataclass(frozen=True)
class _Places:
    """The n-grams of a set by their places: begin and length in units, example; and what was chosen."""

    begins: NDArray[np.int64]
    lengths: NDArray[np.int64]
    examples: NDArray[np.int64]
    counts: NDArray[np.int64]
    units: int
    characters: int


def build_index(parameters: DecontaminationParameters, read: Sequence[Examples]) -> Index:
    """The index of the examples of each set."""
    segmented = [segment(*string_buffer(examples.texts)) for examples in read]
    placed = [_places(given, units, parameters) for given, units in zip(parameters.sets, segmented, strict=True)]
    before = np.cumsum([0, *(len(units.hashes) for units in segmented)])[:-1].tolist()
    hashes = np.concatenate([units.hashes for units in segmented])
    begins = np.concatenate([places.begins + first for places, first in zip(placed, before, strict=True)])
    lengths = np.concatenate([places.lengths for places in placed])
    first, second = hash_ngrams(hashes, begins, lengths)
    sizes = np.array([len(examples.texts) for examples in read], dtype=np.int64)
    example = np.concatenate(
        [places.examples + before for places, before in zip(placed, np.cumsum(sizes) - sizes, strict=True)]
    )
    order = np.lexsort((example, second, first))
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = np.diff(first[order]).astype(np.bool_) | np.diff(second[order]).astype(np.bool_)
    distinct = order[is_new]
    return Index(
        table=make_table(hashes, begins[distinct], lengths[distinct], first[distinct], second[distinct]),
        lengths=lengths[distinct].astype(np.int32),
        offsets=np.append(np.flatnonzero(is_new), len(order)).astype(np.int64),
        examples=example[order].astype(np.int32),
        sets=np.repeat(np.arange(len(read), dtype=np.int32), sizes),
        numbers=np.concatenate([np.arange(size, dtype=np.int64) for size in sizes]),
        places=np.concatenate([places.counts for places in placed]),
        set_units=tuple(places.units for places in placed),
        set_characters=tuple(places.characters for places in placed),
        identities=tuple(examples.identity for examples in read),
    )


def _places(given: EvaluationSet, units: Units, parameters: DecontaminationParameters) -> _Places:
    counts = units.counts
    unspaced = np.concatenate([[0], np.cumsum((units.kinds & UNSPACED) != 0)])
    mostly = 2 * (unspaced[units.offsets[1:]] - unspaced[units.offsets[:-1]]) > counts
    wanted = np.zeros(len(counts), dtype=np.int64)
    least = np.zeros(len(counts), dtype=np.int64)
    chosen = []
    for rows, (minimum, maximum), named in (
        (~mostly, (parameters.min_units, parameters.ngram_units), given.ngram_units),
        (mostly, (parameters.min_characters, parameters.ngram_characters), given.ngram_characters),
    ):
        length = named or _length(counts[rows], minimum, maximum)
        wanted[rows], least[rows] = length, min(minimum, length)
        chosen.append(length if rows.any() else 0)
    long_enough = counts >= least
    if not long_enough.any():
        raise UserError(
            f"every example ({len(counts):,}) is shorter than {int(least.min())} units",
            file=given.path,
            hint="such examples cannot be told from accidents; name more `fields`, or a smaller `ngram_units`",
        )
    lengths = np.minimum(wanted, counts)
    number = np.where(long_enough, counts - lengths + 1, 0)
    example = np.repeat(np.arange(len(counts)), number)
    within = np.arange(len(example)) - np.repeat(np.cumsum(number) - number, number)
    return _Places(units.offsets[example] + within, lengths[example], example, number, chosen[0], chosen[1])


def _length(counts: NDArray[np.int64], minimum: int, maximum: int) -> int:
    if len(counts) == 0:
        return maximum
    return int(np.clip(np.percentile(counts, PERCENTILE, method="lower"), minimum, maximum))
