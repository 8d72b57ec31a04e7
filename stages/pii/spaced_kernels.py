"""Kernels that find names in scripts with spaces. The rules, in words, are in `stages.pii.names`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import at, inline_kernel, kernel
from stages.pii.gazetteer import AFTER, FIRST, LAST, OFFICE, PARTICLE, STOP, TITLE, TITLE_DOT, WIDESPREAD, WORD
from stages.pii.name_kernels import (
    CAPITAL,
    CASELESS,
    COLON,
    CUES,
    DOT,
    HEADLINES,
    HYPHEN,
    LETTER,
    MAX_LETTER_BYTES,
    MAX_PARTICLES,
    NOUNS,
    PATRONYMICS,
    SKIP,
    SPACE,
    SURNAME_FIRST,
    ends_item,
    gap_between,
    introduction,
    is_name_like,
    is_patronymic,
    is_single,
    place_in_sentence,
    stands_out,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_KEPT: Final = 64
"""Parts of names of one document that are looked for again where they stand alone."""
_MAX_GIVEN: Final = 5
_UNKNOWN, _ALSO_WORD, _KNOWN = 1, 2, 3
_INITIAL, _WEAK, _STRONG, _FOREIGN = 0, 1, 2, 3
"""What a given name is: one letter, also a word of the language, none, or one of other languages."""
_MIN_KEPT_BYTES: Final = 4
_SPACE_BYTE, _LESS_THAN = 32, 60
_ONE: Final = np.uint64(1)


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
    present: NDArray[np.uint64],
    table: NDArray[np.uint64],
    flags: NDArray[np.uint16],
    any_flags: NDArray[np.uint16],
    english: int,
    out: NDArray[np.int64],
) -> int:
    """Write names in scripts with spaces to `out` (document, first unit, unit after the last) as far as it goes;
    return how many there are. `columns`, `modes` and `traits` have one entry a document, `english` is the column of
    English, whose words stand in text of every language, `out` is int64[capacity, 3]."""
    count = 0
    kept = np.zeros(MAX_KEPT, dtype=np.uint64)
    longest = 0
    for document in range(len(unit_offsets) - 1):
        longest = max(longest, unit_offsets[document + 1] - unit_offsets[document])
    begins = np.empty(longest, dtype=np.bool_)
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
        _mark_begins(np.uint64(low), np.uint64(high), cased, starts, ends, kinds, rows, own, begins)
        while unit < high:
            if not at(begins, unit - low):
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
            if unit > low and own[unit - 1] & CUES:
                level = introduction(unit, low, column, data, hashes, starts, ends, own, present, table, flags)
            if at(rows, unit) == 0 and level == 0 and not is_single(data, starts[unit], ends[unit]):
                unit += 1
                continue
            stop = _name_end(
                unit,
                low,
                high,
                level,
                cased,
                trait,
                column,
                english,
                data,
                starts,
                ends,
                kinds,
                rows,
                own,
                flags,
                any_flags,
            )
            if stop == 0:
                unit += 1
                continue
            if count < len(out):
                out[count, 0], out[count, 1], out[count, 2] = document, unit, stop
            count += 1
            for place in range(unit, stop):
                known = any_flags[rows[place]] & (FIRST | LAST) and not own[place] & (WORD | STOP | PARTICLE)
                if cased and known and ends[place] - starts[place] >= _MIN_KEPT_BYTES:
                    kept_count = _keep(hashes[place], kept, kept_count)
            unit = stop
        if kept_count > 0:
            count = _repeats(
                document, low, high, before, count, kept, kept_count, hashes, kinds, data, starts, ends, out
            )
    return count


@inline_kernel
def _mark_begins(
    low: np.uint64,
    high: np.uint64,
    cased: bool,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
    begins: NDArray[np.bool_],
) -> None:
    """Mark the units of a document at which a name may begin: words of the lists, what is short enough for an initial,
    and what stands behind a cue. There is no branch in it, so that many units are looked at together."""
    for unit in range(low, high):
        kind = kinds[unit] & (CAPITAL if cased else LETTER)
        short = ends[unit] - starts[unit] <= MAX_LETTER_BYTES
        begins[unit - low] = (kind != 0) & ((own[unit] & STOP) == 0) & ((rows[unit] != 0) | (cased & short))
    for unit in range(low + _ONE, high):
        introduced = cased & ((own[unit - _ONE] & CUES) != 0)
        begins[unit - low] |= introduced & (kinds[unit] & CAPITAL != 0) & ((own[unit] & STOP) == 0)


@inline_kernel
def _name_end(
    unit: int,
    low: int,
    high: int,
    level: int,
    cased: bool,
    trait: int,
    column: int,
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
    last_kind = _INITIAL
    dotted, hyphen, abbreviated = False, False, False
    given_row = 0
    place = unit
    open_end = True  # whether something may follow what was read
    while open_end and place < high and place - unit < _MAX_GIVEN and (kinds[place] & CAPITAL or not cased):
        single = cased and is_single(data, starts[place], ends[place])
        if single:
            initials += 1
            last_kind = _INITIAL
        elif own[place] & STOP or (own[place] & PARTICLE and place > unit):
            break
        elif own[place] & FIRST:
            last_kind = _WEAK if own[place] & WORD else _STRONG
            strong += last_kind == _STRONG
            weak += last_kind == _WEAK
            given_row = rows[place]
        elif trait & PATRONYMICS and strong + weak > 0 and is_patronymic(data, starts[place], ends[place]):
            strong += 1
            last_kind = _STRONG
        elif cased and any_flags[rows[place]] & FIRST and not own[place] & (WORD | PARTICLE):
            foreign += 1
            last_kind = _FOREIGN
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
    while surname + 1 < high and surname - place < MAX_PARTICLES and surname > unit and own[surname] & PARTICLE:
        if gap_between(data, ends[surname], starts[surname + 1]) != SPACE:
            break
        surname += 1
    family = 0
    shared = False
    stop = given_end
    if surname < high and kinds[surname] & LETTER and (kinds[surname] & CAPITAL or not cased):
        if own[surname] & (STOP | TITLE) or is_single(data, starts[surname], ends[surname]):
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
            # `Mr Ignatz Miller`: after a given name that is in no list comes a surname that is; one that is a word too,
            # as in a headline, where what follows has no capital.
            if cased and given == 0:
                stop += _is_surname(stop, high, data, starts, ends, kinds, rows, own, any_flags)
            return given_end if trait & NOUNS else stop
    if level > 0 and cased and given == 0 and family == _UNKNOWN and trait & NOUNS:
        # `Frau Ayşe Yılmaz`; what stands behind a label (`Name: Ein Name`) is any noun.
        labelled = gap_between(data, ends[unit - 1], starts[unit]) == COLON
        if not labelled and _is_surname(stop, high, data, starts, ends, kinds, rows, own, any_flags):
            return stop + 1
    if level == 1 and (strong > 0 or (own[unit] & LAST and family == _KNOWN) or (given > 0 and family >= _ALSO_WORD)):
        return stop if family >= _ALSO_WORD else given_end
    if family >= _ALSO_WORD:
        if strong > 0 or (foreign > 0 and shared):
            return stop
        if family == _KNOWN and (weak > 0 or (abbreviated and ends[surname] - starts[surname] >= 4)):
            return stop
        if abbreviated and initials >= 2:
            return stop
        inside = place_in_sentence(unit, stop, low, high, data, starts, ends, kinds) >= 1
        if weak > 0 and cased and inside and not trait & (NOUNS | HEADLINES):
            return stop
    if family == _UNKNOWN and strong > 0 and surname > place and not own[surname] & WORD:
        return stop  # `Ludwig van Beethoven`: a particle joins them
    shouted = 65 <= data[ends[unit] - 1] <= 90 and ends[unit] - starts[unit] > 1
    mistaken = hyphen or flags[given_row, english] & WORD or shouted
    # A name that few languages have may be a word of this one: save in English, whose words the lists know, a mail
    # address must follow.
    rare = strong == 0 and not any_flags[given_row] & WIDESPREAD and column != english
    mistaken = mistaken or (rare and not _begins_address(stop, high, data, starts, ends))
    if (
        family == _UNKNOWN
        and strong + foreign > 0
        and not mistaken
        and is_name_like(data, starts[surname], ends[surname])
    ):
        if stop < high and ends_item(data, ends[stop - 1], starts[stop], trait):
            return stop
        if not trait & NOUNS and place_in_sentence(unit, stop, low, high, data, starts, ends, kinds) == 2:
            return stop
        if (
            strong > 0
            and not trait & (NOUNS | HEADLINES)
            and stands_out(unit, stop, low, high, data, starts, ends, kinds)
        ):
            return stop
    if strong >= 2:
        return given_end

    # The last given name is the surname.
    last = given_end - 1
    if last > unit and (any_flags[rows[last]] | own[last]) & LAST:
        strong -= last_kind == _STRONG
        weak -= last_kind == _WEAK
        foreign -= last_kind == _FOREIGN
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
        patronymic = trait & PATRONYMICS and is_patronymic(data, starts[stop], ends[stop])
        if not (own[stop] & FIRST or patronymic) or gap_between(data, ends[stop - 1], starts[stop]) != SPACE:
            break
        stop += 1
    return stop if stop > unit + 1 else 0


@inline_kernel
def _is_surname(
    unit: int,
    high: int,
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    rows: NDArray[np.int32],
    own: NDArray[np.uint16],
    any_flags: NDArray[np.uint16],
) -> bool:
    """Whether a surname follows an unknown word behind a cue: one of any language, or a name that is also a word in its
    own alone; one that is a word of the document's language where no capital follows, as in a headline."""
    if unit >= high or not kinds[unit] & CAPITAL or own[unit] & (STOP | TITLE):
        return False
    listed = (own[unit] | any_flags[rows[unit]]) & LAST or (any_flags[rows[unit]] & WORD and not own[unit] & WORD)
    headline = own[unit] & WORD and unit + 1 < high and kinds[unit + 1] & CAPITAL
    return bool(listed and not headline and gap_between(data, ends[unit - 1], starts[unit]) in (SPACE, HYPHEN))


@inline_kernel
def _begins_address(
    stop: int, high: int, data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> bool:
    """Whether a space and `<` stand before the unit `stop`."""
    if stop >= high or starts[stop] - ends[stop - 1] != 2:
        return False
    return bool(data[ends[stop - 1]] == _SPACE_BYTE and data[ends[stop - 1] + 1] == _LESS_THAN)


@inline_kernel
def _is_kept(key: np.uint64, kept: NDArray[np.uint64], kept_count: int) -> bool:
    found = False
    for place in range(kept_count):
        found = found or kept[place] == key
    return found


@inline_kernel
def _keep(key: np.uint64, kept: NDArray[np.uint64], kept_count: int) -> int:
    """Put a part of a name to the others if there is room and it is new; how many there are."""
    if kept_count == MAX_KEPT or _is_kept(key, kept, kept_count):
        return kept_count
    kept[kept_count] = key
    return kept_count + 1


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
        # `Jackson Street`, `Louise Michel Street`: next to another capitalised word it is a piece of something else.
        if not _is_kept(hashes[unit], kept, kept_count):
            continue
        if unit + 1 < high and kinds[unit + 1] & CAPITAL and starts[unit + 1] - ends[unit] == 1:
            continue
        if unit > low and kinds[unit - 1] & CAPITAL and starts[unit] - ends[unit - 1] == 1:
            continue
        if count < len(out):
            out[count, 0], out[count, 1], out[count, 2] = document, unit, unit + 1
        count += 1
    return count
