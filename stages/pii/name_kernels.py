"""Kernels that find names in scripts with spaces, among the units of a batch. The rules, in words, are in
`stages.pii.names`; scripts without spaces are in `stages.pii.unspaced_kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import inline_kernel, kernel
from stages.pii.gazetteer import (
    AFTER,
    CLOSES,
    FIELD,
    FIRST,
    LAST,
    MAX_UNITS,
    OFFICE,
    PARTICLE,
    PHRASE,
    STOP,
    TITLE,
    TITLE_DOT,
    WIDESPREAD,
    WORD,
    chain,
    find_row,
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

_MAX_GIVEN: Final = 5
_MAX_PARTICLES: Final = 3
_MAX_KEPT: Final = 64
_UNKNOWN, _ALSO_WORD, _KNOWN = 1, 2, 3
_CUES: Final = TITLE | TITLE_DOT | OFFICE | PHRASE | FIELD | CLOSES
_MAX_LETTER_BYTES: Final = 4
_SOLE_SPACE, _COMMA, _LESS_THAN, _BRACKET, _LINE_END = 32, 44, 60, 40, 10


@kernel
def look_up(
    hashes: NDArray[np.uint64],
    kinds: NDArray[np.uint8],
    unit_offsets: NDArray[np.int64],
    columns: NDArray[np.int32],
    modes: NDArray[np.int32],
    table_keys: NDArray[np.uint64],
    table_rows: NDArray[np.int32],
    flags: NDArray[np.uint16],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
) -> None:
    """Fill `rows` (int32[units], 0 for a unit that is in no list) and `own` (uint16[units], its flags in the language
    of its document). In CASED documents only units near a capital are looked up: the others are no part of a name, and
    a look-up costs a cache miss."""
    for document in range(len(unit_offsets) - 1):
        mode = modes[document]
        if mode == SKIP:
            continue
        low, high = unit_offsets[document], unit_offsets[document + 1]
        done = low
        for unit in range(low, high):
            first, stop = unit, unit + 1
            if mode == CASED:
                if not kinds[unit] & CAPITAL:
                    continue
                first, stop = max(done, unit - 1), min(high, unit + 1 + _MAX_PARTICLES)
            for place in range(first, stop):
                row = find_row(hashes[place], table_keys, table_rows)
                rows[place] = row
                own[place] = flags[row, columns[document]]
            done = max(done, stop)


@inline_kernel
def gap_between(data: NDArray[np.uint8], begin: int, end: int) -> int:
    """What stands between two units: one of the constants above."""
    length = end - begin
    if length == 0:
        return JOINED
    if length > 4:
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
    table_keys: NDArray[np.uint64],
    table_rows: NDArray[np.int32],
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
            row = find_row(chain(hashes, unit - count, count), table_keys, table_rows)
            level = max(level, _level(flags[row, column], gap))
    return level


@inline_kernel
def _level(found: int, gap: int) -> int:
    if found & TITLE and gap != COLON:
        return 2
    if found & TITLE_DOT and gap == DOT:
        return 2
    if found & PHRASE and gap != DOT:
        return 2
    if found & OFFICE and gap != COLON:
        return 1
    return 1 if found & FIELD and gap == COLON else 0


@inline_kernel
def _is_single(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether a unit is one letter."""
    points = 0
    for place in range(begin, min(end, begin + 8)):
        points += (data[place] & 0xC0) != 0x80
    return points == 1


@inline_kernel
def _is_name_like(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether an unknown word is long enough for a surname, and is not put together like `OpenGL` and `ServiceManager`
    (but `MacKenzie`, `DeLuca`, `VanDyke` are)."""
    if end - begin < 4:
        return False
    for place in range(begin + 2, end):
        inner = 65 <= data[place] <= 90 and 97 <= data[place - 1] <= 122
        if 48 <= data[place] <= 57 or (inner and (place > begin + 4 or data[begin] == 79)):
            return False
    return True


@inline_kernel
def _is_patronymic(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether a Cyrillic word ends as patronymics do (-ович, -евич, -овна, -евна, -ична), perhaps inflected."""
    if end - begin < 14:
        return False
    for tail in range(3):
        last = end - 2 * tail
        # The second bytes of the last letters tell them apart: о BE, е B5, в B2, и B8, ч 87, н BD.
        a, b, c = data[last - 5], data[last - 3], data[last - 1]
        if a == 0xB2 and b == 0xB8 and c == 0x87 and (data[last - 7] == 0xBE or data[last - 7] == 0xB5):
            return True
        if tail >= 1 and c == 0xBD and ((b == 0xB2 and (a == 0xBE or a == 0xB5)) or (a == 0xB8 and b == 0x87)):
            return True
    return False


@kernel
def find_spaced(
    data: NDArray[np.uint8],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
    columns: NDArray[np.int32],
    modes: NDArray[np.int32],
    traits: NDArray[np.int32],
    table_keys: NDArray[np.uint64],
    table_rows: NDArray[np.int32],
    flags: NDArray[np.uint16],
    any_flags: NDArray[np.uint16],
    english: int,
    out: NDArray[np.int64],
) -> int:
    """Write names in scripts with spaces to `out` (document, first unit, unit after the last) as far as it goes;
    return how many there are. `columns`, `modes` and `traits` have one entry a document, `english` is the column of
    English, whose words stand in text of every language, `out` is int64[capacity, 3]."""
    count = 0
    kept = np.zeros(_MAX_KEPT, dtype=np.uint64)
    for document in range(len(unit_offsets) - 1):
        mode = modes[document]
        if mode == SKIP:
            continue
        # Latin names in Chinese text are told by their capitals too.
        cased = mode != CASELESS
        trait = traits[document] if mode <= CASELESS else traits[document] & ~SURNAME_FIRST
        column = columns[document]
        low, high = unit_offsets[document], unit_offsets[document + 1]
        unit = low
        kept_count = 0
        before = count
        while unit < high:
            if not kinds[unit] & (CAPITAL if cased else LETTER) or own[unit] & STOP or (not cased and rows[unit] == 0):
                unit += 1
                continue
            if own[unit] & (TITLE | OFFICE) and unit + 1 < high and (kinds[unit + 1] & CAPITAL or not cased):
                gap = gap_between(data, ends[unit], starts[unit + 1])
                if gap in (SPACE, DOT):
                    unit += 1
                    continue
            if own[unit] & TITLE_DOT and unit + 1 < high and gap_between(data, ends[unit], starts[unit + 1]) == DOT:
                unit += 1
                continue
            level = 0
            if unit > low and own[unit - 1] & _CUES:
                level = introduction(unit, low, column, data, hashes, starts, ends, own, table_keys, table_rows, flags)
            if rows[unit] == 0 and level < 2 and ends[unit] - starts[unit] > _MAX_LETTER_BYTES:
                unit += 1
                continue
            stop = _name_end(
                unit, low, high, level, cased, trait, english, data, starts, ends, kinds, rows, own, flags, any_flags
            )
            if stop == 0:
                unit += 1
                continue
            if count < len(out):
                out[count, 0], out[count, 1], out[count, 2] = document, unit, stop
            count += 1
            for place in range(unit, stop):
                known = any_flags[rows[place]] & (FIRST | LAST) and not own[place] & (WORD | STOP | PARTICLE)
                if cased and known and kept_count < _MAX_KEPT and ends[place] - starts[place] >= 4:
                    kept[kept_count] = hashes[place]
                    kept_count += 1
            unit = stop
        if kept_count > 0:
            count = _repeats(
                document, low, high, before, count, kept, kept_count, hashes, kinds, data, starts, ends, out
            )
    return count


@inline_kernel
def _name_end(
    unit: int,
    low: int,
    high: int,
    level: int,
    cased: bool,
    trait: int,
    english: int,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
    flags: NDArray[np.uint16],
    any_flags: NDArray[np.uint16],
) -> int:
    """The unit after the name that begins at `unit`, 0 if none does."""
    # Given names and initials.
    strong, weak, foreign, initials = 0, 0, 0, 0
    dotted, hyphen, abbreviated = False, False, False
    given_row = 0
    place = unit
    open_end = True  # whether something may follow what was read
    while open_end and place < high and place - unit < _MAX_GIVEN and (kinds[place] & CAPITAL or not cased):
        single = cased and _is_single(data, starts[place], ends[place])
        if single:
            initials += 1
        elif own[place] & STOP or (own[place] & PARTICLE and place > unit):
            break
        elif own[place] & FIRST:
            strong += not own[place] & WORD
            weak += own[place] & WORD > 0
            given_row = rows[place]
        elif trait & PATRONYMICS and strong + weak > 0 and _is_patronymic(data, starts[place], ends[place]):
            strong += 1
        elif cased and any_flags[rows[place]] & FIRST and not own[place] & (WORD | PARTICLE):
            foreign += 1
            given_row = rows[place]
        else:
            break
        place += 1
        if place < high:
            gap = gap_between(data, ends[place - 1], starts[place])
            dotted = single and gap == DOT
            abbreviated = abbreviated or dotted
            hyphen = gap == HYPHEN
            open_end = gap in (SPACE, HYPHEN) or dotted
    given_end = place
    given = strong + weak + foreign

    # Particles, then the surname, then more surnames.
    surname = place if open_end else high
    while surname + 1 < high and surname - place < _MAX_PARTICLES and surname > unit and own[surname] & PARTICLE:
        if gap_between(data, ends[surname], starts[surname + 1]) != SPACE:
            break
        surname += 1
    family = 0
    shared = False
    stop = given_end
    if surname < high and kinds[surname] & LETTER and (kinds[surname] & CAPITAL or not cased):
        if own[surname] & (STOP | TITLE) or _is_single(data, starts[surname], ends[surname]):
            family = 0
        elif own[surname] & LAST:
            family = _ALSO_WORD if own[surname] & WORD else _KNOWN
        elif cased and any_flags[rows[surname]] & LAST and not own[surname] & WORD:
            family = _KNOWN
        elif cased and not own[surname] & OFFICE:
            family = _UNKNOWN
        for language in range(flags.shape[1] if foreign > 0 and family >= _ALSO_WORD else 0):
            first, last = flags[given_row, language], flags[rows[surname], language]
            shared = shared or (first & FIRST and not first & WORD and last & LAST)
        if family > 0:
            stop = surname + 1
            while family >= _ALSO_WORD and stop < high and stop < surname + 3 and (kinds[stop] & CAPITAL or not cased):
                gap = gap_between(data, ends[stop - 1], starts[stop])
                if not (gap == HYPHEN and cased) and not (
                    gap == SPACE and own[stop] & LAST and not own[stop] & (WORD | STOP)
                ):
                    break
                stop += 1

    if level == 2:
        if strong > 0 or family >= _ALSO_WORD:
            return stop
        # `SR Paginação`, `MS Office`: a title in capitals throughout may be something else.
        titled = not 65 <= data[ends[unit - 1] - 1] <= 90 or ends[unit - 1] - starts[unit - 1] == 1
        if given > 0 or (family == _UNKNOWN and titled and not trait & NOUNS):
            return given_end if trait & NOUNS else stop
    if level == 1 and (strong > 0 or (own[unit] & LAST and family == _KNOWN) or (given > 0 and family >= _ALSO_WORD)):
        return stop if family >= _ALSO_WORD else given_end
    if family >= _ALSO_WORD:
        if strong > 0 or (foreign > 0 and shared):
            return stop
        if family == _KNOWN and (weak > 0 or (abbreviated and ends[surname] - starts[surname] >= 4)):
            return stop
        if abbreviated and initials >= 2:
            return stop
        inside = _place_in_sentence(unit, stop, low, high, data, starts, ends, kinds) >= 1
        if weak > 0 and cased and inside and not trait & (NOUNS | HEADLINES):
            return stop
    if strong >= 2:
        return given_end
    if family == _UNKNOWN and strong > 0 and surname > place and not own[surname] & WORD:
        return stop  # `Ludwig van Beethoven`: a particle joins them
    shouted = 65 <= data[ends[unit] - 1] <= 90 and ends[unit] - starts[unit] > 1
    mistaken = hyphen or flags[given_row, english] & WORD or shouted
    mistaken = mistaken or (strong == 0 and not any_flags[given_row] & WIDESPREAD)
    if (
        family == _UNKNOWN
        and strong + foreign > 0
        and not mistaken
        and _is_name_like(data, starts[surname], ends[surname])
    ):
        if stop < high and _ends_item(data, ends[stop - 1], starts[stop], trait):
            return stop
        if not trait & NOUNS and _place_in_sentence(unit, stop, low, high, data, starts, ends, kinds) == 2:
            return stop
        if (
            strong > 0
            and not trait & (NOUNS | HEADLINES)
            and _stands_out(unit, stop, low, high, data, starts, ends, kinds)
        ):
            return stop

    # The last given name is the surname.
    last = given_end - 1
    if last > unit and (any_flags[rows[last]] | own[last]) & LAST:
        known = own[last] & FIRST > 0 and not own[last] & WORD
        strong -= known
        weak -= own[last] & FIRST > 0 and not known
        foreign -= own[last] & FIRST == 0
        sure = any_flags[rows[last]] & LAST and not own[last] & WORD
        if strong > 0 or ((weak > 0 or foreign > 0) and sure) or (abbreviated and (sure or initials >= 2)):
            return given_end

    # Something after the name that says so, or the surname first.
    if unit + 1 >= high or not own[unit] & (FIRST | LAST) or gap_between(data, ends[unit], starts[unit + 1]) != SPACE:
        return 0
    if own[unit + 1] & AFTER:
        return unit + 1
    if not trait & SURNAME_FIRST or not own[unit] & LAST or not own[unit + 1] & FIRST:
        return 0
    if own[unit] & own[unit + 1] & WORD:
        return 0
    stop = unit + 1
    while stop < high and stop < unit + 4 and (kinds[stop] & CAPITAL or not cased):
        patronymic = trait & PATRONYMICS and _is_patronymic(data, starts[stop], ends[stop])
        if not (own[stop] & FIRST or patronymic) or gap_between(data, ends[stop - 1], starts[stop]) != SPACE:
            break
        stop += 1
    return stop if stop > unit + 1 else 0


@inline_kernel
def _ends_item(data: NDArray[np.uint8], begin: int, end: int, trait: int) -> bool:
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
def _place_in_sentence(
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
def _stands_out(
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


@inline_kernel
def _repeats(
    document: int,
    low: int,
    high: int,
    before: int,
    count: int,
    kept: NDArray[np.uint64],
    kept_count: int,
    hashes: NDArray[np.uint64],
    kinds: NDArray[np.uint8],
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    out: NDArray[np.int64],
) -> int:
    """Add the places where a part of a name that the document gave in full stands alone with a capital."""
    bits = np.uint64(0)
    for place in range(kept_count):
        bits |= np.uint64(1) << (kept[place] & np.uint64(63))
    named = min(count, len(out))
    span = before
    for unit in range(low, high):
        if not kinds[unit] & CAPITAL or not (bits >> (hashes[unit] & np.uint64(63))) & np.uint64(1):
            continue
        while span < named and out[span, 2] <= unit:
            span += 1
        if span < named and out[span, 1] <= unit:
            continue
        same = False
        for place in range(kept_count):
            same = same or kept[place] == hashes[unit]
        # `Jackson Street`, `Louise Michel Street`: next to another capitalised word it is a piece of something else.
        if not same or (unit + 1 < high and kinds[unit + 1] & CAPITAL and starts[unit + 1] - ends[unit] == 1):
            continue
        if unit > low and kinds[unit - 1] & CAPITAL and starts[unit] - ends[unit - 1] == 1:
            continue
        if count < len(out):
            out[count, 0], out[count, 1], out[count, 2] = document, unit, unit + 1
        count += 1
    return count
