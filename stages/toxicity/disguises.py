"""Disguised spellings of listed terms: signs for letters, letters of another script, letters in dark circles, in dark
squares or in brackets, stretched letters, hidden spaces.

A word is looked at only if something about it is odd: a digit or sign among its letters (`w0rd`, `w@rd`), letters of
Latin beside such of Cyrillic or Greek, a letter of white in a dark circle or square or one in brackets (`w🅾rd`,
`w⒪rd`), a letter three times in a row, a zero-width space inside. It is then brought to
its skeleton (signs and letters that look alike are one, a stretched letter is single, or else double) and looked up
among the skeletons of the terms of one word. What stands on the list as it is written is not counted again: the plain
matcher has it. Other invisible characters, full-width and mathematical letters and those in light circles or squares
need nothing here: folding drops or replaces them before a unit is hashed, and here before letters are counted.

The same kernel gives the words with stars for letters (`w*rd`), which `stages.toxicity.starred` looks up.

Not seen through: letters spelled one by one (`w o r d`), missing and swapped letters,
and the letters that flags are made of, since the flags of Saint Helena and Italy are no word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.kernel.tables import kept
from curator.text.fold import HASH_START, finish, fold, hash_terms_flat, hash_unit, mix
from curator.text.segment import read_only
from curator.text.tables import CLASS_MASK, EXTEND, IGNORABLE, UNSPACED_CLASS, tables
from stages.toxicity.features import decode
from stages.toxicity.starred import CASE, is_ascii_letter, starred_word
from stages.toxicity.terms import TERMS_PATH, listed_terms, place_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from curator.document import Codes
    from stages.toxicity.terms import TermTable

SIGNS = {
    "0": "o",
    "1": "i",
    "3": "e",
    "4": "a",
    "5": "s",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "i",
    "|": "i",
    "€": "e",
}
"""Digits and signs that stand for letters: the common ones of leetspeak."""
ALIKE = {
    "l": "i",
    "а": "a",
    "в": "b",
    "е": "e",
    "ё": "e",
    "і": "i",
    "ї": "i",
    "ј": "j",
    "к": "k",
    "м": "m",
    "н": "h",
    "о": "o",
    "р": "p",
    "с": "c",
    "ѕ": "s",
    "т": "t",
    "у": "y",
    "х": "x",
    "һ": "h",
    "ԁ": "d",
    "α": "a",
    "ε": "e",
    "ι": "i",
    "κ": "k",
    "ν": "v",
    "ο": "o",
    "ρ": "p",
    "τ": "t",
    "υ": "u",
    "χ": "x",
}
"""Letters that look alike, after folding (a part of the confusables of UTS #39; capitals decide for м, н and т). `l`
and `i` are one, because `1` and `|` stand for both."""
_SKELETON = str.maketrans({**ALIKE, **SIGNS})
_NO_SIGNS = str.maketrans(dict.fromkeys(SIGNS))
LEAST_WRITTEN = 4
"""Characters of a disguised word: shorter ones are too often something else (`a55` is a road)."""
LEAST_TERM = 3
LONGEST = 40
"""Characters of a word that is looked at. A longer one is no term."""
_SIGN_FLAG = np.uint64(1 << 32)
"""In the table of skeletons: stands for a letter, and is none."""
_ZERO_WIDTH_SPACE = 0x200B
_LATIN, _CYRILLIC, _GREEK = 1, 2, 4
_ZERO, _ONE, _TWO, _THREE = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_FOUR, _FIVE, _SIX = np.uint64(4), np.uint64(5), np.uint64(6)
_LETTERS = np.uint64(26)
_SPACE = np.uint8(0x20)
_STAR = np.uint8(0x2A)
_BLOCK = 32
"""Bytes that are looked at together."""
_MARGIN = 6
"""Bytes before and behind one that are looked at with it."""


@dataclass(frozen=True)
class DisguiseTable:
    """Skeletons of terms. `keys` (uint64[slots], 0 is empty; linear probing by the low bits) are hashes of skeletons
    XOR the salt of their language, `severities` (int64[slots]) those of the terms. `letters` (uint64[n]) says what each
    of the first n folded code points is in a skeleton, with a flag for signs; those from n on are themselves."""

    keys: NDArray[np.uint64]
    severities: NDArray[np.int64]
    letters: NDArray[np.uint64]


@cache
@kept(DisguiseTable)
def disguise_table(lowest_tier: int, path: Path = TERMS_PATH) -> DisguiseTable:
    """The skeletons of the terms of tier 1 to `lowest_tier`, made once a process."""
    return compile_disguises(*listed_terms(lowest_tier, path))


def skeleton(word: str) -> str | None:
    """The skeleton of a term of one word; None for a term that has none: it has a space, or a sign of no letter."""
    folded = fold(word)
    letters = folded.translate(_NO_SIGNS)
    if len(folded) < LEAST_TERM or (letters and not letters.isalpha()):
        return None
    return folded.translate(_SKELETON)


def skeletons(words: Sequence[str]) -> list[str]:
    """The skeleton of each word, empty for one that has none: `skeleton`, for a list of words at once."""
    joined = "".join("\n" if "\n" in word else f"{word}\n" for word in words)
    folded = joined.translate({ord(character): fold(character) for character in set(joined)})
    letters = forms = folded
    # One after the other: no sign becomes another one, and `translate` takes several times as long.
    for sign in SIGNS:
        letters = letters.replace(sign, "")
    for sign, letter in (ALIKE | SIGNS).items():
        forms = forms.replace(sign, letter)
    parts = (text.split("\n")[:-1] for text in (folded, letters, forms))
    return [
        form if len(word) >= LEAST_TERM and (not rest or rest.isalpha()) else ""
        for word, rest, form in zip(*parts, strict=True)
    ]


def compile_disguises(languages: Sequence[str], terms: Sequence[str], severities: Sequence[int]) -> DisguiseTable:
    """Terms, each with its language and severity, as a table; of terms with one skeleton the most severe counts."""
    names, owners = np.unique(np.array(languages, dtype=np.str_), return_inverse=True)
    salts = np.array([hash_unit(f"language {name}") for name in names.tolist()], dtype=np.uint64)
    forms = skeletons(terms)
    # Nearly every skeleton is one unit, and the kernel that segments text hashes units a hundred times as fast.
    offsets, hashes = hash_terms_flat(forms)
    hashes = np.append(hashes, np.uint64(0))[offsets[:-1]]
    for row in np.flatnonzero(np.diff(offsets) != 1).tolist():
        hashes[row] = hash_unit(forms[row])
    used = np.flatnonzero([bool(form) for form in forms])
    distinct, terms_of = np.unique(hashes[used] ^ salts[owners[used]], return_inverse=True)
    most = np.zeros(len(distinct), dtype=np.int64)
    np.maximum.at(most, terms_of, np.array(severities, dtype=np.int64)[used])
    slots, places = place_keys(distinct.tolist())
    keys = np.zeros(slots, dtype=np.uint64)
    values = np.zeros(slots, dtype=np.int64)
    keys[places], values[places] = distinct, most
    return DisguiseTable(keys, values, _letters())


@cache
def _letters() -> NDArray[np.uint64]:
    """What folded code points are in a skeleton, as far as one is another."""
    found = np.arange(1 + max(map(ord, (*ALIKE, *SIGNS))), dtype=np.uint64)
    for character, letter in ALIKE.items():
        found[ord(character)] = ord(letter)
    for character, letter in SIGNS.items():
        found[ord(character)] = np.uint64(ord(letter)) | _SIGN_FLAG
    return found


class Disguised(NamedTuple):
    """Of each text the disguised terms and the sum of their severities (`counts`, int64[2, texts]); and the words with
    stars (`starred`, int64[words, 3]: text, first byte in the buffer, byte after the last)."""

    counts: NDArray[np.int64]
    starred: NDArray[np.int64]


def match_disguises(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    languages: Codes,
    table: DisguiseTable,
    plain: TermTable,
) -> Disguised:
    """The disguised terms of the language of each text.

    `data` and `offsets` are the text buffer; `plain` are the terms that count as they are written."""
    names = languages.names
    salts = np.array([plain.salts.get(name, np.uint64(0)) for name in names], dtype=np.uint64)
    texts, count = len(offsets) - 1, 0
    characters = tables()
    while True:
        found, starred = np.zeros((2, texts), dtype=np.int64), np.zeros((max(count, 256), 3), dtype=np.int64)
        if not names:
            return Disguised(found, starred[:0])
        count = _walk(
            read_only(data),
            read_only(offsets),
            salts[languages.codes],
            characters.classes,
            characters.folds,
            characters.expansions,
            table.letters,
            table.keys,
            table.severities,
            plain.keys,
            plain.begins,
            plain.ends,
            plain.places,
            found,
            starred,
        )
        if count <= len(starred):
            return Disguised(found, starred[:count])


@inline_kernel
def _is_sign(byte: np.uint8) -> bool:
    digit = (byte >= 0x30) & (byte <= 0x39)
    return bool(digit | (byte == 0x40) | (byte == 0x24) | (byte == 0x21) | (byte == 0x7C))


@inline_kernel
def _is_odd(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """Whether a disguised word may stand around the byte at `place`; cheap, and true too often rather than too seldom.

    There is no branch in it, so that it is asked of many bytes at once. _MARGIN bytes before and behind are read.
    """
    byte, after, second_after = data[place], data[place + _ONE], data[place + _TWO]
    before, second, third = data[place - _ONE], data[place - _TWO], data[place - _THREE]
    fourth, fifth, sixth = data[place - _FOUR], data[place - _FIVE], data[place - _SIX]
    letter = is_ascii_letter(byte)
    behind_word, before_word = is_ascii_letter(before) | (before >= 0x80), is_ascii_letter(after) | (after >= 0x80)
    beside_word = behind_word | before_word
    star = (byte == _STAR) & behind_word & (before_word | (after == _STAR))
    stretched = letter & ((byte | CASE) == (before | CASE)) & ((byte | CASE) == (second | CASE))
    # The same letter of two or three bytes three times.
    twos = (byte >= 0xC3) & (byte <= 0xDF) & (byte == second) & (byte == fourth) & (after == before) & (after == third)
    threes = (byte >= 0xE0) & (byte == third) & (byte == sixth) & (after == second) & (after == fifth)
    threes = threes & (second_after == before) & (second_after == fourth)
    # Letters of four bytes are mathematical ones, or seldom met. From U+1F000 to U+1FFFF there are pictures, but for
    # enclosed letters, from U+1F100 to U+1F1BF.
    rare = (byte >= 0xF0) & ((after != 0x9F) | (second_after >= 0x84) & (second_after <= 0x86))
    # A letter of Greek or Cyrillic behind one of ASCII, or before one.
    mixed = (byte >= 0xCD) & (byte <= 0xD4) & is_ascii_letter(before) | (second >= 0xCD) & (second <= 0xD4) & letter
    euro = (after == 0x82) & (second_after == 0xAC)
    hidden = (after == 0x80) & (second_after == 0x8B)
    bracketed = (after == 0x92) & (second_after >= 0x9C) & (second_after <= 0xB5)
    stretched = stretched | twos | threes | rare | star
    return bool(_is_sign(byte) & beside_word | stretched | mixed | (byte == 0xE2) & (euro | hidden | bracketed))


@inline_kernel
def _next_odd(data: NDArray[np.uint8], place: np.uint64, end: np.uint64) -> np.uint64:
    """The first byte from `place` on around which a disguised word may stand, `end` without one. Behind `end` stand
    spaces, _BLOCK of them."""
    while place < end:
        odd = False
        for step in range(np.uint64(_BLOCK)):
            odd = odd | _is_odd(data, place + step)
        if odd:
            while not _is_odd(data, place):
                place += _ONE
            return place
        place += np.uint64(_BLOCK)
    return end


@inline_kernel
def _enclosed(point: np.uint64) -> np.uint64:
    """The small letter that an enclosed one shows which folding leaves as it is, or writes with brackets; 0 without."""
    for first in (np.uint64(0x249C), np.uint64(0x1F110), np.uint64(0x1F150), np.uint64(0x1F170)):
        if first <= point < first + _LETTERS:
            return np.uint64(0x61) + point - first
    return _ZERO


@inline_kernel
def _is_part(point: np.uint64, classes: NDArray[np.uint8]) -> bool:
    """Whether a code point can stand in a word, disguised or not."""
    kind = classes[point]
    if kind & IGNORABLE or kind & CLASS_MASK == EXTEND or kind & CLASS_MASK > UNSPACED_CLASS:
        return True
    return bool(point in (0x40, 0x24, 0x21, 0x7C, 0x20AC)) or _enclosed(point) != _ZERO


@inline_kernel
def _script(point: np.uint64) -> np.int64:
    if 0x61 <= point <= 0x7A or 0xDF <= point <= 0x24F:
        return np.int64(_LATIN)
    if 0x400 <= point <= 0x52F:
        return np.int64(_CYRILLIC)
    if 0x370 <= point <= 0x3FF:
        return np.int64(_GREEK)
    return np.int64(0)


@inline_kernel
def _look_up(key: np.uint64, keys: NDArray[np.uint64]) -> np.int64:
    """The slot of a key, -1 without one."""
    low_bits = np.uint64(keys.size - 1)
    slot = key & low_bits
    while keys[slot] != 0:
        if keys[slot] == key:
            return np.int64(slot)
        slot = (slot + _ONE) & low_bits
    return np.int64(-1)


@inline_kernel
def _hash(letters: NDArray[np.uint64], written: NDArray[np.uint64], size: np.uint64, stretched: np.uint64) -> np.uint64:
    """The hash of a skeleton, in which what was written three times in a row or more stands `stretched` times."""
    state = HASH_START
    place = _ZERO
    while place < size:
        end = place + _ONE
        while end < size and written[end] == written[place]:
            end += _ONE
        times = end - place if end - place < 3 else stretched
        for _ in range(times):
            state = mix(state, letters[place])
        place = end
    return finish(state)


@inline_kernel
def _read_word(
    data: NDArray[np.uint8],
    begin: np.uint64,
    end: np.uint64,
    classes: NDArray[np.uint8],
    folds: NDArray[np.int32],
    expansions: NDArray[np.int32],
    similar: NDArray[np.uint64],
    letters: NDArray[np.uint64],
    written: NDArray[np.uint64],
) -> tuple[np.uint64, bool, np.uint64]:
    """The size of the skeleton of a word (0 where it is not disguised), put into `letters`, the folded characters being
    put into `written`; whether a letter is stretched; and the hash of the word as it is written, 0 where a hidden space
    cuts it or a letter is enclosed."""
    size = _ZERO
    signs = _ZERO
    scripts = np.int64(0)
    hidden = False
    enclosed = False
    plain = HASH_START
    plain_word = HASH_START
    last_letter = _ZERO
    inside = _ZERO
    place = begin
    while place < end:
        point, width = decode(data, place, end)
        place += width
        if classes[point] & IGNORABLE:
            if point == _ZERO_WIDTH_SPACE and size > 0:
                hidden = True
            continue
        letter = _enclosed(point)
        target = folds[point]
        if letter != _ZERO:
            enclosed = True
            target = np.int32(letter)
        first = np.uint64(-target)
        count = _ONE
        if target < 0:
            count = np.uint64(expansions[first - _ONE])
        for item in range(count):
            value = np.uint64(target if target >= 0 else expansions[first + item])
            if size >= LONGEST:
                return _ZERO, False, _ZERO
            entry = similar[value] if value < similar.size else value
            if entry & _SIGN_FLAG:
                # A mark of exclamation or a bar at the edge of a word is what it is.
                if size == 0 and value in (0x21, 0x7C):
                    continue
                plain = mix(plain, value)
                signs += _ONE
                letters[size] = entry ^ _SIGN_FLAG
                written[size] = value
                size += _ONE
                if value not in (0x21, 0x7C):
                    last_letter = size
                    plain_word = plain
                    inside = signs
            else:
                if 0x30 <= value <= 0x39:
                    return _ZERO, False, _ZERO
                plain = mix(plain, value)
                scripts |= _script(value)
                letters[size] = entry
                written[size] = value
                size += _ONE
                last_letter = size
                plain_word = plain
                inside = signs
    size = last_letter
    stretched = False
    for item in range(_TWO, size):
        if written[item] == written[item - _ONE] and written[item] == written[item - _TWO]:
            stretched = True
    mixed = scripts not in (0, _LATIN, _CYRILLIC, _GREEK)
    if size < LEAST_WRITTEN or _TWO * inside > size or not (inside > 0 or stretched or mixed or hidden or enclosed):
        return _ZERO, False, _ZERO
    return size, stretched, _ZERO if hidden or enclosed else finish(plain_word)


@kernel
def _walk(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    classes: NDArray[np.uint8],
    folds: NDArray[np.int32],
    expansions: NDArray[np.int32],
    similar: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    severities: NDArray[np.int64],
    plain_keys: NDArray[np.uint64],
    begins: NDArray[np.int32],
    ends: NDArray[np.int32],
    places: NDArray[np.int32],
    found: NDArray[np.int64],
    starred: NDArray[np.int64],
) -> int:
    """Count the disguised terms in `found`; write the words with stars to `starred` as far as it goes, and return how
    many there are."""
    count = 0
    letters = np.zeros(LONGEST, dtype=np.uint64)
    written = np.zeros(LONGEST, dtype=np.uint64)
    longest = np.int64(0)
    for text in range(offsets.size - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    # A text, with spaces before and behind it.
    padded = np.full(_MARGIN + longest + _BLOCK + _MARGIN, _SPACE, dtype=np.uint8)
    text_begin = np.uint64(_MARGIN)
    for text in range(offsets.size - 1):
        salt = salts[text]
        if salt == 0:
            continue
        first_byte = np.uint64(offsets[text])
        size = np.uint64(offsets[text + 1]) - first_byte
        for step in range(size):
            padded[text_begin + step] = data[first_byte + step]
        text_end = text_begin + size
        for step in range(np.uint64(_BLOCK + _MARGIN)):
            padded[text_end + step] = _SPACE
        place = text_begin
        done = text_begin
        star_end = np.int64(0)
        while place < text_end:
            place = _next_odd(padded, place, text_end)
            if place == text_end:
                break
            if padded[place] == _STAR:
                if np.int64(place) >= star_end:
                    word, star_end = starred_word(padded, np.int64(place), np.int64(text_begin), np.int64(text_end))
                    if word >= 0:
                        if count < len(starred):
                            shift = offsets[text] - np.int64(text_begin)
                            starred[count, 0] = text
                            starred[count, 1], starred[count, 2] = word + shift, star_end + shift
                        count += 1
                place += _ONE
                continue
            begin = place
            while begin > done:
                first = begin - _ONE
                while first > done and 0x80 <= padded[first] < 0xC0:
                    first -= _ONE
                point, _ = decode(padded, first, begin)
                if not _is_part(point, classes):
                    break
                begin = first
            end = place
            while end < text_end:
                point, width = decode(padded, end, text_end)
                if not _is_part(point, classes):
                    break
                end += width
            if end <= place:
                place += _ONE
                continue
            size, stretched, plain = _read_word(
                padded, begin, end, classes, folds, expansions, similar, letters, written
            )
            done = end
            place = end
            if size == 0:
                continue
            slot = _look_up(_hash(letters, written, size, _ONE) ^ salt, keys)
            if slot < 0 and stretched:
                slot = _look_up(_hash(letters, written, size, _TWO) ^ salt, keys)
            if slot < 0:
                continue
            # A term of one unit that is listed as it is written.
            listed = _look_up(plain ^ salt, plain_keys) if plain != 0 else np.int64(-1)
            alone = False
            if listed >= 0:
                for term in range(begins[listed], ends[listed]):
                    if places[term + 1] - places[term] == 1:
                        alone = True
            if not alone:
                found[0, text] += 1
                found[1, text] += severities[slot]
    return count
