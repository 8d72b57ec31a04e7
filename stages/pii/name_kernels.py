"""Kernels that look at single units of a batch and at what stands between them: what lists and cues say of a unit, and
where it stands. Names are put together from them in `stages.pii.spaced_kernels` and `stages.pii.unspaced_kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import at, inline_kernel, kernel
from stages.pii.gazetteer import (
    CLOSES,
    FIELD,
    MAX_UNITS,
    OFFICE,
    PHRASE,
    TITLE,
    TITLE_DOT,
    chain,
    find_flags,
    passes,
    row_in_table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKIP, CASED, CASELESS, UNSPACED, KOREAN, TITLED_ONLY = 0, 1, 2, 3, 4, 5
"""How names are told in a document's language: not at all, by capitals, by the gazetteer alone, without spaces, inside
Korean words, without spaces and only after a title."""

NOUNS: Final = 1
"""Nouns have capitals (German): an unknown capitalised word is no surname."""
SURNAME_FIRST: Final = 2
PATRONYMICS: Final = 4
HEADLINES: Final = 8
"""Headings capitalise every word (English)."""

LETTER, CAPITAL, ONE_BY_ONE = 1, 4, 8  # curator.text.segment: LETTER, CAPITAL, UNSPACED
APART, SPACE, HYPHEN, DOT, COLON, JOINED = 0, 1, 2, 3, 4, 5
"""What stands between two units."""

CUES: Final = TITLE | TITLE_DOT | OFFICE | PHRASE | FIELD | CLOSES
"""A unit without any of these introduces nothing."""
MAX_PARTICLES: Final = 3
MAX_LETTER_BYTES: Final = 4
_TOGETHER: Final = 256
"""Units that are looked up at a time."""
_YE, _I, _EN, _O, _VE, _CHE = 0xD0B5, 0xD0B8, 0xD0BD, 0xD0BE, 0xD0B2, 0xD187
"""Cyrillic letters in UTF-8."""
_SOLE_SPACE, _COMMA, _LESS_THAN, _BRACKET, _LINE_END = 32, 44, 60, 40, 10


@kernel
def look_up(
    hashes: NDArray[np.uint64],
    kinds: NDArray[np.uint8],
    unit_offsets: NDArray[np.int64],
    columns: NDArray[np.int32],
    modes: NDArray[np.int32],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
) -> None:
    """Fill `rows` (int32[units], 0 for a unit that is in no list) and `own` (uint16[units], its flags in the language
    of its document); both come as zeros. In CASED documents only units near a capital are looked up: the others are no
    part of a name, and a look-up costs a cache miss. Units that pass the filter wait for each other, so that such
    misses overlap."""
    waiting = np.empty(_TOGETHER + MAX_PARTICLES + 2, dtype=np.int64)
    for document in range(len(unit_offsets) - 1):
        mode = modes[document]
        if mode == SKIP:
            continue
        low, high = unit_offsets[document], unit_offsets[document + 1]
        done = low
        count = 0
        for unit in range(low, high):
            first, stop = unit, unit + 1
            if mode == CASED:
                if not at(kinds, unit) & CAPITAL:
                    continue
                first, stop = max(done, unit - 1), min(high, unit + 1 + MAX_PARTICLES)
            for place in range(first, stop):
                waiting[np.uint64(count)] = place
                count += passes(at(hashes, place), present)
            done = max(done, stop)
            if count >= _TOGETHER:
                _take(waiting, count, columns[document], hashes, table, flags, rows, own)
                count = 0
        _take(waiting, count, columns[document], hashes, table, flags, rows, own)


@inline_kernel
def _take(
    waiting: NDArray[np.int64],
    count: int,
    column: int,
    hashes: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
) -> None:
    """What the lists say of the first `count` units that wait."""
    for each in range(count):
        unit = np.uint64(waiting[each])
        row = row_in_table(hashes[unit], table)
        if row > 0:
            rows[unit] = row
            own[unit] = flags[np.uint64(row), np.uint64(column)]


@inline_kernel
def gap_between(data: NDArray[np.uint8], begin: int, end: int) -> int:
    """What stands between two units: one of the constants above."""
    length = end - begin
    if length == 0:
        return JOINED
    if length > 4 or data[begin] == 0:
        return APART
    packed = np.uint32(0)
    for place in range(begin, end):
        packed = (packed << np.uint32(8)) | np.uint32(data[place])
    if packed == 0x20 or packed == 0xC2A0 or packed == 0xE280AF or packed == 0xE38080 or packed == 0xE383BB:
        return SPACE
    if packed == 0x2D or packed == 0xE28090 or packed == 0xE28091:
        return HYPHEN
    if packed == 0x2E or packed == 0x2E20 or packed == 0x2EC2A0:
        return DOT
    if packed == 0x3A or packed == 0x3A20 or packed == 0xEFBC9A or packed == 0x203A20 or packed == 0xEFBC9A20:
        return COLON
    return COLON if packed == 0xC2A03A20 or packed == 0xC2A03A else APART


@inline_kernel
def introduction(
    unit: int,
    low: int,
    column: int,
    data: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> int:
    """What the text before a unit says: 0 nothing, 1 that a known name may follow, 2 that a name follows."""
    if unit <= low:
        return 0
    gap = gap_between(data, ends[unit - 1], starts[unit])
    if gap in (APART, HYPHEN):
        return 0
    level = _level(own[unit - 1], gap)
    if own[unit - 1] & CLOSES:
        for count in range(2, min(MAX_UNITS, unit - low) + 1):
            if gap_between(data, ends[unit - count], starts[unit - count + 1]) == APART:
                break
            found = find_flags(chain(hashes, unit - count, count), column, present, table, flags)
            level = max(level, _level(found, gap))
    return level


@inline_kernel
def _level(found: int, gap: int) -> int:
    if found & TITLE and gap in (SPACE, JOINED):
        return 2
    if found & TITLE_DOT and gap == DOT:
        return 2
    if found & PHRASE and gap != DOT:
        return 2
    if found & OFFICE and gap != COLON:
        return 1
    return 1 if found & FIELD and gap == COLON else 0


@inline_kernel
def is_single(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether a unit is one letter."""
    if end - begin > MAX_LETTER_BYTES:
        return False
    points = 0
    for place in range(begin, end):
        points += (at(data, place) & 0xC0) != 0x80
    return points == 1


@inline_kernel
def is_name_like(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether an unknown word is long enough for a surname (four bytes), has no digit, and is not put together like
    `OpenGL` and `ServiceManager`: a capital after a small letter stands among the first five bytes (`MacKenzie`,
    `DeLuca`, `VanDyke`), and not after an O."""
    if end - begin < 4:
        return False
    for place in range(begin + 1, end):
        inner = 65 <= data[place] <= 90 and 97 <= data[place - 1] <= 122
        if 48 <= data[place] <= 57 or (inner and (place > begin + 4 or data[begin] == 79)):
            return False
    return True


@inline_kernel
def is_patronymic(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether a Cyrillic word of seven letters or more ends as patronymics do (-ович, -евич, -овна, -евна, -ична) in
    small letters, perhaps inflected: with up to two letters after -ич, and one or two after -овн, -евн, -ичн."""
    if end - begin < 14:
        return False
    for tail in range(3):
        last = end - 2 * tail
        if tail > 0 and (data[last] != 0xD0 and data[last] != 0xD1):
            return False
        a, b = _letter(data, last - 8), _letter(data, last - 6)
        c, d = _letter(data, last - 4), _letter(data, last - 2)
        if c == _I and d == _CHE and b == _VE and a in (_O, _YE):
            return True
        if tail > 0 and d == _EN and ((c == _VE and b in (_O, _YE)) or (b == _I and c == _CHE)):
            return True
    return False


@inline_kernel
def _letter(data: NDArray[np.uint8], place: int) -> int:
    """Two bytes as one number."""
    return int(data[place]) << 8 | int(data[place + 1])


@inline_kernel
def ends_item(data: NDArray[np.uint8], begin: int, end: int, trait: int) -> bool:
    """Whether what follows a name closes an item of a list: a bracket, or a comma or the end of the line where other
    words do not have capitals as well."""
    if end - begin < 1:
        return False
    first = data[begin]
    if first == _SOLE_SPACE and end - begin >= 2:
        first = data[begin + 1]
    if first in (_LESS_THAN, _BRACKET):
        return True
    return (first == _COMMA and not trait & NOUNS) or (first == _LINE_END and not trait & (HEADLINES | NOUNS))


@inline_kernel
def place_in_sentence(
    unit: int,
    stop: int,
    low: int,
    high: int,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
) -> int:
    """Where units stand: 0 at the beginning of a line or sentence, 1 after another word or a comma, 2 the same with no
    capitalised neighbour."""
    if unit == low:
        return 0
    comma = starts[unit] - ends[unit - 1] == 2 and data[ends[unit - 1]] == _COMMA
    if not comma and gap_between(data, ends[unit - 1], starts[unit]) != SPACE:
        return 0
    if kinds[unit - 1] & CAPITAL and not comma:
        return 1
    followed = stop < high and kinds[stop] & CAPITAL and gap_between(data, ends[stop - 1], starts[stop]) == SPACE
    return 1 if followed else 2


@inline_kernel
def stands_out(
    unit: int,
    stop: int,
    low: int,
    high: int,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
) -> bool:
    """Whether a small word follows units on their line, and no capital stands before them but that of a sentence: then
    the second capital is a proper noun's, where headings are written as sentences are."""
    if stop >= high or kinds[stop] & CAPITAL or not kinds[stop] & LETTER:
        return False
    if gap_between(data, ends[stop - 1], starts[stop]) != SPACE:
        return False
    if unit == low or not kinds[unit - 1] & CAPITAL or gap_between(data, ends[unit - 1], starts[unit]) == APART:
        return True
    return unit - 1 == low or gap_between(data, ends[unit - 2], starts[unit - 1]) in (APART, DOT)
