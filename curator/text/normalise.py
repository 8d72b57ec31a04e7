"""Text as it comes in, made fit for use: valid UTF-8, repaired encoding damage, NFC, no control characters.

A native scan marks the texts that need something; only those are touched by Python. Of the others not a byte changes.

Line ends become U+000A, as do vertical tab, form feed and U+0085; other C0 and C1 controls, noncharacters and a byte
order mark at the start go. Mojibake (UTF-8 read in a single-byte encoding, "Ã©" for "é") is repaired by ftfy, line by
line. Text in a code page of another script than Latin, as its bytes or read as Windows-1252 ("Âñå ëþäè"), is decoded
where it is sure in which (`curator.language.code_pages`).
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.document import string_buffer
from curator.kernel import at, inline_kernel, kernel
from curator.text.segment import read_only
from curator.text.tables import COMBINING, COMPOSES, CONTROL, NOT_NFC, TAKES_LETTER, TAKES_MARK, tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

INVALID_UTF8 = "encoding.invalid_utf8"
"""Failure: bytes that are neither UTF-8 nor, in a text that otherwise is, a few characters of Windows-1252."""

MARK_INVALID = 1
MARK_CONTROL = 2
MARK_NFC = 4
MARK_MOJIBAKE = 8
MARK_CODE_PAGE = 16

_LEAD = 0x40
"""Flag beside those of `Tables.normalisation`: may be the first byte of a UTF-8 sequence, read in another encoding."""
_BYTE = 0x80
"""And this one: is how a byte beyond ASCII reads in Windows-1252 or Latin-1."""

WINDOWS_1252 = {
    ord(character): byte for byte in range(0x80, 0xA0) if (character := bytes([byte]).decode("cp1252", "ignore"))
}
"""The characters of Windows-1252 that are not those of Latin-1, and their bytes."""
LEAST_PAIRS = 12
BYTES_OF_PAIR = 8
"""A text may be in a code page that was read as Windows-1252 where it has so many pairs of its characters side by side,
one in so many bytes. Of the declarations in 443 languages, also in capitals, the densest (Navajo, Bora) have one in 17,
their pieces of 50 characters one in 9; Russian that was misread has one in 3."""

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_BLOCK = 32
"""Bytes that are looked at together."""
_STEP = 8
"""Bytes that are looked at one by one, at least, where a block is not calm, before the next one is tried."""
_BEFORE, _BEHIND = 2, 3
"""Bytes before and behind one that are looked at with it."""
_OMEGA, _PI = 0xCEA9, 0xCF80
"""Letters beside which others may stand in a calm block, and that may end a sequence of mojibake: as UTF-8."""


@dataclass(frozen=True)
class Misreading:
    """An encoding in which UTF-8 is misread, and which of its characters give that away.

    `pairs` and `triples` are the characters that count as first byte of a sequence of two, and of three or four; None
    means all that can be. With `symbols`, later bytes count only where they are symbols, with `in_runs`, a pair counts
    only after a pair.
    """

    encoding: str
    pairs: str | None = None
    triples: str | None = None
    symbols: bool = False
    in_runs: bool = False


# What ftfy repairs. In Latin encodings every sequence counts: clean text has next to none. In Cyrillic and Greek ones,
# one sequence looks like a word ("Ві") or an initial before a quotation mark; there count pairs in a run, Latin letters
# that became a letter and a symbol (bytes C2 to C5), and dashes and quotation marks (byte E2).
MISREADINGS = (
    *map(Misreading, ("latin-1", "cp1252", "cp1254", "cp1250", "iso8859-2", "cp1257", "mac-roman", "cp437")),
    Misreading("cp1251", triples="в", in_runs=True),
    Misreading("cp1251", pairs="ВГДЕ", triples="", symbols=True),
    Misreading("cp1253", triples="β", in_runs=True),
    Misreading("cp1253", pairs="ΒΓΔΕ", triples="", symbols=True),
)
PUNCTUATION = "‘’‚“”„–—…«»\u00a0"
"""Bytes of these encodings that stand beside letters in clean text ("l’été", "Г»"): never the first byte of a sequence,
nor a symbol."""
MASK_POINTS = 0x2600
"""The characters of these encodings are below (save a logo and two ligatures of Mac Roman, which are left out)."""

_CONTROL_MAP: dict[int, str | None] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)]),
    **dict.fromkeys(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)),
    **dict.fromkeys([0x0B, 0x0C, 0x0D, 0x85], "\n"),
    0x09: "\t",
    0x0A: "\n",
}
_CONTROLS = re.compile(
    "[" + "".join(re.escape(chr(point)) for point in _CONTROL_MAP if point not in (0x09, 0x0A)) + "]"
)
_SUSPECT = re.compile("[^\x00-\x7f]{2}|[\x80-\x9fÂÃŒœ]")
"""What every line has that ftfy takes for damaged: two characters side by side, or one of these."""
_LINE_ENDS = re.compile("([\n\x0b\x0c\r\x1c-\x1e\u2028\u2029]+)")
"""Those of `str.splitlines` but U+0085: in Latin-1 a byte of every Arabic mim, and of many Chinese characters."""
_BYTE_ORDER_MARK = "\ufeff"
_MAX_STRAY_SHARE = 0.2
"""Western European text in Windows-1252 has under a tenth of its letters outside ASCII; Cyrillic text has most."""
_MAX_STRAY_RUN = 2
_BINARY_SIGNS = frozenset(map(chr, {*range(0x20)} - {0x09, 0x0A, 0x0C, 0x0D}))
"""Control characters beside bytes that are no UTF-8: this is no text."""


@dataclass(frozen=True)
class Normalised:
    """Texts made fit for use. A row with a code in `codes` could not be; its text is empty. `code_pages` are those of
    `repaired` that were in a code page."""

    text: pa.StringArray
    repaired: NDArray[np.bool_]
    code_pages: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    codes: list[str | None]


def normalise(text: pa.BinaryArray, *, repair: bool) -> Normalised:
    """Texts (bytes, no nulls) as UTF-8 in NFC without control characters.

    With `repair`, encoding damage is repaired where that can be done surely; without, a text that is not UTF-8 fails
    and mojibake stays. `changed` tells which texts are not what came in, `repaired` which of them by encoding.
    """
    rows = len(text)
    marks = scan(text)
    if not repair:
        marks &= ~np.uint8(MARK_MOJIBAKE | MARK_CODE_PAGE)
    repaired = np.zeros(rows, dtype=np.bool_)
    changed = np.zeros(rows, dtype=np.bool_)
    codes: list[str | None] = [None] * rows
    code_pages = np.zeros(rows, dtype=np.bool_)
    replaced: list[bytes] = []
    touched = np.flatnonzero(marks)
    raws = text.take(pa.array(touched)).to_pylist()
    readable = marks[touched] != MARK_INVALID
    texts = [_decode(raw) if repair or valid else None for raw, valid in zip(raws, readable.tolist(), strict=True)]
    in_pages = _read_code_pages(raws, texts, marks[touched]) if repair else {}
    for place, row in enumerate(touched.tolist()):
        raw, decoded, mended = raws[place], texts[place], in_pages.get(place)
        code_pages[row] = mended is not None
        if mended is None and decoded is not None:
            mended = repair_mojibake(decoded) if marks[row] & MARK_MOJIBAKE else decoded
        if mended is None:
            codes[row] = INVALID_UTF8
            replaced.append(b"")
            continue
        if marks[row] & (MARK_CONTROL | MARK_INVALID) or mended != decoded:
            result = clean(mended).encode()
        else:  # the scan has seen that there is nothing to clean away, and a search takes longer than all else here
            result = unicodedata.normalize("NFC", mended).encode()
        replaced.append(result)
        changed[row] = result != raw
        repaired[row] = bool(marks[row] & MARK_INVALID) or mended != decoded
    if len(touched):
        mask = np.zeros(rows, dtype=np.bool_)
        mask[touched] = True
        text = pc.replace_with_mask(text, pa.array(mask), pa.array(replaced, type=text.type))
    return Normalised(_as_string(text), repaired, code_pages, changed, codes)


def _read_code_pages(
    raws: Sequence[bytes], texts: Sequence[str | None], marks: NDArray[np.uint8]
) -> Mapping[int, str | None]:
    """Of the texts that may be in a code page, what they are where it is sure in which, by place. A text is None where
    its bytes could not be read."""
    asked = {
        place: raw if text is None else text
        for place, (raw, text) in enumerate(zip(raws, texts, strict=True))
        if text is None or marks[place] & MARK_CODE_PAGE
    }
    if not asked:
        return {}
    from curator.language.code_pages import read_code_pages

    return dict(zip(asked, read_code_pages(list(asked.values())), strict=True))


def clean(text: str) -> str:
    """`text` in NFC, with one kind of line end, without control characters: what `normalise` does to a decoded text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _CONTROLS.search(text):
        text = text.translate(_CONTROL_MAP)
    return unicodedata.normalize("NFC", text.lstrip(_BYTE_ORDER_MARK))


def repair_mojibake(text: str) -> str:
    """`text` with each line that shows encoding damage repaired, as far as ftfy is sure."""
    import ftfy
    from ftfy.badness import is_bad  # what `fix_encoding` asks first, at a fifth of the cost of the rest

    def mend(line: str) -> str:
        return ftfy.fix_encoding(line) if _SUSPECT.search(line) and is_bad(line) else line

    return "".join(map(mend, _LINE_ENDS.split(text)))


def scan(text: pa.BinaryArray) -> NDArray[np.uint8]:
    """What each text needs: uint8[rows], a sum of MARK_INVALID, MARK_CONTROL, MARK_NFC, MARK_MOJIBAKE, MARK_CODE_PAGE.

    A text without a mark is valid UTF-8 that `clean` leaves as it is. MARK_INVALID stands alone.
    """
    data, offsets = string_buffer(text)
    masks = _masks()
    marks = np.zeros(len(text), dtype=np.uint8)
    _scan(
        read_only(data),
        read_only(offsets),
        masks.flags,
        tables().combining,
        masks.pairs,
        masks.triples,
        masks.tails,
        masks.in_runs,
        marks,
    )
    return marks


@dataclass(frozen=True)
class _Masks:
    """For code points under MASK_POINTS, in which encodings (bits) they are the first byte of a UTF-8 sequence of two
    (`pairs`), of three or four (`triples`), or a later byte (`tails`). `flags` is `Tables.normalisation` with _LEAD and
    _BYTE. `in_runs` are the encodings in which a pair counts only after another."""

    flags: NDArray[np.uint8]
    pairs: NDArray[np.uint16]
    triples: NDArray[np.uint16]
    tails: NDArray[np.uint16]
    in_runs: int


@cache
def _masks() -> _Masks:
    pairs, triples, tails = (np.zeros(MASK_POINTS, dtype=np.uint16) for _ in range(3))
    in_runs = 0
    for place, misreading in enumerate(MISREADINGS):
        bit = 1 << place
        in_runs |= bit if misreading.in_runs else 0
        for byte in range(0x80, 0xF5):
            # A byte without a character in the encoding is read as a C1 control, as ftfy and browsers do.
            character = bytes([byte]).decode(misreading.encoding, "ignore") or chr(byte)
            point = ord(character)
            if point >= MASK_POINTS:
                continue
            if byte < 0xC0:
                if not misreading.symbols or not (character.isalpha() or character in PUNCTUATION):
                    tails[point] |= bit
            elif byte >= 0xC2 and character not in PUNCTUATION:
                starts, allowed = (pairs, misreading.pairs) if byte < 0xE0 else (triples, misreading.triples)
                if allowed is None or character in allowed:
                    starts[point] |= bit
    flags = tables().normalisation.copy()
    flags[:MASK_POINTS][(pairs | triples) != 0] |= _LEAD
    flags[[*range(0x80, 0x100), *WINDOWS_1252]] |= _BYTE
    return _Masks(flags, pairs, triples, tails, in_runs)


def _decode(raw: bytes) -> str | None:
    """The text of `raw`, None where that is unsure.

    It may be UTF-8, UTF-8 that was cut within its last character, UTF-16 with a byte order mark, or text with a few
    stray bytes of Windows-1252.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and not raw[: error.start].isascii():
            return raw[: error.start].decode()
    try:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return raw.decode("utf-16")
        # Stray bytes come out as U+DC80 to U+DCFF.
        text = raw.decode(errors="surrogateescape")
        strays = [place for place, character in enumerate(text) if "\udc80" <= character <= "\udcff"]
        mended = {ord(text[place]): bytes([ord(text[place]) - 0xDC00]).decode("cp1252") for place in strays}
    except UnicodeDecodeError:
        return None
    letters = sum(character.isalpha() for character in text)
    run = _MAX_STRAY_RUN
    if (
        len(strays) > _MAX_STRAY_SHARE * (letters + len(strays))
        or any(later - former == run for former, later in zip(strays, strays[run:], strict=False))
        or not _BINARY_SIGNS.isdisjoint(text)
    ):
        return None
    return text.translate(mended)


def _as_string(text: pa.BinaryArray) -> pa.StringArray:
    # The bytes were checked by the scan, so the buffers are taken as they are.
    wide = pa.types.is_large_binary(text.type)
    _, offsets, data = text.buffers()
    kind = pa.large_string() if wide else pa.string()
    return pa.Array.from_buffers(kind, len(text), [None, offsets, data], 0, text.offset)


@inline_kernel
def _is_odd(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """Whether the byte at `place` keeps a text from being calm; cheap, and true too often rather than too seldom.

    Calm is valid UTF-8 of characters that normalisation leaves alone whatever stands before them, and of which those
    that end a sequence of mojibake stand between ASCII, or behind letters that begin none in the same encoding. There
    is no branch in it, so that it is asked of many bytes at once. _BEFORE bytes before and _BEHIND behind are read.
    """
    byte, before, second = data[place], data[place - _ONE], data[place - _TWO]
    after, second_after, third_after = data[place + _ONE], data[place + _TWO], data[place + _THREE]
    control = (byte < 0x20) & (byte != 0x09) & (byte != 0x0A) | (byte == 0x7F)
    follows = (before >= 0xC0) | (second >= 0xE0)
    tail = (byte & 0xC0) == 0x80
    # Greek from U+0390 to U+03CE, Cyrillic from U+0410 to U+044F: in clean text they stand beside each other.
    letter = (byte == 0xCE) & (after >= 0x90) | (byte == 0xCF) & (after <= 0x8E)
    letter = letter | (byte == 0xD0) & (after >= 0x90) | (byte == 0xD1) & (after <= 0x8F)
    # Hebrew from U+05D0 on, Arabic from U+0620 to U+064A and from U+0680 to U+06BF.
    letter = letter | (byte == 0xD7) & (after >= 0x90) | (byte == 0xD8) & (after >= 0xA0)
    letter = letter | (byte == 0xD9) & (after <= 0x8A) | (byte == 0xDA)
    # Vietnamese letters; U+3000 to U+D77F without what combines, and without U+A000 to U+ABFF; full-width forms.
    kana = (after != 0x80) & (after != 0x82) | (after == 0x80) & (second_after < 0xAA)
    kana = kana | (after == 0x82) & ((second_after & 0xFE) != 0x9A) & (second_after != 0x99)
    letter = (
        letter | (byte == 0xE1) & ((after & 0xFE) == 0xBA) | (byte == 0xE3) & kana | (byte >= 0xE4) & (byte <= 0xE9)
    )
    letter = letter | (byte == 0xEA) & (after >= 0xB0) | (byte == 0xEB) | (byte == 0xEC)
    letter = letter | (byte == 0xED) & (after <= 0x9D) | (byte == 0xEF) & ((after & 0xFE) == 0xBC)
    # Letters and signs from U+00A0 to U+017F, the rest of these Cyrillic ones; punctuation from U+2010 to U+203F.
    alone = (byte >= 0xC3) & (byte <= 0xC5) | (byte == 0xC2) & (after >= 0xA0) | (byte == 0xD0) | (byte == 0xD1)
    alone = alone & (second_after < 0x80)
    alone = alone | (byte == 0xE2) & (after == 0x80) & (second_after >= 0x90) & (third_after < 0x80)
    known = (byte < 0x80) | letter | alone & (before < 0x80) | tail
    return bool(control | (follows != tail) | (not known))


@inline_kernel
def _is_calm(data: NDArray[np.uint8], place: np.uint64) -> bool:
    """Whether _BLOCK bytes are calm."""
    odd = False
    for step in range(np.uint64(_BLOCK)):
        odd = odd | _is_odd(data, place + step)
    return not odd


@kernel
def _scan(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    flags: NDArray[np.uint8],
    combining: NDArray[np.uint8],
    pairs: NDArray[np.uint16],
    triples: NDArray[np.uint16],
    tails: NDArray[np.uint16],
    in_runs: int,
    marks: NDArray[np.uint8],
) -> None:
    for row in range(marks.size):
        begin = offsets[row]
        place = begin
        end = offsets[row + 1]
        mark = 0
        if end - place >= 3 and data[place] == 0xEF and data[place + 1] == 0xBB and data[place + 2] == 0xBF:
            mark |= MARK_CONTROL
        starter = np.int64(0)  # the last character of combining class 0
        former_class = np.int64(0)
        # Mojibake: encodings in which the characters up to here are a sequence that lacks one more, two more; and in
        # which a pair ended here.
        lacks_one = np.int64(0)
        lacks_two = np.int64(0)
        ended = np.int64(0)
        # Of a code page: whether the character before was a byte beyond ASCII, and how often two were side by side. In
        # a calm block none are, nor one at its edge and one beside it.
        former_byte = np.int64(0)
        byte_pairs = np.int64(0)
        while place < end:
            if end - place >= _BLOCK:
                # A block at a time as vector code: nothing to do where all are ASCII and none is a control character.
                high = np.uint8(0)
                control = False
                for step in range(_BLOCK):
                    byte = data[np.uint64(place + step)]
                    high |= byte
                    control |= byte < 0x20 and byte != 0x09 and byte != 0x0A
                    control |= byte == 0x7F
                if control:
                    mark |= MARK_CONTROL
                if high < 0x80:
                    place += _BLOCK
                    starter = np.int64(at(data, place - 1))
                    former_class = np.int64(0)
                    lacks_one = np.int64(0)
                    lacks_two = np.int64(0)
                    ended = np.int64(0)
                    former_byte = np.int64(0)
                    continue
                # Or where it is calm: only its last character is looked at, and as if ASCII stood before it.
                if place - begin >= _BEFORE and end - place >= _BLOCK + _BEHIND and ended == 0:
                    first_two = np.int64(at(data, place)) << 8 | np.int64(at(data, place + 1))
                    may_end = (lacks_one | lacks_two) != 0 and first_two in (_OMEGA, _PI)
                    if not may_end and _is_calm(data, np.uint64(place)):
                        place += _BLOCK - 1
                        while at(data, place) & 0xC0 == 0x80:
                            place -= 1
                        lacks_one = np.int64(0)
                        lacks_two = np.int64(0)
                        former_byte = np.int64(0)
            stop = min(place + _STEP, end)
            while place < stop:
                first = np.int64(at(data, place))
                point = first
                width = 1
                if first >= 0x80:
                    point = np.int64(-1)
                    if first < 0xE0:
                        if first >= 0xC2 and place + 1 < end:
                            second = np.int64(at(data, place + 1)) ^ 0x80
                            if second < 0x40:
                                point = (first & 0x1F) << 6 | second
                                width = 2
                    elif first < 0xF0:
                        if place + 2 < end:
                            second = np.int64(at(data, place + 1)) ^ 0x80
                            third = np.int64(at(data, place + 2)) ^ 0x80
                            value = (first & 0x0F) << 12 | second << 6 | third
                            if (second | third) < 0x40 and value >= 0x800 and (value & 0xF800) != 0xD800:
                                point = value
                                width = 3
                    elif first < 0xF5 and place + 3 < end:
                        second = np.int64(at(data, place + 1)) ^ 0x80
                        third = np.int64(at(data, place + 2)) ^ 0x80
                        fourth = np.int64(at(data, place + 3)) ^ 0x80
                        value = (first & 0x07) << 18 | second << 12 | third << 6 | fourth
                        if (second | third | fourth) < 0x40 and 0x10000 <= value < 0x110000:
                            point = value
                            width = 4
                    if point < 0:
                        mark = MARK_INVALID
                        place = end
                        stop = end
                        break
                place += width
                flag = np.int64(at(flags, point))
                is_byte = flag >> 7
                byte_pairs += is_byte & former_byte
                former_byte = is_byte
                if flag & (NOT_NFC | CONTROL | COMPOSES | COMBINING):
                    if flag & NOT_NFC:
                        mark |= MARK_NFC
                    if flag & CONTROL:
                        mark |= MARK_CONTROL
                        if 0x80 <= point < 0xA0:  # hardly meant: a byte of Windows-1252 that was read as Latin-1
                            mark |= MARK_MOJIBAKE
                    if flag & COMBINING:
                        current = np.int64(at(combining, point))
                        if former_class > current or (flag & COMPOSES and at(flags, starter) & TAKES_MARK):
                            mark |= MARK_NFC
                        former_class = current
                    else:
                        if flag & COMPOSES and former_class == 0 and at(flags, starter) & TAKES_LETTER:
                            mark |= MARK_NFC
                        starter = point
                        former_class = np.int64(0)
                else:
                    starter = point
                    former_class = np.int64(0)
                if (flag & _LEAD) | lacks_one | lacks_two | ended:
                    if point < MASK_POINTS:
                        tail = np.int64(at(tails, point))
                        done = lacks_one & tail
                        if done & ~in_runs or done & ended:
                            mark |= MARK_MOJIBAKE
                        ended_now = done & in_runs
                        lacks_one = (lacks_two & tail) | np.int64(at(pairs, point))
                        lacks_two = np.int64(at(triples, point))
                        # The pair before is remembered while the next one is open.
                        ended = ended_now | (ended & lacks_one)
                    else:
                        lacks_one = np.int64(0)
                        lacks_two = np.int64(0)
                        ended = np.int64(0)
        if byte_pairs >= LEAST_PAIRS and byte_pairs * BYTES_OF_PAIR >= end - begin and mark != MARK_INVALID:
            mark |= MARK_CODE_PAGE
        marks[row] = mark
