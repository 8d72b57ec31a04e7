"""Files that are one document each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from curator.readers.base import Failure, InputFile, Split
from curator.readers.blocks import TOO_LARGE
from curator.readers.digests import Digests
from curator.readers.streams import DamagedStreamError, read_chunks

COMPRESSED = 4
"""How many times as much a compressed text is taken to be before it is read."""


def whole_file_split(file: InputFile) -> Iterator[Split]:
    """The one split of a file that is one document; none for an empty file."""
    if file.size:
        size = file.size if file.compression == "none" else file.size * COMPRESSED
        yield Split(file, 0, 0, file.size, first_line=1, consumed=file.size, size=size)


def read_whole(split: Split, limit: int, digests: Digests) -> bytes | Failure:
    """The (decompressed) bytes of a file that is one document, or why they cannot be had: it is over the limit (hashed
    as it passes) or its stream is damaged."""
    data, digest, length = bytearray(), hashlib.sha256(), 0
    try:
        for chunk in read_chunks(split.file):
            digest.update(chunk)
            length += len(chunk)
            if length <= limit:
                data += chunk
            else:
                data.clear()
    except DamagedStreamError as error:
        return Failure(length, None, error.code, digest.hexdigest())
    if length > limit:
        return Failure(0, 1, TOO_LARGE, digest.hexdigest())
    whole = bytes(data)
    if split.file.compression == "none":
        digests.know(split, whole)
    return whole
