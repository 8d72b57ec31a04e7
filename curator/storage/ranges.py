"""An object as a file: the ranges that are read are fetched, a few megabytes are kept, the rest is never held.

What is read belongs to one version of the object. The filesystem cannot ask for a version, and hands out what is not
there as noise where an object has become shorter; so the version is looked at again after each fetch, unless all of a
small object came, and its ETag is the MD5 of that.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, cast

from curator.errors import CuratorError
from curator.storage.errors import changed, gone
from curator.storage.filesystems import filesystem_of
from curator.storage.objects import translated
from curator.storage.path import StoragePath

if TYPE_CHECKING:
    import pyarrow as pa
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 256 << 10
"""The least that is fetched: what the head of a file costs."""

BLOCKS_TOGETHER = 16
"""Blocks that one request fetches where a file is read on: 4 MiB."""

CACHE_BLOCKS = 96
"""Blocks that a process keeps: 24 MiB, so that a split of 8 MiB is hashed without being fetched again."""


@dataclass(frozen=True)
class Version:
    """What tells one content of an object from another: its size in bytes, and its ETag (where the storage has none,
    the time at which it was changed)."""

    size: int
    etag: str


class _Cache:
    """The blocks that were used last, of all objects that this process reads."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[str, Version, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, version: Version, number: int) -> bytes | None:
        key = (name, version, number)
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def put(self, name: str, version: Version, number: int, block: bytes) -> None:
        with self._lock:
            self._blocks[name, version, number] = block
            while len(self._blocks) > CACHE_BLOCKS:
                self._blocks.popitem(last=False)


@lru_cache(maxsize=1)
def _cache() -> _Cache:
    return _Cache()


def version_of(path: StoragePath) -> Version:
    """The version of an object as it is now. FileNotFoundError when there is none."""
    with translated(path), filesystem_of(path).open_input_file(path.key) as source:
        return _version(path, source)


def _version(path: StoragePath, source: pa.NativeFile) -> Version:
    found = {str(name).lower(): value for name, value in (source.metadata() or {}).items()}
    etag = found.get("etag")
    if etag:
        return Version(int(source.size()), etag.decode(errors="replace").strip('"'))
    with translated(path):
        changed_at = filesystem_of(path).get_file_info(path.key).mtime_ns
    return Version(int(source.size()), f"changed at {changed_at}")


class ObjectFile(io.RawIOBase):
    """An object that is read like a file. DataError when it changes or goes away meanwhile."""

    def __init__(self, path: StoragePath, name: str) -> None:
        super().__init__()
        self._path = path
        self._name = name
        with translated(path):
            self._source = filesystem_of(path).open_input_file(path.key)
            self.version = _version(path, self._source)
        self._place = 0
        self._together = 1
        self._cache = _cache()

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def seekable(self) -> bool:
        """Any place can be read."""
        return True

    def tell(self) -> int:
        """The place from which is read next."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._place = max(
            0, {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.version.size}[whence] + offset
        )
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer as far as the object goes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """As many bytes as asked for, fewer only at the end of the object."""
        end = self.version.size if size is None or size < 0 else min(self._place + size, self.version.size)
        pieces = []
        while self._place < end:
            number, offset = divmod(self._place, BLOCK_BYTES)
            block = self._cache.get(self._name_in_cache, self.version, number) or self._fetch(number, end)
            piece = block[offset : offset + end - self._place]
            pieces.append(piece)
            self._place += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readall(self) -> bytes:
        """The rest of the object."""
        return self.read()

    def close(self) -> None:
        """Let go of the object."""
        if not self.closed:
            self._source.close()
        super().close()

    @property
    def _name_in_cache(self) -> str:
        return str(self._path)

    def _fetch(self, number: int, end: int) -> bytes:
        """Fetch a block and those behind it, more the longer the file is read on. Returns the block."""
        wanted = -(-end // BLOCK_BYTES) - number
        last = -(-self.version.size // BLOCK_BYTES)
        count = min(max(wanted, self._together), BLOCKS_TOGETHER, last - number)
        self._together = min(2 * count, BLOCKS_TOGETHER)
        begin = number * BLOCK_BYTES
        data = self._read_at(begin, min(count * BLOCK_BYTES, self.version.size - begin))
        for index in range(count - 1, -1, -1):
            block = data[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]
            self._cache.put(self._name_in_cache, self.version, number + index, block)
        return data[:BLOCK_BYTES]

    def _read_at(self, begin: int, size: int) -> bytes:
        try:
            with translated(self._path):
                data = bytes(self._source.read_at(size, begin))
        except (CuratorError, FileNotFoundError):
            self._check()  # an object that has changed or gone fails in ways of its own: say that instead
            raise
        if not self._is_proven(data):
            self._check()
        return data

    def _is_proven(self, data: bytes) -> bool:
        """Whether these bytes are the whole of this version, as its ETag tells of an object that was put by one request
        (Amazon S3, API reference, 'Object', on ETag); of others it tells nothing."""
        if len(data) != self.version.size or len(data) > BLOCK_BYTES:
            return False
        return hashlib.md5(data, usedforsecurity=False).hexdigest() == self.version.etag

    def _check(self) -> None:
        try:
            now = version_of(self._path)
        except FileNotFoundError:
            raise gone(self._name) from None
        if now != self.version:
            raise changed(self._name)


def kept_beginning(path: StoragePath, version: Version) -> bytes | None:
    """The first block of this version of an object, if this process fetched it a moment ago and has kept it."""
    return _cache().get(str(path), version, 0)


def open_object(path: StoragePath, name: str | None = None) -> BinaryIO:
    """An object as a file; errors name it by `name`. FileNotFoundError when there is none."""
    return cast("BinaryIO", ObjectFile(path, name or str(path)))


def open_version(path: StoragePath, name: str, version: Version) -> BinaryIO:
    """An object as a file. DataError when it is gone, or is not this version of it."""
    try:
        file = ObjectFile(path, name)
    except FileNotFoundError:
        raise gone(name) from None
    if file.version != version:
        file.close()
        raise changed(name)
    return cast("BinaryIO", file)
