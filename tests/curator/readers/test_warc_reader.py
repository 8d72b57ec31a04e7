"""The WARC reader on files that FastWARC wrote, and on broken ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from pathlib import Path

import brotli
import pytest
from fastwarc.warc import WarcRecord, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.readers.base import Fields, ReadOptions
from curator.readers.warc import WarcReader
from curator.readers.warc_records import WarcEnds
from tests.curator.readers.reader_files import input_file, read_bytes, read_file
from tests.curator.readers.warc_files import raw_deflate, response, warc_record

READER = WarcReader()


def crawl(pages: list[bytes], *, packed: bool) -> bytes:
    """A crawl as FastWARC writes it: a warcinfo record, then request, response and metadata of every page, each a gzip
    member."""
    records = [written(WarcRecordType.warcinfo, b"software: test\r\n", "http://example.com/")]
    for number, page in enumerate(pages):
        url = f"http://example.com/{number}"
        records.append(written(WarcRecordType.request, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", url))
        records.append(written(WarcRecordType.response, response(page, "Content-Type: text/html; charset=utf-8"), url))
        records.append(written(WarcRecordType.metadata, b"fetchTimeMs: 3\r\n", url))
    return b"".join(gzip.compress(record) if packed else record for record in records)


def written(kind: WarcRecordType, content: bytes, url: str) -> bytes:
    record = WarcRecord()
    record.init_headers(kind)
    record.headers.set("WARC-Target-URI", url)
    if kind in (WarcRecordType.request, WarcRecordType.response):
        record.headers.set("Content-Type", f"application/http; msgtype={kind}")
    record.set_bytes_content(content)
    output = io.BytesIO()
    record.write(output, checksum_data=True)
    return output.getvalue()


PAGES = [f"<html><body><p>Page {n} has a text of its own. Würde.</p></body></html>".encode() for n in range(20)]


@pytest.mark.parametrize("packed", [False, True])
def test_pages_of_a_crawl_are_read_with_their_record_ids(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.warc"
    path.write_bytes(crawl(PAGES, packed=packed))
    options = ReadOptions(fields=Fields(metadata=("url", "date", "WARC-Type")), batch_bytes=2000)
    found = read_file(READER, input_file(path, "warc"), options, 3000)
    assert [text.decode() for _, text in found.records] == [
        f"Page {n} has a text of its own. Würde." for n in range(20)
    ]
    assert len(found.splits) > 3
    assert str(found.rows[3]["id"]).startswith("urn:uuid:")
    metadata = json.loads(str(found.rows[3]["metadata"]))
    assert metadata["url"] == "http://example.com/3"
    assert metadata["WARC-Type"] == "response"
    assert found.failures == []


def test_positions_are_offsets_in_the_decompressed_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    packed = crawl(PAGES, packed=True)
    path.write_bytes(packed)
    plain = gzip.decompress(packed)
    found = read_file(READER, input_file(path, "warc"), ReadOptions(), 1000)
    for position, row in zip([at for at, _ in found.records], found.rows, strict=True):
        record = plain[position:].split(b"\r\n\r\n")[0]
        assert record.startswith(b"WARC/1.1\r\n")
        assert str(row["id"]).encode() in record


def test_texts_of_a_wet_file_are_read_as_they_are() -> None:
    data = warc_record("Zeile eins\nZwei é".encode(), "conversion", "text/plain") + warc_record(
        b"a\xff", "conversion", "text/plain", 2
    )
    found = read_bytes(READER, data, ReadOptions())
    assert [text for _, text in found.records] == ["Zeile eins\nZwei é".encode(), b"a\xff"]
    assert found.rows[0]["source"] is None


@pytest.mark.parametrize(
    "record",
    [
        warc_record(b"GET / HTTP/1.1\r\n\r\n", "request", "application/http; msgtype=request"),
        warc_record(response(b"<p>Not found</p>", status="404 Not Found")),
        warc_record(response(b"", "Location: /x", "301 Moved")),
        warc_record(response(b"\x89PNG", "Content-Type: image/png")),
        warc_record(response(b'{"a": 1}', "Content-Type: application/json")),
        warc_record(response(b"\x00\x01", "X-Nothing: 1")),
        warc_record(b"20200101\nexample.com. A 1.2.3.4", "response", "text/dns"),
        warc_record(b"", "revisit"),
    ],
)
def test_what_is_no_page_counts_as_nothing(record: bytes) -> None:
    found = read_bytes(READER, record + warc_record(response(b"<p>text</p>"), number=2), ReadOptions())
    assert [text for _, text in found.records] == [b"text"]
    assert found.failures == []


BROTLI = brotli.compress("<p>Würde</p>".encode())
BROTLI_WITH_EXTENSION = b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(BROTLI), BROTLI)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Type: text/html\r\nContent-Encoding: gzip", gzip.compress("<p>Würde</p>".encode(), mtime=0)),
        ("Content-Type: text/html\r\nContent-Encoding: deflate", zlib.compress("<p>Würde</p>".encode())),
        ("Content-Type: text/html\r\nTransfer-Encoding: chunked", b"5\r\n<p>W\xc3\r\n4\r\n\xbcrde\r\n0\r\n\r\n"),
        ("Content-Type: text/html\r\nTransfer-Encoding: chunked", b'9;a="b;c"\r\n<p>W\xc3\xbcrde\r\n0;a\r\n\r\n'),
        ("Content-Type: text/html\r\nContent-Encoding: X-GZip", gzip.compress("<p>Würde</p>".encode(), mtime=0)),
        ("Content-Type: text/html\r\nContent-Encoding: x-gzip", "<p>Würde</p>".encode()),
        ("Content-Type: text/html\r\nContent-Encoding: deflate", raw_deflate("<p>Würde</p>".encode())),
        ("Content-Type: text/html\r\nContent-Encoding: br", "<p>Würde</p>".encode()),
        ("Content-Type: text/html\r\nTransfer-Encoding: chunked\r\nContent-Encoding: br", BROTLI_WITH_EXTENSION),
        ("Content-Type: text/html\r\nContent-Encoding: utf-8", "<p>Würde</p>".encode()),
        ("Content-Type: text/html\r\nContent-Encoding: gzip", "<p>Würde</p>".encode()),
        ("Content-Type: text/html\r\nTransfer-Encoding: chunked", "<p>Würde</p>".encode()),
        ("Content-Type: application/xhtml+xml; charset='latin-1'", "<p>Würde</p>".encode("latin-1")),
        ("X-Nothing: 1", "<!doctype html><p>Würde</p>".encode()),
        ("Content-Type: text/plain; charset=koi8-r", "Würde".encode()),
        ("Content-Type: text/plain; charset=cp1252", "Würde".encode("cp1252")),
        ('Content-Type: Text/HTML;Charset="Windows-1252"', "<p>Würde</p>".encode("cp1252")),
        ("content-type: TEXT/PLAIN", "Würde".encode()),
        ("Content-Type: text/html, text/html", "<p>Würde</p>".encode()),
    ],
)
def test_encodings_of_http_are_undone_unless_the_crawler_has_undone_them(headers: str, body: bytes) -> None:
    found = read_bytes(READER, warc_record(response(body, headers)), ReadOptions())
    assert [text.decode() for _, text in found.records] == ["Würde"]


@pytest.mark.parametrize(
    "broken",
    [
        b"garbage that is no record\r\nat all\r\n\r\n",
        warc_record(response(b"x")).replace(b"Content-Length", b"Content-Lengxx"),
        warc_record(response(b"x")).replace(b"Content-Length: ", b"Content-Length: -"),
        warc_record(b"no http here"),
        warc_record(response(b"\x00\x01\x02", "Content-Type: text/html\r\nContent-Encoding: gzip")),
        warc_record(
            response(b"5\r\n<p>te\r\n1\r\nxt\r\n0\r\n\r\n", "Content-Type: text/html\r\nTransfer-Encoding: chunked")
        ),
        warc_record(
            response(b"5\r\n<p>te\r\nxt\r\n0\r\n\r\n", "Content-Type: text/html\r\nTransfer-Encoding: chunked")
        ),
        b"WARC/1.0\r\n" + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
def test_a_broken_record_fails_alone(broken: bytes) -> None:
    good = warc_record(response(b"<p>text</p>"))
    for chunk in (64, 1 << 20):
        found = read_bytes(READER, good + broken + good, ReadOptions(), chunk)
        assert [position for position, _ in found.records] == [0, len(good) + len(broken)]
        assert found.failures == [(len(good), "warc.record")]


def test_a_record_that_the_file_cuts_off_fails() -> None:
    good = warc_record(response(b"<p>text</p>"))
    found = read_bytes(READER, good + good[:-10], ReadOptions())
    assert found.failures == [(len(good), "warc.record")]
    assert found.details[0].digest == hashlib.sha256(good[:-10]).hexdigest()


def test_a_torn_gzip_member_gives_the_records_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    members = [gzip.compress(warc_record(response(b"<p>text %d</p>" % n), number=n)) for n in range(3)]
    path.write_bytes(b"".join(members)[:-20])
    found = read_file(READER, input_file(path, "warc"), ReadOptions())
    assert [text for _, text in found.records] == [b"text 0", b"text 1"]
    assert [code for _, code in found.failures] == ["stream.truncated"]


def test_of_records_over_the_limit_only_pages_and_texts_fail() -> None:
    good = warc_record(response(b"<p>text</p>"))
    film = warc_record(response(b"\x00" * 5000, "Content-Type: video/mp4"))
    page = warc_record(response(b"<p>" + b"long " * 1000))
    wet = warc_record(b"long " * 1000, "conversion", "text/plain")
    request = warc_record(b"x" * 5000, "request")
    options = ReadOptions(max_document_bytes=2000)
    for size in (100, 100_000):
        found = read_bytes(READER, good + film + page + good + request + wet + good, options, size)
        at = len(good + film)
        assert found.failures == [
            (at, "document.too_large"),
            (at + len(page + good + request), "document.too_large"),
        ]
        assert len(found.records) == 3


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br"])
def test_a_body_that_unpacks_beyond_the_limit_fails(encoding: str) -> None:
    pack = {"deflate": raw_deflate, "br": brotli.compress}.get(encoding, gzip.compress)
    bomb = warc_record(response(pack(bytes(10_000_000)), f"Content-Type: text/html\r\nContent-Encoding: {encoding}"))
    found = read_bytes(READER, bomb, ReadOptions(max_document_bytes=1_000_000))
    assert found.failures == [(0, "document.too_large")]


BODY = ("<p>" + "".join(f"Würde {n} und Wort {n * n}. " for n in range(300)) + "</p>").encode()
PACKED = {"gzip": gzip.compress(BODY, mtime=0), "deflate": zlib.compress(BODY), "br": brotli.compress(BODY)}
CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(BODY[at : at + 500]), BODY[at : at + 500]) for at in range(0, len(BODY), 500))
GZIP_CHUNKS = b"".join(
    b"%x\r\n%s\r\n" % (len(PACKED["gzip"][at : at + 99]), PACKED["gzip"][at : at + 99])
    for at in range(0, len(PACKED["gzip"]), 99)
)
LAST_CHUNK = b"0\r\n\r\n"
CUT = [
    ("Content-Encoding: gzip", PACKED["gzip"][:-9]),
    ("Content-Encoding: gzip", PACKED["gzip"][: len(PACKED["gzip"]) // 2]),
    ("Content-Encoding: gzip", PACKED["gzip"] + PACKED["gzip"][:400]),
    ("Content-Encoding: Deflate", PACKED["deflate"][:-200]),
    ("Content-Encoding: br", PACKED["br"][:-200]),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: br", b"%x\r\n%s" % (len(PACKED["br"]), PACKED["br"][:-200])),
    ("Transfer-Encoding: chunked", CHUNKS),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", GZIP_CHUNKS),
    (
        "Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
        b"%x\r\n%s\r\n" % (400, PACKED["gzip"][:400]) + LAST_CHUNK,
    ),
    # Within a chunk, at each place around its end, and within the line before it.
    *(("Transfer-Encoding: chunked", CHUNKS[:-less]) for less in (1, 2, 3, 100, 505, 506, 507, 508, 509)),
    ("Transfer-Encoding: chunked", CHUNKS.replace(b"\r\n", b";a=b\r\n", 1)),
    ("Content-Encoding: x-gzip", PACKED["gzip"][:-9]),
    (f"Content-Length: {len(BODY) + 1}", BODY),
    (f"Content-Encoding: gzip\r\nContent-Length: {len(PACKED['gzip']) + 1}", PACKED["gzip"]),
]
WHOLE = [
    ("X-Nothing: 1", BODY),
    (f"Content-Length: {len(BODY)}", BODY),
    ("Content-Length: many", BODY),
    ("Content-Length: " + "9" * 5000, BODY),
    (f"Content-Encoding: gzip\r\nContent-Length: {len(PACKED['gzip'])}", PACKED["gzip"]),
    ("Content-Encoding: gzip", PACKED["gzip"] + PACKED["gzip"]),
    ("Content-Encoding: gzip", b""),
    ("Content-Encoding: deflate", PACKED["deflate"]),
    ("Content-Encoding: br", PACKED["br"]),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: br", PACKED["br"]),
    ("Content-Encoding: identity", BODY),
    ("Transfer-Encoding: chunked", CHUNKS + LAST_CHUNK),
    ("Transfer-Encoding: chunked", CHUNKS + b"0\r\nTrailer: 1\r\n\r\n"),
    ("Transfer-Encoding: chunked", CHUNKS.replace(b"\r\n", b" ;a=b\r\n", 1) + LAST_CHUNK),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: x-gzip", GZIP_CHUNKS + LAST_CHUNK),
    ("Content-Encoding: x-gzip", PACKED["gzip"] + PACKED["gzip"]),
    ("Content-Encoding: deflate", raw_deflate(BODY)),
    ("Transfer-Encoding: chunked", b""),
    ("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", GZIP_CHUNKS + LAST_CHUNK),
    # Encodings that the crawler has undone: the headers tell of what was sent.
    ("Transfer-Encoding: chunked", BODY),
    ("Content-Encoding: gzip\r\nContent-Length: 9000000", BODY),
]


@pytest.mark.parametrize(("headers", "body"), CUT)
def test_a_body_that_ends_early_is_read_as_far_as_it_goes_and_noted(headers: str, body: bytes) -> None:
    record = warc_record(response(body, f"Content-Type: text/html\r\n{headers}"))
    found = read_bytes(READER, record + record, ReadOptions(batch_bytes=10))
    assert [text.decode()[:19] for _, text in found.records] == ["Würde 0 und Wort 0."] * 2
    assert found.notes == [(0, "warc.truncated"), (len(record), "warc.truncated")]
    assert found.failures == []


@pytest.mark.parametrize(("headers", "body"), WHOLE)
def test_a_whole_body_has_no_note(headers: str, body: bytes) -> None:
    found = read_bytes(READER, warc_record(response(body, f"Content-Type: text/html\r\n{headers}")), ReadOptions())
    assert (len(found.records), found.notes, found.failures) == (1, [], [])


@pytest.mark.slow
@given(keep=st.integers(30, len(PACKED["gzip"]) - 1))
def test_gzip_is_noted_wherever_it_was_cut(keep: int) -> None:
    record = warc_record(response(PACKED["gzip"][:keep], "Content-Type: text/html\r\nContent-Encoding: gzip"))
    assert read_bytes(READER, record, ReadOptions()).notes == [(0, "warc.truncated")]


def test_a_record_that_says_that_it_was_cut_off_is_noted_if_it_is_a_document() -> None:
    records = [
        warc_record(response(b"<p>page</p>")),
        warc_record(b"a text", "conversion", "text/plain"),
        warc_record(response(b"\x89PNG", "Content-Type: image/png")),
        warc_record(response(b"<p>gone</p>", status="404 Not Found")),
    ]
    cut = [record.replace(b"WARC-Type", b"WARC-Truncated: length\r\nWARC-Type", 1) for record in records]
    found = read_bytes(READER, b"".join(cut), ReadOptions())
    assert [text for _, text in found.records] == [b"page", b"a text"]
    assert found.notes == [(0, "warc.truncated"), (len(cut[0]), "warc.truncated")]
    assert read_bytes(READER, b"".join(records), ReadOptions()).notes == []


@pytest.mark.parametrize(("more", "notes"), [(0, 0), (4, 0), (50, 1), (500, 1)])
def test_a_record_that_takes_in_the_next_one_is_noted(more: int, notes: int) -> None:
    records = [warc_record(response(b"<p>page %d</p>" % number), number=number) for number in range(4)]
    http = records[1].split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n\r\n")
    said = b"Content-Length: %d\r\n"
    records[1] = records[1].replace(said % len(http), said % (len(http) + more))
    found = read_bytes(READER, b"".join(records), ReadOptions())
    assert found.records[1][1].startswith(b"page 1")
    assert found.notes == [(len(records[0]), "warc.truncated")] * notes
    assert [code for _, code in found.failures] == ["warc.record"] * notes


def test_a_page_of_endless_nesting_fails() -> None:
    found = read_bytes(READER, warc_record(response(b"<div>" * 20_000)), ReadOptions())
    assert found.failures == [(0, "html.malformed")]


parts = st.sampled_from(
    [
        warc_record(b"0123456789", "conversion").replace(b"Content-Length: 10", b"Content-Length: 70"),
        warc_record(b""),
        warc_record(b"content \r\n\r\nWARC/1.0 inside\r\n"),
        warc_record(response(b"<p>text</p>")).rstrip(b"\r\n"),
        b"garbage\r\n",
        b"WARC/1.0\r\nX: y\r\n\r\n",
        b"\r\n\r\n",
        b"WAR",
        b"\n",
        warc_record(b"0123456789").replace(b"Content-Length: 10", b"Content-Length: 7"),
        warc_record(b"0123456789").replace(b"\r\n", b"\n"),
    ]
)


@given(data=st.lists(parts, max_size=6).map(b"".join), chunk_bytes=st.integers(1, 60))
def test_record_ends_do_not_depend_on_where_the_stream_is_cut(data: bytes, chunk_bytes: int) -> None:
    finder = WarcEnds()
    found: list[int] = []
    for begin in range(0, len(data), chunk_bytes):
        found += [begin + int(place) for place in finder.ends(data[begin : begin + chunk_bytes])]
    assert found == sorted(set(found))
    # An end that only the next byte would confirm is not found at the end of the file.
    assert [end for end in found if end < len(data)] == [end for end in WarcEnds().ends(data) if end < len(data)]


@pytest.mark.slow
@settings(max_examples=50)
@given(data=st.lists(parts, max_size=6).map(b"".join), split_bytes=st.integers(1, 800), batch_bytes=st.integers(1, 800))
def test_any_split_size_gives_the_same_records_and_failures(data: bytes, split_bytes: int, batch_bytes: int) -> None:
    whole = read_bytes(READER, data, ReadOptions())
    found = read_bytes(READER, data, ReadOptions(batch_bytes=batch_bytes), split_bytes)
    assert found.rows == whole.rows
    assert found.details == whole.details
    assert found.notes == whole.notes
    packed = read_bytes(READER, data, ReadOptions(batch_bytes=batch_bytes), split_bytes, "gzip")
    assert (packed.rows, packed.details) == (whole.rows, whole.details)
