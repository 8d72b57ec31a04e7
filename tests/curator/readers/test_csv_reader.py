"""The CSV reader against Python's csv module and a naive state machine, and on rows that real files hold."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.errors import UserError
from curator.readers.base import Fields, ReadOptions
from curator.readers.csv import CsvReader, TsvReader
from curator.readers.csv_fields import NO_QUOTE, QUOTE, RECORD, field_places, record_ends
from tests.curator.readers.reader_files import COMPRESS, input_file, read_bytes

READER = CsvReader()

fields = st.text(st.sampled_from('ab",\n é🙂\x00'), max_size=8)
pieces = st.sampled_from(
    [b"a", b"b", b'"', b'"', b'""', b",", b",", b"\n", b"\n", b"\r\n", b" ", b"\xff", "é".encode()]
)
bodies = st.lists(pieces, max_size=40).map(b"".join)


class Row(NamedTuple):
    """A record: its bytes, its fields, whether a line feed ends it, whether the file ends inside its quotes or quotes
    with line feeds have text behind them."""

    begin: int
    end: int
    fields: list[bytes]
    ended: bool
    left_open: bool


def naive_rows(data: bytes, delimiter: bytes = b",") -> list[Row]:
    """RFC 4180 read byte by byte."""
    rows: list[Row] = []
    fields: list[bytes] = []
    begin, field, state, behind, taken_in = 0, bytearray(), "field", False, False
    for place in range(len(data)):
        byte = data[place : place + 1]
        if state == "quoted":
            if byte == b'"':
                state = "closed"
            else:
                field += byte
        elif byte == b'"' and state != "plain":
            if state == "closed":
                field += byte
            state = "quoted"
        elif byte == b"\n":
            if data[place - 1 : place] == b"\r" and place > begin:
                field = field[:-1]
            rows.append(Row(begin, place + 1, [*fields, bytes(field)], True, taken_in))
            begin, fields, field, state, behind, taken_in = place + 1, [], bytearray(), "field", False, False
        elif byte == delimiter:
            fields.append(bytes(field))
            field, state, behind = bytearray(), "field", False
        else:
            behind |= state == "closed"
            taken_in |= behind and b"\n" in field and byte > b" "
            field += byte
            state = "plain"
    if begin < len(data):
        rows.append(Row(begin, len(data), [*fields, bytes(field)], False, taken_in or state == "quoted"))
    return rows


@given(data=bodies, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_record_ends_are_those_of_a_naive_state_machine_wherever_the_stream_is_cut(
    data: bytes, cuts: list[int]
) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found, state = [], RECORD
    for begin, end in pairwise(places):
        ends, state = record_ends(np.frombuffer(data, dtype=np.uint8)[begin:end], ord(","), QUOTE, state)
        found += [begin + place for place in ends.tolist()]
    assert found == [row.end for row in naive_rows(data) if row.ended]


@given(data=bodies.filter(lambda data: b"\r" not in data.replace(b"\r\n", b"")))
def test_fields_are_those_of_a_naive_state_machine(data: bytes) -> None:
    rows = naive_rows(data)
    ends = np.array([row.end for row in rows], dtype=np.int64)
    wanted = np.arange(50)
    counts, places, kinds, left_open = field_places(np.frombuffer(data, dtype=np.uint8), ends, ord(","), QUOTE, wanted)
    for row, (begin, end, expected, _, is_open) in enumerate(rows):
        blank = not data[begin:end].strip()
        assert counts[row] == (0 if blank and len(expected) == 1 else len(expected))
        assert left_open[row] == is_open
        for column, value in enumerate(expected):
            field = data[places[row, column, 0] : places[row, column, 1]]
            if kinds[row, column] == 0:
                assert field == value
            elif kinds[row, column] == 1 and not is_open:
                assert field.replace(b'""', b'"') == value


@given(data=bodies)
def test_without_quotes_fields_are_what_stands_between_delimiters(data: bytes) -> None:
    array = np.frombuffer(data, dtype=np.uint8)
    ends, _ = record_ends(array, ord(","), NO_QUOTE, RECORD)
    lines = data.split(b"\n")
    assert ends.tolist() == [len(b"\n".join(lines[:count])) + 1 for count in range(1, len(lines))]
    counts, places, kinds, left_open = field_places(array, ends, ord(","), NO_QUOTE, np.arange(50))
    assert not kinds.any()
    assert not left_open.any()
    for row, line in enumerate(lines[:-1]):
        expected = line.removesuffix(b"\r").split(b",")
        assert counts[row] == (0 if len(expected) == 1 and not line.strip() else len(expected))
        assert [data[begin:end] for begin, end in places[row, : len(expected)].tolist()] == expected


@pytest.mark.slow
@given(
    rows=st.lists(st.tuples(fields, fields, fields), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    split_bytes=st.integers(1, 80),
    batch_bytes=st.integers(1, 80),
    compression=st.sampled_from(["none", "none", "gzip", "xz"]),
)
def test_what_pythons_csv_writes_is_read_back_at_any_split_size(
    rows: list[tuple[str, str, str]],
    quoting: int,
    end: str,
    mark: bool,
    split_bytes: int,
    batch_bytes: int,
    compression: str,
) -> None:
    output = io.StringIO(newline="")
    positions = []
    writer = csv.writer(output, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(("lang", "text", "note"))
    for row in rows:
        positions.append(len(output.getvalue().encode()) + 3 * mark)
        writer.writerow(row)
    data = b"\xef\xbb\xbf" * mark + output.getvalue().encode()
    options = ReadOptions(fields=Fields(metadata=("note",)), batch_bytes=batch_bytes)
    found = read_bytes(READER, data, options, split_bytes, compression)
    assert found.failures == []
    assert found.records == [(at, row[1].encode()) for at, row in zip(positions, rows, strict=True)]
    assert [row["lang"] for row in found.rows] == [row[0] or None for row in rows]


@pytest.mark.slow
@given(data=bodies, split_bytes=st.integers(1, 60), batch_bytes=st.integers(1, 60), gzipped=st.booleans())
def test_any_bytes_give_the_rows_of_a_naive_reader_and_nothing_is_lost(
    data: bytes, split_bytes: int, batch_bytes: int, gzipped: bool
) -> None:
    header = b"text,b\n"
    found = read_bytes(
        READER, header + data, ReadOptions(batch_bytes=batch_bytes), split_bytes, "gzip" if gzipped else "none"
    )
    records, failures = [], []
    for begin, end, row, _, left_open in naive_rows(data):
        position = begin + len(header)
        if left_open:
            failures.append((position, "csv.quote"))
        elif len(row) == 2:
            records.append((position, row[0]))
        elif data[begin:end].strip() or len(row) > 1:
            failures.append((position, "csv.columns"))
    assert found.records == records
    assert found.failures == failures


letters = st.text(st.sampled_from('ab" \r\x0bé🙂\x00,'), max_size=12).filter(lambda text: not text.endswith("\r"))


@pytest.mark.slow
@given(
    rows=st.lists(st.tuples(letters, letters), max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    ended=st.booleans(),
    mark=st.booleans(),
    split_bytes=st.integers(1, 80),
    batch_bytes=st.integers(1, 80),
    compression=st.sampled_from(["none", "none", "gzip", "xz"]),
)
def test_where_quotes_are_letters_lines_are_rows_and_quotes_stay_in_the_text_at_any_split_size(
    rows: list[tuple[str, str]],
    end: str,
    ended: bool,
    mark: bool,
    split_bytes: int,
    batch_bytes: int,
    compression: str,
) -> None:
    lines = ["lang\ttext", *(f"{lang}\t{text}" for lang, text in rows)]
    data = b"\xef\xbb\xbf" * mark + end.join([*lines, ""] if ended else lines).encode()
    options = ReadOptions(quotes="letters", batch_bytes=batch_bytes)
    found = read_bytes(TsvReader(), data, options, split_bytes, compression)
    positions = [
        data.index(lines[0].encode()) + len((end.join(lines[:n]) + end).encode()) for n in range(1, len(lines))
    ]
    assert found.failures == []
    assert found.records == [(at, text.encode()) for at, (_, text) in zip(positions, rows, strict=True)]
    assert [row["lang"] for row in found.rows] == [lang or None for lang, _ in rows]


def test_a_plain_file_in_which_quotes_are_letters_is_entered_at_any_place() -> None:
    data = b'text\tid\n"I do not know.\t1\n"Who does?"\t2\nbad\n' + b'a "quote" inside\t3\n' * 20
    found = read_bytes(TsvReader(), data, ReadOptions(quotes="letters"), 100)
    assert len(found.splits) > 3
    assert all(split.data is None for split in found.splits)
    assert [text for _, text in found.records[:3]] == [b'"I do not know.', b'"Who does?"', b'a "quote" inside']
    assert len(found.records) == 22
    assert [(failure.line, failure.code) for failure in found.details] == [(4, "csv.columns")]
    enclosing = read_bytes(TsvReader(), data, ReadOptions())
    assert enclosing.failures[0] == (8, "csv.quote")


def test_names_in_the_header_keep_their_quotes_where_quotes_are_letters(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"text",id\na,1\n')
    with pytest.raises(UserError, match="""no column 'text' for the text; it has '"text"', 'id'"""):
        READER.splits(input_file(path, "csv"), ReadOptions(quotes="letters"), 100)


def test_fields_are_found_by_the_header_and_empty_ones_are_missing() -> None:
    data = b'id,"text",lang,source,url\n7,"a ""quoted"" text",de,web:x,u\n,two,,,\n'
    found = read_bytes(READER, data, ReadOptions(fields=Fields(metadata=("url", "none"))))
    assert [row["text"] for row in found.rows] == [b'a "quoted" text', b"two"]
    assert [row["id"] for row in found.rows] == ["7", None]
    assert [row["lang"] for row in found.rows] == ["de", None]
    assert [row["source"] for row in found.rows] == ["web:x", None]
    assert [row["metadata"] for row in found.rows] == ['{"url":"u"}', '{"url":""}']


def test_text_behind_a_closing_quote_belongs_to_the_field_as_in_pythons_csv() -> None:
    row = b'"a""b"c"d",x\n'
    found = read_bytes(READER, b"text,b\n" + row, ReadOptions())
    assert found.records[0][1].decode() == next(csv.reader([row.decode()]))[0] == 'a"bc"d"'


def test_a_quote_that_was_meant_as_a_character_joins_no_rows_without_a_word() -> None:
    data = b'id\ttext\n1\t"I do not know.\n2\tWho does?\n3\tNobody," he said.\n4\ta\n5\t"two\nlines" \n'
    found = read_bytes(TsvReader(), data, ReadOptions())
    assert found.failures == [(8, "csv.quote")]
    assert [text for _, text in found.records] == [b"a", b"two\nlines "]


def test_text_behind_a_closing_quote_is_noted_for_it_shows_that_quotes_may_be_letters() -> None:
    lines = [
        b"id\ttext\tother\n",
        b'1\t"No," he said.\t\n',
        b'2\t"two\nlines" \t\n',
        b'3\t"a ""b"""\t"c" d\n',
        b'"4" .\tx\t\n',
    ]
    found = read_bytes(TsvReader(), b"".join(lines), ReadOptions(), 10)
    assert [text for _, text in found.records] == [b"No, he said.", b"two\nlines ", b'a "b"', b"x"]
    assert found.notes == [(found.records[place][0], "csv.text_behind_quote") for place in (0, 3)]
    assert read_bytes(TsvReader(), b"".join(lines), ReadOptions(quotes="letters")).notes == []


def test_a_damaged_text_keeps_its_bytes_and_other_damage_fails_the_row() -> None:
    found = read_bytes(READER, b"text,id\n\xff,1\na,\xff\nb,2\n", ReadOptions())
    assert found.records == [(8, b"\xff"), (16, b"b")]
    assert found.failures == [(12, "csv.encoding")]
    half_a_pair = b"text,id\n\xed\xa0\xbd,1\na,\xed\xa0\xbd\n"
    found = read_bytes(READER, half_a_pair, ReadOptions())
    assert (found.records, found.failures) == ([(8, b"\xed\xa0\xbd")], [(14, "csv.encoding")])


def test_a_failure_names_the_line_at_which_the_row_begins() -> None:
    found = read_bytes(READER, b'text,b\n"one\ntwo",x\nbad\nc,d\n', ReadOptions(batch_bytes=5), 9)
    assert [(failure.line, failure.code) for failure in found.details] == [(4, "csv.columns")]


def test_of_two_columns_of_one_name_the_last_counts() -> None:
    assert read_bytes(READER, b"text,text\na,b\n", ReadOptions()).records == [(10, b"b")]


def test_tsv_is_read_with_tabs() -> None:
    data = b'text\tid\na, b\t1\n"c\td"\t2\n\t\n'
    found = read_bytes(TsvReader(), data, ReadOptions())
    assert found.records == [(8, b"a, b"), (15, b"c\td"), (23, b"")]


@pytest.mark.parametrize("data", [b"", b"\n \n", b"\xef\xbb\xbf", b"text,b", b"text,b\n\n"])
def test_a_file_without_rows_has_no_records(data: bytes) -> None:
    found = read_bytes(READER, data, ReadOptions())
    assert (found.records, found.failures) == ([], [])


def test_a_missing_text_column_is_refused_with_the_columns_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("body,lang\nx,y\n")
    with pytest.raises(UserError, match=r"a\.csv: has no column 'text' for the text; it has 'body', 'lang'"):
        READER.splits(input_file(path, "csv"), ReadOptions(), 100)


@pytest.mark.parametrize(
    ("reader", "header", "message"),
    [
        (READER, "id;text", "semicolons between its columns, convert it: CSV has commas"),
        (READER, "id|text", "bars between its columns, convert it"),
        (READER, "id\ttext", "tabs between its columns, say --set input.format=tsv"),
        (TsvReader(), "id,text", "commas between its columns, say --set input.format=csv"),
        (READER, "id;lang,body", "name one with --set input.fields.text=NAME"),
        (READER, "body", "name one with --set input.fields.text=NAME"),
    ],
)
def test_a_header_with_other_signs_between_its_columns_is_told_as_that(
    tmp_path: Path, reader: CsvReader, header: str, message: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\nx\n")
    with pytest.raises(UserError, match=re.escape(message)):
        reader.splits(input_file(path, "csv"), ReadOptions(), 100)


@pytest.mark.parametrize("data", [b"text,id\ra,1\rb,2\r", b"text\ra\rb\r", b"id,text\r\r\n1,a\r\r\n", b"text\ta\r"])
def test_lines_that_end_with_a_carriage_return_alone_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.csv: has carriage returns in its header: lines must end with LF or CR LF"):
        READER.splits(input_file(path, "csv"), ReadOptions(), 100)


def test_a_quoted_name_may_hold_line_ends() -> None:
    found = read_bytes(READER, b'text,"note\r\n(free)"\r\na,b\r\n', ReadOptions())
    assert [text for _, text in found.records] == [b"a"]


def test_a_first_line_that_does_not_end_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(UserError, match="no line end in its first"):
        READER.splits(input_file(path, "csv"), ReadOptions(), 100)


def test_a_row_over_the_limit_fails_and_the_rest_is_read() -> None:
    data = b'text,b\na,1\n"' + b"long\n" * 100 + b'",2\nc,3\nbad\n'
    for compression in COMPRESS:
        found = read_bytes(READER, data, ReadOptions(max_document_bytes=100), 50, compression)
        assert found.records == [(7, b"a"), (516, b"c")]
        assert found.failures == [(11, "document.too_large"), (520, "csv.columns")]
        assert [failure.line for failure in found.details] == [3, 105]


def test_a_quote_that_takes_in_the_rest_of_a_long_file_is_called_so() -> None:
    data = b'text\tid\na\t1\n"He said\t2\n' + b"a line\t3\n" * 100
    for compression in COMPRESS:
        found = read_bytes(TsvReader(), data, ReadOptions(max_document_bytes=100), 50, compression)
        assert found.records == [(8, b"a")]
        assert found.failures == [(12, "csv.quote")]
        closed = read_bytes(TsvReader(), data + b'"\t4\n', ReadOptions(max_document_bytes=100), 50, compression)
        assert closed.failures == [(12, "document.too_large")]
