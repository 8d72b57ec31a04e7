"""Normalisation: the scan misses nothing, clean text passes untouched, damage is repaired only where that is sure."""

from __future__ import annotations

import unicodedata

import ftfy
import numpy as np
import pyarrow as pa
import pytest
from ftfy.badness import is_bad
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curator.text.normalise import (
    _SUSPECT,
    INVALID_UTF8,
    MARK_CONTROL,
    MARK_INVALID,
    MARK_MOJIBAKE,
    MARK_NFC,
    Normalised,
    clean,
    normalise,
    repair_mojibake,
    scan,
)
from curator.text.tables import tables
from tests.curator.text.plain_normalise import plain_marks

COMPOSED = [
    chr(point)
    for point in range(0xC0, 0x11940)
    if not 0xAC00 <= point < 0xE000 and unicodedata.is_normalized("NFC", chr(point))
    if unicodedata.normalize("NFD", chr(point)) != chr(point)
]
COMPOSING = sorted({unicodedata.normalize("NFD", letter)[-1] for letter in COMPOSED})
"""Letters that are made of several, and what they end with."""

compiles = settings(deadline=None)
"""The first call of a kernel compiles it."""

NASTY = (
    "aeo<9 \t\n\r\x00\x1b\x7f\x85\x9b\ufeff\ufffe\ufdd0\U0001ffff\ufffd"  # controls, noncharacters
    "\u0301\u0323\u0327\u0338\u3099\u0345\u093c\u05b4\u05bc\u0f71\u0f72"  # marks of many combining classes
    "éṩÅ\u212b\u1e9bक़\u0958ἄ\u1f71\u03ac\u0344\u2126豈\uf900"  # composed, excluded from composition, singletons
    "ᄀ각\uac00\u1161\u11a8\u0bc6\u0bbe\u09c7\u09be\u1025\u102e\u0dd9\u0dcf"  # pairs that compose without marks
    "ÃÂâ€©™ÐŸРџСЃ中カꦗ🙂𝅘𝅥\U0001d157\U0001d165"
)
nasty_text = st.text(st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"])), max_size=80)
damaged = st.one_of(
    st.binary(max_size=50),
    st.lists(st.one_of(nasty_text.map(str.encode), st.binary(max_size=4)), max_size=4).map(b"".join),
    nasty_text.map(str.encode),
)
same_unicode = pytest.mark.skipif(
    tables().versions[0] != unicodedata.unidata_version, reason="the tables are of another Unicode"
)

SENTENCES = {
    "cs": "Žluťoučký kůň úpěl ďábelské ódy — příště lépe.",
    "de": "Die Größe der Straße überrascht: „schön“, sagt Jürgen.",
    "el": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, είπε ο Γιώργος.",
    "es": "El pingüino Wenceslao hizo kilómetros bajo la lluvia; ¿quién añoraría más?",
    "fa": "همهٔ افراد بشر آزاد به دنیا می‌آیند.",
    "fr": "Dès Noël, où un zéphyr haï me vêt de glaçons würmiens, je dîne d’exquis rôtis.",
    "he": "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "hu": "Árvíztűrő tükörfúrógép, ötször is: „Győződjön meg róla!”",
    "ja": "いろはにほへと　ちりぬるを。「東京タワー」へ行きました。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 존엄과 권리에 있어 동등하다.",
    "pl": "Zażółć gęślą jaźń — „pchnąć w tę łódź jeża”.",
    "pt": "À noite, vovô Kowalsky vê o ímã cair no pé do pinguim; que emoção!",
    "ru": "Съешь же ещё этих мягких французских булок, «да» выпей чаю.",
    "ta": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "tr": "Pijamalı hasta yağız şoföre çabucak güvendi; İstanbul’da.",
    "uk": "Ґава їсть п’ять їжаків. Ві. Пі. ДІЯ «М». Хвороби є.",
    "vi": "Tất cả mọi người sinh ra đều được tự do và bình đẳng.",
    "zh": "人人生而自由，在尊严和权利上一律平等。",
}


def binary(*texts: bytes) -> pa.BinaryArray:
    return pa.array(texts, type=pa.binary())


RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю."


def normalised(raw: bytes, *, repair: bool = True) -> tuple[str, bool, bool, str | None]:
    result = normalise(binary(raw), repair=repair)
    return result.text[0].as_py(), bool(result.repaired[0]), bool(result.changed[0]), result.codes[0]


def misread(text: str, encoding: str) -> str:
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@compiles
@given(st.lists(damaged, max_size=4))
@example(
    [b"\xed\xa0\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80", b"\xe2\x82", b"\xff"]
)
@example([b"x" * 31 + "é".encode(), b"x" * 32 + "\u0301".encode(), b"e" * 40 + "\u0301".encode()])
def test_the_mark_for_invalid_utf_8_stands_exactly_where_it_is_invalid(texts: list[bytes]) -> None:
    marks = scan(binary(*texts))
    assert [mark == MARK_INVALID for mark in marks] == [not is_utf8(text) for text in texts]


misread_text = st.lists(
    st.one_of(
        st.tuples(nasty_text, st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1253", "mac-roman", "cp437"])).map(
            lambda pair: misread(pair[0][:4], pair[1])
        ),
        st.text("вГДЕβΓЎ°љ€™ ‹В„ѓ\x98РСТУРѓ©", max_size=6),
        st.text("Ñúåøü åù¸€ƒŠ\x81", max_size=40),
        st.integers(0, 40).map("ñ".__mul__),
        st.sampled_from([" ", "a", "x" * 40, "\n", "e\u0301", "中"]),
    ),
    max_size=6,
).map("".join)


@pytest.mark.slow
@same_unicode
@compiles
@given(st.lists(st.one_of(damaged, misread_text.map(str.encode)), max_size=5))
@example(["РџСЂРё".encode(), "Ві П».".encode(), "вЂ™вЂ".encode(), "ГѓГ©".encode(), "각".encode(), "가\u11a8".encode()])
def test_marks_are_those_of_the_plain_reference(texts: list[bytes]) -> None:
    assert scan(binary(*texts)).tolist() == [plain_marks(text) for text in texts]


CALM = (
    "plain words, 12\n",
    "Ελλάδα",
    "Москва",
    "שלום",
    "سلام",
    "人民",
    "かなカ",
    "한국",
    "ế",
    "Ａ",
    "a é b ",
    "x – y",
    "aï",
    "\u017f",
)
"""What blocks of bytes are passed over of."""


@pytest.mark.slow
@same_unicode
@compiles
@given(
    st.lists(
        st.lists(st.one_of(st.sampled_from(CALM), st.sampled_from([*NASTY, *"вπΩσΓЎІ’°"])), max_size=40).map("".join),
        max_size=3,
    ),
    st.integers(0, 32),
)
def test_blocks_that_are_passed_over_have_no_mark_in_them(texts: list[str], shift: int) -> None:
    raw = [b" " * shift + text.encode() for text in texts]
    assert scan(binary(*raw)).tolist() == [plain_marks(text) for text in raw]


def check_marks_in_blocks(texts: list[bytes]) -> None:
    """Texts that are too short for a block have the same marks between so much ASCII that they stand in one."""
    alone = scan(binary(*texts)).tolist()
    for before in (10, 36):  # in the midst of a block, and across its end
        assert scan(binary(*(b"." * before + text + b"." * 40 for text in texts))).tolist() == alone


@pytest.mark.slow
def test_every_character_has_the_same_marks_in_a_block_as_alone() -> None:
    points = [point for point in range(0x30000) if not 0xD800 <= point < 0xE000]
    for before in (".", "か", "α", "\u05c1", "\u302c"):
        check_marks_in_blocks([f"{before}{chr(point)}.".encode() for point in points])


def test_every_sequence_of_bytes_has_the_same_marks_in_a_block_as_alone() -> None:
    others = [0x00, 0x2E, 0x7F, 0x80, 0x8F, 0x90, 0x9D, 0x9F, 0xA0, 0xBF, 0xC3, 0xE3, 0xFF]
    check_marks_in_blocks(
        [bytes([0x2E, first, second, third]) for first in range(0x80, 0x100) for second in others for third in others]
    )


def test_a_block_is_not_read_with_the_text_before_it() -> None:
    assert scan(binary(b".\xc3", b"\xa9" + b"." * 50)).tolist() == [MARK_INVALID] * 2


@pytest.mark.parametrize("before", range(16))
def test_a_pair_before_a_block_is_none_before_what_comes_behind_it(before: int) -> None:
    text = "." * before + "Рџ" + "о" * 15 + "Рџ" + "." * 40
    assert scan(binary(text.encode())).tolist() == [plain_marks(text.encode())] == [0]


def test_every_pair_of_characters_of_mojibake_has_the_same_marks_in_a_block_as_alone() -> None:
    signs = {"人", "か", "A"}
    for encoding in ("latin-1", "cp1252", "cp1251", "cp1253", "mac-roman", "cp437"):
        signs.update(bytes([byte]).decode(encoding, "ignore") for byte in range(0x80, 0x100))
    pairs = [f".{first}{second}" for first in signs - {""} for second in signs - {""}]
    check_marks_in_blocks([pair.encode() for pair in pairs])
    check_marks_in_blocks([f"о{pair}о".encode() for pair in pairs])


@same_unicode
@compiles
@given(nasty_text, st.integers(0, 70))
def test_text_without_a_mark_needs_no_cleaning(text: str, shift: int) -> None:
    text = "a" * shift + text
    mark = int(scan(binary(text.encode()))[0])
    without_controls = unicodedata.normalize("NFD", clean(text)) == unicodedata.normalize("NFD", text)
    assert bool(mark & MARK_CONTROL) == (not without_controls)
    if not mark & MARK_NFC:
        assert unicodedata.is_normalized("NFC", text)


@same_unicode
@compiles
@given(st.data())
def test_no_composed_letter_hides_a_mark_that_composes_with_its_beginning(data: st.DataObject) -> None:
    letter, marks = data.draw(st.sampled_from(COMPOSED)), data.draw(st.lists(st.sampled_from(COMPOSING), max_size=3))
    text = letter + "".join(marks)
    mark = int(scan(binary(text.encode()))[0])
    assert mark & MARK_NFC or unicodedata.is_normalized("NFC", text)


@pytest.mark.slow
@compiles
@given(st.lists(damaged, max_size=5), st.booleans())
def test_every_text_comes_out_clean_or_with_a_code(texts: list[bytes], repair: bool) -> None:
    result = normalise(binary(*texts), repair=repair)
    result.text.validate(full=True)
    assert len(result.text) == len(result.codes) == len(texts)
    for row, raw in enumerate(texts):
        text = result.text[row].as_py()
        if result.codes[row] is None:
            assert clean(text) == text
            assert bool(result.changed[row]) == (text.encode() != raw)
            assert bool(result.changed[row]) >= bool(result.repaired[row])
            if not result.repaired[row]:
                assert text == clean(raw.decode())
        else:
            assert result.codes[row] == INVALID_UTF8
            assert not is_utf8(raw)
            assert (text, bool(result.changed[row]), bool(result.repaired[row])) == ("", False, False)
        if not repair:
            assert (result.codes[row] is None) == is_utf8(raw)
            assert not result.repaired[row]


@compiles
@given(nasty_text)
@example("\x00\ufeff\ufffe\ufeffmark")
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_clean_text_passes_without_a_copy() -> None:
    text = binary(*(sentence.encode() for sentence in SENTENCES.values()))
    result = normalise(text, repair=True)
    assert result.text.buffers()[2].address == text.buffers()[2].address
    assert result.text.to_pylist() == list(SENTENCES.values())
    assert not result.changed.any()


def test_a_slice_is_normalised_as_its_rows_are() -> None:
    text = binary(b"drop", b"caf\xc3\xa9", b"cafe\xcc\x81", b"plain", b"drop").slice(1, 3)
    assert normalise(text, repair=True).text.to_pylist() == ["café", "café", "plain"]
    assert normalise(text.slice(2), repair=True).text.to_pylist() == ["plain"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("one\r\ntwo\rthree\x0bfour\x0cfive\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("\ufeffmark", "mark"),
        ("\x00\ufeffmark behind a control", "mark behind a control"),
        ("null\x00, \x1b[1mbold\x7f", "null, [1mbold"),
        ("non\ufffecharacter\U0010ffff", "noncharacter"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("cafe\u0301", "café"),
        ("\u212bngström", "Ångström"),
        ("a\u0301\u0323", "ạ\u0301"),
        ("ấ\u0323", "ậ\u0301"),
        ("각 각", "각 각"),
    ],
)
def test_examples_are_cleaned_as_stated(raw: str, expected: str) -> None:
    assert normalised(raw.encode(), repair=False) == (expected, False, raw != expected, None)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_mojibake_is_found_and_repaired(language: str, encoding: str) -> None:
    sentence = SENTENCES[language]
    broken = misread(sentence, encoding).encode()
    assert scan(binary(broken))[0] & MARK_MOJIBAKE
    text, repaired, changed, code = normalised(broken)
    assert (repaired, changed, code) == (True, True, None)
    assert text == sentence
    assert normalised(broken, repair=False)[1] is False


@pytest.mark.parametrize(
    ("encoding", "language"),
    [
        (encoding, language)
        for encoding in ("cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "mac-roman", "cp437")
        for language in ("ru", "el", "fr", "zh")
    ],
)
def test_mojibake_of_other_encodings_is_found(encoding: str, language: str) -> None:
    assert scan(binary(misread(SENTENCES[language], encoding).encode()))[0] & MARK_MOJIBAKE


@pytest.mark.slow
def test_no_line_is_damaged_to_ftfy_that_is_not_looked_at() -> None:
    points = [chr(point) for point in range(0x80, 0x3000)]
    for before in ("", "a", "A", "1", " ", ".", "$"):
        for behind in ("", "a", "A", "1", " ", ".", "$"):
            lines = [f"{before}{point}{behind}" for point in points]
            assert [line for line in lines if is_bad(line) and not _SUSPECT.search(line)] == []


@given((misread_text | nasty_text).filter(lambda text: "\ue000" not in text))
def test_lines_are_repaired_as_ftfy_repairs_them(text: str) -> None:
    lines = text.replace("\x85", "\ue000").splitlines(keepends=True)
    assert repair_mojibake(text) == "".join(ftfy.fix_encoding(line.replace("\ue000", "\x85")) for line in lines)


def test_a_byte_that_is_a_line_end_in_latin_1_does_not_cut_the_characters_it_is_a_part_of() -> None:
    sentence = "يولد جميع الناس أحرارًا متساوين في الكرامة\n所有安全都是儿童的权利。"
    assert "\x85" in misread(sentence, "latin-1")
    assert normalised(misread(sentence, "latin-1").encode())[0] == sentence


def test_damage_in_one_line_leaves_the_others_alone() -> None:
    text, repaired, _, _ = normalised("L’été — 中文 Ω\nIt costs 5â‚¬\n".encode())
    assert text == "L’été — 中文 Ω\nIt costs 5€\n"
    assert repaired


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Müller wohnt in Köln.".encode("cp1252"), "Müller wohnt in Köln."),
        ("She said “yes” – it costs 5 €".encode("cp1252"), "She said “yes” – it costs 5 €"),
        ("Ünlü — ".encode() + "café au lait".encode("latin-1"), "Ünlü — café au lait"),
        ("Der Text ist größer, aber dann endet ö".encode()[:-1], "Der Text ist größer, aber dann endet "),
        ("\ufeffこんにちは".encode("utf-16-le"), "こんにちは"),
        ("\ufeffhello".encode("utf-16-be"), "hello"),
    ],
)
def test_bytes_that_can_be_read_surely_are_repaired(raw: bytes, expected: str) -> None:
    assert normalised(raw) == (expected, True, True, None)
    assert normalised(raw, repair=False) == ("", False, False, INVALID_UTF8)


@pytest.mark.parametrize("encoding", ["cp1251", "koi8_r"])
def test_text_in_a_code_page_is_read_as_what_it_is_and_told_apart_from_other_repairs(encoding: str) -> None:
    raw = RUSSIAN.encode(encoding)
    texts = binary(raw, raw.decode("latin-1").encode(), misread(RUSSIAN, "cp1252").encode(), RUSSIAN.encode())
    result = normalise(texts, repair=True)
    assert result.text.to_pylist() == [RUSSIAN] * 4
    assert result.changed.tolist() == result.repaired.tolist() == [True, True, True, False]
    assert result.code_pages.tolist() == [True, True, False, False]
    result = normalise(texts, repair=False)
    assert result.codes == [INVALID_UTF8, None, None, None]
    assert not result.code_pages.any()
    assert result.text[1].as_py() == clean(raw.decode("latin-1"))


def test_what_is_read_in_a_code_page_is_cleaned_too() -> None:
    raw = (RUSSIAN + "\r\n\x00").encode("cp1251")
    assert normalised(raw)[0] == normalised(raw.decode("latin-1").encode())[0] == RUSSIAN + "\n"


@pytest.mark.parametrize(
    "raw",
    [
        "Съешь же булок".encode("cp1251"),
        "人人生而自由".encode("gb18030"),
        "いろはにほへと".encode("shift_jis"),
        bytes(range(0xC0, 0x100)),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"undefined in Windows-1252: \x81",
        b"\xff",
        b"\xed\xa0\x80 a surrogate and \xc0\x80 an overlong form",
    ],
)
def test_bytes_that_nobody_can_read_surely_fail_with_a_code(raw: bytes) -> None:
    assert normalised(raw) == ("", False, False, INVALID_UTF8)


def test_no_texts_are_normalised_to_none() -> None:
    result: Normalised = normalise(binary(), repair=True)
    assert (len(result.text), len(result.codes), len(result.repaired)) == (0, 0, 0)
    assert np.array_equal(scan(binary(b"", b"")), [0, 0])
