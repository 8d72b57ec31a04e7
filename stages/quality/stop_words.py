"""The table of stop words. Units are looked up by their hash, so folded: whatever the case, points and accents."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.language.scripts import script_table
from curator.text.fold import hash_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Codes

STOP_WORDS_PATH = Path(__file__).parent / "data" / "stop_words.tsv"


ONE_SCRIPT = ("Hira", "Kana", "Hani")
"""Scripts that the same text mixes."""


@dataclass(frozen=True)
class StopWords:
    """The stop words of list language `numbers[name]` are the entries of row `table[number]` (uint64[lists, slots]),
    which is a hash table with linear probing by the low bits of a unit's hash; 0 is empty. They are in the script
    `scripts[number]` (uint8[lists], a number of `script_groups`)."""

    numbers: dict[str, int]
    table: NDArray[np.uint64]
    scripts: NDArray[np.uint8]

    def lists(self, languages: Codes) -> NDArray[np.int64]:
        """The number of the list for each text, -1 where there is none: int64[texts]."""
        return languages.lookup([self.numbers.get(name, -1) for name in languages.names]).astype(np.int64)


@cache
def stop_words() -> StopWords:
    """The lists that the package carries, made once a process."""
    return compile_lists(read_lists())


def read_lists(path: Path = STOP_WORDS_PATH) -> dict[str, list[str]]:
    """The words of each list language: a line a language, with its source and its words."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return {language: words.split(" ") for language, _, words in lines}


def compile_lists(lists: dict[str, list[str]]) -> StopWords:
    """Lists of words, each of which is one unit, as tables."""
    scripts = np.array([_script_of(words) for words in lists.values()], dtype=np.uint8)
    hashes = [[int(units[0]) for units in hash_terms(words)] for words in lists.values()]
    slots = 1 << max(4, (3 * max(map(len, hashes), default=0)).bit_length())
    table = np.zeros((len(lists), slots), dtype=np.uint64)
    for row, values in zip(table, hashes, strict=True):
        for value in values:
            slot = value & (slots - 1)
            while row[slot] not in (0, value):
                slot = (slot + 1) & (slots - 1)
            row[slot] = value
    return StopWords({language: number for number, language in enumerate(lists)}, table, scripts)


@cache
def script_groups() -> NDArray[np.uint8]:
    """For each script of `curator.language.scripts` its number, one for all of ONE_SCRIPT: uint8[scripts]."""
    names = script_table().names
    first = names.index(ONE_SCRIPT[0])
    return np.array([first if name in ONE_SCRIPT else number for number, name in enumerate(names)], dtype=np.uint8)


def _script_of(words: list[str]) -> int:
    """The script of most words, by their first letter; of two as frequent, the one met first."""
    table, groups = script_table(), script_groups()
    points = [ord(word[0]) for word in words]
    found = Counter(int(groups[table.cells[256 * int(table.blocks[point >> 8]) + (point & 0xFF)]]) for point in points)
    return found.most_common(1)[0][0]
