"""The plain text reader against a naive one, in its three modes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.readers.base import ReadOptions
from curator.readers.text import TextReader
from tests.curator.readers.reader_files import COMPRESS, input_file, is_plain_utf8, read_bytes, read_file

READER = TextReader()

pieces = st.sampled_from(
    [b"a", b"word", b" ", b"\t", b"\r", b"\n", b"\n", b"\r\n", b"\n\n", b"\x00", b"\xff", b"\x0b", "é🙂שלום".encode()]
)
files = st.builds(
    lambda mark, parts: mark + b"".join(parts),
    st.sampled_from([b"", b"", b"\xef\xbb\xbf"]),
    st.lists(pieces, max_size=40),
).filter(is_plain_utf8)
compressions = st.sampled_from(["none", "none", "gzip", "bzip2"])


def marked(data: bytes) -> tuple[bytes, int]:
    """The file without its byte order mark, and where it then begins."""
    return (data[3:], 3) if data.startswith(b"\xef\xbb\xbf") else (data, 0)


def naive_lines(data: bytes) -> list[tuple[int, bytes]]:
    body, begin = marked(data)
    found = []
    for line in body.split(b"\n"):
        if line.strip():
            found.append((begin, line[:-1] if line.endswith(b"\r") else line))
        begin += len(line) + 1
    return found


def naive_paragraphs(data: bytes) -> list[tuple[int, bytes]]:
    body, begin = marked(data)
    return [
        (begin + match.start(), match.group().rstrip())
        for match in re.finditer(rb"^(?:[^\n]*[^\s][^\n]*(?:\n|\Z))+", body, re.MULTILINE)
    ]


@pytest.mark.slow
@given(data=files, split_bytes=st.integers(1, 50), batch_bytes=st.integers(1, 50), compression=compressions)
def test_any_split_size_gives_the_lines_of_a_naive_reader(
    data: bytes, split_bytes: int, batch_bytes: int, compression: str
) -> None:
    found = read_bytes(READER, data, ReadOptions(batch_bytes=batch_bytes), split_bytes, compression)
    assert found.records == naive_lines(data)
    assert found.failures == []


@pytest.mark.slow
@given(data=files, split_bytes=st.integers(1, 50), batch_bytes=st.integers(1, 50), compression=compressions)
def test_any_split_size_gives_the_paragraphs_of_a_naive_reader(
    data: bytes, split_bytes: int, batch_bytes: int, compression: str
) -> None:
    options = ReadOptions(batch_bytes=batch_bytes, sample_by="paragraph")
    found = read_bytes(READER, data, options, split_bytes, compression)
    assert found.records == naive_paragraphs(data)
    assert found.failures == []


@pytest.mark.slow
@given(data=files, split_bytes=st.integers(1, 50), compression=compressions)
def test_a_document_is_the_whole_file(data: bytes, split_bytes: int, compression: str) -> None:
    found = read_bytes(READER, data, ReadOptions(sample_by="document"), split_bytes, compression)
    assert found.records == ([(0, marked(data)[0])] if data else [])
    assert len(found.splits) <= 1


@pytest.mark.slow
@given(
    parts=st.lists(st.text("ab \n", max_size=30), max_size=10),
    split_bytes=st.integers(1, 50),
    limit=st.integers(1, 40),
    compression=compressions,
)
def test_paragraphs_over_the_limit_fail_and_the_others_are_read(
    parts: list[str], split_bytes: int, limit: int, compression: str
) -> None:
    data = "\n\n".join(parts).encode()
    options = ReadOptions(batch_bytes=20, sample_by="paragraph", max_document_bytes=limit)
    found = read_bytes(READER, data, options, split_bytes, compression)
    expected = naive_paragraphs(data)
    failed = {position for position, _ in found.failures}
    assert found.records == [record for record in expected if record[0] not in failed]
    assert all(code == "document.too_large" for _, code in found.failures)
    assert all(len(text) <= limit for _, text in found.records)
    for failure in found.details:
        region = data[failure.position :]
        match = re.search(rb"\n[^\S\n]*\n", region)
        blank = re.match(rb"[^\S\n]*\n", region)
        end = blank.end() if blank else match.end() if match else len(region)
        assert end > limit
        assert failure.digest == hashlib.sha256(region[:end]).hexdigest()


def test_a_paragraph_keeps_its_line_feeds_and_indentation() -> None:
    data = b"\n\n  one\ntwo  \n \t\r\n\n\nthree"
    found = read_bytes(READER, data, ReadOptions(sample_by="paragraph"))
    assert found.records == [(2, b"  one\ntwo"), (20, b"three")]


def test_a_paragraph_of_one_long_line_is_found_from_a_split_inside_white_space() -> None:
    data = b"a\n" + b" " * 20_000 + b"\nb\n" + b" " * 20_000 + b"c\n\nd"
    options = ReadOptions(sample_by="paragraph", batch_bytes=1000)
    assert read_bytes(READER, data, options, 3000).records == naive_paragraphs(data)


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_document_over_the_limit_or_torn_is_one_failure(compression: str, tmp_path: Path) -> None:
    data = b"some text, " * 5000
    options = ReadOptions(sample_by="document", max_document_bytes=50_000)
    found = read_bytes(READER, data, options, compression=compression)
    assert found.failures == [(0, "document.too_large")]
    assert found.details[0].digest == hashlib.sha256(data).hexdigest()
    if compression != "none":
        path = tmp_path / "torn.txt"
        path.write_bytes(COMPRESS[compression](data)[:-5])
        torn = read_file(READER, input_file(path, "text"), ReadOptions(sample_by="document"))
        assert [code for _, code in torn.failures] == ["stream.truncated"]
        assert torn.records == []


def test_an_unknown_mode_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(UserError, match=r"'sentence' \(one of line, paragraph, document\)"):
        READER.splits(input_file(path, "text"), ReadOptions(sample_by="sentence"), 100)
