"""Aligned text: the same content in several languages, line by line.

Two formats are read, compressed or not: JSON Lines, an object of language tags and texts a line, and tab-separated
values with the tags in the first line. Without a file: the thirty articles of the Universal Declaration of Human Rights
in the languages of the packaged sample.
"""

from __future__ import annotations

import importlib.resources
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from curator.errors import DataError, UserError
from curator.readers.detect import discover
from curator.readers.streams import DamagedStreamError, read_chunks

PACKAGED = "declaration.jsonl.zst"
_FORMATS = "JSON Lines of objects of language tag and text, or tab-separated values with tags in the first line"


@dataclass(frozen=True)
class ParallelText:
    """Lines by language tag; every language has as many, None where a line is missing."""

    name: str
    lines: Mapping[str, tuple[str | None, ...]]

    @property
    def english(self) -> str | None:
        """The tag of English, None where there is none: `en`, else the first that begins with it."""
        tags = sorted(tag for tag in self.lines if tag.lower().partition("-")[0] == "en")
        return tags[0] if tags else None

    def texts(self, tag: str) -> list[str]:
        """The lines that a language has."""
        return [line for line in self.lines[tag] if line is not None]

    def shared(self, tag: str, other: str) -> tuple[list[str], list[str]]:
        """The lines that both languages have."""
        pairs = [
            (one, two)
            for one, two in zip(self.lines[tag], self.lines[other], strict=True)
            if one is not None and two is not None
        ]
        return [one for one, _ in pairs], [two for _, two in pairs]


def load_parallel(path: Path | None = None) -> ParallelText:
    """The aligned text of a file, or the packaged one. UserError where it has another format or fewer than two
    languages, DataError where it is broken."""
    if path is None:
        with importlib.resources.as_file(importlib.resources.files("pipelines") / "parallel" / PACKAGED) as packaged:
            return _parse(_read(packaged), packaged.name)
    return _parse(_read(path), str(path))


def _read(path: Path) -> str:
    (file,) = discover([str(path)], "jsonl")
    try:
        return b"".join(read_chunks(file)).decode()
    except UnicodeDecodeError as error:
        raise DataError("is not UTF-8 text", file=str(path), hint=f"expected {_FORMATS}") from error
    except DamagedStreamError as error:
        raise DataError(f"cannot be decompressed ({error.code})", file=str(path)) from error


def _parse(text: str, file: str) -> ParallelText:
    lines = [line for line in text.split("\n") if line.strip()]
    rows = _json_rows(lines, file) if text.lstrip()[:1] == "{" else _table_rows(lines, file)
    found = ParallelText(file, _columns(rows))
    if len(found.lines) < 2:
        raise UserError("has fewer than two languages", file=file, hint=f"expected {_FORMATS}")
    return found


def _columns(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[str | None, ...]]:
    kept = list(rows)
    tags = sorted({tag for row in kept for tag in row})
    return {tag: tuple(_clean(row.get(tag, "")) or None for row in kept) for tag in tags}


def _clean(text: str) -> str:
    """In NFC, as units are counted; halves of surrogate pairs are no text."""
    return unicodedata.normalize("NFC", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")).strip()


def _json_rows(lines: list[str], file: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError("a line is not JSON", file=file, position=number, hint=f"expected {_FORMATS}") from error
        if not isinstance(row, dict) or not all(isinstance(text, str) for text in row.values()):
            raise UserError("a line is no object of texts", file=file, position=number, hint=f"expected {_FORMATS}")
        rows.append(row)
    return rows


def _table_rows(lines: list[str], file: str) -> list[dict[str, str]]:
    tags = lines[0].rstrip("\r").split("\t") if lines else []
    rows = []
    for number, line in enumerate(lines[1:], 2):
        cells = line.rstrip("\r").split("\t")
        if len(cells) != len(tags):
            message = f"a line has {len(cells)} cells, the first {len(tags)}"
            raise UserError(message, file=file, position=number, hint=f"expected {_FORMATS}")
        rows.append(dict(zip(tags, cells, strict=True)))
    return rows
