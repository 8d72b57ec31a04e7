"""The table of stop words: reading it, and the form in which units are looked up.

Some texts in Arabic and Hebrew are pointed (scripture, verse, books for children). A unit that is no stop word is
looked up once more without its marks; so are the words of the lists kept. Accents of Greek are folded away everywhere
(`curator.text.fold`).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel
from curator.language.scripts import script_table
from curator.text.fold import HASH_START, finish, fold, hash_terms, hash_unit, mix
from stages.quality.signs import point_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Codes

STOP_WORDS_PATH = Path(__file__).parent / "data" / "stop_words.tsv"


ONE_SCRIPT = ("Hira", "Kana", "Hani")
"""Scripts that the same text mixes."""

POINTED = ("Arab", "Hebr")
"""Scripts in which the same word is written with marks and without."""
BARE_POINTS = 0x0700
"""Their letters and marks are before this code point."""
_HEBREW_AND_ARABIC = range(0x0591, BARE_POINTS)
_ALEF, _ALEF_WASLA = 0x0627, 0x0671


@dataclass(frozen=True)
class StopWords:
    """The stop words of list language `numbers[name]` are the entries of row `table[number]` (uint64[lists, slots]),
    which is a hash table with linear probing by the low bits of a unit's hash; 0 is empty. They are in the script
    `scripts[number]` (uint8[lists], a number of `script_groups`); `pointed[number]` (bool[lists]) is whether that is
    one of POINTED."""

    numbers: dict[str, int]
    table: NDArray[np.uint64]
    scripts: NDArray[np.uint8]
    pointed: NDArray[np.bool_]

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
    pointed = np.isin(scripts, [script_table().names.index(name) for name in POINTED])
    hashes = [[int(units[0]) for units in hash_terms(words)] for words in lists.values()]
    for found, words, is_pointed in zip(hashes, lists.values(), pointed, strict=True):
        if is_pointed:
            found.extend(hash_unit(without_marks(word)) for word in words)
    slots = 1 << max(4, (3 * max(map(len, hashes), default=0)).bit_length())
    table = np.zeros((len(lists), slots), dtype=np.uint64)
    for row, values in zip(table, hashes, strict=True):
        for value in values:
            slot = value & (slots - 1)
            while row[slot] not in (0, value):
                slot = (slot + 1) & (slots - 1)
            row[slot] = value
    return StopWords({language: number for number, language in enumerate(lists)}, table, scripts, pointed)


@cache
def bare_letters() -> NDArray[np.int32]:
    """What a code point is without marks, folded: int32[BARE_POINTS]. 0 for a mark, for the tatweel of Arabic and its
    small letters, -1 for what is in none of the scripts POINTED. The alef wasla, which pointed text alone has, is an
    alef."""
    bare = np.full(BARE_POINTS, -1, dtype=np.int32)
    for point in _HEBREW_AND_ARABIC:
        folded = fold(chr(point))
        if unicodedata.category(chr(point)) in {"Mn", "Lm"}:
            bare[point] = 0
        elif len(folded) == 1:
            bare[point] = ord(folded)
    bare[_ALEF_WASLA] = _ALEF
    return bare


def without_marks(word: str) -> str:
    """A word, folded and without its marks; the word itself where a sign is in none of the scripts POINTED."""
    bare = bare_letters()
    points = [int(bare[point]) if point < BARE_POINTS else -1 for point in map(ord, word)]
    return word if min(points) < 0 else "".join(chr(point) for point in points if point)


@inline_kernel
def hash_without_marks(data: NDArray[np.uint8], begin: np.int64, end: np.int64, bare: NDArray[np.int32]) -> np.uint64:
    """The hash of a unit without its marks, 0 where it has a sign that is in none of the scripts POINTED."""
    state = HASH_START
    place = begin
    while place < end:
        point = point_at(data, place, end)
        if point >= BARE_POINTS or bare[point] < 0:
            return np.uint64(0)
        if bare[point] > 0:
            state = mix(state, np.uint64(bare[point]))
        place += 1
        while place < end and data[place] & 0xC0 == 0x80:
            place += 1
    return finish(state)


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
