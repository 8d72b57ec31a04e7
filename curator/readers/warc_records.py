"""Where the records of a WARC file begin and end, and what their headers say (ISO 28500, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator.readers.blocks import LOOK_BACK_BYTES, RecordEnds

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD_LIMIT_BYTES = LOOK_BACK_BYTES
"""A WARC header longer than this (64 KiB) is taken for garbage. Real ones have one or two."""

_MAGIC = b"WARC/"
NEXT_RECORD = b"\nWARC/1."
"""How a further record begins, with the end of the line before it."""
_SPACING_BYTES = 4
"""CR LF CR LF behind a record."""

_HEAD, _CONTENT, _SPACING, _GARBAGE = range(4)


@dataclass(frozen=True)
class RecordHead:
    """The header of a record: its length with the empty line, the length of what follows, the fields by lower-case
    name."""

    head_bytes: int
    content_bytes: int
    headers: Mapping[str, str]

    @property
    def type(self) -> str:
        """The WARC-Type."""
        return self.headers.get("warc-type", "").lower()


def parse_head(data: bytes) -> RecordHead | None:
    """The header at the beginning of `data`; None when it is not one, or has no content length."""
    end = _head_end(data, 0)
    if not data.startswith(_MAGIC) or end < 0:
        return None
    headers: dict[str, str] = {}
    for line in data[:end].split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers[name.strip().decode(errors="replace").lower()] = value.strip().decode(errors="replace")
    length = headers.get("content-length", "")
    if not length.isascii() or not length.isdigit() or len(length) > 18:
        return None
    return RecordHead(end, int(length), headers)


def skip_line_ends(data: bytes, place: int = 0) -> int:
    """The first place from `place` on that holds neither CR nor LF."""
    while place < len(data) and data[place] in b"\r\n":
        place += 1
    return place


class WarcEnds(RecordEnds):
    """Finds where WARC records end: by their length, with the empty lines behind them.

    What is not a record is taken up to the next line that begins one; it is a record of its own, which the reader
    fails.
    """

    def __init__(self) -> None:
        self._state = _HEAD
        self._left = 0  # of content or spacing
        self._kept = b""  # bytes seen that must be looked at again with those that follow

    def ends(self, chunk: bytes) -> NDArray[np.int64]:
        """See `RecordEnds`; looks back by up to `HEAD_LIMIT_BYTES`."""
        data, shift = self._kept + chunk, len(self._kept)
        self._kept = b""
        found: list[int] = []
        place = 0
        while place < len(data):
            if self._state == _CONTENT:
                step = min(self._left, len(data) - place)
                place += step
                self._left -= step
                if self._left == 0:
                    self._state, self._left = _SPACING, _SPACING_BYTES
            elif self._state == _SPACING:
                while self._left and place < len(data) and data[place] in b"\r\n":
                    place += 1
                    self._left -= 1
                if self._left == 0 or place < len(data):
                    found.append(place)
                    self._state = _HEAD
            elif self._state == _HEAD:
                place = self._take_head(data, place)
            else:
                mark = data.find(NEXT_RECORD, place)
                if mark < 0:
                    self._kept = data[max(place, len(data) - len(NEXT_RECORD) + 1) :]
                    break
                place = mark + 1
                found.append(place)
                self._state = _HEAD
        return np.array(found, dtype=np.int64) - shift

    def is_document(self, begin: bytes) -> bool:
        """See `RecordEnds`: of what is over the limit, pages and texts matter, films do not."""
        begin = begin[skip_line_ends(begin) :]
        head = parse_head(begin)
        if head is None or head.type == "conversion":
            return True
        http = begin[head.head_bytes :].partition(b"\r\n\r\n")[0].lower()
        return head.type == "response" and (b"text/" in http or b"xhtml" in http)

    def _take_head(self, data: bytes, place: int) -> int:
        """Read the header at `place`, behind line ends, or keep it until all of it is there; the place behind it."""
        place = skip_line_ends(data, place)
        begin = data[place : place + len(_MAGIC)]
        if _MAGIC.startswith(begin):
            end = _head_end(data, place)
            if end < 0 and len(data) - place < HEAD_LIMIT_BYTES:
                self._kept = data[place:]
                return len(data)
            head = parse_head(data[place:end]) if end >= 0 else None
            if head is not None:
                self._state, self._left = _CONTENT, head.content_bytes
                if not head.content_bytes:
                    self._state, self._left = _SPACING, _SPACING_BYTES
                return end
        self._state = _GARBAGE
        return place


def _head_end(data: bytes, place: int) -> int:
    """The place behind the first empty line, -1 when there is none within the limit."""
    limit = place + HEAD_LIMIT_BYTES
    ends = [data.find(gap, place, limit) + len(gap) for gap in (b"\r\n\r\n", b"\n\n") if gap in data[place:limit]]
    return min(ends, default=-1)
