"""Writing for people and for machines."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from curator.errors import TransientError

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a terminal would obey or cannot show: control characters, and bytes of file names that are not UTF-8."""


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    plain = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    _write(sys.stdout, json.dumps(value, ensure_ascii=plain, indent=1, default=str))


def print_line(text: str = "") -> None:
    """One line on standard output."""
    _write(sys.stdout, printable(text))


def print_note(text: str) -> None:
    """One line on standard error."""
    _write(sys.stderr, one_line(text))


def one_line(text: str) -> str:
    """The text as a terminal may be given it, with no line end in it."""
    return printable(text).replace("\n", "\\n")


def counted(number: object, noun: str, plural: str = "") -> str:
    """A number and what is counted, such as `1 task` or `1,200 tasks`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def interval_text(low: str, high: str, documents: int) -> str:
    """An interval that documents drawn again gave. Drawn from one they are that one: it says nothing of others."""
    return f"{low} to {high}" if documents > 1 else ""


def printable(text: str) -> str:
    """The text with control characters escaped, save tabs and line feeds."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
    except OSError as error:
        stop_writing(stream, error)


def stop_writing(stream: TextIO, error: OSError) -> None:
    """Send what is written from now on nowhere. TransientError where standard output failed for another reason than
    that its reader went away: what a run leaves is its directory, but the answer of another command is lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    if stream is sys.stdout and not isinstance(error, BrokenPipeError):
        raise TransientError(f"standard output cannot be written: {error.strerror}") from error


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> None:
    """A plain table on standard output; the first `left` columns are flush left, the others right."""
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(_width(row[column]) for row in [list(headings), *cells]) for column in range(len(headings))]
    for row in [list(headings), *cells]:
        pieces = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - _width(cell))
            pieces.append(cell + space if column < left else space + cell)
        print_line("  ".join(pieces).rstrip())


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _width(text: str) -> int:
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1 for character in text)
