"""The limited process that unpacks the first bytes of compressed files: a `HeadsQuestion` on standard input, an
`Answer` on standard output, both JSON.

`python -m serve.guarded.unpack MEMORY_BYTES SECONDS OUTPUT_BYTES MAPPED_BYTES WRITTEN_BYTES`

It is started for every 48 objects of a submission, and the models of `serve.guarded.read` and Arrow would take several
times as long to load as all that it does. So it loads neither, unless it has to go to an object itself.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from curator.errors import CuratorError, DataError, TransientError, UserError
from curator.readers.streams import read_head
from serve.guarded.limits import limit_process

if TYPE_CHECKING:
    from curator.readers.base import InputFile

HEAD_BYTES = 1024
"""What `curator.readers.detect.read_heads` reads."""


@dataclass(frozen=True)
class Packed:
    """A file of the question. `beginning` is a file with its first bytes, `held` of them; None where it is read
    itself."""

    path: str
    name: str
    size: int
    compression: str
    etag: str | None
    beginning: str | None
    held: int

    def as_input(self, path: str) -> InputFile:
        """What `read_head` reads of a file. Not that class, whose module loads Arrow."""
        return cast("InputFile", Packed(path, self.name, self.size, self.compression, self.etag, None, 0))

    def head(self) -> bytes | None:
        """The first bytes; None where what is held of them does not tell, and the file itself has to."""
        if self.beginning is None:
            return None if "://" in self.path else read_head(self.as_input(self.path), HEAD_BYTES)
        head = read_head(self.as_input(self.beginning), HEAD_BYTES)
        return head if len(head) == HEAD_BYTES or self.held == self.size else None


def read_heads_of(files: Sequence[Packed]) -> list[bytes]:
    """The first (decompressed) bytes of each. The error of the first that has one, as `read_heads` raises it."""
    found: list[bytes | None] = []
    error: CuratorError | None = None
    for file in files:
        try:
            found.append(file.head())
        except (UserError, DataError, TransientError) as caught:
            error = caught
            break
    rest = _from_storage([file for file, head in zip(files, found, strict=False) if head is None])
    heads = [next(rest) if head is None else head for head in found]
    if error is not None:
        raise error
    return heads


def _from_storage(files: Sequence[Packed]) -> Iterator[bytes]:
    if not files:
        return iter(())
    from curator.readers.base import InputFile
    from curator.readers.detect import read_heads

    return read_heads(
        [InputFile(each.path, each.name, each.size, 0, "", each.compression, each.etag) for each in files]
    )


def main(memory_bytes: int, seconds: int, output_bytes: int, mapped_bytes: int, written_bytes: int) -> None:
    """Answer one question within the limits."""
    limit_process(memory_bytes, seconds, mapped_bytes, written_bytes)
    files = [Packed(**file) for file in json.load(sys.stdin)["files"]]
    answer: dict[str, object]
    try:
        heads = [base64.b64encode(head).decode() for head in read_heads_of(files)]
        answer = {"value": {"heads": heads}}
    except (UserError, DataError, TransientError) as error:
        told = {"kind": type(error).__name__, "message": error.message, "file": error.file, "hint": error.hint}
        answer = {"value": {"error": told}}
    except MemoryError:
        answer = {"code": "preview.failed", "detail": f"it takes more than {memory_bytes:,} bytes of memory"}
    text = json.dumps(answer)
    if len(text) > output_bytes:
        text = json.dumps({"code": "preview.failed", "detail": "there is too much of it"})
    sys.stdout.write(text)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:6]))
