"""The digests of splits, taken of bytes that were read anyway wherever that is possible."""

from __future__ import annotations

from curator.readers.base import Split
from curator.readers.streams import digest_data, digest_range


class Digests:
    """BLAKE3 (hex) of splits: of bytes that they carry, or that their reader had at hand, else of those in the file."""

    def __init__(self) -> None:
        self._known: tuple[Split, str] | None = None

    def know(self, split: Split, data: bytes | memoryview) -> None:
        """Take the digest of the split that is being read: `data` are all its bytes, as they lie in the file."""
        self._known = split, digest_data(data)

    def of(self, split: Split) -> str:
        """See `Reader.digest`."""
        if split.data is not None:
            return digest_data(split.data, split.failures)
        if self._known is not None and self._known[0] is split:
            return self._known[1]
        return digest_range(split.file, split.begin, split.end)
