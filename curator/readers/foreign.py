"""What a file is that no reader reads, by its first bytes (its magic), and what to do with it.

A magic that text could begin with counts only with what no text has behind it.
"""

from __future__ import annotations

import re

_UNPACK = "unpack it first"
_EXTRACT = "write its text to a file first, as pandoc does"
_EXPORT = "write its documents as JSON lines or Parquet first"
_NO_TEXT = "write the text that it shows to a file first, as tesseract does"
_IMAGE = ("an image", _NO_TEXT)
_SPOKEN = "write what is said in it to a file first, as whisper does"
_AUDIO = ("audio", _SPOKEN)
_VIDEO = ("video", _SPOKEN)
_PICKLE = ("a pickle of Python", _EXPORT)
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
    *((b"\x80" + bytes((protocol,)), _PICKLE) for protocol in range(2, 6)),
    (b"\x89PNG\r\n\x1a\n", _IMAGE),
    (b"\xff\xd8\xff", _IMAGE),
    (b"II*\0", _IMAGE),
    (b"MM\0*", _IMAGE),
    *((b"ID3" + bytes((version, 0)), _AUDIO) for version in range(2, 5)),
    (b"fLaC\0", _AUDIO),
    (b"OggS\0", _AUDIO),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"FLV\x01", _VIDEO),
)
_CONTAINERS: dict[bytes, tuple[str, str]] = {b"WEBP": _IMAGE, b"WAVE": _AUDIO, b"AVI ": _VIDEO}
"""What a RIFF file holds, by its form type (Multimedia Programming Interface and Data Specifications 1.0)."""
_BRANDS: dict[bytes, tuple[str, str]] = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"avif"), _IMAGE),
    **dict.fromkeys((b"M4A ", b"M4B "), _AUDIO),
}
"""What a file of the ISO base media format is by its major brand (ISO/IEC 14496-12, section 4.3), if it is no video."""
_FRAMES = (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9")
"""How a frame of MPEG audio begins: layer III of versions 1 and 2 (ISO/IEC 11172-3, 2.4.2.3), AAC in ADTS (13818-7)."""
_OLD_PICKLE = re.compile(rb"\([ld]p\d+\n|[\]}]q\0|c[\w.]+\n\w+\n(?:p\d+\n|q\0)")
"""How lists, dictionaries and objects begin in protocols 0 and 1 (pickletools: a mark and LIST or DICT with PUT,
EMPTY_LIST or EMPTY_DICT with BINPUT, GLOBAL with either)."""
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
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return _IMAGE
    if head.startswith(b"RIFF") and head[8:12] in _CONTAINERS:
        return _CONTAINERS[head[8:12]]
    if head.startswith(b"FORM") and head[8:12] in (b"AIFF", b"AIFC"):
        return _AUDIO
    if head.startswith(b"\0\0") and head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], _VIDEO)
    if head.startswith(_FRAMES) and b"\0" in head:
        return _AUDIO
    if head.startswith(b"ORC") and b"\0" in head:
        return "ORC", _EXPORT
    if _OLD_PICKLE.match(head):
        return _PICKLE
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
