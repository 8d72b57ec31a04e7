"""WARC (ISO 28500): pages as they were crawled (`response` records), and texts taken from them (`conversion`, as in WET
files).

Of responses, those with a status of 2xx and HTML or plain text; HTML is read as in the HTML reader. Other records and
types of content are passed over and count as nothing. Transfer and content encodings are undone (where FastWARC refuses
them by `http_body`), unless the crawler has undone them and left the header. What was cut off (WARC-Truncated, or a
body that ends before its encoding or its Content-Length does, or within the next record) is read as far as it goes,
with the note `warc.truncated`. The id is the WARC-Record-ID; the source is the recipe's; `metadata` may name `url`,
`date` or any WARC header. One producer reads the file (usually one gzip member a record) and hands out blocks of whole
records; the position is the offset of the record in the decompressed stream.

Failures: warc.record (not a WARC record, or its header, HTTP header or encoding is broken), html.malformed,
document.too_large (the record or its decoded body, and only where it would have been read).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from curator.readers.base import Fields, InputFile, ReadOptions, Records, Split
from curator.readers.batches import RecordBuilder, only_failures
from curator.readers.blocks import TOO_LARGE, Block, split_blocks, stream_splits
from curator.readers.detect import sniff_format
from curator.readers.html import MALFORMED, MalformedPageError, decode_page, page_text
from curator.readers.http_body import Body, breaks_off, decode, is_shorter, lacks_last_chunk
from curator.readers.streams import digest_data
from curator.readers.warc_records import NEXT_RECORD, RecordHead, WarcEnds, parse_head, skip_line_ends

if TYPE_CHECKING:
    from fastwarc.warc import HeaderMap, WarcRecord

BAD_RECORD = "warc.record"
TRUNCATED = "warc.truncated"

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HEADERS = {"url": "WARC-Target-URI", "date": "WARC-Date"}
"""Names that `metadata` may use for WARC headers."""
_BINARY_SAMPLE_BYTES = 1024


class WarcReader:
    """Reads WARC and WET files."""

    name = "warc"

    def splits(self, file: InputFile, options: ReadOptions, split_bytes: int) -> Iterator[Split]:
        """See `Reader.splits`."""
        return stream_splits(file, WarcEnds(), options, split_bytes)

    def read(self, split: Split, options: ReadOptions) -> Iterator[Records]:
        """See `Reader.read`."""
        for block in split_blocks(split, options, WarcEnds):
            if block.failures:
                yield only_failures(block.failures)
            if block.data:
                yield _read_records(block, options)

    def digest(self, split: Split) -> str:
        """See `Reader.digest`."""
        return digest_data(split.data or b"", split.failures)


class _TooLargeError(Exception):
    pass


@dataclass(frozen=True)
class _Page:
    """The text of a response, and whether there should be more of it."""

    text: str
    is_cut_off: bool


def _read_records(block: Block, options: ReadOptions) -> Records:
    builder = RecordBuilder()
    begin = 0
    for end in [*WarcEnds().ends(block.data).tolist(), len(block.data)]:
        begin = skip_line_ends(block.data, begin)
        if begin < end:
            record = block.data[begin:end]
            code = _read_record(builder, block.data_begin + begin, record, options)
            if code is not None:
                builder.fail(block.data_begin + begin, None, code, record)
        begin = end
    return builder.build()


def _read_record(builder: RecordBuilder, position: int, record: bytes, options: ReadOptions) -> str | None:
    """Add the document of one record, if it has one; or the code of what is wrong with it."""
    head = parse_head(record)
    if head is None or head.head_bytes + head.content_bytes > len(record):
        return BAD_RECORD
    text: str | bytes
    is_cut_off = "warc-truncated" in head.headers or _takes_in_next(record, head)
    try:
        if head.type == "conversion":
            text = record[head.head_bytes : head.head_bytes + head.content_bytes]
        elif head.type == "response":
            page = _read_response(record, options.max_document_bytes)
            if page is None:
                return None
            text = page.text
            is_cut_off |= page.is_cut_off
        else:
            return None
    except _TooLargeError:
        return TOO_LARGE
    except MalformedPageError:
        return MALFORMED
    except OSError:  # what fastwarc raises for what it cannot parse or decode
        return BAD_RECORD
    identifier = head.headers.get("warc-record-id", "").strip("<>")
    builder.add(position, text, id=identifier, metadata=_metadata(head, options.fields))
    if is_cut_off:
        builder.note(position, TRUNCATED)
    return None


def _takes_in_next(record: bytes, head: RecordHead) -> bool:
    """Whether the content is shorter than the header says, so that what was read as its end is the next record: behind
    a whole one there is the end of a line."""
    return head.head_bytes + head.content_bytes == len(record) and NEXT_RECORD in record[head.head_bytes :]


def _read_response(record: bytes, limit: int) -> _Page | None:
    """A page or a plain text; None for a response that is neither, or not a success. OSError when HTTP or its encoding
    is broken."""
    is_known = True
    try:
        response = _open_response(record, "all")
    except OSError:  # it names an encoding that FastWARC does not know, or is no HTTP
        response, is_known = _open_response(record, "none"), False
    if not response.is_http:
        return None
    status = response.http_headers.status_code
    if status is None and not len(response.http_headers):
        raise OSError
    if status is not None and not 200 <= status < 300:
        return None
    own: Body | None = None
    try:
        body = response.reader.read(limit + 1) if is_known else b""
    except OSError:
        is_known = False
    if not is_known:
        own = _decode(record, response.http_headers, limit)
        body = own.data
    if len(body) > limit:
        raise _TooLargeError
    charset = (response.http_charset or "").strip("'\"") or None
    # Names of types have no case (RFC 9110, 8.3.1); of several in one header the last counts (Fetch standard,
    # 'extract a MIME type').
    kind = (response.http_content_type or "").rpartition(",")[2].strip().lower()
    kind = kind or ("text/html" if sniff_format(body) == "html" else "")
    if kind not in (*_HTML_TYPES, "text/plain"):
        return None
    text = page_text(body, charset) if kind in _HTML_TYPES else decode_page(body, charset)
    return _Page(text, _is_cut_off(record, response.http_headers, body) if own is None else own.is_cut_off)


def _decode(record: bytes, headers: HeaderMap, limit: int) -> Body:
    """A body whose encoding FastWARC refuses. OSError where it is broken, and where there was nothing to undo, though
    it is no text."""
    sent = _open_response(record, "none").reader.read()
    body = decode(sent, headers.get("Transfer-Encoding"), headers.get("Content-Encoding"), limit)
    if not body.was_encoded and b"\0" in body.data[:_BINARY_SAMPLE_BYTES]:
        raise OSError
    return body


def _is_cut_off(record: bytes, headers: HeaderMap, body: bytes) -> bool:
    """Whether the body that was sent, of which `body` was decoded, ends too early."""
    encoding = headers.get("Content-Encoding")
    transfer = headers.get("Transfer-Encoding")
    if transfer:
        chunked = transfer.strip().lower().endswith("chunked")
        if chunked and lacks_last_chunk(_open_response(record, "none").reader.read()):
            return True
        return bool(encoding) and breaks_off(_open_response(record, "transfer").reader.read(), encoding, body)
    sent = _open_response(record, "none").reader.read() if encoding else body
    return is_shorter(sent, headers.get("Content-Length")) or breaks_off(sent, encoding, body)


def _open_response(record: bytes, decode: Literal["none", "transfer", "all"]) -> WarcRecord:
    from fastwarc.warc import ArchiveIterator

    for response in ArchiveIterator(io.BytesIO(record), parse_http=True, auto_decode=decode, quirks_mode=True):
        return response
    raise OSError


def _metadata(head: RecordHead, fields: Fields) -> str | None:
    values = {name: head.headers.get(_HEADERS.get(name, name).lower()) for name in fields.metadata}
    present = {name: value for name, value in values.items() if value is not None}
    return msgspec.json.encode(present).decode() if present else None
