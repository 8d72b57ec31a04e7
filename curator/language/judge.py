"""The second judge of languages that are easily confused: a linear model over the words that tell them apart.

A word is a run of letters below U+0600, folded: lowercase, and Serbian Cyrillic as Latin, so that one list serves both
scripts. Member l of a group scores `b_l + sum(w_l) / sqrt(n)`, over the n words of the text that the group's list has;
the scores become probabilities by a softmax. Weights are fitted by `curator.language.build_confusable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.tables import kept
from curator.language.confusable import GROUPS, TABLE_PATH
from curator.text.segment import read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDED = 0x600
"""Code points that a word may hold: Latin, Greek, Cyrillic and what stands between them."""

_SERBIAN = dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True)) | {
    "љ": "lj",
    "њ": "nj",
    "џ": "dž",
}
"""Serbian letters in both alphabets (the orthography of Serbian has each letter of one for one of the other)."""

_FNV_BASIS = np.uint64(14695981039346656037)
_FNV_PRIME = np.uint64(1099511628211)
"""FNV-1a, 64 bit, over code points."""

_ZERO, _ONE = np.uint64(0), np.uint64(1)


@dataclass(frozen=True)
class WordTable:
    """The lists of all groups, by `GROUPS` number.

    `slots` is an open-addressing table from the hash of (group, word) to a row of `weights` (-1: empty), `hashes` are
    those of the rows; `weights` float64[rows, members] and `intercepts` float64[groups, members] are padded with zeros.
    `judged` counts the judged members of each group.
    """

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    weights: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    judged: NDArray[np.int32]


def _folds() -> NDArray[np.uint16]:
    """What each code point becomes, two code points at most, 0 for none: uint16[FOLDED, 2]."""
    folds = np.zeros((FOLDED, 2), dtype=np.uint16)
    for code in range(FOLDED):
        letter = chr(code)
        if letter.isalpha():
            lower = letter.lower()[:1]
            for place, part in enumerate(_SERBIAN.get(lower, lower)):
                folds[code, place] = ord(part)
    return folds


@lru_cache(maxsize=1)
def fold_table() -> NDArray[np.uint16]:
    """The folding of letters, once per process."""
    return _folds()


def fold_words(text: str) -> list[str]:
    """The folded words of a text."""
    folds = fold_table()
    letters = []
    for letter in text:
        first, second = folds[ord(letter)].tolist() if ord(letter) < FOLDED else (0, 0)
        letters.append((chr(first) if first else " ") + (chr(second) if second else ""))
    return "".join(letters).split()


def hash_words(groups: Sequence[int], words: Sequence[str]) -> NDArray[np.uint64]:
    """The hash under which the list of a group has a word, for each group and word: uint64[words]."""
    codes = np.array(words, dtype=np.str_).reshape(-1, 1).view(np.uint32).astype(np.uint64)
    lengths = np.array([len(word) for word in words])
    values = (_FNV_BASIS ^ np.array(groups, dtype=np.uint64)) * _FNV_PRIME
    for place in range(codes.shape[1]):
        values = np.where(place < lengths, (values ^ codes[:, place]) * _FNV_PRIME, values)
    return values


@lru_cache(maxsize=1)
@kept(WordTable)
def word_table(path: Path = TABLE_PATH) -> WordTable:
    """The table that the package carries, read once per process."""
    most = max(len(group.judged) for group in GROUPS)
    intercepts = np.zeros((len(GROUPS), most), dtype=np.float64)
    words: list[str] = []
    groups: list[int] = []
    weights: list[NDArray[np.float64]] = []
    numbers = {group.name: number for number, group in enumerate(GROUPS)}
    # A group's heading, the intercepts of its members after an empty word, and a word a line with its weights.
    for section in path.read_text(encoding="utf-8").split("# ")[1:]:
        heading, *lines = section.splitlines()
        name, *members = heading.split("\t")
        number = numbers[name]
        cells = "\t".join(lines).split("\t")
        columns = [list(map(float, cells[place :: len(members) + 1])) for place in range(1, len(members) + 1)]
        values = np.zeros((len(lines), most), dtype=np.float64)
        values[:, : len(members)] = np.array(columns).T
        intercepts[number] = values[0]
        words += cells[len(members) + 1 :: len(members) + 1]
        groups += [number] * (len(lines) - 1)
        weights.append(values[1:])
    keys = hash_words(groups, words)
    slots = np.full(1 << (2 * len(words)).bit_length(), -1, dtype=np.int32)
    _fill(keys, slots)
    judged = np.array([len(group.judged) for group in GROUPS], dtype=np.int32)
    return WordTable(slots, keys, np.concatenate(weights), intercepts, judged)


def judge_words(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    groups: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What the judge gives to the members of each row's group, and how many listed words it went by:
    (float64[rows, members], int64[rows]).

    Spans `data[begins[i]:ends[i]]` belong to row `rows[i]`, whose group is `groups[rows[i]]`. Members are in the order
    of `Group.judged`; the columns past them are 0.
    """
    table = word_table()
    sums = np.zeros((len(groups), table.weights.shape[1]), dtype=np.float64)
    counts = np.zeros(len(groups), dtype=np.int64)
    lists = table.slots, table.hashes, table.weights
    _weigh(read_only(data), begins, ends, rows, groups, fold_table(), *lists, sums, counts)
    scores = table.intercepts[groups] + sums / np.sqrt(np.maximum(counts, 1))[:, None]
    used = np.arange(scores.shape[1]) < table.judged[groups][:, None]
    scores = np.where(used, scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-1e300))
    return np.where(used, scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-300), 0.0), counts


@kernel
def _fill(hashes: NDArray[np.uint64], slots: NDArray[np.int32]) -> None:
    mask = np.uint64(slots.shape[0] - 1)
    for row in range(hashes.shape[0]):
        slot = hashes[row] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = row


@inline_kernel
def _find(value: np.uint64, hashes: NDArray[np.uint64], slots: NDArray[np.int32]) -> int:
    mask = np.uint64(slots.shape[0] - 1)
    slot = value & mask
    while slots[slot] >= 0:
        row = np.uint64(slots[slot])
        if hashes[row] == value:
            return int(row)
        slot = (slot + np.uint64(1)) & mask
    return -1


@kernel
def _weigh(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    groups: NDArray[np.int32],
    folds: NDArray[np.uint16],
    slots: NDArray[np.int32],
    hashes: NDArray[np.uint64],
    weights: NDArray[np.float64],
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    for span in range(np.uint64(begins.shape[0])):
        row = np.uint64(rows[span])
        start = (_FNV_BASIS ^ np.uint64(groups[row])) * _FNV_PRIME
        value = start
        letters = 0
        place, end = np.uint64(begins[span]), np.uint64(ends[span])
        while place <= end:
            code = np.uint64(0)
            if place == end:
                place += _ONE
            else:
                lead = np.uint64(data[place])
                if lead < 0x80:
                    code = lead
                    place += _ONE
                elif lead < 0xE0:
                    code = (lead & np.uint64(0x1F)) << np.uint64(6) | np.uint64(data[place + _ONE]) & np.uint64(0x3F)
                    place += np.uint64(2)
                else:
                    place += np.uint64(3 if lead < 0xF0 else 4)
            first = folds[code, _ZERO] if code < folds.shape[0] else np.uint16(0)
            if first > 0:
                value = (value ^ np.uint64(first)) * _FNV_PRIME
                if folds[code, _ONE] > 0:
                    value = (value ^ np.uint64(folds[code, _ONE])) * _FNV_PRIME
                letters += 1
            elif letters > 0:
                number = _find(value, hashes, slots)
                if number >= 0:
                    found = np.uint64(number)
                    counts[row] += 1
                    for member in range(np.uint64(weights.shape[1])):
                        sums[row, member] += weights[found, member]
                value = start
                letters = 0
