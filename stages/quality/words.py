"""What the words of documents look like: kinds and lengths of units, stop words, and sequences that occur again.

In scripts without spaces units are smaller than words. The Universal Declaration of Human Rights has 1,300 units in the
median of all languages with spaces, 2,000 in Chinese, 2,300 in Yi, 3,000 in Japanese, and 3,800 to 5,800 in Burmese,
Javanese script, Khmer, Lao, Thai (benchmarks/quality.py). So CHARACTERS_PER_WORD characters of the first kind and
LETTERS_PER_WORD of the second count as a word, and where they are most of a text its sequences are that much longer.

Hangul has spaces, but its characters are syllables: the declaration has half as many of them as in other scripts have
letters (the same benchmark). So in the length of words and lines a syllable counts as two letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.hash_set import table_size
from curator.language.scripts import script_table
from curator.text.fold import hash_unit
from curator.text.segment import LETTER, UNSPACED, read_only
from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS, find_sequences
from stages.quality.signs import point_at
from stages.quality.stop_words import script_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.text.segment import Units
    from stages.quality.stop_words import StopWords

CHARACTERS_PER_WORD = 2
"""Ideographs and syllables (Han, Kana, Yi, Tangut) to a word."""
LETTERS_PER_WORD = 4
"""Letters with their marks to a word in the other scripts without spaces."""

HANGUL_FIRST, HANGUL_LAST = 0xAC00, 0xD7A3
"""The syllables of Hangul."""

MEASURED_UNITS = 1 << 17
"""Of a longer text, sequences are sought in so many units from its middle."""

LOREM, IPSUM = np.uint64(hash_unit("lorem")), np.uint64(hash_unit("ipsum"))

(
    _SPACED_CHARACTERS,
    _LETTERED,
    _UNSPACED,
    _IDEOGRAPHS,
    _STOPS,
    _DISTINCT_STOPS,
    _IN_SCRIPT,
    _LOREM,
    _MEASURED,
    _HANGUL,
) = range(10)
_ONE = np.uint64(1)


@dataclass(frozen=True)
class WordCounts:
    """Counts for each text: int64[texts] each.

    Code points of units in scripts with spaces, twice in units of Hangul; units that hold a letter, that are characters
    of a script without spaces, and of these ideographs or syllables; units that are stop words, and how many different
    ones; units that begin with a letter of the script of the stop words; mentions of lorem ipsum; code points of the
    units in which `sequences` were sought (int64[texts, 9], see `stages.quality.sequences`); units that begin with a
    syllable of Hangul.
    """

    spaced_characters: NDArray[np.int64]
    lettered: NDArray[np.int64]
    unspaced: NDArray[np.int64]
    ideographs: NDArray[np.int64]
    stops: NDArray[np.int64]
    distinct_stops: NDArray[np.int64]
    in_script: NDArray[np.int64]
    lorem_ipsum: NDArray[np.int64]
    measured: NDArray[np.int64]
    hangul: NDArray[np.int64]
    sequences: NDArray[np.int64]


def count_words(
    data: NDArray[np.uint8],
    units: Units,
    stop_words: StopWords,
    lists: NDArray[np.int64],
    measured_units: int = MEASURED_UNITS,
) -> WordCounts:
    """The counts of texts with these units in `data`. `lists` (int64[texts]) has the number of each text's list of stop
    words, -1 for none."""
    counts = np.zeros((10, len(units.counts)), dtype=np.int64)
    sequences = np.zeros((len(units.counts), len(TOP_LENGTHS) + len(REPEATED_LENGTHS)), dtype=np.int64)
    table = script_table()
    _count(
        read_only(data),
        units.offsets,
        units.hashes,
        units.starts,
        units.ends,
        units.kinds,
        stop_words.table,
        stop_words.scripts,
        lists,
        table.blocks,
        table.cells,
        script_groups(),
        measured_units,
        LOREM,
        IPSUM,
        counts,
        sequences,
    )
    return WordCounts(*[*counts, sequences])


@inline_kernel
def _slot_of(tables: NDArray[np.uint64], number: np.int64, value: np.uint64, mask: np.uint64) -> np.uint64:
    """Where a row of hash tables with linear probing has a value, or the empty slot where it would be."""
    slot = value & mask
    while tables[number, slot] != 0 and tables[number, slot] != value:
        slot = (slot + _ONE) & mask
    return slot


@kernel
def _count(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    stop_words: NDArray[np.uint64],
    list_scripts: NDArray[np.uint8],
    lists: NDArray[np.int64],
    blocks: NDArray[np.uint8],
    cells: NDArray[np.uint8],
    groups: NDArray[np.uint8],
    measured_units: int,
    lorem: np.uint64,
    ipsum: np.uint64,
    counts: NDArray[np.int64],
    sequences: NDArray[np.int64],
) -> None:
    texts = offsets.size - 1
    longest = np.int64(0)
    for text in range(texts):
        longest = max(longest, min(offsets[text + 1] - offsets[text], np.int64(measured_units)))
    keys = np.empty(table_size(longest), dtype=np.uint64)
    firsts = np.empty(table_size(longest), dtype=np.int32)
    same = np.empty(longest, dtype=np.int32)
    times = np.empty(longest, dtype=np.int32)
    left = np.empty(longest, dtype=np.int32)
    until = np.empty(longest + 1, dtype=np.int64)
    met = np.full(stop_words.shape[1], -1, dtype=np.int64)
    stop_mask = np.uint64(stop_words.shape[1] - 1)
    for text in range(texts):
        total = offsets[text + 1] - offsets[text]
        if total == 0:
            continue
        count = min(total, np.int64(measured_units))
        first_unit = offsets[text] + (total - count) // 2
        number = lists[text]
        all_characters = np.int64(0)
        spaced_characters = np.int64(0)
        lettered = np.int64(0)
        unspaced = np.int64(0)
        hangul = np.int64(0)
        ideographs = np.int64(0)
        in_script = np.int64(0)
        stops = np.int64(0)
        former = np.uint64(0)
        for unit in range(offsets[text], offsets[text + 1]):
            if unit >= first_unit and unit < first_unit + count:
                until[unit - first_unit] = all_characters
            characters = ends[unit] - starts[unit]
            for byte in range(starts[unit], ends[unit]):
                characters -= data[byte] & 0xC0 == 0x80
            all_characters += characters
            lettered += kinds[unit] & LETTER != 0
            lead = data[starts[unit]]
            if kinds[unit] & UNSPACED:
                unspaced += 1
                # U+2000 to U+9FFF, Yi (U+A000 to U+A4CF), and what takes four bytes; before and between, alphabets.
                ideographs += 0xE2 <= lead <= 0xE9 or lead >= 0xF0 or (lead == 0xEA and data[starts[unit] + 1] < 0x94)
            elif 0xEA <= lead <= 0xED and HANGUL_FIRST <= point_at(data, starts[unit], ends[unit]) <= HANGUL_LAST:
                hangul += 1
                spaced_characters += 2 * characters
            else:
                spaced_characters += characters
            value = hashes[unit]
            counts[_LOREM, text] += value == ipsum and former == lorem
            former = value
            if number >= 0:
                point = point_at(data, starts[unit], ends[unit])
                script = groups[cells[np.int64(blocks[point >> 8]) * 256 + (point & 0xFF)]]
                in_script += script == list_scripts[number]
                slot = _slot_of(stop_words, number, value, stop_mask)
                if stop_words[number, slot] != 0:
                    stops += 1
                    if met[slot] != text:
                        met[slot] = text
                        counts[_DISTINCT_STOPS, text] += 1
            if unit == first_unit + count - 1:
                until[count] = all_characters
        counts[_SPACED_CHARACTERS, text] = spaced_characters
        counts[_LETTERED, text] = lettered
        counts[_UNSPACED, text] = unspaced
        counts[_IDEOGRAPHS, text] = ideographs
        counts[_IN_SCRIPT, text] = in_script
        counts[_STOPS, text] = stops
        counts[_HANGUL, text] = hangul
        counts[_MEASURED, text] = until[count] - until[0]

        factor = 1
        if 2 * unspaced > total:
            factor = CHARACTERS_PER_WORD if 2 * ideographs > unspaced else LETTERS_PER_WORD
        find_sequences(hashes, first_unit, count, factor, until, keys, firsts, same, times, left, sequences, text)
