"""The body of an HTTP response as it was sent: whether it ends before it should, as a crawl that broke off leaves it,
and its encodings undone where FastWARC refuses them.

FastWARC decodes a body that ends early as far as it goes, without a word, but for Brotli and Zstandard, which it
refuses. It refuses also what breaks off within a chunk, extensions of chunks, the name `x-gzip`, raw DEFLATE, and
encodings that it does not know.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})(?:[ \t]*|[ \t]*;[^\r\n]*)\r\n")
_PART_OF_HEAD = re.compile(rb"(?:[0-9a-fA-F]{1,8}(?:[ \t]*|[ \t]*;[^\r\n]*)\r?)?")
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""Of a frame (RFC 8878, section 3.1.1)."""
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""Bytes that are in no text (MIME Sniffing Standard, 'binary data byte'): every eighth one of what is packed."""
_SAMPLE_BYTES = 1445
"""How far they are looked for (the same, 'resource header')."""
_TRAILER_BYTES = 8
"""CRC-32 and length of what a gzip member holds (RFC 1952, section 2.3.1)."""
_LENGTH_DIGITS = 18
_PIECE_BYTES = 4096
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(frozen=True)
class Body:
    """What a body is without its encodings; whether there was one to undo, and whether it ended early."""

    data: bytes
    was_encoded: bool
    is_cut_off: bool


def decode(sent: bytes, transfer_encoding: str | None, content_encoding: str | None, limit: int) -> Body:
    """Undo chunks, gzip, deflate, Brotli and Zstandard (RFC 9110, section 8.4.1; RFC 9112, section 7; RFC 7932; RFC
    8878), the last that was applied first; of what was packed, no more than `limit` + 1 bytes. OSError where one is
    broken.

    Another encoding, and one that the body does not have, are passed over: crawlers undo encodings and leave the
    header, and servers name as one what is none (`utf-8`)."""
    data, encoded, cut_off = sent, False, False
    for header in (transfer_encoding, content_encoding):
        for name in reversed((header or "").lower().split(",")):
            undo = _UNDO.get(name.strip())
            found = None if undo is None else undo(data, limit)
            if found is not None:
                (data, ended), encoded = found, True
                cut_off |= not ended
    return Body(data, encoded, cut_off)


def _join_chunks(body: bytes, limit: int) -> tuple[bytes, bool] | None:
    """What is in the chunks, and whether there is a last one; None where the body does not begin with a chunk. OSError
    where something else follows one."""
    if not _CHUNK_HEAD.match(body):
        return None
    parts: list[bytes] = []
    place = 0
    while head := _CHUNK_HEAD.match(body, place):
        begin, length = head.end(), int(head[1], 16)
        if length == 0:
            return b"".join(parts), True
        parts.append(body[begin : begin + length])
        place = begin + length + 2
        if not b"\r\n".startswith(body[begin + length : place]):
            raise OSError
    if not _PART_OF_HEAD.fullmatch(body, place):
        raise OSError
    return b"".join(parts), False


def _gunzip(body: bytes, limit: int) -> tuple[bytes, bool] | None:
    if not body.startswith(_GZIP_MAGIC):
        return None
    return _unpack(body, lambda: zlib.decompressobj(_WINDOWS["gzip"]), _GZIP_MAGIC, limit)


def _undeflate(body: bytes, limit: int) -> tuple[bytes, bool] | None:
    """Of deflate, which is zlib, and which some servers send without its wrapper (RFC 9110, section 8.4.1.2). Raw, it
    is taken for that only where it ends: other bytes could begin like it."""
    try:
        return _unpack(body, zlib.decompressobj, _GZIP_MAGIC, limit)
    except OSError:
        pass
    try:
        found = _unpack(body, lambda: zlib.decompressobj(-zlib.MAX_WBITS), _GZIP_MAGIC, limit)
    except OSError:
        return None
    return found if found[1] else None


def _unzstd(body: bytes, limit: int) -> tuple[bytes, bool] | None:
    if not body.startswith(_ZSTD_MAGIC):
        return None
    return _unpack(body, zstd.ZstdDecompressor, _ZSTD_MAGIC, limit)


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, bool] | None:
    """Of Brotli, which begins with no magic. What does not end, or ends before the body does, is taken for it only
    where it cannot be text."""
    import brotli

    stream = brotli.Decompressor()
    is_binary = _BINARY.search(body, 0, _SAMPLE_BYTES) is not None
    try:
        found: bytes = stream.process(body, limit + 1)[: limit + 1]
    except brotli.error as error:
        if not is_binary:
            return None
        found = _before_end(body)
        if not found:
            raise OSError(str(error)) from error
        return found, True
    has_ended = stream.is_finished() or len(found) > limit
    return (found, has_ended) if has_ended or is_binary else None


def _before_end(body: bytes) -> bytes:
    """What a stream of Brotli holds that ends before the body does, which browsers and FastWARC read so; nothing where
    it is damaged. What is within the limit of the body: its stream refuses bytes behind the end, but has then lost what
    it had unpacked of the same call."""
    import brotli

    searched, stream = 0, brotli.Decompressor()
    with suppress(brotli.error):
        for searched in range(0, len(body), _PIECE_BYTES):
            stream.process(body[searched : searched + _PIECE_BYTES])
    stream = brotli.Decompressor()
    parts = [stream.process(body[:searched])]
    with suppress(brotli.error):
        for place in range(searched, len(body)):
            if stream.is_finished():
                return b"".join(parts)
            parts.append(stream.process(body[place : place + 1]))
    return b""


class _Stream(Protocol):
    """One member, stream or frame."""

    @property
    def eof(self) -> bool:
        """Whether it has ended."""

    @property
    def unused_data(self) -> bytes:
        """What follows it."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """What is packed, so many bytes at most."""


def _unpack(packed: bytes, make: Callable[[], _Stream], magic: bytes, limit: int) -> tuple[bytes, bool]:
    """What is packed, up to `limit` + 1 bytes, and whether it ends; further streams that begin with `magic` go on.
    OSError where it is damaged."""
    parts: list[bytes] = []
    room = limit + 1
    while room > 0:
        stream = make()
        try:
            parts.append(stream.decompress(packed, room))
        except (zlib.error, zstd.ZstdError) as error:
            raise OSError(str(error)) from error
        room -= len(parts[-1])
        if not stream.eof:
            return b"".join(parts), room <= 0
        packed = stream.unused_data
        if not packed.startswith(magic):
            break
    return b"".join(parts), True


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


_UNDO = {
    "chunked": _join_chunks,
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}


def _trailer(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "little") + (len(body) & 0xFFFF_FFFF).to_bytes(4, "little")
