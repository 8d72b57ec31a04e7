"""Text in a code page of another script than Latin: which one, by its bytes and by the language that it then is in.

The detector of Mozilla (uchardet, by Resiliparse) proposes an encoding; it proposes one for anything. That is believed
where the bytes decode without a gap, letters stand as letters do, many different ones, and the language model, which
gets no ASCII to read, names a language. Latin code pages are not told apart here: they differ in a few letters only.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from curator.document import UNDETERMINED, string_buffer
from curator.language.identify import identify
from curator.text.normalise import WINDOWS_1252

_ENCODINGS: Mapping[str | None, Sequence[str]] = {
    "cp1251": ("cp1251", "mac_cyrillic"),
    "mac-cyrillic": ("cp1251", "mac_cyrillic"),
    "koi8-r": ("koi8_u",),
    "iso8859-5": ("iso8859_5",),
    "cp866": ("cp866",),
    "cp1253": ("cp1253", "iso8859_7"),
    "iso8859-7": ("cp1253", "iso8859_7"),
    "cp1255": ("cp1255",),
    "iso8859-8": ("cp1255",),
    "cp1256": ("cp1256",),
    "iso8859-6": ("iso8859_6",),
    "tis-620": ("cp874",),
    "gb18030": ("gb18030",),
    "big5": ("big5hkscs",),
    "shift_jis": ("cp932",),
    "euc_jp": ("euc_jp",),
    "cp949": ("cp949",),
}
"""What the detector says, and the encodings of Python that it may be: the wider one of two, as in browsers, and both of
two that it takes for each other."""
_OF_TWO_BYTES = frozenset(("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"))

_LEAST_BYTES = 24
"""Bytes outside ASCII. Of pieces of 20 letters one in a thousand is taken for another language, of those of 50 none."""
_LEAST_VARIETY = 8
"""Different letters, were all as frequent (the inverse Simpson index, Hill 1973). Languages have 10 to 18; fewer have
'ñññ', the accents of a text in a row, and misread UTF-8 that lost its control characters, all of which are words of
some language to the model."""
_MAX_SIGNS, _MAX_SIGNS_OF_TWO_BYTES = 0.1, 0.4
"""Of the characters outside ASCII, those that do not stand as letters. Chinese commas are outside ASCII."""
_MAX_HELD_SHARE = 0.1
"""Of the characters outside ASCII, those that no byte can have been read as: an emoji."""
_HELD = "\x1a"
"""Stands for one of these while the others are bytes (SUBSTITUTE, in all of these encodings)."""
_REPLACEMENT = "\ufffd"
_NO_BYTE = re.compile("[^\x00-\xff]")
_ASCII = re.compile("[\x00-\x7f]+")
_HIGH_BYTES = bytes(range(0x80, 0x100))
_HEAD = 1 << 16
"""Bytes and characters of a text that are looked at; all are decoded, and the language is asked of all."""


def read_code_pages(texts: Sequence[bytes | str]) -> list[str | None]:
    """Texts in a code page, as their bytes or as what was read of these in Windows-1252 or Latin-1, read right; None
    where it is not sure that they are in one, and in which."""
    read = [_decode(text) if isinstance(text, bytes) else _read_again(text) for text in texts]
    foreign = [_ASCII.sub(" ", text or "") for text in read]
    found = identify(*string_buffer(pa.array(foreign, pa.large_string()))).languages
    named = found.codes != found.names.index(UNDETERMINED)
    return [text if sure else None for text, sure in zip(read, named.tolist(), strict=True)]


def _read_again(text: str) -> str | None:
    if _HELD in text or _REPLACEMENT in text:
        return None
    points = text.translate(WINDOWS_1252)
    held = _NO_BYTE.findall(points)
    read = _decode(_NO_BYTE.sub(_HELD, points).encode("latin-1"))
    if read is None or len(held) > _MAX_HELD_SHARE * sum(character > "\x7f" for character in read):
        return None
    again = iter(held)
    return "".join([next(again) if character == _HELD else character for character in read])


def _decode(text: bytes) -> str | None:
    """The text that the detector makes of bytes, where that may be one."""
    from resiliparse.parse.encoding import detect_encoding

    if len(text) - len(text.translate(None, _HIGH_BYTES)) < _LEAST_BYTES:
        return None
    found = []
    for encoding in _ENCODINGS.get(detect_encoding(text[:_HEAD], html5_compatible=False), ()):
        try:
            # A character that the text was cut within is left out.
            decoded = codecs.getincrementaldecoder(encoding)().decode(text)
        except UnicodeDecodeError:
            continue
        letters, signs = _weigh(decoded[:_HEAD])
        found.append((signs, letters, decoded, encoding in _OF_TWO_BYTES))
    best = min(found, default=None)
    if best is None or any(signs == best[0] and decoded != best[2] for signs, _, decoded, _ in found):
        return None
    signs, letters, decoded, of_two_bytes = best
    most = _MAX_SIGNS_OF_TWO_BYTES if of_two_bytes else _MAX_SIGNS
    return decoded if _variety(letters) >= _LEAST_VARIETY and signs <= most * (len(letters) + signs) else None


def _weigh(text: str) -> tuple[str, int]:
    """Of the characters outside ASCII: the letters that stand as letters do, and the number of the others."""
    letters: list[str] = []
    signs = 0
    before = ""
    for character in text:
        category = unicodedata.category(character) if character > "\x7f" else ""
        if category[:1] in ("L", "M") and (category, before) != ("Lu", "Ll"):
            letters.append(character)
        elif category:
            signs += 1
        before = category
    return "".join(letters), signs


def _variety(letters: str) -> float:
    counts = Counter(letters.lower()).values()
    return sum(counts) ** 2 / max(sum(count * count for count in counts), 1)
