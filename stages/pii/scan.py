"""One pass over the bytes of a batch that finds where personal data could be: the candidates for the validators.

The kernel knows shapes only (an `@` between two words, a run of digits with separators, a token of capitals and digits,
colons between hex digits, a long run of letters and digits with the beginning of a key). It is tuned to fire rarely,
about 250 times per megabyte of manuals, and never to miss; what a candidate is, `stages.pii.kinds` says. It reads every
byte a bounded number of times and never looks past the ends of a document.

It is a Numba kernel and not a Hyperscan database: Hyperscan reads the same text twice as fast, but reports the end of
every match (four times as many events as there are candidates, each a call into Python) and no beginnings, so that a
kernel must find the spans all the same. `benchmarks/pii.py CORPUS --hyperscan` measures both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from curator.kernel import inline_kernel, kernel
from curator.text.segment import read_only
from stages.pii.disguises import KEYS, SIGNS, find_changes
from stages.pii.stops import BLOCK, find_stops

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMAIL: Final = 1
"""An `@` (perhaps a fullwidth one) between two words, with a dot after it. Span: the `@`."""
CREDENTIALS: Final = 2
"""`user:password` of a URL. Span: from after `://` to before `@`."""
NUMBER: Final = 3
"""Digits with separators. Span: from the first sign, bracket or digit to the last digit (or trailing token)."""
TOKEN: Final = 4
"""Capitals and digits, digits and a small letter behind them (and `x`, `y` or `z` before seven), or letters of any case
and digits behind them. Span: the token, and the digit in brackets that follows six digits."""
IBAN: Final = 5
"""Two letters, two digits, and enough after them, in one token or in groups, perhaps right behind `IBAN`, which is left
out. Span: as far as groups go."""
ADDRESS6: Final = 6
"""Hex digits and colons (of a MAC address as well). Span: as far as they go."""
HARDWARE: Final = 7
"""Six pairs of hex digits with hyphens, or three groups of four with dots, not all digits. Span: all of them."""
SECRET: Final = 8
"""A long run of letters and digits that begins as keys do or follows `_`, `-` or `.` (one of large and small letters
alone: the first two), or `BEGIN` of a PEM block. Span: the run."""
URL: Final = 9
"""A host with a path. Span: the host."""

_LONG_NUMBER: Final = 10

_DIGIT, _UPPER, _LOWER, _HIGH, _AT, _COLON = 1, 2, 3, 4, 5, 6

_MAX_DOMAIN_BYTES: Final = 255  # RFC 1035, section 2.3.4
_MAX_CREDENTIALS_BYTES: Final = 256
_MAX_NUMBER_BYTES: Final = 96
_MAX_TOKEN_BYTES: Final = 40
_MIN_IBAN: Final = 15  # Norway
_MAX_IBAN_BYTES: Final = 48  # 34 characters (ISO 13616) in groups of four
_MAX_ADDRESS6_BYTES: Final = 45  # RFC 4291, section 2.2, form 3
_MIN_DIGITS: Final = 7
_SMALL_X: Final = 120
"""`x`; no small letters but `y` and `z` follow."""
"""The shortest telephone number that is looked at without a country code."""
_MAX_DIGITS: Final = 24
"""A run of more digits is looked at token by token; the longest number looked for (a card) has 19."""
_MAX_SEPARATOR_BYTES: Final = 4
_MAX_LABEL: Final = 8
"""Letters right before a number that may say what it is: `PESEL44051401359`."""
_MIN_SECRET: Final = 16
"""The shortest secret part of a key of the services in `stages.pii.kinds.secret`."""
_PAIRS_BYTES: Final = 17  # 00-1B-44-11-3A-B7
_GROUPS_BYTES: Final = 14  # 001b.4411.3ab7


def _byte_classes() -> NDArray[np.uint8]:
    classes = np.zeros(256, dtype=np.uint8)
    classes[ord("0") : ord("9") + 1] = _DIGIT
    classes[ord("A") : ord("Z") + 1] = _UPPER
    classes[ord("a") : ord("z") + 1] = _LOWER
    classes[0x80:] = _HIGH
    classes[ord("@")] = _AT
    classes[ord(":")] = _COLON
    return classes


_CLASSES = _byte_classes()


@dataclass(frozen=True)
class Candidates:
    """Places to look at, in the order of the text. `kinds` is one of the constants above; `starts` and `ends` index the
    text buffer (half-open)."""

    documents: NDArray[np.int32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.int32]
    changes: NDArray[np.int64]
    """int64[changes, 4]: what is in disguise, see `stages.pii.disguises`."""

    def __len__(self) -> int:
        return len(self.kinds)


def scan(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Candidates:
    """The candidates of all texts. `data` is uint8[bytes], `offsets` int64[texts + 1] into it."""
    data, offsets = read_only(data), read_only(offsets)
    capacity, changed = 1024 + int(offsets[-1] - offsets[0]) // 1024, 256
    while True:
        out, changes = np.empty((capacity, 4), dtype=np.int64), np.empty((changed, 4), dtype=np.int64)
        count, changes_count = _scan(data, offsets, _CLASSES, KEYS, SIGNS, out, changes)
        if count <= capacity and changes_count <= changed:
            found = out[:count]
            return Candidates(
                documents=found[:, 0].astype(np.int32),
                starts=np.ascontiguousarray(found[:, 1]),
                ends=np.ascontiguousarray(found[:, 2]),
                kinds=found[:, 3].astype(np.int32),
                changes=changes[:changes_count],
            )
        capacity, changed = max(capacity, int(count)), max(changed, int(changes_count))


@inline_kernel
def _digit_bytes(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the decimal digit at `at`, 0 if none: ASCII, Arabic-Indic, Persian, the nine main scripts of India
    (Devanagari to Malayalam), Thai, Lao, Tibetan, Burmese, Khmer, fullwidth."""
    first = data[at]
    if first < 0x80:
        return 1 if 48 <= first <= 57 else 0
    if at + 1 < end:
        second = data[at + 1]
        if first == 0xD9:
            return 2 if 0xA0 <= second <= 0xA9 else 0
        if first == 0xDB:
            return 2 if 0xB0 <= second <= 0xB9 else 0
        if at + 2 < end:
            third = data[at + 2]
            if first == 0xE0:
                if 0xA5 <= second <= 0xB5 and second & 1:
                    return 3 if 0xA6 <= third <= 0xAF else 0
                if second == 0xB9 or second == 0xBB:
                    return 3 if 0x90 <= third <= 0x99 else 0
                return 3 if second == 0xBC and 0xA0 <= third <= 0xA9 else 0
            if first == 0xE1:
                if second == 0x81:
                    return 3 if 0x80 <= third <= 0x89 else 0
                return 3 if second == 0x9F and 0xA0 <= third <= 0xA9 else 0
            if first == 0xEF and second == 0xBC:
                return 3 if 0x90 <= third <= 0x99 else 0
    return 0


@inline_kernel
def _separator_bytes(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Bytes of the separator at `at` that may stand inside a number, 0 if none: blank, - . / ( ), no-break space,
    spaces of other widths (U+2000 to U+200A, U+202F, U+3000), hyphens and dashes (U+2010 to U+2015), the minus sign,
    the Japanese mark of long vowels (typed for a hyphen), fullwidth brackets and hyphen."""
    first = data[at]
    if first == 32 or first == 45 or first == 46 or first == 47 or first == 40 or first == 41:
        return 1
    if first == 0xC2:
        return 2 if at + 1 < end and data[at + 1] == 0xA0 else 0
    if at + 2 < end:
        second, third = data[at + 1], data[at + 2]
        if first == 0xE2 and second == 0x80:
            return 3 if third <= 0x8A or third == 0xAF or 0x90 <= third <= 0x95 else 0
        if first == 0xE2:
            return 3 if second == 0x88 and third == 0x92 else 0
        if first == 0xE3:
            return 3 if (second == 0x83 and third == 0xBC) or (second == 0x80 and third == 0x80) else 0
        if first == 0xEF and second == 0xBC:
            return 3 if third == 0x88 or third == 0x89 or third == 0x8D else 0
    return 0


@inline_kernel
def _is_wide(data: NDArray[np.uint8], at: int, one: int, other: int) -> bool:
    """Whether the fullwidth sign U+FF00 + `one` - 0x80 or `other` - 0x80 stands at `at`."""
    return bool(data[at] == 0xEF and data[at + 1] == 0xBC and (data[at + 2] == one or data[at + 2] == other))


@inline_kernel
def _ends_word(data: NDArray[np.uint8], at: int, end: int, classes: NDArray[np.uint8]) -> bool:
    """Whether no letter or digit stands at `at`."""
    return at >= end or not 1 <= classes[data[at]] <= _HIGH


@inline_kernel
def _is_hex(byte: int) -> bool:
    return 48 <= byte <= 57 or 65 <= byte <= 70 or 97 <= byte <= 102


@inline_kernel
def _domain_follows(data: NDArray[np.uint8], at: int, end: int, classes: NDArray[np.uint8]) -> bool:
    """Whether a name with a dot inside begins at `at`."""
    stop = min(end, at + _MAX_DOMAIN_BYTES)
    place = at
    while place < stop:
        byte = data[place]
        kind = classes[byte]
        if byte == 46:
            return place > at and place + 1 < end and 1 <= classes[data[place + 1]] <= _HIGH
        if not (1 <= kind <= _HIGH or byte == 45):
            return False
        place += 1
    return False


@inline_kernel
def _credentials_start(data: NDArray[np.uint8], at: int, begin: int) -> int:
    """Where `user:password` before the `@` at `at` begins, -1 if nothing like `scheme://user:password` stands there."""
    stop = max(begin + 3, at - _MAX_CREDENTIALS_BYTES)
    place = at - 1
    colon = -1
    while place >= stop:
        byte = data[place]
        if byte <= 32 or byte == 64 or byte == 60 or byte == 62 or byte == 34:
            return -1
        if byte == 47:
            slashes = data[place - 1] == 47 and data[place - 2] == 58
            return place + 1 if slashes and place + 1 < colon < at - 1 else -1
        if byte == 58:
            colon = place
        place -= 1
    return -1


@inline_kernel
def _grouped_end(data: NDArray[np.uint8], at: int, end: int, classes: NDArray[np.uint8]) -> tuple[int, int]:
    """How far groups of letters and digits go on from `at` (the end of the first), and how many such bytes follow."""
    stop = min(end, at + _MAX_IBAN_BYTES)
    last = at
    place = at
    count = 0
    while place < stop:
        if 1 <= classes[data[place]] <= _LOWER:
            count += 1
            place += 1
            last = place
            continue
        gap = _separator_bytes(data, place, end)
        if gap == 0 or place != last:
            break
        place += gap
    return last, count


@inline_kernel
def _split_number(
    data: NDArray[np.uint8], start: int, end: int, document: int, out: NDArray[np.int64], count: int
) -> int:
    """The parts between blanks of a run that is too long, each a candidate if it has enough digits and not too many."""
    word = start
    while word < end:
        place = word
        digits = 0
        dots = 0
        last = word
        while place < end and data[place] != 32:
            width = _digit_bytes(data, place, end)
            if width > 0:
                digits += 1
                place += width
                last = place
            else:
                dots += data[place] == 46
                place += 1
        if (_MIN_DIGITS <= digits <= _MAX_DIGITS or dots == 3) and last - word <= _MAX_NUMBER_BYTES:
            if count < len(out):
                out[count, 0], out[count, 1], out[count, 2], out[count, 3] = document, word, last, NUMBER
            count += 1
        word = place + 1
    return count


@inline_kernel
def _at_sign(
    data: NDArray[np.uint8], at: int, width: int, begin: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int, int]:
    """What an `@` of `width` bytes is part of: (start, end, kind), kind 0 for nothing."""
    start = _credentials_start(data, at, begin) if width == 1 else -1
    if start >= 0:
        return start, at, CREDENTIALS
    if at > begin and data[at - 1] > 32 and _domain_follows(data, at + width, end, classes):
        return at, at + width, EMAIL
    return at, at + width, 0


@inline_kernel
def _host_end(data: NDArray[np.uint8], at: int, end: int, classes: NDArray[np.uint8]) -> int:
    """Where the host that begins at `at` ends, 0 if none does or no path follows it."""
    place = at
    stop = min(end, at + _MAX_DOMAIN_BYTES)
    while place < stop and (1 <= classes[data[place]] <= _LOWER or data[place] == 45 or data[place] == 46):
        place += 1
    return place if place > at and place + 1 < end and data[place] == 47 and data[place + 1] > 32 else 0


@inline_kernel
def _bracketed_end(data: NDArray[np.uint8], at: int, end: int) -> int:
    """Where a digit or `A` in brackets (also full-width), perhaps after a blank, ends; 0 if none begins at `at`."""
    place = at + 1 if at < end and data[at] == 32 else at
    if place + 2 >= end:
        return 0
    opening = 1 if data[place] == 40 else 3 if _is_wide(data, place, 0x88, 0x88) else 0
    place += opening
    if opening == 0 or place + 1 >= end or not (48 <= data[place] <= 57 or data[place] == 65):
        return 0
    if data[place + 1] == 41:
        return place + 2
    return place + 4 if place + 3 < end and _is_wide(data, place + 1, 0x89, 0x89) else 0


@inline_kernel
def _hardware_end(data: NDArray[np.uint8], at: int, begin: int, end: int, classes: NDArray[np.uint8]) -> int:
    """Where the MAC address with hyphens or dots that begins at `at` ends, 0 if none does."""
    if at + _PAIRS_BYTES <= end and data[at + 2] == 45:
        joint, step, size = 45, 3, _PAIRS_BYTES
    elif at + _GROUPS_BYTES <= end and data[at + 4] == 46:
        joint, step, size = 46, 5, _GROUPS_BYTES
    else:
        return 0
    if at > begin and (data[at - 1] == 45 or data[at - 1] == 46):
        return 0
    letters = False
    for place in range(size):
        byte = data[at + place]
        if place % step == step - 1:
            if byte != joint:
                return 0
        elif _is_hex(byte):
            letters = letters or byte > 57
        else:
            return 0
    stop = at + size
    if stop < end and 1 <= classes[data[stop]] <= _LOWER:
        return 0
    return stop if letters else 0


@inline_kernel
def _is_secret(data: NDArray[np.uint8], start: int, end: int, begin: int, digits: int) -> bool:
    """Whether the run of letters, large and small ones or some with digits, from `start` to `end` may be (part of) a
    key; there are at least `_MIN_SECRET`."""
    if start > begin and (data[start - 1] == 95 or data[start - 1] == 45):
        return True
    if digits == 0:
        return False
    if start > begin and data[start - 1] == 46:
        return True
    first, second, third = data[start], data[start + 1], data[start + 2]
    # AKIA and ASIA, AIza, eyJ.
    if first == 65:
        return bool((second == 75 or second == 83 or second == 73) and (third == 73 or third == 122))
    return bool(first == 101 and second == 121 and third == 74)


@inline_kernel
def _is_block(data: NDArray[np.uint8], start: int, begin: int) -> bool:
    """Whether a run of five letters is `BEGIN` after two hyphens."""
    if start < begin + 2 or data[start - 1] != 45 or data[start - 2] != 45:
        return False
    return bool(data[start] == 66 and data[start + 1] == 69 and data[start + 2] == 71 and data[start + 3] == 73)


@inline_kernel
def _is_iban_label(data: NDArray[np.uint8], start: int) -> bool:
    """Whether the word `IBAN`, in letters of any case, stands at a place."""
    first, second, third, fourth = data[start], data[start + 1], data[start + 2], data[start + 3]
    return bool(first | 32 == 105 and second | 32 == 98 and third | 32 == 97 and fourth | 32 == 110)


@inline_kernel
def _colon(
    data: NDArray[np.uint8], at: int, begin: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int, int, int]:
    """What a colon is part of: (start, end, kind, where to go on), kind 0 for nothing."""
    if at + 3 < end and data[at + 1] == 47 and data[at + 2] == 47:
        stop = _host_end(data, at + 3, end, classes)
        return at + 3, stop, URL if stop > 0 else 0, at + 1
    low = at
    floor = max(begin, at - 4)
    while low > floor and _is_hex(data[low - 1]):
        low -= 1
    high = at
    colons = 0
    double = False
    ceiling = min(end, low + _MAX_ADDRESS6_BYTES + 1)
    while high < ceiling and (data[high] == 58 or data[high] == 46 or _is_hex(data[high])):
        if data[high] == 58:
            colons += 1
            double = double or (high > low and data[high - 1] == 58)
        high += 1
    alone = low == begin or not 1 <= classes[data[low - 1]] <= _LOWER
    alone = alone and (high == end or not 1 <= classes[data[high]] <= _LOWER)
    enough = (colons >= 2 and double) or colons >= 6 or (colons == 5 and high - low >= _PAIRS_BYTES)
    if alone and high - low <= _MAX_ADDRESS6_BYTES and enough:
        return low, high, ADDRESS6, high
    return at, at + 1, 0, at + 1


@inline_kernel
def _token(
    data: NDArray[np.uint8], at: int, begin: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int, int, int]:
    """What the token at `at` (ASCII letters and digits, or a digit of another script) is or begins: (start, end, kind,
    where to go on), kind 0 for nothing, _LONG_NUMBER for a number to be split."""
    token = at
    digits, upper, lower, head = 0, 0, 0, 0
    if classes[data[at]] == _HIGH:
        width = _digit_bytes(data, at, end)
        if width == 0:
            return at, at, 0, at + 1
        digits = 1
        at += width
    else:
        # `head` counts the letters up to the first digit.
        while at < end and _UPPER <= classes[data[np.uint64(at)]] <= _LOWER:
            lower += classes[data[np.uint64(at)]] == _LOWER
            at += 1
        head = at - token
        upper = head - lower
        while at < end and 1 <= classes[data[np.uint64(at)]] <= _LOWER:
            kind = classes[data[np.uint64(at)]]
            lower += kind == _LOWER
            upper += kind == _UPPER
            digits += kind == _DIGIT
            at += 1
        length = at - token
        if (length == 2 and at < end and data[at] == 45) or (length == 4 and at < end and data[at] == 46):
            stop = _hardware_end(data, token, begin, end, classes)
            if stop > 0:
                return token, stop, HARDWARE, stop
        mixed = (lower > 0 and upper > 0) or (lower + upper > 0 and digits > 0)
        named = head == 2 and token >= begin + 5 and _is_iban_label(data, token - 5)
        if length >= _MIN_SECRET and mixed and not named and _is_secret(data, token, at, begin, digits):
            return token, at, SECRET, at
        if digits == 0:
            return token, at, SECRET if length == 5 and _is_block(data, token, begin) else 0, at
        # `IBANDE89…`: the account begins behind its label.
        account = token + 4 if head == 6 and _is_iban_label(data, token) else token
        signs = at - account
        if head == account - token + 2 and (signs == 4 or signs >= _MIN_IBAN) and classes[data[account + 3]] == _DIGIT:
            last, more = _grouped_end(data, at, end, classes)
            if signs + more >= _MIN_IBAN:
                return account, last, IBAN, at
        labelled = 2 <= head <= _MAX_LABEL and head + digits == length
        if labelled and at + 1 < end and 45 <= data[at] <= 47 and classes[data[at + 1]] == _DIGIT:
            # `CPF123.456.789-09`: the number begins behind its label.
            token += head
        elif lower > 0:
            # `11010519491231002x`: a check letter that is written small; `dni54362315k`: a label, and such a letter.
            lettered = classes[data[at - 1]] != _DIGIT
            lone = lower == 1 and upper == 0 and 9 <= length <= 18 and lettered
            labelled = labelled or (lettered and 2 <= head <= _MAX_LABEL and head + digits == length - 1)
            # `x1234567l`, `x1234567-l`: a Spanish number of foreigners.
            foreign = upper == 0 and head == 1 and data[token] >= _SMALL_X and digits == _MIN_DIGITS and length <= 9
            joined = at + 1 < end and data[at] == 45 and classes[data[at + 1]] == _LOWER
            foreign = foreign and (lettered or joined)
            return token, at, TOKEN if lone or foreign or (labelled and digits >= _MIN_DIGITS) else 0, at
        elif upper > 0:
            stop = _bracketed_end(data, at, end) if head <= _MAX_LABEL and digits == 6 and length == head + 6 else 0
            if stop > 0:
                return token, stop, TOKEN, stop
            long = (length >= 8 and digits >= 6) or (length >= 10 and digits >= 4)
            return token, at, TOKEN if long and length <= _MAX_TOKEN_BYTES else 0, at

    # Digits: go on over separators.
    last, place = at, at
    dots = 0
    while place < end:
        width = _digit_bytes(data, place, end)
        if width > 0:
            digits += 1
            place += width
            last = place
            continue
        # Separators after a digit; a third blank, or more than four bytes, end the number.
        stop = place
        blanks = 0
        while stop < end:
            gap = _separator_bytes(data, stop, end)
            if gap == 0 or stop + gap - place > _MAX_SEPARATOR_BYTES:
                break
            blanks += data[stop] == 32 or data[stop] == 0xC2
            stop += gap
        if stop == place or stop >= end or blanks > 2:
            break
        if _digit_bytes(data, stop, end) == 0:
            # `131052-308T`, `12345678-Z`: capitals and digits right after the separator belong to an id.
            one = stop - place == 1 and classes[data[stop]] == _UPPER
            last = stop + 1 if one and _ends_word(data, stop + 1, end, classes) else last
            break
        dots += stop - place == 1 and data[place] == 46
        place = stop
    if last < end and classes[data[last]] == _UPPER and _ends_word(data, last + 1, end, classes):
        last += 1
    start = token
    for _ in range(2):
        if start > begin and (data[start - 1] == 43 or data[start - 1] == 40):
            start -= 1
        elif start >= begin + 3 and _is_wide(data, start - 3, 0x8B, 0x88):
            start -= 3
    if not (digits >= _MIN_DIGITS or dots == 3 or (digits == 6 and data[last - 1] >= 65)):
        return start, last, 0, last
    short = digits <= _MAX_DIGITS and last - start <= _MAX_NUMBER_BYTES
    return start, last, NUMBER if short else _LONG_NUMBER, last


@inline_kernel
def _worded(
    data: NDArray[np.uint8], at: int, floor: int, begin: int, end: int, classes: NDArray[np.uint8]
) -> tuple[int, int, int, int]:
    """What a word of letters alone before or behind the sign at `at` is or begins, of what is not read before `floor`:
    (start, end, kind, where to go on), kind 0 for nothing."""
    sign = data[at]
    size = 4 if sign == 46 else 2
    start = at - size
    if sign != 95 and (start == floor or (start > floor and not 1 <= classes[data[start - 1]] <= _LOWER)):
        letters = 0
        for place in range(start, at):
            letters += _UPPER <= classes[data[place]] <= _LOWER
        stop = _hardware_end(data, start, begin, end, classes) if letters == size else 0
        if stop > 0:
            return start, stop, HARDWARE, stop
    if sign == 46:
        return at, at, 0, at + 1
    start = at + 1
    place = start
    lower = 0
    while place < end and _UPPER <= classes[data[np.uint64(place)]] <= _LOWER:
        lower += classes[data[np.uint64(place)]] == _LOWER
        place += 1
    length = place - start
    alone = place == end or classes[data[place]] != _DIGIT
    secret = length >= _MIN_SECRET and 0 < lower < length
    if alone and (secret or (length == 5 and _is_block(data, start, begin))):
        return start, place, SECRET, place
    return at, at, 0, start


@kernel
def _scan(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    keys: NDArray[np.uint64],
    signs: NDArray[np.int64],
    out: NDArray[np.int64],
    changes: NDArray[np.int64],
) -> tuple[int, int]:
    """Write candidates to `out` (document, start, end, kind), and what is in disguise to `changes`, as far as they go;
    return how many there are of each."""
    stops = np.empty(2 * BLOCK, dtype=np.uint8)
    count = changes_count = 0
    for document in range(len(offsets) - 1):
        begin, end = offsets[document], offsets[document + 1]
        # Text that was just read need not come from memory again.
        changes_count = find_changes(data, document, begin, end, keys, signs, changes, changes_count)
        block = begin
        done = begin
        while block < end:
            stop_count = find_stops(data, np.uint64(block), stops)
            for index in range(stop_count):
                at = block + np.int64(stops[np.uint64(index)])
                if at >= end:
                    break
                if at < done:
                    continue
                byte = data[at]
                kind = classes[byte]
                if kind == _AT:
                    start, stop, found = _at_sign(data, at, 1, begin, end, classes)
                    done = at + 1
                elif byte == 0xEF and at + 2 < end and _is_wide(data, at, 0xA0, 0xA0):
                    start, stop, found = _at_sign(data, at, 3, begin, end, classes)
                    done = at + 3
                elif kind == _COLON:
                    start, stop, found, done = _colon(data, at, begin, end, classes)
                elif kind in (_DIGIT, _HIGH):
                    while at > begin and kind == _DIGIT and _UPPER <= classes[data[np.uint64(at - 1)]] <= _LOWER:
                        at -= 1
                    start, stop, found, done = _token(data, at, begin, end, classes)
                elif byte in (45, 46, 95):
                    start, stop, found, done = _worded(data, at, done, begin, end, classes)
                else:
                    continue
                if found == _LONG_NUMBER:
                    count = _split_number(data, start, stop, document, out, count)
                elif found > 0:
                    if count < len(out):
                        out[count, 0], out[count, 1], out[count, 2], out[count, 3] = document, start, stop, found
                    count += 1
            block = max(block + BLOCK, done)
    return count, changes_count
