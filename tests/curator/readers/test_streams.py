"""Streams: every compression, damage at any byte, and memory that does not follow the input."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import random
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import pytest
import zstandard

from curator.errors import DataError, UserError
from curator.readers.base import ReadOptions
from curator.readers.jsonl import JsonlReader
from curator.readers.streams import DamagedStreamError, GzipDecompressor, compression_of, read_chunks
from tests.curator.readers.reader_files import COMPRESS, input_file, read_file, xz_of_window

CODECS = [name for name in COMPRESS if name != "none"]
DATA = b"".join(b'{"text": "%d %s"}\n' % (n, random.Random(n).randbytes(40).hex().encode()) for n in range(4000))


def drain(path: Path) -> tuple[bytes, str | None]:
    """All bytes that can be had, and the code of the damage."""
    data = bytearray()
    try:
        for chunk in read_chunks(input_file(path)):
            data += chunk
    except DamagedStreamError as error:
        return bytes(data), error.code
    return bytes(data), None


@pytest.mark.parametrize("codec", CODECS)
def test_compression_is_told_by_content(codec: str) -> None:
    assert compression_of(COMPRESS[codec](DATA)[:16]) == codec
    assert compression_of(COMPRESS[codec](b"")[:16]) == codec


@pytest.mark.parametrize("head", [b"", b"BZh", b"BZh9 text", b"\x1f\x8b", b"{", b"\xfd7z"])
def test_other_content_is_not_compressed(head: bytes) -> None:
    assert compression_of(head) == "none"


@pytest.mark.parametrize("codec", CODECS)
def test_members_one_after_the_other_and_zero_padding_are_one_stream(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    parts = [DATA[:1000], b"", DATA[1000:70_000], DATA[70_000:]]
    path.write_bytes(b"".join(COMPRESS[codec](part) for part in parts) + bytes(200_000))
    assert drain(path) == (DATA, None)


def test_a_zstd_skippable_frame_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\x50\x2a\x4d\x18\x04\x00\x00\x00note" + zstandard.compress(DATA))
    assert drain(path) == (DATA, None)


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_cut_anywhere_gives_a_prefix_and_says_truncated(codec: str, tmp_path: Path) -> None:
    whole = COMPRESS[codec](DATA)
    path = tmp_path / "data"
    for cut in [17, 100, len(whole) // 2, len(whole) - 9, len(whole) - 1]:
        path.write_bytes(whole[:cut])
        data, code = drain(path)
        assert code == "stream.truncated"
        assert DATA.startswith(data)
    assert len(data) > 0.6 * len(DATA)  # zstd hands out whole blocks of 128 KiB


def test_gzip_hands_out_all_output_that_its_input_gives_in_small_pieces() -> None:
    packed = gzip.compress(bytes(100_000))
    cut = packed[: len(packed) // 2]
    decompressor = GzipDecompressor()
    size = len(decompressor.decompress(cut, 7))
    while not decompressor.needs_input:
        size += len(decompressor.decompress(b"", 7))
    assert size == len(zlib.decompressobj(31).decompress(cut)) > 10_000


def test_gzip_gives_every_byte_that_was_written_before_the_cut(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as handle:
        handle.write(DATA[:100_000])
        handle.flush()
        flushed = buffer.tell()
        handle.write(DATA[100_000:])
    path = tmp_path / "data"
    path.write_bytes(buffer.getvalue()[:flushed])
    assert drain(path) == (DATA[:100_000], "stream.truncated")


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_damage_gives_what_came_before_it_and_says_corrupt(codec: str, tmp_path: Path) -> None:
    whole = bytearray(COMPRESS[codec](DATA))
    path = tmp_path / "data"
    for place in [len(whole) // 3, len(whole) // 2, len(whole) - 200]:
        broken = whole.copy()
        broken[place : place + 8] = bytes(byte ^ 0xA5 for byte in broken[place : place + 8])
        path.write_bytes(broken)
        data, code = drain(path)
        assert code in ("stream.corrupt", "stream.truncated")
        assert drain(path) == (data, code)


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_no_member_behind_a_stream_is_damage_at_its_end(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(COMPRESS[codec](DATA) + b"something else that is long enough")
    assert drain(path) == (DATA, "stream.corrupt")


def test_bytes_before_damage_are_handed_out_even_from_the_call_that_met_it(tmp_path: Path) -> None:
    frames = [zstandard.compress(DATA[at : at + 1000]) for at in range(0, 50_000, 1000)]
    frames[30] = frames[30][:8] + b"\xff\xff\xff" + frames[30][11:]
    path = tmp_path / "data"
    path.write_bytes(b"".join(frames))
    assert drain(path) == (DATA[:30_000], "stream.corrupt")
    inflated = gzip.compress(DATA[:5000], compresslevel=0)
    path.write_bytes(inflated[:4000] + b"\xff" + inflated[4001:])
    data, code = drain(path)
    assert code == "stream.corrupt"  # it is the checksum behind the last byte that fails
    assert len(data) >= 4999


def test_bytes_before_damage_are_found_again_in_the_member_that_is_damaged(tmp_path: Path) -> None:
    first = gzip.compress(DATA[:200_000])
    second = bytearray(gzip.compress(DATA[200_000:], compresslevel=0))
    length = int.from_bytes(second[11:13], "little")  # of the first stored block, behind the header of gzip
    second[15 + length + 1] ^= 0xFF  # the length of the next one, which is there twice
    path = tmp_path / "data"
    path.write_bytes(first + bytes(1000) + second)
    data, code = drain(path)
    assert code == "stream.corrupt"
    assert DATA.startswith(data)
    assert 200_000 + length - 1 <= len(data) <= 200_000 + length


@pytest.mark.parametrize("codec", CODECS)
def test_a_truncated_file_gives_its_last_complete_record_and_one_failure_where_it_breaks(
    codec: str, tmp_path: Path
) -> None:
    path = tmp_path / "data.jsonl"
    whole = COMPRESS[codec](DATA)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    came, _ = drain(path)
    complete = came.rfind(b"\n") + 1
    found = read_file(JsonlReader(), input_file(path), ReadOptions(), 10_000)
    assert len(found.records) == came.count(b"\n")
    assert found.failures == [(len(came), "stream.truncated")]
    assert found.details[0].digest == hashlib.sha256(came[complete:]).hexdigest()
    assert found.details[0].line == came.count(b"\n") + 1


def test_a_stream_that_breaks_before_its_first_byte_is_one_failure(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(gzip.compress(DATA)[:10])
    found = read_file(JsonlReader(), input_file(path), ReadOptions())
    assert found.failures == [(0, "stream.truncated")]
    assert found.records == []


def test_a_stream_that_asks_for_gigabytes_of_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    parameters = zstandard.ZstdCompressionParameters(window_log=29, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path.write_bytes(compressor.compress(b"text\n" * 1000) + compressor.flush())
    with pytest.raises(UserError, match="memory to decompress"):
        drain(path)
    path.write_bytes(xz_of_window(b"text", 1 << 30))
    with pytest.raises(UserError, match="memory to decompress"):
        drain(path)


def test_a_file_that_went_away_or_shrank_in_the_run_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 100)
    file = input_file(path)
    path.write_bytes(b'{"text": "a"}\n')
    with pytest.raises(DataError, match=r"data\.jsonl: is shorter than"):
        read_file(JsonlReader(), file, ReadOptions())
    path.unlink()
    with pytest.raises(DataError, match=r"data\.jsonl: cannot be read any more"):
        read_file(JsonlReader(), file, ReadOptions())


def peak_of(script: str, *arguments: str) -> int:
    """The bytes of memory that `script`, run by a Python process of its own, prints in kB."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments], check=True, capture_output=True, text=True
    )
    return int(result.stdout) * 1024


READ_ALL = """
    import os, sys
    from curator.readers.base import InputFile, ReadOptions
    from curator.readers.jsonl import JsonlReader

    def memory(name):
        return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

    def read(path, compression):
        about = os.stat(path)
        file = InputFile(path, "data", about.st_size, about.st_mtime_ns, "jsonl", compression)
        options = ReadOptions(batch_bytes=4 << 20)
        reader = JsonlReader()
        codes, records = [], 0
        for split in reader.splits(file, options, 16 << 20):
            codes += [(failure.position, failure.code) for failure in split.failures]
            for part in reader.read(split, options):
                codes += [(failure.position, failure.code) for failure in part.failures]
                records += part.records.num_rows
        return codes, records

    path, first, compression = sys.argv[1:]
    assert read(first, "none") == ([], 1)
    libraries = memory("VmRSS")
    found = read(path, compression)
    assert found == ([(14, "document.too_large")], 2), found
    print(memory("VmHWM") - libraries)
"""
"""Prints how much memory reading takes beside libraries and kernels, which a line of another file has loaded."""


OPEN: dict[str, Callable[[Path], IO[bytes]]] = {
    "none": lambda path: path.open("wb"),
    "gzip": lambda path: cast("IO[bytes]", gzip.GzipFile(path, "wb", compresslevel=1)),
    "zstd": lambda path: zstandard.open(path, "wb"),
    "xz": lambda path: lzma.LZMAFile(path, "wb", preset=0),  # noqa: SIM115 (the test closes it)
}


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd", "xz"])
def test_a_document_of_200_megabytes_fails_alone_and_is_never_held(codec: str, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_bytes(b'{"text": "a"}\n')
    peaks = []
    for megabytes in (70, 200):
        path = tmp_path / f"{megabytes}"
        with OPEN[codec](path) as handle:
            handle.write(b'{"text": "a"}\n{"text": "')
            for _ in range(megabytes):
                handle.write(b"word " * 200_000)
            handle.write(b'"}\n{"text": "b"}\n')
        peaks.append(peak_of(READ_ALL, str(path), str(first), codec))
    assert peaks[1] < 128 << 20
    assert peaks[1] < peaks[0] + (24 << 20)
