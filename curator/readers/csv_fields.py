"""The syntax of CSV (RFC 4180, read leniently like Python's csv module): where records end, and where fields stand.

A field that begins with a quote is quoted; inside, a doubled quote is a quote, and delimiters and line feeds are text.
A quote elsewhere is a character like any other; what follows a closing quote up to the delimiter belongs to the field.
But no writer sets text behind quotes that hold line feeds: there, a quote that was meant as a character has taken in
the records up to the next one. A record ends with LF or CR LF outside quotes. The two kernels share the states, so that
producer and reader agree. With NO_QUOTE as quote, none is read as one: every LF ends a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from curator.kernel import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORD, FIELD, PLAIN, QUOTED, CLOSED = range(5)
"""States: at the beginning of a record; of a field; in a field without quotes (or behind its closing one); inside
quotes; right after a quote inside quotes, which closes them unless another follows."""

_FEED, _RETURN = 10, 13

QUOTE, NO_QUOTE = 34, -1
"""What a kernel takes for a quote: the byte, or none."""

QUOTED_FIELD = 1
"""The field is in quotes: its content stands between them, with doubled quotes."""
BROKEN_FIELD = 2
"""Text follows the closing quote."""


def record_ends(data: NDArray[np.uint8], delimiter: int, quote: int, state: int) -> tuple[NDArray[np.int64], int]:
    """Places 1..bytes at which records end, from uint8[bytes] that begins in `state`; and the state behind the last
    byte."""
    ends = np.empty(np.count_nonzero(data == _FEED), dtype=np.int64)
    count, state = _find_ends(data, delimiter, quote, state, ends)
    return ends[:count], state


@kernel
def _find_ends(
    data: NDArray[np.uint8], delimiter: int, quote: int, state: int, ends: NDArray[np.int64]
) -> tuple[int, int]:
    count = 0
    for place in range(len(data)):
        byte = data[place]
        if state == QUOTED:
            if byte == quote:
                state = CLOSED
        elif byte == quote and state != PLAIN:
            state = QUOTED
        elif byte == _FEED:
            ends[count] = place + 1
            count += 1
            state = RECORD
        elif byte == delimiter:
            state = FIELD
        else:
            state = PLAIN
    return count, state


def field_places(
    data: NDArray[np.uint8], ends: NDArray[np.int64], delimiter: int, quote: int, wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], NDArray[np.bool_]]:
    """Where the wanted fields of records stand.

    `data` holds whole records that end at `ends`; `wanted` the numbers of columns, rising. Returns columns in each
    record (int64[records], 0 for a blank line), begin and end of each wanted field without its outer quotes
    (int64[records, wanted, 2], -1 where the record is too short), its kind (uint8[records, wanted]: 0, QUOTED_FIELD,
    BROKEN_FIELD; where text follows the closing quote the place is the whole field with quotes), and which records end
    inside quotes, or have quotes with line feeds and text behind them (bool[records]).
    """
    records = len(ends)
    counts = np.zeros(records, dtype=np.int64)
    places = np.full((records, len(wanted), 2), -1, dtype=np.int64)
    kinds = np.zeros((records, len(wanted)), dtype=np.uint8)
    open_quotes = np.zeros(records, dtype=np.bool_)
    _find_fields(data, ends, delimiter, quote, wanted, counts, places, kinds, open_quotes)
    return counts, places, kinds, open_quotes


@kernel
def _find_fields(
    data: NDArray[np.uint8],
    ends: NDArray[np.int64],
    delimiter: int,
    quote: int,
    wanted: NDArray[np.int64],
    counts: NDArray[np.int64],
    places: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    open_quotes: NDArray[np.bool_],
) -> None:
    begin = 0
    for record in range(len(ends)):
        end = ends[record]
        last = end
        if last > begin and data[last - 1] == _FEED:
            last -= 1
            if last > begin and data[last - 1] == _RETURN:
                last -= 1
        blank = True
        state = RECORD
        column = 0
        next_wanted = 0
        field = begin
        closing = -1
        kind = 0
        fed = False
        for place in range(begin, last + 1):
            byte = data[place] if place < last else 0
            at_end = place == last
            if not at_end and byte != 32 and (byte < 9 or byte > 13):
                blank = False
            if at_end or (byte == delimiter and state != QUOTED):
                if at_end and state == QUOTED:
                    open_quotes[record] = True
                if next_wanted < len(wanted) and wanted[next_wanted] == column:
                    if kind == QUOTED_FIELD and state == CLOSED:
                        places[record, next_wanted, 0] = field + 1
                        places[record, next_wanted, 1] = closing
                    else:
                        places[record, next_wanted, 0] = field
                        places[record, next_wanted, 1] = place
                    kinds[record, next_wanted] = kind
                    next_wanted += 1
                column += 1
                state = FIELD
                field = place + 1
                kind = 0
                fed = False
            elif state == QUOTED:
                if byte == quote:
                    state = CLOSED
                    closing = place
                elif byte == _FEED:
                    fed = True
            elif byte == quote and state != PLAIN:
                state = QUOTED
                kind = QUOTED_FIELD
            else:
                if state == CLOSED:
                    kind = BROKEN_FIELD
                if kind == BROKEN_FIELD and fed and byte > 32:
                    open_quotes[record] = True
                state = PLAIN
        counts[record] = 0 if blank and column == 1 else column
        begin = end
