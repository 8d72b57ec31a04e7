"""Text in the Apertium stream format, and back.

Between the programs of an Apertium pipeline text is plain, with a backslash before each reserved character; what
stands in square brackets (a superblank) passes through untouched (Apertium wiki, "Apertium stream format"). The
generator marks what it could not do: `*word` is not in the dictionary of the source, `@lemma` not in the bilingual
one, `#lemma` has no such form in the target. Writing the stream ourselves, a mark is known from the same character in
the text: ours stands in a superblank.

A line ends with a full stop of our own, so that no rule reaches across lines, and a superblank with its number, so that
a line lost, doubled or moved is seen.

There are lines on which a pipeline hangs (`is_safe`); they must not be sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RESERVED = re.compile(r"[\\\[\]{}^$/@<>]")
_PASSED_THROUGH = re.compile(
    r"\[[A-Z][A-Z0-9_]*\]"  # placeholders of redaction
    r"|\b(?:https?|ftp)://\S+|\bwww\.\S+|[\w.+-]+@[\w-]+\.[\w.-]+"  # addresses
    r"|[*#@~|]"  # what the generator marks with, and what wakes the post-generator
    r"|[^\S ]+|  +|[\x00-\x1f\x7f]"  # space that is not one plain blank
)
_LINE_END = re.compile(rb"\[\]\[\n([0-9]{1,9})\]")
_PIECE = re.compile(r"\\(.)|\[((?:[^\]\\]|\\.)*)\]|([*@#])|([{}^$<>\]\\])|([^\\\[\]{}^$<>*@#]+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_WORD = re.compile(r"\w+")
LONGEST_RUN = 1000
"""Characters without a space that are sent at most. The time that `lt-proc` takes grows with the square of a word: 2 s
for 20,000 characters, minutes for an image in base64."""
_HANGS = re.compile(rf"[\x00\uffff]|\S{{{LONGEST_RUN + 1}}}")
"""NUL is what ends a request to a pipeline that stays open; U+FFFF is what ICU returns at the end of a stream."""
_FULL_STOPS = ".।۔"


@dataclass(frozen=True)
class Line:
    """A translated line: its text without marks, its words, and how many of them were marked as unknown (`*`) or as
    failed in transfer or generation (`@`, `#`)."""

    text: str
    words: int
    unknown: int
    failed: int


def is_safe(line: str) -> bool:
    """Whether the programs of a pipeline get through a line: with NUL or U+FFFF in it they wait for more text without
    end, and for a run of characters without a space they take the square of its length."""
    return _HANGS.search(line) is None


def encode(lines: Sequence[str]) -> bytes:
    """Lines (without line feeds) as one stream."""
    return "".join(f"{_escaped(line)}.[][\n{number}]" for number, line in enumerate(lines)).encode()


def decode(stream: bytes, count: int) -> list[Line | None] | None:
    """The lines of a stream that `encode` wrote and a pipeline translated, None for a line that is empty, not UTF-8 or
    not in the stream format; None for all when the lines are not `count` in their order."""
    pieces = split_lines(stream, count)
    return None if pieces is None else [_line(piece) for piece in pieces]


def split_lines(stream: bytes, count: int) -> list[bytes] | None:
    """What stands before the number of each line; None when the lines are not `count` in their order."""
    pieces = _LINE_END.split(stream)
    if [int(number) for number in pieces[1::2]] != list(range(count)) or pieces[-1].strip():
        return None
    return pieces[:-1:2]


def _escaped(line: str) -> str:
    parts = []
    end = 0
    for found in _PASSED_THROUGH.finditer(line):
        parts.append(_RESERVED.sub(r"\\\g<0>", line[end : found.start()]))
        parts.append("[" + _RESERVED.sub(r"\\\g<0>", found.group()) + "]")
        end = found.end()
    parts.append(_RESERVED.sub(r"\\\g<0>", line[end:]))
    return "".join(parts)


def _line(raw: bytes) -> Line | None:
    try:
        stream = raw.decode()
    except UnicodeDecodeError:
        return None
    parts = []
    unknown = failed = 0
    for escaped, blank, mark, stray, plain in _PIECE.findall(stream):
        if stray:
            return None
        unknown += mark == "*"
        failed += mark in ("@", "#")
        parts.append(escaped or _ESCAPE.sub(r"\1", blank) or plain)
    text = "".join(parts).strip(" ")
    if text and text[-1] in _FULL_STOPS:
        text = text[:-1].rstrip(" ")
    return Line(text, len(_WORD.findall(text)), unknown, failed) if text else None
