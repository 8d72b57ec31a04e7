"""Texts in disguise, as they are meant: full-width letters, invisible characters, `name (at) example (dot) com`.

What can be personal data is told by its shape in ASCII. A text that has something in another dress is read a second
time without it, and what is found there is brought back to its place. A dress is not known by the kind that wears it: a
soft hyphen is dropped from an address, a number and a key alike.

Full-width letters, digits and signs are those of ASCII. What does not show (soft hyphen, zero-width space, marks of
direction) is dropped beside ASCII, where no script needs it: between letters of Persian or Hindi it spells. A word for
`@` counts in brackets (`(at)`, `[ät]`, `(arroba)`), as `AT` among small letters where the dots are `DOT`, and as `%40`,
each before a name with a dot, or a word for one. Some 3 of 1,000 texts have any of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import inline_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DROPPED: Final = 0
"""In the place of a sign: nothing stands for what is there."""
_NONE: Final = -1
_AT, _DOT, _LINE = 64, 46, 95
_WORDS: Final = dict.fromkeys(("@", "at", "ät", "arroba", "arobase"), _AT) | dict.fromkeys(
    (".", "dot", "punkt", "punto", "ponto", "point"), _DOT
)
_MAX_WORD: Final = 7
_MAX_DOMAIN_BYTES: Final = 255  # RFC 1035, section 2.3.4
_BLOCK: Final = 32
_AHEAD: Final = 2
"""Bytes behind one that are looked at with it."""
_CASE: Final = np.uint8(0x20)
_MASK: Final = np.uint8(0x59)
"""What letters P, R and T have in common, in any case."""
_ONE, _TWO = np.uint64(1), np.uint64(2)


def _packed() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The words as numbers, the first byte the highest, and the signs that they stand for."""
    keys = [int.from_bytes(word.encode(), "big") for word in _WORDS]
    return np.array(keys, dtype=np.uint64), np.array(list(_WORDS.values()), dtype=np.int64)


KEYS, SIGNS = _packed()


@dataclass(frozen=True)
class Undisguised:
    """Texts as they are meant: `data` uint8[bytes], `offsets` int64[texts + 1]; text i is number `documents[i]` of
    those that were read. `begins` and `ends` (int64[changes]) are where what was changed stands in `data`, `gone`
    (int64[changes + 1]) how many bytes were lost before each, `shifts` (int64[texts]) how far before these texts in
    the buffer that was read others stand."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    documents: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    gone: NDArray[np.int64]
    shifts: NDArray[np.int64]

    def as_read(self, text: int, start: int, end: int) -> tuple[int, int, int]:
        """The number of a text among those that were read, and where its bytes `start` to `end` stand in their buffer.
        What was dropped at an edge stays outside, a word for a sign is inside as a whole."""
        shift = int(self.shifts[text])
        before = int(np.searchsorted(self.ends, start, side="right"))
        inside = int(np.searchsorted(self.begins, end, side="left"))
        return int(self.documents[text]), start + shift + int(self.gone[before]), end + shift + int(self.gone[inside])


def undisguise(data: NDArray[np.uint8], offsets: NDArray[np.int64], changes: NDArray[np.int64]) -> Undisguised:
    """The texts that have something in disguise. `data` is uint8[bytes], `offsets` int64[texts + 1] into it, `changes`
    int64[changes, 4] what `find_changes` wrote of all texts."""
    # Dots are written with the `@` beside them.
    documents, starts, stops, signs = changes[np.argsort(changes[:, 1])].T
    chosen, texts = np.unique(documents, return_inverse=True)
    sizes = offsets[chosen + 1] - offsets[chosen]
    old_offsets = np.concatenate([[0], np.cumsum(sizes)])
    old_shifts = offsets[chosen] - old_offsets[:-1]
    raw = np.concatenate([data[offsets[document] : offsets[document + 1]] for document in chosen.tolist()])
    starts, stops = starts - old_shifts[texts], stops - old_shifts[texts]
    shown = signs != _DROPPED
    raw[starts[shown]] = signs[shown]
    left = np.ones(len(raw), dtype=np.bool_)
    for start, stop in zip((starts + shown).tolist(), stops.tolist(), strict=True):
        left[start:stop] = False
    gone = np.concatenate([[0], np.cumsum(stops - starts - shown)])
    begins = starts - gone[:-1]
    new_offsets = old_offsets - gone[np.searchsorted(starts, old_offsets, side="left")]
    return Undisguised(raw[left], new_offsets, chosen, begins, begins + shown, gone, old_shifts)


@inline_kernel
def _is_alphanumeric(byte: int) -> bool:
    return bool(48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122)


@inline_kernel
def _may_be_word(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """Whether a word for `@` may begin at a byte; cheap, and true too often rather than too seldom. There is no branch
    in it, so that it is asked of many bytes at once. _AHEAD bytes behind are read."""
    byte, after, second = data[place], data[place + _ONE], data[place + _TWO]
    opening = (byte == 0x28) | (byte == 0x3C) | ((byte | _CASE) == 0x7B)
    # `at`, `ar` and `ap`, in letters of any case.
    letters = ((after | _CASE) == 0x61) & ((second & _MASK) == 0x50)
    capitals = (byte == 0x20) & (after == 0x41) & (second == 0x54)
    escaped = (byte == 0x25) & (after == 0x34)
    return bool(opening & (letters | (after == _AT) | (after == 0xC3)) | capitals | escaped)


@inline_kernel
def _may_be_dressed(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """The same of what does not show, and of full-width letters."""
    byte, after, second = data[place], data[place + _ONE], data[place + _TWO]
    marks = (second >= 0x8B) & (second <= 0x8F) | (second >= 0xAA) & (second <= 0xAE)
    hidden = (byte == 0xE2) & ((after == 0x80) & marks | (after == 0x81))
    capital = (after == 0xBC) & ((second == 0x8E) | (second >= 0xA0))
    small = (after == 0xBD) & (second <= 0x9A) | (after == 0xB9) & (second == 0xAB) | (after == 0xBB) & (second == 0xBF)
    return bool((byte == 0xC2) & (after == 0xAD) | hidden | (byte == 0xEF) & (capital | small))


@inline_kernel
def _next_change(data: NDArray[np.uint8], place: np.uint64, end: np.uint64) -> np.uint64:
    """The first byte from `place` on at which something that tells a disguise may begin, `end` without one."""
    last = np.uint64(max(0, len(data) - _BLOCK - _AHEAD))
    while place < end and place < last:
        change, high = False, False
        for step in range(np.uint64(_BLOCK)):
            change = change | _may_be_word(data, place + step)
            high = high | (data[place + step] >= 0x80)
        if high:
            for step in range(np.uint64(_BLOCK)):
                change = change | _may_be_dressed(data, place + step)
        if change:
            while not (_may_be_word(data, place) or _may_be_dressed(data, place)):
                place += _ONE
            return min(place, end)
        place += np.uint64(_BLOCK)
    # Too near to the end of the buffer to look at many bytes at once: each may be one.
    return min(place, end)


@inline_kernel
def _hidden_bytes(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the character at `at` that does not show, 0 if it does: U+00AD, U+200B to U+200F, U+202A to U+202E,
    U+2060 to U+206F, U+FEFF."""
    first = data[at]
    if first == 0xC2:
        return 2 if at + 1 < end and data[at + 1] == 0xAD else 0
    if at + 2 >= end:
        return 0
    second, third = data[at + 1], data[at + 2]
    if first == 0xE2 and second == 0x80:
        return 3 if 0x8B <= third <= 0x8F or 0xAA <= third <= 0xAE else 0
    if first == 0xE2 and second == 0x81:
        return 3 if 0xA0 <= third <= 0xAF else 0
    return 3 if first == 0xEF and second == 0xBB and third == 0xBF else 0


@inline_kernel
def _joins(byte: int) -> bool:
    """Whether a byte is a letter, digit or sign of ASCII of which addresses and numbers consist."""
    return bool(_is_alphanumeric(byte) or byte in (0x40, 0x2E, 0x2B, 0x2D, 0x5F, 0x28, 0x29))


@inline_kernel
def _wide_sign(data: NDArray[np.uint8], at: int, end: int) -> int:
    """The letter, digit or sign of ASCII that the full-width one at `at` is, _NONE if none stands there: of the signs
    those inside addresses, `% + - . / : = @ _`, and the small `@`."""
    if at + 2 >= end or data[at] != 0xEF:
        return _NONE
    second, third = data[at + 1], data[at + 2]
    if second == 0xB9:
        return _AT if third == 0xAB else _NONE
    sign = 0x20 + third - 0x80 if second == 0xBC else 0x60 + third - 0x80
    if second not in (0xBC, 0xBD) or sign > 0x7A:
        return _NONE
    if _is_alphanumeric(sign) or sign in (0x25, 0x2B, 0x2D, 0x2E, 0x2F, 0x3A, 0x3D, 0x40, 0x5F):
        return int(sign)
    return _NONE


@inline_kernel
def _word(
    data: NDArray[np.uint8], at: int, end: int, small: bool, keys: NDArray[np.uint64], signs: NDArray[np.int64]
) -> tuple[int, int]:
    """The sign that a word between blanks or in brackets at `at`, perhaps after a blank, stands for, _NONE for none;
    and where it ends. Between blanks it is in capitals unless it may be `small`."""
    place = at + 1 if at < end and data[at] == 0x20 else at
    bracketed = place < end and data[place] in (0x28, 0x5B, 0x7B, 0x3C)
    if bracketed:
        place += 1
    elif place == at:
        return _NONE, at
    key = np.uint64(0)
    stop = min(end, place + _MAX_WORD + 1)
    while place < stop and data[place] not in (0x20, 0x29, 0x5D, 0x7D, 0x3E):
        byte = data[place]
        if not (bracketed or small or 0x41 <= byte <= 0x5A):
            return _NONE, at
        key = key << np.uint64(8) | np.uint64(byte | _CASE if 0x41 <= byte <= 0x5A else byte)
        place += 1
    if place >= end or (data[place] == 0x20) == bracketed:
        return _NONE, at
    place += 1
    if bracketed and place < end and data[place] == 0x20:
        place += 1
    for row in range(keys.size):
        if keys[row] == key:
            return signs[row], place
    return _NONE, at


@inline_kernel
def _is_named(byte: int) -> bool:
    """Whether a byte belongs to a letter or digit."""
    return bool(_is_alphanumeric(byte) or byte >= 0x80)


@inline_kernel
def _write(out: NDArray[np.int64], count: int, document: int, start: int, end: int, sign: int) -> int:
    """Write one change behind `count` others, if there is room; return how many there are then."""
    if count < len(out):
        out[count, 0], out[count, 1], out[count, 2], out[count, 3] = document, start, end, sign
    return count + 1


@inline_kernel
def _dots_before(
    data: NDArray[np.uint8],
    document: int,
    at: int,
    floor: int,
    keys: NDArray[np.uint64],
    signs: NDArray[np.int64],
    out: NDArray[np.int64],
    count: int,
) -> int:
    """Write the words for dots in brackets between the names before `at`, down to `floor`, to `out`; return how many
    changes there are then."""
    place = at
    while True:
        label = place
        while place > floor and (_is_named(data[place - 1]) or data[place - 1] in (0x2D, 0x2E, 0x5F)):
            place -= 1
        opening = place - 1
        while opening > floor and opening > place - _MAX_WORD - 3 and data[opening] not in (0x28, 0x5B, 0x7B, 0x3C):
            opening -= 1
        if place == label or opening <= floor or data[opening] not in (0x28, 0x5B, 0x7B, 0x3C):
            return count
        opening -= data[opening - 1] == 0x20
        sign, stop = _word(data, opening, at, False, keys, signs)
        if sign != _DOT or stop != place or opening == floor or not _is_named(data[opening - 1]):
            return count
        count = _write(out, count, document, opening, place, _DOT)
        place = opening


@inline_kernel
def _address(
    data: NDArray[np.uint8],
    document: int,
    at: int,
    begin: int,
    end: int,
    keys: NDArray[np.uint64],
    signs: NDArray[np.int64],
    out: NDArray[np.int64],
    count: int,
    floor: int,
) -> tuple[int, int, int]:
    """Write the word for `@` at `at` and the words for dots beside it, those before it down to `floor`, to `out`;
    return how many changes there are then, where to go on, and where the last of them ends. Nothing is written where no
    name with a dot follows."""
    escaped = data[at] == 0x25
    if escaped and (at + 3 > end or data[at + 1] != 0x34 or data[at + 2] != 0x30):
        return count, at + 1, floor
    start = at
    if not escaped and at > begin and data[at - 1] == 0x20:
        start -= 1
    sign, place = (_AT, at + 3) if escaped else _word(data, start, end, False, keys, signs)
    if sign != _AT or start == begin or not _is_named(data[start - 1]):
        return count, at + 1, floor
    spelled = data[at] == 0x20
    if spelled and (0x41 <= data[start - 1] <= 0x5A or place >= end or 0x41 <= data[place] <= 0x5A):
        return count, at + 1, floor
    written = _dots_before(data, document, start, floor, keys, signs, out, count)
    written = _write(out, written, document, start, place, _AT)
    behind = last = place
    stop = min(end, place + _MAX_DOMAIN_BYTES)
    dotted = False
    while place < stop:
        label = place
        while place < stop and (_is_named(data[place]) or data[place] == 0x2D):
            place += 1
        if place == label or place + 1 >= end:
            break
        if data[place] == _DOT and not spelled:
            following = place + 1
        else:
            sign, following = _word(data, place, end, not spelled, keys, signs)
            if sign != _DOT or following >= end or not _is_named(data[following]):
                break
            written = _write(out, written, document, place, following, _DOT)
            last = following
        dotted = dotted or _is_named(data[following])
        place = following
    return (written, behind, last) if dotted else (count, at + 1, floor)


@inline_kernel
def find_changes(
    data: NDArray[np.uint8],
    document: int,
    begin: int,
    end: int,
    keys: NDArray[np.uint64],
    signs: NDArray[np.int64],
    out: NDArray[np.int64],
    count: int,
) -> int:
    """Write what is in disguise in a text from `begin` to `end` to `out` (document, start, end, the sign that is meant,
    0 for none) behind `count` rows as far as it goes; return how many there are then. `keys` and `signs` are KEYS and
    SIGNS. Digits and signs alone tell no disguise, and are in most texts of some languages: numbers of them are found
    as they are."""
    told = False
    place = floor = begin
    dropped = -1
    while place < end:
        if not told:
            place = int(np.int64(_next_change(data, np.uint64(place), np.uint64(end))))
            if place >= end:
                break
        elif 0x20 < data[place] < 0x80 and data[place] not in (0x25, 0x28, 0x3C, 0x5B, 0x7B):
            place += 1
            continue
        stop, sign, tells, written = place + 1, _NONE, False, count
        hidden = _hidden_bytes(data, place, end)
        if hidden > 0:
            stop = place + hidden
            beside = place == dropped or (place > begin and _joins(data[place - 1]))
            if beside or (stop < end and _joins(data[stop])):
                sign, tells, dropped = _DROPPED, True, stop
        elif data[place] < 0x80:
            written, stop, last = _address(data, document, place, begin, end, keys, signs, out, count, floor)
            floor = last if told else floor
            tells = written > count
        else:
            sign = _wide_sign(data, place, end)
            if sign != _NONE:
                stop = place + 3
                dotted = sign == _DOT and stop < end and (_is_alphanumeric(data[stop]) or data[stop] == 0xEF)
                tells = dotted or (sign >= _AT and sign != _LINE)
        if tells and not told:
            # From the beginning once more, now with the digits and signs.
            told, place, dropped = True, begin, -1
            continue
        if sign != _NONE:
            written = _write(out, count, document, place, stop, sign)
        if told:
            count = written
        place = stop
    return count
