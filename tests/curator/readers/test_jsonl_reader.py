"""The JSON Lines reader against a naive one, and on the records that real files hold."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.errors import UserError
from curator.readers.base import Fields, ReadOptions
from curator.readers.jsonl import JsonlReader
from tests.curator.readers.reader_files import COMPRESS, input_file, is_plain_utf8, read_bytes, read_file

READER = JsonlReader()


def naive_records(data: bytes, limit: int) -> list[tuple[int, bytes | str]]:
    """Every line as (position, text) or (position, code), by the standard library alone, a whole file at once."""
    found: list[tuple[int, bytes | str]] = []
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin) + 1 or len(data)
        line = data[begin:end]
        if end - begin > limit:
            found.append((begin, "document.too_large"))
        elif begin == 0 and line.startswith(b"\xef\xbb\xbf"):
            found += [(3, naive_record(line[3:]))] if line[3:].strip() else []
        elif line.strip():
            found.append((begin, naive_record(line)))
        begin = end
    return found


def naive_record(line: bytes) -> bytes | str:
    try:
        record = json.loads(line.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return "json.invalid"
    if not isinstance(record, dict):
        return "json.not_object"
    text = record.get("text")
    if text is None:
        return "field.missing"
    if not isinstance(text, str):
        return "field.type"
    half = "[\ud800-\udfff]" if is_utf8(line) else "[\ud800-\udc7f\udd00-\udfff]"
    for name in ("id", "lang"):
        try:
            re.sub(half, "\ufffd", str(record.get(name))).encode()
        except UnicodeEncodeError:
            return "json.encoding"
    return re.sub(half, "\ufffd", text).encode(errors="surrogateescape")


def is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


texts = st.text(max_size=30) | st.sampled_from(["", "\x00", "e\u0301", "👩‍👩‍👧", "שלום", "a\u2028b", "\\", '"'])
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | texts
objects = st.fixed_dictionaries({}, optional={"text": texts | values, "id": values, "lang": values, "other": values})
good_lines = st.builds(
    lambda record, escaped, end: json.dumps(record, ensure_ascii=escaped).encode() + end,
    objects,
    st.booleans(),
    st.sampled_from([b"", b"\r", b" "]),
)
odd_lines = st.sampled_from(
    [
        b"",
        b" \t\r",
        b"{",
        b"[1]",
        b'"text"',
        b'{"text": "a"} {"text": "b"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\\ud83d\\ude00"}',
        b'{"text": "\\ude00\\ud83d\\ud83d\\ude00"}',
        b'{"text": "\\ud83d \\udc80 \xff"}',
        b'{"text": "\xff\xe3\x81"}',
        b'{"text": "a", "other": "\xff"}',
        b'{"text": "a", "id": "\xff"}',
        b'{"text": "a", "id": "\\udfff"}',
        b'{"text": "a", "id": "\\ud83d \xff"}',
        b'{"text": "a \xff", "lang": "\\ud83d"}',
        b'{"text": "a", "lang": ["\\ud83d"]}',
        b'{"text": "a", "other": NaN}',
        b'{"text": 1, "text": "twice"}',
        b'{"text": "a", "other": "\x01"}',
        b'{"t\\u0065xt": "escaped key"}',
        b'{"text": "a",}',
        b"\xef\xbb\xbf{}",
    ]
)
lines = good_lines | odd_lines | st.binary(max_size=12)
files = st.builds(
    lambda mark, parts, end: mark + b"\n".join(parts) + end,
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(lines, max_size=8),
    st.sampled_from([b"", b"\n", b"\r\n"]),
).filter(lambda data: is_plain_utf8(data) and not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["))


@pytest.mark.slow
@given(
    data=files,
    split_bytes=st.integers(1, 200),
    batch_bytes=st.sampled_from([1, 20, 200, 1 << 20]),
    limit=st.sampled_from([20, 60, 1 << 20]),
    compression=st.sampled_from(["none", "none", "gzip", "zstd"]),
)
def test_any_split_size_gives_the_records_of_a_naive_reader(
    data: bytes, split_bytes: int, batch_bytes: int, limit: int, compression: str
) -> None:
    options = ReadOptions(batch_bytes=batch_bytes, max_document_bytes=limit)
    found = read_bytes(READER, data, options, split_bytes, compression)
    expected = naive_records(data, limit)
    assert found.records == [(position, text) for position, text in expected if isinstance(text, bytes)]
    assert found.failures == [(position, code) for position, code in expected if isinstance(code, str)]


def one(line: str | bytes, fields: Fields | None = None) -> dict[str, object]:
    """The one record of a line."""
    data = line if isinstance(line, bytes) else line.encode()
    found = read_bytes(READER, data, ReadOptions(fields=fields or Fields()))
    assert found.failures == []
    return found.rows[0]


def code(line: str | bytes, fields: Fields | None = None) -> str:
    """The code with which a line fails."""
    data = line if isinstance(line, bytes) else line.encode()
    found = read_bytes(READER, data, ReadOptions(fields=fields or Fields()))
    assert found.records == []
    return found.failures[0][1]


def test_the_four_fields_are_read_and_others_ignored() -> None:
    row = one('{"id": "a1", "extra": {"text": "no"}, "text": "yes", "source": "web:x", "lang": "de"}')
    assert row == {
        "text": b"yes",
        "id": "a1",
        "source": "web:x",
        "lang": "de",
        "position": 0,
        "metadata": None,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", "7"),
        ("-3", "-3"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1.5", "1.5"),
        ("true", None),
        ("null", None),
        ('""', None),
        ("[1]", None),
        ("1e999", None),
    ],
)
def test_an_id_that_is_a_number_becomes_its_decimal_string_and_other_types_are_missing(
    value: str, expected: str | None
) -> None:
    assert one(f'{{"text": "t", "id": {value}}}')["id"] == expected


@pytest.mark.parametrize("value", ["3", "null", '["de"]', '""', "{}"])
def test_a_lang_or_source_that_is_no_string_is_missing(value: str) -> None:
    row = one(f'{{"text": "t", "lang": {value}, "source": {value}}}')
    assert (row["lang"], row["source"]) == (None, None)


def test_fields_with_dots_name_nested_ones() -> None:
    fields = Fields(text="content.body", id="meta.key", lang="meta.lang.code", metadata=("meta.url", "meta.date"))
    row = one('{"content": {"body": "t"}, "meta": {"key": 5, "lang": {"code": "fr"}, "url": "http://x"}}', fields)
    assert (row["text"], row["id"], row["lang"]) == (b"t", "5", "fr")
    assert row["metadata"] == '{"meta.url":"http://x"}'


@pytest.mark.parametrize(
    "record", ['{"meta": null}', '{"meta": "x"}', '{"meta": {}}', '{"meta": {"body": null}}', "{}"]
)
def test_a_text_whose_surrounding_object_is_missing_is_missing(record: str) -> None:
    assert code(record, Fields(text="meta.body")) == "field.missing"


def test_metadata_may_name_a_field_that_is_also_something_else_or_holds_another() -> None:
    fields = Fields(text="meta.body", metadata=("id", "meta", "none"))
    row = one('{"id": "é", "meta": {"body": "t", "n": [1, 2.5, null, 12345678901234567890]}}', fields)
    assert row["text"] == b"t"
    assert json.loads(str(row["metadata"])) == {
        "id": "é",
        "meta": {"body": "t", "n": [1, 2.5, None, 12345678901234567890]},
    }
    assert one('{"id": "a", "text": "t"}', Fields(metadata=("id",)))["metadata"] == '{"id":"a"}'


def test_metadata_is_null_where_no_field_is_there() -> None:
    assert one('{"text": "t"}', Fields(metadata=("url",)))["metadata"] is None
    assert one('{"text": "t", "url": null}', Fields(metadata=("url",)))["metadata"] == '{"url":null}'


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    assert one('{"text": "first", "text": "last", "id": "a", "id": 2}')["text"] == b"last"
    assert one('{"text": 1, "text": "last"}')["text"] == b"last"
    assert code('{"text": "first", "text": null}') == "field.missing"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "json.invalid"),
        ("text", "json.invalid"),
        ('{"text": "a"} x', "json.invalid"),
        ('{"text": ' + "[" * 100_000 + "]" * 100_000 + "}", "json.invalid"),
        ('"text"', "json.not_object"),
        ("null", "json.not_object"),
        ('{"body": "a"}', "field.missing"),
        ('{"text": null}', "field.missing"),
        ('{"text": 1}', "field.type"),
        ('{"text": ["a"]}', "field.type"),
        (b'{"text": "a", "lang": "\xff"}', "json.encoding"),
        (b'{"text": "a", "source": "\xed\xa0\xbd"}', "json.encoding"),
        (b'{"text": "a", "id": "\\ud83d \xff"}', "json.encoding"),
    ],
)
def test_what_cannot_be_read_fails_with_its_code(line: str | bytes, expected: str) -> None:
    assert code(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "a\xffb"}', b"a\xffb"),
        (b'{"text": "caf\xe9 \xe3\x81"}', b"caf\xe9 \xe3\x81"),
        (b'{"text": "\xed\xa0\x80"}', b"\xed\xa0\x80"),
        (b'{"text": "\\ud83d\\ude00"}', "😀".encode()),
        (b'{"text": "a", "x": "\\ud800"}', b"a"),
        (b'{"text": "a", "x": "\xff"}', b"a"),
        (b'{"text": "a", "x": -Infinity}', b"a"),
    ],
)
def test_a_text_with_damaged_encoding_keeps_its_bytes(line: bytes, expected: bytes) -> None:
    assert one(line)["text"] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "cut \\ud83d"}', "cut \ufffd".encode()),
        (b'{"text": "\\ude00\\ud83d\\ud83d\\ude00 b"}', "\ufffd\ufffd😀 b".encode()),
        (b'{"text": "\\udc80"}', "\ufffd".encode()),
        (b'{"text": "\\ud83d caf\xe9"}', "\ufffd caf".encode() + b"\xe9"),
        (b'{"text": "\\uD83D", "id": 1, "extra": "\\ud83d"}', "\ufffd".encode()),
    ],
)
def test_half_a_surrogate_pair_in_a_text_is_replaced_and_noted_or_fails_where_nothing_is_repaired(
    line: bytes, expected: bytes
) -> None:
    good = b'{"text": "good"}\n'
    found = read_bytes(READER, good + line + b"\n" + good, ReadOptions(batch_bytes=1))
    assert [text for _, text in found.records] == [b"good", expected, b"good"]
    assert found.notes == [(len(good), "json.surrogate")]
    found = read_bytes(READER, good + line, ReadOptions(repair=False))
    assert found.notes == []
    with pytest.raises(UnicodeDecodeError):
        found.records[1][1].decode()


def test_records_read_alone_keep_their_place_between_the_others() -> None:
    lines = [
        b'{"text": "a"}',
        b'{"text": "\xff"}',
        b'{"text": "b"}',
        b'{"text": "\\ud800"}',
        b'{"text": "c", "id": true}',
    ]
    found = read_bytes(READER, b"\n".join(lines), ReadOptions())
    assert [text for _, text in found.records] == [b"a", b"\xff", b"b", "\ufffd".encode(), b"c"]
    assert [position for position, _ in found.records] == sorted(position for position, _ in found.records)


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        (b'{"text": "a", "id": "1 \\ud83d"}', "id", "1 \ufffd"),
        (b'{"text": "a", "source": "web\\ud83d:x"}', "source", "web\ufffd:x"),
        (b'{"text": "a", "lang": "\\udc80"}', "lang", "\ufffd"),
        (b'{"text": "a", "id": "\\ude00\\ud83d\\ud83d\\ude00"}', "id", "\ufffd\ufffd😀"),
        (b'{"text": "caf\xe9", "id": "\\ud83d"}', "id", "\ufffd"),
        (
            b'{"text": "a", "url": {"\\ud83d": ["\\ud83d", NaN, 1, {"x": "\\ude00"}]}}',
            "metadata",
            '{"url":{"\ufffd":["\ufffd",null,1,{"x":"\ufffd"}]}}',
        ),
    ],
)
def test_half_a_surrogate_pair_in_another_field_is_treated_as_one_in_the_text(
    line: bytes, field: str, expected: str
) -> None:
    good = b'{"text": "good"}\n'
    options = ReadOptions(fields=Fields(metadata=("url",)))
    found = read_bytes(READER, good + line + b"\n" + good, options)
    assert (found.rows[1][field], found.failures) == (expected, [])
    assert found.notes == [(len(good), "json.surrogate")]
    found = read_bytes(READER, good + line, replace(options, repair=False))
    assert (found.notes, found.failures) == ([], [(len(good), "json.encoding")])


def test_damaged_metadata_fails_the_record() -> None:
    assert code(b'{"text": "a", "url": {"x": "\xff"}}', Fields(metadata=("url",))) == "json.encoding"


def test_a_failure_names_line_position_and_digest_of_the_record() -> None:
    data = b'{"text": "a"}\n\n{"text": 1}\r\n{"text": "b"}\n'
    found = read_bytes(READER, data, ReadOptions())
    assert [(failure.position, failure.line) for failure in found.details] == [(15, 3)]
    assert found.details[0].digest == hashlib.sha256(b'{"text": 1}\r\n').hexdigest()
    assert found.records == [(0, b"a"), (28, b"b")]


def test_streams_know_the_line_everywhere_and_plain_files_in_the_first_split() -> None:
    data = b'{"text": "a"}\n' * 20 + b"bad\n" + b'{"text": "a"}\n' * 20
    for compression, line in (("gzip", 21), ("none", None)):
        found = read_bytes(READER, data, ReadOptions(batch_bytes=30), 100, compression)
        assert [(failure.position, failure.line) for failure in found.details] == [(280, line)]


def test_a_json_array_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "my data.json"
    path.write_text('\n [{"text": "a"}]')
    with pytest.raises(UserError, match=r"JSON array.*jq -c '\.\[\]' '.*my data\.json' > "):
        READER.splits(input_file(path), ReadOptions(), 100)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_wide_encoding_is_refused_with_the_command_that_converts_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "some text"}\n', encoding=encoding)
    with pytest.raises(UserError, match=r"is UTF-(16|32).*iconv -f UTF-(16|32)"):
        READER.splits(input_file(path), ReadOptions(), 100)


def test_an_empty_file_has_no_splits(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"")
    assert read_file(READER, input_file(path), ReadOptions()).splits == []


@pytest.mark.parametrize("compression", COMPRESS)
def test_every_compression_gives_the_records_of_the_plain_file(compression: str) -> None:
    data = b"".join(json.dumps({"text": "word " * (n % 50), "id": n}).encode() + b"\n" for n in range(3000))
    plain = read_bytes(READER, data, ReadOptions(), 5000)
    found = read_bytes(READER, data, ReadOptions(), 5000, compression)
    assert found.rows == plain.rows
    assert len(found.splits) > 50
    assert len(found.rows) == 3000


def test_a_two_gigabyte_file_is_cut_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as handle:
        handle.write(b'{"text": "a"}\n')
        handle.truncate(2 << 30)
    splits = list(READER.splits(input_file(path), ReadOptions(), 64 << 20))
    assert [split.begin for split in splits] == list(range(0, 2 << 30, 64 << 20))
    assert all(split.data is None for split in splits)


def test_what_was_read_is_what_is_hashed_and_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b'{"text": "%d"}\n' % number for number in range(100)))
    reader, other = JsonlReader(), JsonlReader()
    splits = list(reader.splits(input_file(path), ReadOptions(), 400))
    expected = [other.digest(split) for split in splits]
    assert len(set(expected)) == len(splits) > 2
    found = []
    for split in splits:
        list(reader.read(split, ReadOptions()))
        whole = path.read_bytes()
        path.write_bytes(whole.swapcase())
        found.append(reader.digest(split))
        path.write_bytes(whole)
    assert found == expected
    assert reader.digest(splits[0]) == expected[0]


def test_digests_of_splits_change_with_the_bytes_that_they_cover(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 10)
    splits = list(READER.splits(input_file(path), ReadOptions(), 70))
    before = [READER.digest(split) for split in splits]
    path.write_bytes(b'{"text": "a"}\n' * 9 + b'{"text": "b"}\n')
    after = [READER.digest(split) for split in splits]
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.slow
@settings(max_examples=30)
@given(data=files, split_bytes=st.integers(1, 60), compression=st.sampled_from(["none", "gzip"]))
def test_reading_a_split_again_gives_the_same(data: bytes, split_bytes: int, compression: str) -> None:
    first = read_bytes(READER, data, ReadOptions(), split_bytes, compression)
    second = read_bytes(READER, data, ReadOptions(), split_bytes, compression)
    assert (first.rows, first.details) == (second.rows, second.details)
