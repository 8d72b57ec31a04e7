"""What was read otherwise than it stands: how many documents, where the first is, and what that means in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from curator.readers.base import Note


@dataclass(frozen=True)
class Words:
    """What a code says of one document, and of several."""

    one: str
    many: str


CODE_PAGE = "encoding.code_page"
"""The one note that is made of the text, not of the record."""

NOTED: Mapping[str, Words] = {
    "csv.text_behind_quote": Words(
        "has text behind the quote that closes a field, as no writer of CSV or TSV sets it; where quotes are letters, "
        "say so with --set input.quotes=letters",
        "have text behind the quote that closes a field, as no writer of CSV or TSV sets it; where quotes are letters, "
        "say so with --set input.quotes=letters",
    ),
    CODE_PAGE: Words(
        "is in a code page and not in UTF-8, or was read as Windows-1252; it was decoded",
        "are in a code page and not in UTF-8, or were read as Windows-1252; they were decoded",
    ),
    "json.surrogate": Words(
        "has half a surrogate pair in a field, as cutting an emoji in two leaves; U+FFFD was read in its place",
        "have halves of surrogate pairs in their fields, as cutting an emoji in two leaves; U+FFFD was read for each",
    ),
    "warc.truncated": Words(
        "is a page that was cut off when it was crawled; what there is of it was read",
        "are pages that were cut off when they were crawled; what there is of them was read",
    ),
}


@dataclass(frozen=True)
class Noted:
    """The documents of one code: how many, and the file and position of the first."""

    documents: int
    file: str
    position: int

    def describe(self, code: str) -> str:
        """One line without a stop."""
        words = NOTED.get(code, Words(f"has the note {code}", f"have the note {code}"))
        place = f"{self.file} at {self.position}"
        if self.documents == 1:
            return f"1 document {words.one}: {place}"
        return f"{self.documents:,} documents {words.many}; the first: {place}"


def count_notes(counts: dict[str, list[int]], notes: Iterable[Note], positions: AbstractSet[int]) -> None:
    """Add the notes on records at `positions`, which became documents, to `counts`: documents of a split and the first
    position by code."""
    for note in notes:
        if note.position in positions:
            counted = counts.setdefault(note.code, [0, note.position])
            counted[0] += 1
            counted[1] = min(counted[1], note.position)


def merge_notes(parts: Sequence[tuple[str, Mapping[str, Sequence[int]]]]) -> dict[str, Noted]:
    """The notes of all splits: their files, and what `count_notes` counted in them, in input order."""
    merged: dict[str, Noted] = {}
    for file, counts in parts:
        for code, (documents, position) in counts.items():
            before = merged.get(code, Noted(0, file, position))
            merged[code] = Noted(before.documents + documents, before.file, before.position)
    return dict(sorted(merged.items()))
