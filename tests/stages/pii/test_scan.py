"""The candidate scan: it misses nothing that has the shape, stays inside documents, and is linear."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from stages.pii.scan import (
    ADDRESS6,
    CREDENTIALS,
    EMAIL,
    HARDWARE,
    IBAN,
    NUMBER,
    SECRET,
    TOKEN,
    URL,
    Candidates,
    scan,
)
from tests.stages.pii.helpers import LONG, assert_grows_linearly
from tests.stages.pii.plain_scan import ZEROS, plain_scan

NASTY = st.text(
    st.one_of(
        st.sampled_from("0123456789 .-/()+@:ABCaz\n\0,_"),
        st.sampled_from("٣۴९৭３੧૨୩௪౫೬൭๘໙༠၁២෧\u00a0\u202f\u2011\u2014\u2212ー＠＋（）é中文𝟙🙂\u200d\u0301\u202eא"),
    ),
    max_size=80,
)


def run(texts: list[str]) -> tuple[bytes, Candidates]:
    data, offsets = string_buffer(pa.array(texts, LONG))
    return data.tobytes(), scan(data, offsets)


def found(text: str) -> list[tuple[int, str]]:
    raw, candidates = run([text])
    return [
        (kind, raw[start:end].decode())
        for kind, start, end in zip(candidates.kinds, candidates.starts, candidates.ends, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to a.b@c.de now", [(EMAIL, "@")]),
        ("@Override a @ b a@b", []),
        ("http://joe:pw@host/", [(CREDENTIALS, "joe:pw")]),
        ("http://joe@host.org/", [(EMAIL, "@")]),
        ("call +49 (0)30 1234567!", [(NUMBER, "+49 (0)30 1234567")]),
        ("(030) 123-4567", [(NUMBER, "(030) 123-4567")]),
        ("123 456", []),
        ("1.2.3.4", [(NUMBER, "1.2.3.4")]),
        ("131052-308T", [(NUMBER, "131052-308T")]),
        ("AB 12 34 56 C", [(NUMBER, "12 34 56 C")]),
        ("X1234567L and RSSMRA85T10A562S", [(TOKEN, "X1234567L"), (TOKEN, "RSSMRA85T10A562S")]),
        ("DE89 3704 0044 0532 0130 00", [(IBAN, "DE89 3704 0044 0532 0130 00"), (NUMBER, "3704 0044 0532 0130 00")]),
        ("2a01:238:43ed::1 and 12:30:45 and a::b", [(ADDRESS6, "2a01:238:43ed::1"), (ADDRESS6, "a::b")]),
        ("std::vector Foo::Bar", []),
        ("٠١٢٣٤٥٦٧٨٩", [(NUMBER, "٠١٢٣٤٥٦٧٨٩")]),
        ("०९८७६५४३२१", [(NUMBER, "०९८७६५४३२१")]),
        ("０９０－１２３４－５６７８", [(NUMBER, "０９０－１２３４－５６７８")]),
        ("abc123456 a1234567 abcdefghi1234567 sha9f86d081884c7d659a2f", []),
        ("x1234567l z1234567-k", [(TOKEN, "x1234567l"), (TOKEN, "z1234567")]),
        ("w1234567l x1234567lm x1234567 x123456l x12345678l X1234567l x1234567-8", []),
        ("PESEL44051401359 dni54362315k", [(TOKEN, "PESEL44051401359"), (TOKEN, "dni54362315k")]),
        ("CPF123.456.789-09 and Rut12.345.678-K", [(NUMBER, "123.456.789-09"), (NUMBER, "12.345.678-K")]),
        ("A123456(3) AB987654 (A) A123456（3）", [(TOKEN, t) for t in ("A123456(3)", "AB987654 (A)", "A123456（3）")]),
        ("A123456(33) A123456(B) A12345(3) ABC123456", [(TOKEN, "ABC123456")]),
        ("de89370400440532013000", [(IBAN, "de89370400440532013000")]),
        ("gb82 west 1234 5698", [(IBAN, "gb82 west 1234 5698"), (NUMBER, "1234 5698")]),
        ("IBANde89370400440532013000", [(IBAN, "de89370400440532013000")]),
        ("ibanGB82 west 1234 5698", [(IBAN, "GB82 west 1234 5698"), (NUMBER, "1234 5698")]),
        ("IBAN-DE89370400440532013a", [(IBAN, "DE89370400440532013a")]),
        ("IBAN.DE89370400440532013a", [(IBAN, "DE89370400440532013a")]),
        ("HEAD-DE89370400440532013a", [(SECRET, "DE89370400440532013a")]),
        ("ab12 is short", []),
        ("1234567  7654321", [(NUMBER, "1234567  7654321")]),
        ("eth0 00:1B:44:11:3A:B7. 12:30:45:10:20", [(ADDRESS6, "00:1B:44:11:3A:B7.")]),
        ("00-1B-44-11-3A-B7 at 001b.4411.3ab7", [(HARDWARE, "00-1B-44-11-3A-B7"), (HARDWARE, "001b.4411.3ab7")]),
        ("f0-1b-44-11-3a-b7", [(HARDWARE, "f0-1b-44-11-3a-b7")]),
        ("ac-de-48-00-11-22 feed.f00d.beef", [(HARDWARE, "ac-de-48-00-11-22"), (HARDWARE, "feed.f00d.beef")]),
        ("12-34-56-78-90-12", [(NUMBER, "12-34-56-78-90-12")]),
        ("ghp_a1B2c3D4e5F6g7H8", [(SECRET, "a1B2c3D4e5F6g7H8")]),
        ("AKIAIOSFODNN7EXAMPLE a1B2c3D4e5F6g7H8", [(SECRET, "AKIAIOSFODNN7EXAMPLE")]),
        ("x-aBcDeFgHiJkLmNoPqR .aBcDeFgHiJkLmNoPqR -ABCDEFGHIJKLMNOPQR", [(SECRET, "aBcDeFgHiJkLmNoPqR")]),
        ("eyJhbGciOiJIUzI1NiJ9", [(SECRET, "eyJhbGciOiJIUzI1NiJ9")]),
        ("-----BEGIN X----- BEGIN --BEGUM", [(SECRET, "BEGIN")]),
        ("http://93.184.216.34/a http://b.org/ c://d", [(URL, "93.184.216.34"), (NUMBER, "93.184.216.34")]),
        ("1234567\n7654321", [(NUMBER, "1234567"), (NUMBER, "7654321")]),
    ],
)
def test_shapes_that_are_candidates(text: str, expected: list[tuple[int, str]]) -> None:
    assert found(text) == expected


FRAGMENTS = (
    *("0", "7", "77", "1234", "12345678", "131052", "3704", "DE89", "GB", "A", "T", "a", "z", "a1", "3F", "ffff"),
    *(" ", " ", " ", ".", "-", "/", "(", ")", "+", "@", ":", "::", "://", "<", '"', "_", ",", "\n", "\0"),
    *("b.c", "x.org", "2001:db8", "u:p@h.de", "00-1B-44-11-3A-B7", "00:1B:44:11:3A", "001b.4411.3ab7"),
    *("DNI", "dni", "PESEL", "de89", "gb82", "IBAN", "iban", "west", "123456", "(3)", "(A)", "（3）", "k"),
    *("ghp_", "a1B2c3D4e5F6g7H8", "aBcDeFgHiJkLmNoPqR", "AKIAIOSFODNN7EXA", "eyJh", "--BEGIN", "http://h.de/"),
    *("AB", "Fe-", "-CD", "-EF-", "fe-cd-EF-AB-CD-EF", "ABCD.", "feed.", "Abcd.1234.EF12"),
    *("BEGIX", "abcdefghijklmnopq", "--", "x1234567", "-l"),
    *("٣", "۴", "९", "৭", "３", "\u00a0", "\u202f", "\u2011", "－", "（"),
    *(zero * 7 for zero in ZEROS),
    *("é", "中", "🙂", "\u200d", "\u0301", "\u202e", "א"),
)
shaped = st.lists(st.sampled_from(FRAGMENTS), min_size=3, max_size=14, unique=True).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=8, max_size=60).map("".join)
)
"""Text of few fragments each, so that those which make a shape together meet."""
AROUND = b"a@b.c AB-1B-44:1:2::3_X0." * 4
"""Texts before and behind those that are scanned. Near the ends of the buffer the kernel looks at each byte, elsewhere
at many bytes together."""


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.one_of(shaped, shaped, NASTY).map(str.encode) | st.binary(max_size=40), max_size=5))
def test_candidates_are_those_of_the_shapes_read_plainly(texts: list[bytes]) -> None:
    expected = [(row, *candidate) for row, text in enumerate(texts) for candidate in plain_scan(text)]
    for around in (b"", AROUND):
        offsets = np.cumsum([len(around), *(len(text) for text in texts)], dtype=np.int64)
        candidates = scan(np.frombuffer(b"".join([around, *texts, around]), dtype=np.uint8), offsets)
        begins = offsets[candidates.documents]
        columns = (candidates.documents, candidates.starts - begins, candidates.ends - begins, candidates.kinds)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected


@given(st.lists(NASTY, max_size=6))
def test_documents_do_not_see_each_other(texts: list[str]) -> None:
    _, together = run(texts)
    alone = [run([text])[1] for text in texts]
    begins = np.cumsum([0, *(len(text.encode()) for text in texts)])
    expected = [
        (document, start + begins[document], end + begins[document], kind)
        for document, part in enumerate(alone)
        for start, end, kind in zip(part.starts, part.ends, part.kinds, strict=True)
    ]
    assert expected == list(zip(together.documents, together.starts, together.ends, together.kinds, strict=True))


@given(NASTY)
def test_candidates_lie_on_characters_inside_the_text(text: str) -> None:
    raw, candidates = run([text])
    for start, end in zip(candidates.starts, candidates.ends, strict=True):
        assert 0 <= start < end <= len(raw)
        raw[start:end].decode()


NUMBER_PIECES = st.lists(
    st.tuples(st.sampled_from(["", "", " ", "-", ".", "/", ") ", " (", "\u00a0"]), st.sampled_from("0123456789٣९３")),
    min_size=6,
    max_size=18,
)
ADDRESSES = st.tuples(st.sampled_from(["a", "x1", "é", "b.c"]), st.sampled_from(["d.de", "e-f.org", "x.y.z", "é.fr"]))


@pytest.mark.slow
@given(NASTY, NUMBER_PIECES, NASTY)
def test_no_run_of_seven_digits_is_missed(before: str, pieces: list[tuple[str, str]], after: str) -> None:
    number = "7" + "".join(separator + digit for separator, digit in pieces)
    raw, candidates = run([f"{before}\n{number}\n{after}"])
    begin = len(before.encode()) + 1
    end = begin + len(number.encode())
    assert any(
        kind == NUMBER and start <= begin and stop >= end
        for start, stop, kind in zip(candidates.starts, candidates.ends, candidates.kinds, strict=True)
    ), raw


@given(NASTY, ADDRESSES)
def test_no_address_is_missed(before: str, parts: tuple[str, str]) -> None:
    address = "@".join(parts)
    text = f"{before} {address}"
    _, candidates = run([text])
    at = len(before.encode()) + 1 + len(parts[0].encode())
    assert (at, EMAIL) in list(zip(candidates.starts, candidates.kinds, strict=True))


def test_more_candidates_than_room_are_all_found() -> None:
    count = 5000
    _, candidates = run(["a@b.cd " * count])
    assert len(candidates) == count


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "X",
        "1",
        "a1",
        "A1",
        "@",
        "a@",
        "a@b.",
        "1.",
        "1-",
        ":",
        "a:",
        "://a:",
        "+",
        "(",
        "[",
        "1 ",
        "é",
        "٣",
        "AB12 ",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece.encode()))
    assert_grows_linearly(read, text[: len(text) // 2])
    _, candidates = run([text])
    # Every candidate is short, so that what follows is linear too.
    assert len(candidates) <= len(text)
    assert (candidates.ends - candidates.starts).max(initial=0) <= 256


def read(text: str) -> None:
    """Scan one text."""
    scan(*string_buffer(pa.array([text], LONG)))
