"""Whether the body of an HTTP response, as it was sent, ends before it should: what a crawl that broke off leaves.

FastWARC decodes such a body as far as it goes, without a word. What breaks off within a chunk it refuses.
"""

from __future__ import annotations

import re
import zlib

_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")
_GZIP_MAGIC = b"\x1f\x8b"
_TRAILER_BYTES = 8
"""CRC-32 and length of what a gzip member holds (RFC 1952, section 2.3.1)."""
_LENGTH_DIGITS = 18
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def lacks_last_chunk(body: bytes) -> bool:
    """Whether a body in transfer encoding `chunked` (RFC 9112, section 7.1) has no chunk of length 0 at its end. One of
    no bytes may have been one: crawlers that undo the encoding leave the header."""
    place = 0
    while head := _CHUNK_HEAD.match(body, place):
        length = int(head[1], 16)
        if length == 0:
            return False
        place = head.end() + length + 2
    return bool(body)


def is_shorter(body: bytes, content_length: str | None) -> bool:
    """Whether a body has fewer bytes than its Content-Length says."""
    said = (content_length or "").strip()
    return said.isascii() and said.isdigit() and len(said) <= _LENGTH_DIGITS and len(body) < int(said)


def breaks_off(packed: bytes, content_encoding: str | None, body: bytes) -> bool:
    """Whether a body in a content encoding ends before its stream does; `body` is what was decoded of it. Other
    encodings than gzip and deflate are refused by FastWARC where they end early."""
    name = (content_encoding or "").strip(" \t,").lower()
    if name not in _WINDOWS:
        return False
    if name == "gzip" and packed[-_TRAILER_BYTES:] == _trailer(body):
        return False
    while packed and (name != "gzip" or packed.startswith(_GZIP_MAGIC)):
        stream = zlib.decompressobj(_WINDOWS[name])
        try:
            stream.decompress(packed)  # FastWARC did the same, and found it within the limit
        except zlib.error:
            return False
        if not stream.eof:
            return True
        packed = stream.unused_data
    return False


def _trailer(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFF_FFFF).to_bytes(4, "little")
