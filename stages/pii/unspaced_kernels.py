"""Kernels that find names in scripts without spaces, and in Korean, whose particles are attached to names. The rules,
in words, are in `stages.pii.names`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import at, inline_kernel, kernel
from curator.text.fold import HASH_START, finish, mix
from stages.pii.gazetteer import (
    AFTER,
    FIRST,
    LAST,
    LONGER,
    MAX_UNITS,
    PARTICLE,
    PHRASE,
    RANK,
    STOP,
    TITLE,
    WORD,
    chain,
    find_flags,
)
from stages.pii.name_kernels import (
    APART,
    CUES,
    HYPHEN,
    JOINED,
    KOREAN,
    ONE_BY_ONE,
    SPACE,
    TITLED_ONLY,
    UNSPACED,
    gap_between,
    introduction,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LAST, _FIRST, _AFTER, _RANK, _TITLE_OR_PHRASE = (
    np.uint16(flag) for flag in (LAST, FIRST, AFTER, RANK, TITLE | PHRASE)
)
"""Not literals, for each of which Numba would compile `_longest` again."""
_HAN_BYTES: Final = 3
_FIRST_HAN_BYTE: Final = 0xE4  # U+4000; what stands before is kana or rare
_FIRST_HANGUL: Final = 0xEAB080
_LAST_HANGUL: Final = 0xED9EA3
_REPEATED: Final = 0xE38085  # 々
_HA, _NEUN = 0xED9598, 0xEB8A94
"""하 and 는, which make a verb of a noun (`이동하는`)."""
_MAX_GIVEN: Final = 2
"""Characters of a Chinese given name, syllables of a Korean one."""


@kernel
def find_unspaced(
    data: NDArray[np.uint8],
    unit_offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    own: NDArray[np.uint16],
    columns: NDArray[np.int32],
    modes: NDArray[np.int32],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
    out: NDArray[np.int64],
) -> int:
    """Write names in UNSPACED, TITLED_ONLY and KOREAN documents to `out` (document, first byte, byte after the last) as
    far as it goes; return how many there are. `out` is int64[capacity, 3]."""
    count = 0
    for document in range(len(unit_offsets) - 1):
        mode = modes[document]
        if mode != UNSPACED and mode != KOREAN and mode != TITLED_ONLY:
            continue
        column = columns[document]
        low, high = unit_offsets[document], unit_offsets[document + 1]
        unit = low
        while unit < high:
            begin, end, following = 0, 0, unit + 1
            level = 0
            if unit > low and at(own, unit - 1) & CUES:
                level = introduction(unit, low, column, data, hashes, starts, ends, own, present, table, flags)
            if mode == KOREAN:
                begin, end = _korean(unit, high, column, level, data, starts, ends, own, present, table, flags)
            elif mode == UNSPACED:
                if at(own, unit) & (LAST | LONGER):
                    stop = _name_end(
                        unit, low, high, column, level, data, hashes, starts, ends, kinds, own, present, table, flags
                    )  # fmt: skip
                    if stop > 0:
                        begin, end, following = starts[unit], ends[stop - 1], stop
            elif own[unit] & (TITLE | LONGER):
                first, stop = _after_title(unit, high, column, data, hashes, starts, ends, own, present, table, flags)
                if stop > 0:
                    begin, end, following = starts[first], ends[stop - 1], stop
            if end > begin:
                if count < len(out):
                    out[count, 0], out[count, 1], out[count, 2] = document, begin, end
                count += 1
            unit = following
    return count


@inline_kernel
def _longest(
    unit: int,
    high: int,
    column: int,
    wanted: np.uint16,
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> int:
    """Units of the longest term with a wanted flag that begins at `unit`, its units joined; 0 if there is none."""
    return _longest_of_two(unit, high, column, wanted, wanted, hashes, starts, ends, own, present, table, flags)[0]


@inline_kernel
def _longest_of_two(
    unit: int,
    high: int,
    column: int,
    wanted: np.uint16,
    other: np.uint16,
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> tuple[int, int]:
    """The same for either of two flags."""
    if unit >= high:
        return 0, 0
    said = int(at(own, unit))
    best = 1 if said & wanted else 0
    best_other = 1 if said & other else 0
    if said & LONGER:
        # The keys of `gazetteer.chain`, each from the one before.
        state = mix(HASH_START, at(hashes, unit))
        for place in range(unit + 1, min(unit + MAX_UNITS, high)):
            if at(starts, place) != at(ends, place - 1):
                break
            state = mix(state, at(hashes, place))
            said = find_flags(finish(state), column, present, table, flags)
            if said & wanted:
                best = place - unit + 1
            if said & other:
                best_other = place - unit + 1
    return best, best_other


@inline_kernel
def _name_end(
    unit: int,
    low: int,
    high: int,
    column: int,
    level: int,
    data: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> int:
    """The unit after the Chinese or Japanese name that begins at `unit`, 0 if none does."""
    if not kinds[unit] & ONE_BY_ONE or own[unit] & STOP:
        return 0
    surname, whole = _longest_of_two(
        unit, high, column, _LAST, _FIRST, hashes, starts, ends, own, present, table, flags
    )  # fmt: skip
    if surname > 0:
        # A surname that is a word too may end one where a Han character stands right before it.
        glued = unit > low and starts[unit] == ends[unit - 1] and data[starts[unit - 1]] >= _FIRST_HAN_BYTE
        glued = glued and kinds[unit - 1] & ONE_BY_ONE > 0
        word = surname == 1 and own[unit] & WORD > 0
        after = unit + surname
        given = 0
        if _follows(after, high, data, starts, ends):
            given = _longest(after, high, column, _FIRST, hashes, starts, ends, own, present, table, flags)
        if given > 0:
            stop = after + given
            # Names in kana are words too unless a space parts them.
            parted = starts[after] != ends[after - 1] or data[starts[unit]] >= _FIRST_HAN_BYTE
            if level > 0:
                return stop
            titled = 0
            if _follows(stop, high, data, starts, ends):
                titled = max(
                    *_longest_of_two(
                        stop, high, column, _AFTER, _RANK, hashes, starts, ends, own, present, table, flags
                    )
                )
            if titled > 0 and not (word and glued and given == 1):
                return stop
            if given >= 2 and parted:
                also_word = find_flags(chain(hashes, after, given), column, present, table, flags) & WORD
                begun = surname == 1 and find_flags(chain(hashes, unit, 2), column, present, table, flags) & WORD
                if not begun and not (glued and (word or also_word)):
                    return stop
        # Any one or two characters between a surname and a title, or after an introduction.
        free = 0
        while free < _MAX_GIVEN and after + free < high and starts[after + free] == ends[after + free - 1]:
            if not kinds[after + free] & ONE_BY_ONE or own[after + free] & STOP:
                break
            free += 1
        for length in range(free, -1, -1):
            stop = after + length
            if stop >= high or starts[stop] != ends[stop - 1] or (word and (glued or length > 0)):
                continue
            if ends[stop - 1] - starts[unit] != _HAN_BYTES * (surname + length):
                continue
            if length > 0 and (data[starts[after]] < _FIRST_HAN_BYTE or data[starts[stop - 1]] < _FIRST_HAN_BYTE):
                continue
            titled, ranked = _longest_of_two(
                stop, high, column, _AFTER, _RANK, hashes, starts, ends, own, present, table, flags
            )  # fmt: skip
            # A title of one character may be the beginning of a word (`様々`).
            begins = titled == 1 and surname == 1 and _goes_on(stop + 1, high, data, starts, ends)
            if (titled > 0 and not begins) or ranked > 0:
                return stop
        if level > 0 and free > 0:
            return after + free
    if whole >= 2:
        stop = unit + whole
        titled = max(
            *_longest_of_two(stop, high, column, _AFTER, _RANK, hashes, starts, ends, own, present, table, flags)
        )
        also_word = find_flags(chain(hashes, unit, whole), column, present, table, flags) & WORD
        if level == 2 or (titled > 0 and starts[stop] == ends[stop - 1] and not also_word):
            return stop
    return 0


@inline_kernel
def _goes_on(unit: int, high: int, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> bool:
    """Whether a Han character, or 々, stands right behind the unit before."""
    if unit >= high or starts[unit] != ends[unit - 1]:
        return False
    return bool(data[starts[unit]] >= _FIRST_HAN_BYTE) or _character(data, starts[unit]) == _REPEATED


@inline_kernel
def _after_title(
    unit: int,
    high: int,
    column: int,
    data: NDArray[np.uint8],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> tuple[int, int]:
    """A Thai name right after a title: a known given name, and a known surname after a space; (first unit, unit
    after)."""
    title = _longest(unit, high, column, _TITLE_OR_PHRASE, hashes, starts, ends, own, present, table, flags)
    first = unit + title
    if title == 0 or first >= high or gap_between(data, ends[first - 1], starts[first]) in (APART, HYPHEN):
        return 0, 0
    given = _longest(first, high, column, _FIRST, hashes, starts, ends, own, present, table, flags)
    if given < 2:
        return 0, 0
    stop = first + given
    if stop < high and gap_between(data, ends[stop - 1], starts[stop]) == SPACE:
        stop += _longest(stop, high, column, _LAST, hashes, starts, ends, own, present, table, flags)
    return first, stop


@inline_kernel
def _korean(
    unit: int,
    high: int,
    column: int,
    level: int,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    own: NDArray[np.uint16],
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
) -> tuple[int, int]:
    """A Korean name at the beginning of a word, as bytes: a surname of one syllable and a given name of two from the
    lists, then nothing or a particle; or any two syllables after a surname where a title follows the word, the second
    of them none that ends common nouns and their cases."""
    begin, end = starts[unit], ends[unit]
    syllables = (end - begin) // _HAN_BYTES
    if not 3 <= syllables <= 8 or (end - begin) % _HAN_BYTES != 0 or not 0xEA <= data[begin] <= 0xED:
        return 0, 0
    surname = find_flags(_syllables(data, begin, 1), column, present, table, flags)
    if not surname & LAST or not _is_hangul(data, begin, end):
        return 0, 0
    titled = level == 2
    if unit + 1 < high and gap_between(data, end, starts[unit + 1]) == SPACE:
        titled = titled or own[unit + 1] & (AFTER | RANK) > 0
    name_end = begin + _HAN_BYTES * 3
    given = find_flags(_syllables(data, begin + _HAN_BYTES, _MAX_GIVEN), column, present, table, flags)
    if syllables == 3 and titled and not given & FIRST:
        last = find_flags(_syllables(data, name_end - _HAN_BYTES, 1), column, present, table, flags)
        return (0, 0) if last & STOP and level < 2 else (begin, name_end)
    if not given & FIRST:
        return 0, 0
    if not titled and level == 0:
        both = find_flags(_syllables(data, begin, 1 + _MAX_GIVEN), column, present, table, flags)
        verb = syllables > 3 and _character(data, name_end - _HAN_BYTES) == _HA
        if (given | surname | both) & WORD or (verb and _character(data, name_end) == _NEUN):
            return 0, 0
    if syllables > 3:
        rest = find_flags(_syllables(data, name_end, syllables - 3), column, present, table, flags)
        if not rest & (PARTICLE | AFTER):
            return 0, 0
    return begin, name_end


@inline_kernel
def _follows(unit: int, high: int, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> bool:
    """Whether a unit follows the one before at once or after a space."""
    if unit >= high:
        return False
    return gap_between(data, ends[unit - 1], starts[unit]) in (JOINED, SPACE)


@inline_kernel
def _is_hangul(data: NDArray[np.uint8], begin: int, end: int) -> bool:
    """Whether whole characters of three bytes are Hangul syllables (U+AC00 to U+D7A3), all of them."""
    for place in range(begin, end, _HAN_BYTES):
        packed = _character(data, place)
        if not _FIRST_HANGUL <= packed <= _LAST_HANGUL:
            return False
    return True


@inline_kernel
def _character(data: NDArray[np.uint8], place: int) -> int:
    """Three bytes as one number."""
    return int(data[place]) << 16 | int(data[place + 1]) << 8 | int(data[place + 2])


@inline_kernel
def _syllables(data: NDArray[np.uint8], begin: int, count: int) -> np.uint64:
    """The hash of `count` three-byte characters as a unit of their own (see `curator.text.fold`)."""
    state = HASH_START
    for place in range(count):
        at = begin + _HAN_BYTES * place
        point = ((data[at] & 0x0F) << 12) | ((data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F)
        state = mix(state, np.uint64(point))
    return finish(state)
