"""Files that no reader reads, as the programs that make them write them, told by their first bytes."""

from __future__ import annotations

import io
import pickle
import sqlite3
import tarfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.orc
import pytest

from curator.errors import UserError
from curator.readers.detect import discover
from curator.readers.foreign import describe_foreign

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
IMAGES = {
    "a.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01,\0\0\x01,\x08\x02\0\0\0",
    "a.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01",
    "a.gif": b"GIF87a,\x01,\x01\x81\0\0",
    "a.webp": b"RIFF$\0\0\0WEBPVP8 ",
    "a.tif": b"II*\0\x08\0\0\0\n\0",
    "a.bmp": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
    "a.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
}


def zipped(*entries: tuple[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, (name, text) in enumerate(entries):
            # What names the format is stored, and first.
            archive.writestr(name, text, zipfile.ZIP_STORED if name == "mimetype" and not number else method)
    return file.getvalue()


def tarred(form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        entry = tarfile.TarInfo("würde.jsonl")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    return file.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE documents (text)")
    return connection.serialize()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, tokens=np.zeros(3))
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def orc() -> bytes:
    file = io.BytesIO()
    pa.orc.write_table(pa.table({"text": ["one", "more"]}), file)
    return file.getvalue()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16))
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    pa.ipc.new_file(file, pa.schema([("text", pa.string())])).close()
    return file.getvalue()


OPEN_DOCUMENT = "application/vnd.oasis.opendocument.text"
FOREIGN: dict[str, tuple[Callable[[], bytes], str]] = {
    "a.pdf": (lambda: PDF, "a PDF, which is not read: write its text to a file first, as pdftotext does"),
    "a.docx": (lambda: zipped(("[Content_Types].xml", "<Types/>")), "a document of Word, Excel or PowerPoint, which"),
    "a.odt": (lambda: zipped(("mimetype", OPEN_DOCUMENT), ("content.xml", "")), "an OpenDocument file, which"),
    "a.epub": (lambda: zipped(("mimetype", "application/epub+zip"), ("a.xhtml", "")), "an EPUB book, which"),
    "a.zip": (lambda: zipped(("a.txt", "a.npy /data.pkl"), method=zipfile.ZIP_STORED), "a ZIP archive, which"),
    "a.npz": (arrays, "an archive of NumPy, which is not read: write its documents as JSON lines or Parquet first"),
    "a.pt": (lambda: zipped(("archive/data.pkl", "")), "a file of PyTorch, which"),
    "a.npy": (array, "an array of NumPy, which"),
    "a.pkl": (lambda: pickle.dumps(["text"]), "a pickle of Python, which"),
    "b.pkl": (lambda: pickle.dumps(["text"], protocol=2), "a pickle of Python, which"),
    "c.pkl": (lambda: pickle.dumps([{"text": "a"}], protocol=1), "a pickle of Python, which"),
    "d.pkl": (lambda: pickle.dumps([{"text": "a"}], protocol=0), "a pickle of Python, which"),
    "e.pkl": (lambda: pickle.dumps({"text": "a"}, protocol=0), "a pickle of Python, which"),
    "f.pkl": (lambda: pickle.dumps(Path("a"), protocol=1), "a pickle of Python, which"),
    "a.orc": (orc, "ORC, which is not read: write its documents as JSON lines or Parquet first"),
    "a.wav": (sound, "audio, which is not read: write what is said in it to a file first, as whisper does"),
    "a.mp3": (lambda: b"ID3\x04\0\0\0\0\0\x23TSSE", "audio, which"),
    "b.mp3": (lambda: b"\xff\xfb\x90\x64" + bytes(32), "audio, which"),
    "a.flac": (lambda: b"fLaC\0\0\0\x22", "audio, which"),
    "a.ogg": (lambda: b"OggS\0\x02" + bytes(8), "audio, which"),
    "a.aiff": (lambda: b"FORM\0\0\0\x2eAIFFCOMM", "audio, which"),
    "a.m4a": (lambda: b"\0\0\0\x1cftypM4A \0\0\x02\0", "audio, which"),
    "a.mp4": (lambda: b"\0\0\0\x20ftypisom\0\0\x02\0", "video, which"),
    "a.avi": (lambda: b"RIFF\x24\0\0\0AVI LIST", "video, which"),
    "a.webm": (lambda: b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "video, which"),
    "a.wmv": (lambda: b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "video, which"),
    "a.mpg": (lambda: b"\0\0\x01\xba\x44\0", "video, which"),
    "a.flv": (lambda: b"FLV\x01\x05\0\0\0\x09", "video, which"),
    "a.db": (database, "a database of SQLite, which"),
    "a.arrow": (arrow, "an Arrow IPC file, which"),
    "a.tar": (lambda: tarred(tarfile.PAX_FORMAT), "a tar archive, which is not read: unpack it first"),
    "b.tar": (lambda: tarred(tarfile.GNU_FORMAT), "a tar archive, which"),
    "a.rtf": (lambda: rb"{\rtf1\ansi text}", "RTF, which"),
    "a.doc": (
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(24),
        "a document of Word, Excel or PowerPoint, which",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_no_reader_reads_is_named_with_what_to_do_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    make, told = FOREIGN[name]
    for called in (name, "a.jsonl"):
        (tmp_path / called).write_bytes(make())
        with pytest.raises(UserError, match=f": is {told}"):
            discover([str(tmp_path / called)])


@pytest.mark.parametrize("head", IMAGES.values(), ids=IMAGES)
def test_an_image_is_named_with_what_to_do(head: bytes) -> None:
    assert (
        describe_foreign(head)
        == "an image, which is not read: write the text that it shows to a file first, as tesseract does"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"%PDF-1.7 is how such a file begins.",
        b"GIF89a is how an image begins.",
        b"RIFF is what a container of Microsoft begins with.",
        b"RIFF is a WAVE of sound.",
        b"BMW makes cars, and other things with wheels.",
        b"ORC\nis a file format of Hadoop.",
        b"ID3 is a tag, FORM a chunk, and fLaC a marker.",
        b"(lp0 is a printer\n",
        b"cinema\ntheatre\np\n",
        b"]q",
        "ящик".encode("cp1251"),
        "ftyp".encode("utf-16-be"),
        "€ 5".encode("cp1252"),
        b'{"text": "{\\\\rtf1"}',
        b"-" * 257 + b"ustar is a format of archives",
    ],
)
def test_text_about_such_files_is_none(text: bytes) -> None:
    assert describe_foreign(text) is None


def test_a_directory_of_one_such_kind_says_what_to_do(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).write_bytes(PDF)
    told = r"extensions seen: \.pdf \(2\) \(each is a PDF, which is not read: write its text to a file first"
    with pytest.raises(UserError, match=told):
        discover([str(tmp_path)])
