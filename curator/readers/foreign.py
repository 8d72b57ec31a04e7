"""What a file is that no reader reads, by its first bytes (its magic), and what to do with it.

A magic that text could begin with counts only with what no text has behind it.
"""

from __future__ import annotations

_UNPACK = "unpack it first"
_EXTRACT = "write its text to a file first, as pandoc does"
_EXPORT = "write its documents as JSON lines or Parquet first"
_NO_TEXT = "write the text that it shows to a file first, as tesseract does"
_IMAGE = ("an image", _NO_TEXT)
_OFFICE = ("a document of Word, Excel or PowerPoint", _EXTRACT)

_MAGIC: tuple[tuple[bytes, tuple[str, str]], ...] = (
    (b"7z\xbc\xaf\x27\x1c", ("a 7z archive", _UNPACK)),
    (b"\x04\x22\x4d\x18", ("compressed with LZ4", _UNPACK)),
    (b"Rar!", ("a RAR archive", _UNPACK)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OFFICE),
    (b"{\\rtf1", ("RTF", _EXTRACT)),
    (b"SQLite format 3\0", ("a database of SQLite", _EXPORT)),
    (b"\x93NUMPY", ("an array of NumPy", _EXPORT)),
    (b"\x89HDF\r\n\x1a\n", ("HDF5", _EXPORT)),
    (b"Obj\x01", ("Avro", _EXPORT)),
    (b"ARROW1\0\0", ("an Arrow IPC file", _EXPORT)),
    *((b"\x80" + bytes((protocol,)), ("a pickle of Python", _EXPORT)) for protocol in range(2, 6)),
    (b"\x89PNG\r\n\x1a\n", _IMAGE),
    (b"\xff\xd8\xff", _IMAGE),
    (b"II*\0", _IMAGE),
    (b"MM\0*", _IMAGE),
)
_ZIP = b"PK\x03\x04"
_ZIP_NAME = 30
"""Where the name of the first entry begins (APPNOTE.TXT of PKWARE, section 4.3.7)."""
_ZIP_STARTS: tuple[tuple[bytes, tuple[str, str]], ...] = (
    (b"mimetypeapplication/epub+zip", ("an EPUB book", _EXTRACT)),
    (b"mimetypeapplication/vnd.oasis.opendocument", ("an OpenDocument file", _EXTRACT)),
    *((name, _OFFICE) for name in (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/")),
)
"""What tells a format that is a ZIP archive: how its first entry begins, which for the first two is stored (EPUB OCF
3.3, section 4.2.4; OpenDocument 1.3, part 2, section 3.3)."""
_ZIP_ENDS: tuple[tuple[bytes, tuple[str, str]], ...] = (
    (b".npy", ("an archive of NumPy", _EXPORT)),
    (b"/data.pkl", ("a file of PyTorch", _EXPORT)),
)
"""The same, by how the name of its first entry ends."""
_TAR_MAGIC = 257
"""Where it stands (POSIX.1-2017, pax, ustar Interchange Format); GNU tar writes two blanks behind it."""


def describe_foreign(head: bytes) -> str | None:
    """`a PDF, which is not read: …` for a file with these first (decompressed) bytes, 1,024 or all; None for one that
    begins like none of these."""
    found = _find(head)
    return None if found is None else f"{found[0]}, which is not read: {found[1]}"


def _find(head: bytes) -> tuple[str, str] | None:
    if head.startswith(_ZIP):
        return _find_in_zip(head)
    if head.startswith(b"%PDF-") and head[5:8].replace(b".", b"0").isdigit() and head[8:9] in (b"\r", b"\n"):
        return "a PDF", "write its text to a file first, as pdftotext does"
    if head.startswith((b"GIF87a", b"GIF89a")) and b"\0" in head:
        return _IMAGE
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _IMAGE
    if head[_TAR_MAGIC : _TAR_MAGIC + 8] in (b"ustar\x0000", b"ustar  \0"):
        return "a tar archive", _UNPACK
    return next((what for magic, what in _MAGIC if head.startswith(magic)), None)


def _find_in_zip(head: bytes) -> tuple[str, str]:
    """What a ZIP archive is, by its first entry."""
    entry = head[_ZIP_NAME:]
    name = entry[: int.from_bytes(head[_ZIP_NAME - 4 : _ZIP_NAME - 2], "little")]
    for end, what in _ZIP_ENDS:
        if name.endswith(end):
            return what
    return next((what for start, what in _ZIP_STARTS if entry.startswith(start)), ("a ZIP archive", _UNPACK))
