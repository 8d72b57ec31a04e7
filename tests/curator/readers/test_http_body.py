"""Bodies of HTTP responses, decoded by us as FastWARC does where it can, and in no way that ends a process."""

from __future__ import annotations

import gzip
import io
import random
import sys
import zlib
from contextlib import suppress

import brotli
import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from curator.readers.http_body import Body, decode
from tests.curator.readers.warc_files import raw_deflate, response, warc_record

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1 << 20
PACK = {
    "": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}

bodies = st.binary(max_size=400) | st.text(max_size=200).map(str.encode)


def join(chunks: list[bytes], extension: bytes) -> bytes:
    """A body in chunks, with a last one."""
    head = b"%x" + extension.replace(b"%", b"%%") + b"\r\n"
    return b"".join(head % len(chunk) + chunk + b"\r\n" for chunk in chunks if chunk) + head % 0 + b"\r\n"


def by_fastwarc(sent: bytes, headers: str) -> bytes:
    record = io.BytesIO(warc_record(response(sent, headers)))
    return bytes(next(ArchiveIterator(record, parse_http=True, auto_decode="all")).reader.read())


@pytest.mark.slow
@given(
    chunks=st.lists(bodies, min_size=1, max_size=5),
    packing=st.sampled_from(["", "gzip", "deflate", "br", "zstd"]),
    extension=st.sampled_from([b"", b" "]),
)
def test_what_fastwarc_decodes_is_decoded_alike(chunks: list[bytes], packing: str, extension: bytes) -> None:
    body = b"".join(chunks)
    packed = PACK[packing](body)
    sent = join([packed[:100], packed[100:]], extension)
    found = decode(sent, "chunked", packing, LIMIT)
    assert found == Body(body, True, False)
    headers = f"Transfer-Encoding: chunked\r\nContent-Encoding: {packing}" if packing else "Transfer-Encoding: chunked"
    assert by_fastwarc(sent, headers) == found.data


@given(
    body=bodies,
    extension=st.sampled_from([b";a", b" ; a=b", b';a="%d\xff;"']),
    packing=st.sampled_from(["x-gzip", "raw deflate", "br", "zstd"]),
)
def test_what_it_refuses_is_decoded(body: bytes, extension: bytes, packing: str) -> None:
    packed = raw_deflate(body) if packing == "raw deflate" else PACK[packing](body)
    sent = join([packed[:7], packed[7:]], extension)
    named = f"{packing.removeprefix('raw ')}, identity"
    assert decode(sent, "Chunked", named, LIMIT) == Body(body, True, False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["br", "zstd"])
def test_what_is_packed_may_end_anywhere(name: str) -> None:
    body = "".join(f"Würde {n} und Wort {n * n}. " for n in range(30_000)).encode()
    packed = PACK[name](body)
    lengths = [len(decode(packed[: len(packed) * part // 8], None, name, LIMIT).data) for part in range(1, 9)]
    assert lengths == sorted(lengths)
    assert 0 < lengths[3] < len(body)
    for part in range(1, 9):
        found = decode(packed[: len(packed) * part // 8], None, name, LIMIT)
        assert found == Body(body[: len(found.data)], True, part < 8)


@pytest.mark.parametrize("name", ["br", "zstd"])
@pytest.mark.parametrize("body", ["<p>Würde</p>", "; ", "L", "Würde " * 1000, "你好，世界。" * 100, "\n\n\tWort"])
def test_text_that_was_unpacked_before_is_left_as_it_is(name: str, body: str) -> None:
    assert decode(body.encode(), None, name, LIMIT) == Body(body.encode(), False, False)


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_what_is_damaged_within_is_refused(name: str) -> None:
    packed = PACK[name]("".join(f"Würde {n} und Wort {n * n}. " for n in range(300)).encode())
    middle = len(packed) // 2
    with pytest.raises(OSError, match=r"brotli|Zstandard"):
        decode(packed[:middle] + bytes(range(256)) + packed[middle:], None, name, LIMIT)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("words", [1, 300, 30_000])
@pytest.mark.parametrize("behind", [b"\r\n", bytes(5), b"x" * 10_000, brotli.compress(b"another page" * 20)])
def test_what_is_behind_its_end_is_passed_over(name: str, words: int, behind: bytes) -> None:
    body = "".join(f"Würde {n} und Wort {n * n}. " for n in range(words)).encode()
    packed = PACK[name](body)
    assert decode(join([packed, behind], b";a=b"), "chunked", name, LIMIT) == Body(body, True, False)
    if name == "br":  # the others it refuses, and they are decoded here
        assert by_fastwarc(packed + behind, "Content-Encoding: br") == body


@pytest.mark.parametrize("length", [4095, 4096, 4097, 8192])
def test_a_stream_may_end_anywhere_in_the_body(length: int) -> None:
    noise = random.Random(length).randbytes(length)
    body = next(noise[:size] for size in range(length, 0, -1) if len(brotli.compress(noise[:size])) == length)
    assert decode(brotli.compress(body) + b"\r\n", None, "br", LIMIT) == Body(body, True, False)


@given(body=bodies, data=st.data())
def test_a_body_that_was_cut_anywhere_is_the_beginning_of_the_whole(body: bytes, data: st.DataObject) -> None:
    sent = join([body[:50], body[50:]], b";a=b")
    keep = data.draw(st.integers(8, len(sent) - 1))
    found = decode(sent[:keep], "chunked", None, LIMIT)
    assert body.startswith(found.data)
    assert found.is_cut_off or found.data == body


@given(
    sent=st.binary(max_size=60)
    | st.lists(st.sampled_from([b"5", b"\r\n", b"0", b";", b"ab", b"\x1f\x8b\x08"])).map(b"".join),
    transfer=st.sampled_from([None, "chunked", "gzip, chunked", "br"]),
    content=st.sampled_from([None, "gzip", "deflate", "x-gzip,deflate", ", ,", "br", "zstd, br"]),
)
def test_whatever_was_sent_is_decoded_left_as_it_is_or_refused(
    sent: bytes, transfer: str | None, content: str | None
) -> None:
    with suppress(OSError):
        found = decode(sent, transfer, content, 1000)
        assert found.was_encoded or found == Body(sent, False, False)
        assert len(found.data) <= 1001


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_no_more_is_unpacked_than_the_limit(name: str) -> None:
    packed = PACK[name](bytes(1_000_000))
    assert len(decode(packed, None, name, 1000).data) == 1001
