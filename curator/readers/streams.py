"""Bytes of input files: opened, decompressed as a stream, told apart from damage.

What this file does not do: it knows nothing of records (see `blocks`) or formats. A stream is never held whole. When it
breaks off (`stream.truncated`) or does not decode (`stream.corrupt`), everything before the break has been handed out.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

import blake3

from curator.errors import DataError, UserError
from curator.storage.path import StoragePath, as_path

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from curator.readers.base import Failure, InputFile

TRUNCATED = "stream.truncated"
CORRUPT = "stream.corrupt"

CHUNK_BYTES = 1 << 20
"""Bytes of a plain file that are read at a time."""
_FEED_BYTES = 1 << 16
"""Compressed bytes given to a decompressor at a time."""
_OUTPUT_BYTES = 1 << 18
"""Decompressed bytes asked of a decompressor at a time: bounds memory whatever the ratio."""
_XZ_MEMORY_BYTES = 1 << 28
"""Memory that an xz stream may ask for. `xz -9` needs 65 MiB to decompress (xz manual, 'Preset level'); a header can
ask for 4 GiB. Zstandard's own limit (windows to 128 MiB) stands."""

_MAGIC = (
    ("gzip", (b"\x1f\x8b\x08",)),
    ("zstd", (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60)))),
    ("xz", (b"\xfd7zXZ\x00",)),
)
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows `BZh1` to `BZh9`: the magic of a block (pi) or of the end of an empty stream (the root of pi)."""

COMPRESSIONS = ("none", "gzip", "zstd", "bzip2", "xz")


class DamagedStreamError(Exception):
    """A stream ended or broke where it should not; raised after all bytes before the damage were handed out. Never
    leaves the readers: they turn it into a `Failure` with this `code`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Decompressor(Protocol):
    """The interface of `bz2.BZ2Decompressor`, which the others share or are given here."""

    @property
    def eof(self) -> bool:
        """Whether the end of the member was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether there is no more output without more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Input behind the end of the member."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most `max_length` bytes of output."""
        ...


class GzipDecompressor:
    """One gzip member, header and checksum included."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._filled = False

    @property
    def eof(self) -> bool:
        """See `Decompressor`."""
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        """See `Decompressor`."""
        return not self._filled and not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        """See `Decompressor`."""
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """See `Decompressor`."""
        output = self._inflate.decompress(self._inflate.unconsumed_tail + data, max(max_length, 0))
        self._filled = len(output) == max_length
        return output


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": GzipDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "bzip2": bz2.BZ2Decompressor,
    "xz": _xz,
}
_CODEC_ERRORS = (zlib.error, OSError, EOFError, ValueError, lzma.LZMAError, zstd.ZstdError)


def compression_of(head: bytes) -> str:
    """The compression that the first bytes (16 are enough) of a file show: one of `COMPRESSIONS`."""
    for name, magics in _MAGIC:
        if head.startswith(magics):
            return name
    if head[:3] == b"BZh" and head[3:4].isdigit() and head[4:].startswith(_BZIP2_BLOCKS):
        return "bzip2"
    return "none"


def open_input(file: InputFile) -> BinaryIO:
    """The bytes of a file as they lie. DataError when it went away or became unreadable since the run began; an object
    also when it is another than then."""
    path = as_path(file.path)
    if isinstance(path, StoragePath):
        from curator.storage.ranges import Version, open_version

        return open_version(path, file.name, Version(file.size, file.etag or ""))
    try:
        return open(file.path, "rb")  # noqa: PTH123 (the caller closes it)
    except OSError as error:
        raise DataError(
            f"cannot be read any more: {error.strerror}", file=file.name, hint="it was there when the run began"
        ) from None


def read_chunks(
    file: InputFile, begin: int = 0, chunk_bytes: int = CHUNK_BYTES, consumed: list[int] | None = None
) -> Iterator[bytes]:
    """The file's (decompressed) bytes in order, in pieces of at most about `chunk_bytes`.

    A plain file is read from `begin` to the size that it had when the run began; a compressed one from its beginning
    (`begin` must be 0). `consumed[0]` is kept at the bytes of the file as it lies that were read. Raises
    DamagedStreamError after the last good byte, UserError for a stream that asks for more memory than any decompressor
    should, DataError when a plain file has become shorter.
    """
    with open_input(file) as handle:
        plain = file.compression == "none"
        for chunk in _plain(handle, file, begin, chunk_bytes) if plain else _decompressed(handle, file):
            if consumed is not None:
                consumed[0] = handle.tell()
            yield chunk


def read_head(file: InputFile, limit: int) -> bytes:
    """The first `limit` (decompressed) bytes, fewer when the file is shorter or damaged before."""
    head = bytearray()
    try:
        for chunk in read_chunks(file, chunk_bytes=limit):
            head += chunk
            if len(head) >= limit:
                break
    except DamagedStreamError:
        pass  # whoever reads the file to its end meets the damage and reports it
    return bytes(head[:limit])


def digest_range(file: InputFile, begin: int, end: int) -> str:
    """BLAKE3 (hex) of bytes [begin, end) of the file as it lies."""
    return _hash_range(file, begin, end, blake3.blake3())


def sha256_range(file: InputFile, begin: int, end: int) -> str:
    """SHA-256 (hex) of bytes [begin, end) of the file as it lies: what a `Failure` says of a record."""
    return _hash_range(file, begin, end, hashlib.sha256())


def _hash_range(file: InputFile, begin: int, end: int, digest: blake3.blake3 | hashlib._Hash) -> str:
    with open_input(file) as handle:
        handle.seek(begin)
        left = end - begin
        while left > 0 and (chunk := handle.read(min(left, CHUNK_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def digest_data(data: bytes | memoryview, failures: tuple[Failure, ...] = ()) -> str:
    """BLAKE3 (hex) of a block of a stream, and of what its failures say of bytes that are not in it."""
    digest = blake3.blake3(data)
    for failure in failures:
        digest.update(f"\0{failure.position} {failure.code} {failure.digest}".encode())
    return digest.hexdigest()


def _plain(handle: BinaryIO, file: InputFile, begin: int, chunk_bytes: int) -> Iterator[bytes]:
    handle.seek(begin)
    left = file.size - begin
    while left > 0:
        chunk = handle.read(min(left, chunk_bytes))
        if not chunk:
            raise DataError("is shorter than when the run began", file=file.name, hint="input must not change in a run")
        left -= len(chunk)
        yield chunk


def _decompressed(handle: BinaryIO, file: InputFile) -> Iterator[bytes]:
    """Members (gzip), frames (zstd), streams (bzip2, xz) one after the other; zero bytes between and after them are
    padding."""
    make = _DECOMPRESSORS[file.compression]
    feed, place = handle.read(_FEED_BYTES), 0
    while feed:
        decompressor, member, delivered = make(), place, 0
        while not decompressor.eof:
            if decompressor.needs_input and not feed:
                feed = handle.read(_FEED_BYTES)
                if not feed:
                    raise DamagedStreamError(TRUNCATED)
            try:
                output = decompressor.decompress(feed, _OUTPUT_BYTES)
            except _CODEC_ERRORS as error:
                _refuse_large_window(error, file)
                yield from _rescue(handle, make, member, delivered)
                raise DamagedStreamError(CORRUPT) from None
            place += len(feed)
            feed = b""
            delivered += len(output)
            if output:
                yield output
        place -= len(decompressor.unused_data)
        feed = decompressor.unused_data
        while not feed.strip(b"\0"):
            place += len(feed)
            feed = handle.read(_FEED_BYTES)
            if not feed:
                return
        padding = len(feed) - len(feed.lstrip(b"\0"))
        place += padding
        feed = feed[padding:]


def _rescue(handle: BinaryIO, make: Callable[[], Decompressor], member: int, delivered: int) -> Iterator[bytes]:
    """What comes before the damage but was lost with the call that met it: the member is read again up to `delivered`,
    then byte by byte. At most the last byte before the damage is lost: a decompressor may meet the damage as it hands
    it out."""
    handle.seek(member)
    decompressor = make()
    rescued = bytearray()
    try:
        while not decompressor.eof:
            step = min(delivered, _OUTPUT_BYTES) if delivered else 1
            feed = handle.read(_FEED_BYTES) if decompressor.needs_input else b""
            if decompressor.needs_input and not feed:
                break
            output = decompressor.decompress(feed, step)
            if delivered:
                delivered -= len(output)
            else:
                rescued += output
    except _CODEC_ERRORS:
        pass  # the damage that brought us here
    if rescued:
        yield bytes(rescued)


def _refuse_large_window(error: Exception, file: InputFile) -> None:
    if "emory" in str(error):
        raise UserError(
            "needs more memory to decompress than any usual setting of its compressor",
            file=file.name,
            hint="compress it again without --long or with a smaller dictionary",
        ) from None
