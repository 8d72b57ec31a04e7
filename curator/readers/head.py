"""What the first bytes of a text file tell before any record is read."""

from __future__ import annotations

import shlex
from pathlib import Path

from curator.errors import UserError
from curator.readers.base import InputFile
from curator.readers.streams import read_head
from curator.storage.path import is_url

UTF8_BOM = b"\xef\xbb\xbf"

_HEAD_BYTES = 4096
_SAMPLE_BYTES = 64
_WIDE_BOMS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def check_text_head(file: InputFile) -> bytes:
    """The first bytes of a file of text, without a UTF-8 byte order mark. UserError when the file is UTF-16 or UTF-32:
    its line feeds cannot be found byte by byte."""
    head = read_head(file, _HEAD_BYTES)
    encoding = wide_encoding(head)
    if encoding is not None:
        source = Path(Path(file.path).name if is_url(file.path) else file.path)
        target = source.with_name(f"{source.stem}.utf8{source.suffix}")
        unpack = "" if file.compression == "none" else "unpack it, then "
        raise UserError(
            f"is {encoding}, not UTF-8",
            file=file.name,
            hint=f"{unpack}convert it: "
            f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(source))} > {shlex.quote(str(target))}",
        )
    return head.removeprefix(UTF8_BOM)


def wide_encoding(head: bytes) -> str | None:
    """`UTF-16`, `UTF-32`, `UTF-16LE` or `UTF-16BE` when the first bytes of a file show it: by a byte order mark, or as
    ASCII with a zero in every second byte."""
    for mark, name in _WIDE_BOMS:
        if head.startswith(mark):
            return name
    even, odd = head[0:_SAMPLE_BYTES:2], head[1:_SAMPLE_BYTES:2]
    if len(head) >= 4:
        if not any(odd) and all(even):
            return "UTF-16LE"
        if not any(even) and all(odd):
            return "UTF-16BE"
    return None
