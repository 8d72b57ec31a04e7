"""Blocks read straight into columns are what the slower way makes of them, or are left to it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.readers.base import Fields, Records
from curator.readers.blocks import Block
from curator.readers.json_columns import MAX_REFUSED, ColumnParser
from curator.readers.json_lines import MAX_DEPTH
from curator.readers.jsonl import _Parser

NASTY = st.sampled_from(
    ["a", "", " ", "\u0000", "é", "́", "\u200d", "👩‍👩‍👧", "א", "漢",
     "\U0010ffff", "{", "}", "[", "]", '"', "\\", "\n", "\r", "\u2028"]
)  # fmt: skip
TEXT = st.lists(NASTY, max_size=8).map("".join)
RECORD = st.fixed_dictionaries(
    {"text": TEXT},
    optional={
        "id": TEXT | st.none() | st.integers(),
        "lang": TEXT | st.none(),
        "source": TEXT,
        "other": st.recursive(TEXT | st.floats() | st.booleans(), st.lists, max_leaves=6),
    },
)
LINE = st.builds(lambda record, ascii_: json.dumps(record, ensure_ascii=ascii_).encode(), RECORD, st.booleans())
ODD = st.sampled_from(
    [
        b'{"text":"a"}{"text":"b"}', b'{"text":', b'"a"}', b"", b"   ", b"{}", b'{"text":null}', b'{"text":1}', b"[]",
        b'{"text":"\xff"}', b'{"text":"\\ud800"}', b'{"text":"\\udc00"}', b'{"text":"\\udc00\\ud800"}',
        b'{"text":"\\ud83d\\ude00"}', b'{"text":"a","text":"b"}', b'{"text":"a",}',
        b'{"text":"a","x":"\xff"}', b'{"text":"a","id":"\xff"}', b'{"text":"a"} ', b'{"text":"a"}\r',
        b'\xef\xbb\xbf{"text":"a"}',
        b'{"text":"a","n":01}', b'{"text":"a","n":NaN}', b'{"text":"a","n":Inf}', b'{"text":"a","n":[-Inf ,1]}',
        b'{"text":"\x01"}', b'{"\\u0074ext":"a"}', b'{"text":"a"}}',
        b'{"text":"a","x":{}', b"{}}", b'{"text":"a","id":{"b":1}}',
    ]
)  # fmt: skip


def both(data: bytes, begin: int = 0) -> tuple[Records | None, Records]:
    parser = _Parser(Fields(), repair=True)
    return ColumnParser(parser.paths).parse(data, begin), parser.parse(Block(begin, begin + len(data), None, data))


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(LINE | ODD, max_size=6), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
def test_both_ways_give_the_same_records(lines: list[bytes], ends: bool, line_end: bytes) -> None:
    data = line_end.join(lines) + (line_end if ends else b"")
    fast, slow = both(data, 7)
    if fast is not None:
        assert fast.records.equals(slow.records)
        assert fast.failures == slow.failures == ()
        assert fast.notes == slow.notes == ()


@pytest.mark.parametrize(
    ("values", "are_numbers"),
    [
        (["0", "-0", "10", "1.50", "-0.5e-7", "1E+5", "NaN", "Infinity", "-Infinity", "1" + "0" * 5000], True),
        (["", "-", "+1", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "Inf", "-Inf", "[Inf ]", "-NaN"], False),
    ],
)
def test_what_is_a_number_does_not_depend_on_the_lines_beside_it(values: list[str], are_numbers: bool) -> None:
    for value in values:
        fast, slow = both(b'{"text":"a"}\n{"text":"b","n":' + value.encode() + b"}\n")
        assert (fast is not None) == are_numbers == (len(slow.records) == 2)
        assert fast is None or fast.records.equals(slow.records)


PIECES = st.sampled_from(
    [b'"', b"\\", b"\\u", b"\\ud83d", b"{", b"}", b"[", b",", b":", b"\xff", b"null", b"-", b'"id":"k",']
)


@pytest.mark.slow
@settings(max_examples=400)
@given(
    st.lists(LINE | ODD, min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0), PIECES, st.integers(0, 2)), max_size=3),
)
def test_both_ways_give_the_same_records_of_damaged_lines(
    lines: list[bytes], damages: list[tuple[int, bytes, int]]
) -> None:
    data = b"\n".join(lines)
    for place, piece, lost in damages:
        begin = place % (len(data) + 1)
        data = data[:begin] + piece + data[begin + lost :]
    fast, slow = both(data, 7)
    assert fast is None or fast.records.equals(slow.records)
    assert fast is None or (slow.failures == () and slow.notes == ())


@pytest.mark.parametrize("size", [*range(14, 19), 31, 32, 33, 64])
@pytest.mark.parametrize("sign", ["\\n", "\\u00e9", "\\ud83d\\ude00", '\\"', "é", "\x7f"])
def test_strings_of_every_length_are_read_to_their_end(size: int, sign: str) -> None:
    for place in range(size):
        data = f'{{"text":"{"a" * place}{sign}{"b" * (size - place)}","id":"1"}}'.encode()
        fast, slow = both(data)
        assert fast is not None
        assert fast.records.equals(slow.records)


@pytest.mark.parametrize("text", ["", "x" * 1000])
@pytest.mark.parametrize("label", ["", "x", "y" * 500])
def test_short_lines_and_long_labels_have_room(text: str, label: str) -> None:
    line = json.dumps({"text": text, "id": label, "source": label, "lang": label}).encode()
    fast, slow = both(b"\n".join([line] * 50 + [b'{"text":""}'] * 3))
    assert fast is not None
    assert fast.records.equals(slow.records)


def test_damage_in_a_text_alone_and_escapes_in_names_are_read_the_fast_way() -> None:
    fast, slow = both(b'{"text":"a\xff","x":"\xfe"}\n{"t\\u0065xt":"b"}\n')
    assert fast is not None
    assert fast.records.equals(slow.records)
    assert fast.records["text"].to_pylist() == [b"a\xff", b"b"]


@pytest.mark.slow
@given(st.lists(LINE.filter(lambda line: not isinstance(json.loads(line).get("id"), int)), min_size=1, max_size=6))
def test_plain_records_are_read_the_fast_way(lines: list[bytes]) -> None:
    fast, _ = both(b"\n".join(lines) + b"\n")
    assert fast is not None
    assert fast.records.num_rows == len(lines)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 2, MAX_DEPTH + 1])
def test_deep_nesting_is_left_to_the_slower_way(depth: int) -> None:
    data = b'{"text":"a","x":' + b"[" * depth + b"]" * depth + b"}\n"
    fast, _ = both(data)
    assert (fast is None) == (depth > MAX_DEPTH)


def test_a_split_of_another_kind_is_not_tried_again_and_again() -> None:
    parser = ColumnParser(_Parser(Fields(), repair=True).paths)
    good = b'{"text":"a"}\n'
    assert parser.parse(good, 0) is not None
    for _ in range(MAX_REFUSED):
        assert parser.parse(b'{"text":"a","id":1}\n', 0) is None
    assert parser.parse(good, 0) is None


def test_nested_fields_and_metadata_are_left_to_the_slower_way() -> None:
    for fields in (Fields(text="a.text"), Fields(metadata=("url",)), Fields(id="text")):
        assert ColumnParser(_Parser(fields, repair=True).paths).parse(b'{"text":"a"}\n', 0) is None
