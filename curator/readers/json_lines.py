"""Lines of JSON read by one kernel: each a record with four wanted fields that are strings, whatever else it has.

The grammar is that of RFC 8259, with `NaN` and `Infinity`, and one line is one object, without white space around it. A
text is copied as it stands, so that it may be no UTF-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import at, inline_kernel, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DEPTH = 500
"""How deep objects and arrays may be nested: what is deeper is left to a reader that says what is wrong with it."""

FIELDS = 4
"""Wanted fields: the text, which every record must have, and three labels, which may be null or missing."""

FULL = -2
"""There is no room for so many records, or for labels of so many bytes."""

_BLOCK = 16
"""Bytes of a string that are looked at together."""

_BAD = -1
_KEY, _FIRST_KEY, _VALUE, _FIRST_VALUE, _AFTER = 0, 1, 2, 3, 4
"""What may come next: a key, a key or the end of the object, a value, a value or the end of the array, what stands
behind a value."""
_QUOTE, _COMMA, _COLON, _SLASH, _OPEN, _CLOSE, _BEGIN, _END = b'",:\\{}[]'
_FEED, _RETURN, _TAB, _SPACE, _MINUS, _PLUS, _DOT, _ZERO, _NINE = b"\n\r\t -+.09"
_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))
_NAN, _INFINITY = (np.frombuffer(word, np.uint8) for word in (b"NaN", b"Infinity"))


@inline_kernel
def _is_word(data: NDArray[np.uint8], place: np.int64, word: NDArray[np.uint8]) -> bool:
    """Whether a word stands at a place."""
    if data.size - place < word.size:
        return False
    same = True
    for step in range(word.size):
        same &= at(data, place + step) == at(word, step)
    return same


@inline_kernel
def _digits(data: NDArray[np.uint8], place: np.int64) -> np.int64:
    """The place behind the digits at a place."""
    while place < data.size and _ZERO <= at(data, place) <= _NINE:
        place += 1
    return place


@inline_kernel
def _number(data: NDArray[np.uint8], place: np.int64) -> np.int64:
    """The place behind a number, _BAD where there is none."""
    if at(data, place) == _MINUS:
        place += 1
        if _is_word(data, place, _INFINITY):
            return place + _INFINITY.size
    end = _digits(data, place)
    if end == place or (end - place > 1 and at(data, place) == _ZERO):
        return np.int64(_BAD)
    place = end
    if place < data.size and at(data, place) == _DOT:
        end = _digits(data, place + 1)
        if end == place + 1:
            return np.int64(_BAD)
        place = end
    if place < data.size and at(data, place) | 0x20 == 0x65:
        place += 1
        if place < data.size and (at(data, place) == _PLUS or at(data, place) == _MINUS):
            place += 1
        end = _digits(data, place)
        if end == place:
            return np.int64(_BAD)
        place = end
    return place


@inline_kernel
def _word(data: NDArray[np.uint8], place: np.int64) -> np.int64:
    """The place behind a value that is no string, object or array, _BAD where there is none."""
    if _is_word(data, place, _NULL):
        return place + _NULL.size
    if _is_word(data, place, _TRUE):
        return place + _TRUE.size
    if _is_word(data, place, _FALSE):
        return place + _FALSE.size
    if _is_word(data, place, _NAN):
        return place + _NAN.size
    if _is_word(data, place, _INFINITY):
        return place + _INFINITY.size
    return _number(data, place)


@inline_kernel
def _four_digits(data: NDArray[np.uint8], place: np.int64) -> np.int64:
    """The value of four hexadecimal digits, _BAD where they are none."""
    if data.size - place < 4:
        return np.int64(_BAD)
    value = np.int64(0)
    for step in range(4):
        byte = np.int64(at(data, place + step))
        if _ZERO <= byte <= _NINE:
            digit = byte - _ZERO
        else:
            digit = (byte | 0x20) - 0x61 + 10
            if digit < 10 or digit > 15:
                return np.int64(_BAD)
        value = value << 4 | digit
    return value


@inline_kernel
def _plain_escape(byte: np.uint8) -> np.int64:
    """What a backslash before this byte stands for, _BAD where it is none of those with one letter."""
    if byte == 0x6E:  # n
        return np.int64(_FEED)
    if byte in (_QUOTE, _SLASH, 0x2F):
        return np.int64(byte)
    if byte == 0x74:  # t
        return np.int64(_TAB)
    if byte == 0x72:  # r
        return np.int64(_RETURN)
    if byte == 0x62:  # b
        return np.int64(0x08)
    return np.int64(0x0C if byte == 0x66 else _BAD)  # f


@inline_kernel
def _put_point(point: np.int64, out: NDArray[np.uint8], target: np.int64) -> np.int64:
    """Write a code point as UTF-8; the place behind it."""
    if point < 0x80:
        out[np.uint64(target)] = point
        return target + 1
    if point < 0x800:
        out[np.uint64(target)] = 0xC0 | point >> 6
        out[np.uint64(target + 1)] = 0x80 | point & 0x3F
        return target + 2
    if point < 0x10000:
        out[np.uint64(target)] = 0xE0 | point >> 12
        out[np.uint64(target + 1)] = 0x80 | point >> 6 & 0x3F
        out[np.uint64(target + 2)] = 0x80 | point & 0x3F
        return target + 3
    out[np.uint64(target)] = 0xF0 | point >> 18
    out[np.uint64(target + 1)] = 0x80 | point >> 12 & 0x3F
    out[np.uint64(target + 2)] = 0x80 | point >> 6 & 0x3F
    out[np.uint64(target + 3)] = 0x80 | point & 0x3F
    return target + 4


@inline_kernel
def _string(
    data: NDArray[np.uint8], place: np.int64, out: NDArray[np.uint8], target: np.int64
) -> tuple[np.int64, np.int64]:
    """Write the string whose first byte, behind the quote, is at `place` to `out`. The places behind it in both; _BAD
    where it is no string, or has half a surrogate pair."""
    size = data.size
    while True:
        while size - place >= _BLOCK:
            special = False
            for step in range(_BLOCK):
                byte = at(data, place + step)
                special |= (byte < 0x20) | (byte == _QUOTE) | (byte == _SLASH)
            if special:
                break
            for step in range(_BLOCK):
                out[np.uint64(target + step)] = at(data, place + step)
            place += _BLOCK
            target += _BLOCK
        byte = np.uint8(0)
        while place < size:
            byte = at(data, place)
            if byte < 0x20 or byte in (_QUOTE, _SLASH):
                break
            out[np.uint64(target)] = byte
            place += 1
            target += 1
        if place + 1 >= size or byte < 0x20:
            return np.int64(_BAD), target
        place += 1
        if byte == _QUOTE:
            return place, target
        escape = at(data, place)
        place += 1
        point = _plain_escape(escape)
        if escape == 0x75:  # u
            point = _four_digits(data, place)
            place += 4
            if (
                0xD800 <= point < 0xDC00
                and size - place > 2
                and at(data, place) == _SLASH
                and at(data, place + 1) == 0x75
            ):
                second = _four_digits(data, place + 2)
                if 0xDC00 <= second < 0xE000:
                    point = 0x10000 + (point - 0xD800 << 10) + second - 0xDC00
                    place += 6
        if point < 0 or 0xD800 <= point < 0xE000:
            return np.int64(_BAD), target
        target = _put_point(point, out, target)


@inline_kernel
def _field(
    out: NDArray[np.uint8], begin: np.int64, end: np.int64, names: NDArray[np.uint8], bounds: NDArray[np.int64]
) -> int:
    """Which wanted field has the name out[begin:end]: FIELDS for none."""
    for field in range(FIELDS):
        first = at(bounds, field)
        if at(bounds, field + 1) - first == end - begin:
            step = np.int64(0)
            while step < end - begin and at(out, begin + step) == at(names, first + step):
                step += 1
            if step == end - begin:
                return field
    return FIELDS


@kernel
def read_lines(
    data: NDArray[np.uint8],
    names: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    texts: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    starts: NDArray[np.int64],
    nested: NDArray[np.bool_],
) -> int:
    """The number of records, one a line; FULL where there is no room; -1 where a line is no record, has a field twice,
    or has something else than a string in one (or null in a label).

    `data` uint8[bytes] are whole lines; names[bounds[i]:bounds[i + 1]] is the name of field i. Written are texts to
    `texts` (uint8[bytes]), labels to `labels` (uint8[3, room]), an empty one where there is none, where each ends to
    `offsets` (int32[4, records + 1], of which the first column is 0), where each line begins to `starts`.
    `nested` (bool[MAX_DEPTH]) is for this function alone.
    """
    size = data.size
    place = np.int64(0)
    rows = np.int64(0)
    target = np.int64(0)
    ends = np.zeros(FIELDS, dtype=np.int64)
    while place < size:
        if at(data, place) != _OPEN:
            return _BAD
        if rows == starts.size:
            return FULL
        starts[rows] = place
        place += 1
        depth = 1
        nested[0] = True
        state = _FIRST_KEY
        seen = 0
        field = FIELDS
        while depth > 0:
            while place < size and (at(data, place) == _SPACE or at(data, place) == _TAB or at(data, place) == _RETURN):
                place += 1
            if place >= size:
                return _BAD
            byte = at(data, place)
            is_key = state <= _FIRST_KEY
            if state != _AFTER and byte == _QUOTE:
                # Behind the texts so far: there it stays if it is one.
                place, end = _string(data, place + 1, texts, target)
                if place < 0:
                    return _BAD
                if is_key:
                    field = FIELDS
                    if depth == 1:
                        field = _field(texts, target, end, names, bounds)
                        if field < FIELDS and seen >> field & 1:
                            return _BAD
                        seen |= 1 << field
                    while place < size and (at(data, place) == _SPACE or at(data, place) == _TAB):
                        place += 1
                    if place >= size or at(data, place) != _COLON:
                        return _BAD
                    place += 1
                    state = _VALUE
                else:
                    if depth == 1 and field == 0:
                        target = end
                    elif depth == 1 and field < FIELDS:
                        if ends[field] + end - target > labels.shape[1]:
                            return FULL
                        for step in range(end - target):
                            labels[field - 1, ends[field] + step] = at(texts, target + step)
                        ends[field] += end - target
                    state = _AFTER
            elif is_key:
                if byte != _CLOSE or state != _FIRST_KEY:
                    return _BAD
                place += 1
                depth -= 1
                state = _AFTER
            elif state == _AFTER:
                place += 1
                if byte == _COMMA:
                    state = _KEY if nested[depth - 1] else _VALUE
                elif byte == (_CLOSE if nested[depth - 1] else _END):
                    depth -= 1
                else:
                    return _BAD
            elif byte == _END and state == _FIRST_VALUE:
                place += 1
                depth -= 1
                state = _AFTER
            elif byte in (_OPEN, _BEGIN):
                if depth == MAX_DEPTH or (depth == 1 and field < FIELDS):
                    return _BAD
                nested[depth] = byte == _OPEN
                depth += 1
                place += 1
                state = _FIRST_KEY if byte == _OPEN else _FIRST_VALUE
            else:
                if depth == 1 and (field == 0 or (field < FIELDS and not _is_word(data, place, _NULL))):
                    return _BAD
                place = _word(data, place)
                if place < 0:
                    return _BAD
                state = _AFTER
        if seen & 1 == 0:
            return _BAD
        if place < size and at(data, place) == _RETURN:
            place += 1
        if place < size:
            if at(data, place) != _FEED:
                return _BAD
            place += 1
        ends[0] = target
        rows += 1
        for number in range(FIELDS):
            offsets[number, rows] = ends[number]
    return int(rows)
