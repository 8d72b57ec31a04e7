"""WARC records for tests, by hand."""

from __future__ import annotations

import zlib


def warc_record(
    http: bytes, kind: str = "response", content_type: str = "application/http; msgtype=response", number: int = 1
) -> bytes:
    """One record, by hand."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2020-01-01T00:00:00Z\r\n"
        f"WARC-Target-URI: http://example.com/{number}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def response(body: bytes, headers: str = "Content-Type: text/html", status: str = "200 OK") -> bytes:
    """What a server answered."""
    return f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body


def raw_deflate(body: bytes) -> bytes:
    """DEFLATE without the wrapper of zlib, as some servers send it."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()
