"""Segmentation: equal to a plain reference on any text, and to UAX #29 where no difference is intended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from uniseg import wordbreak

from curator.text.fold import hash_unit
from curator.text.segment import CAPITAL, DIGIT, LETTER, UNSPACED, Units, segment
from curator.text.tables import CLASS_MASK, tables

NASTY = (
    "aZß9٣ _.,;:'’\"·\u202f-\n\r\t\x00"  # ASCII, digits, all kinds of joiners, control characters
    "é\u0301\u0308\u00ad\u200c\u200d\ufe0f\ufeff\u202e\u3164"  # marks, invisible characters
    "שהא״׳ابلـक्षिनதமி"  # right to left, Indic clusters
    "中日ひらカﾞｶー々〇แสวัญ\u0e33ລາວខ្មែရန်ꦗꦮཀ་ཁ༄ꆈ"  # scripts without spaces, Tibetan
    "한ᄀ\u1161👨\U0001f3fb🇩🇪™ℹⅧ½²ﬁǅ𝐀𐐀𠀀\U000e0041\ufffd"
)
"""Characters that take every path of the kernel."""

compiles = settings(deadline=None)
"""The first call of a kernel compiles it."""

nasty_text = st.text(st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"])), max_size=40)
word_text = st.text(st.sampled_from("abZéяבहि한9٣.,;'’·\"\u0301\u00ad\u200d -\n!Ⅷ\u2060"), max_size=30)

REFERENCE = regex.compile(
    r"""UX* | (?: [LHD]X* (?:
          __*[_X]* (?=[LHD])
        | (?<=[LH]X*) [la]X* (?=[LH])
        | (?<=DX*) [da]X* (?=D)
        | (?<=HX*) qX* (?=H)
        )? )+""",
    regex.VERBOSE,
)
"""The rules WB4 to WB13b of UAX #29 as one expression over classes: Unspaced, eXtend, Letter, Hebrew, Digit, low line
(_), and the joiners of letters, digits, any, and Hebrew letters (q)."""


def reference_units(text: str) -> list[str]:
    classes = "".join("oX_ldaq-ULHD"[tables().classes[ord(character)] & CLASS_MASK] for character in text)
    return [text[match.start() : match.end()] for match in REFERENCE.finditer(classes)]


def reference_kind(unit: str) -> int:
    classes = ["oX_ldaq-ULHD"[tables().classes[ord(character)] & CLASS_MASK] for character in unit]
    letter, digit, unspaced = (any(kind in classes for kind in kinds) for kinds in ("ULH", "D", "U"))
    capital = regex.match(r"[\p{Lu}\p{Lt}]", unit) is not None
    return LETTER * letter + DIGIT * digit + CAPITAL * capital + UNSPACED * unspaced


def segmented(texts: Sequence[str], before: bytes = b"") -> Units:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([len(before), *(len(text) for text in encoded)], dtype=np.int64)
    return segment(np.frombuffer(before + b"".join(encoded), dtype=np.uint8), offsets)


def words(text: str) -> list[str]:
    encoded = text.encode()
    units = segmented([text])
    return [encoded[start:end].decode() for start, end in zip(units.starts, units.ends, strict=True)]


def kinds(text: str) -> list[int]:
    return [int(kind) for kind in segmented([text]).kinds]


@compiles
@given(nasty_text)
def test_units_are_those_of_the_plain_reference(text: str) -> None:
    assert words(text) == reference_units(text)


@compiles
@given(nasty_text)
def test_hashes_are_those_of_the_plain_reference(text: str) -> None:
    assert [int(value) for value in segmented([text]).hashes] == [hash_unit(unit) for unit in reference_units(text)]


@compiles
@given(nasty_text)
def test_kinds_are_those_of_the_plain_reference(text: str) -> None:
    assert kinds(text) == [reference_kind(unit) for unit in reference_units(text)]


@compiles
@given(word_text)
def test_units_are_the_words_of_uax_29_in_scripts_with_spaces(text: str) -> None:
    expected = [piece for piece in wordbreak.words(text) if regex.search(r"[\p{L}\p{N}]", piece)]
    # WB7a (a quotation mark after a Hebrew letter) is left out on purpose.
    attached = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]*"
    assert words(text) == [regex.sub(rf"(?<=\p{{Hebrew}}{attached})'{attached}$", "", piece) for piece in expected]


@compiles
@given(st.lists(nasty_text, max_size=6), st.binary(max_size=3))
def test_texts_of_a_batch_do_not_touch_each_other(texts: list[str], before: bytes) -> None:
    together = segmented(texts, before)
    alone = [segmented([text]) for text in texts]
    assert together.counts.tolist() == [len(units.hashes) for units in alone]
    assert together.hashes.tolist() == [value for units in alone for value in units.hashes.tolist()]
    assert together.kinds.tolist() == [value for units in alone for value in units.kinds.tolist()]


@compiles
@given(st.lists(st.binary(max_size=12), max_size=5))
def test_units_of_any_bytes_lie_inside_their_text_and_are_utf_8(texts: list[bytes]) -> None:
    offsets = np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)
    data = b"".join(texts)
    units = segment(np.frombuffer(data, dtype=np.uint8), offsets)
    row = np.repeat(np.arange(len(texts)), units.counts)
    assert (units.starts >= offsets[row]).all()
    assert (units.ends <= offsets[row + 1]).all()
    for start, end in zip(units.starts, units.ends, strict=True):
        assert data[start:end].decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("can't won’t l'homme", ["can't", "won’t", "l'homme"]),
        ("3.14, 1,000.5 and 10\u202f000", ["3.14", "1,000.5", "and", "10\u202f000"]),
        ("mot\u202f! x86_64 _emphasis_ ___", ["mot", "x86_64", "emphasis"]),
        ("at 12:30 say:yes", ["at", "12", "30", "say", "yes"]),
        ("soft\u00adhyphen", ["soft\u00adhyphen"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        ('צה"ל', ['צה"ל']),
        ("हिन्दी 한국어", ["हिन्दी", "한국어"]),
        ("👨‍👩‍👧 🇩🇪 — …", []),
        ("", []),
    ],
)
def test_examples_are_cut_as_stated(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_kinds_tell_letters_digits_capitals_and_scripts_without_spaces() -> None:
    assert kinds("word Word 12 H2O 東 élan Élan ǅ") == [
        LETTER,
        LETTER | CAPITAL,
        DIGIT,
        LETTER | CAPITAL | DIGIT,
        LETTER | UNSPACED,
        LETTER,
        LETTER | CAPITAL,
        LETTER | CAPITAL,
    ]


def test_the_densest_texts_fit_the_arrays() -> None:
    for text in ("a b " * 500, "a中" * 500, "中" * 500, "a'1" * 500):
        assert len(segmented([text, text]).hashes) == 2 * len(reference_units(text))


def test_hashes_of_different_units_differ() -> None:
    texts = [f"{left}{right}" for left in range(1000) for right in "abcdefghijklmnopqrstuvwxyz"]
    assert len(set(segmented([" ".join(texts)]).hashes.tolist())) == len(texts)
