"""Text in capitals, compatibility forms or between no-break spaces is in the language in which its plain form is."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.language.dress import turns, undress, wears
from curator.language.identify import identify
from curator.text.tables import CLASS_MASK, FOLDS, HEBREW, UNSPACED_CLASS, tables

SENTENCES = {
    "en": "Everyone has the right to freedom of thought, conscience and religion, and to change his belief.",
    "tr": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler.",
    "be": "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах. Яны надзелены розумам і сумленнем.",
    "mn": "Бүх хүн төрж мэндлэхдээ эрх чөлөөтэй, адилхан нэр төртэй, ижил эрхтэй байдаг.",
    "ka": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
}
PERSIAN = "تمام افراد بشر آزاد به دنیا می آیند و از لحاظ حیثیت و حقوق با هم برابرند."
PASHTO = "هر څوک حق لري چې دهغه حقوقي شخصيت په هر ځاي کښې د قانون په وړاندې د يو انسان په نوم وپيژندل شي."


def named(*texts: str) -> list[str]:
    found = identify(*string_buffer(pa.array(texts, pa.string()))).languages
    return [found.names[code] for code in found.codes]


def shaped(text: str) -> str:
    """Arabic in the shapes that its letters have alone, as some PDF files hold it."""
    shapes = {
        unicodedata.normalize("NFKC", chr(point)): chr(point)
        for point in (*range(0xFB50, 0xFBE9), *range(0xFE80, 0xFEFD))
        if unicodedata.decomposition(chr(point)).startswith("<isolated>")
    }
    return "".join(shapes.get(letter, letter) for letter in text)


def full_width(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


@pytest.mark.parametrize("language", SENTENCES)
def test_a_text_in_capitals_is_in_its_language_whatever_stands_beside_it(language: str) -> None:
    plain = SENTENCES[language]
    assert named(plain, plain.upper(), "x", plain, plain.upper()) == [language, language, "und", language, language]


def test_full_width_letters_shapes_of_arabic_and_no_break_spaces_are_read_through() -> None:
    dressed = full_width(SENTENCES["en"]), shaped(PERSIAN), PASHTO.replace(" ", "\u00a0")
    assert named(*dressed) == named(SENTENCES["en"], PERSIAN, PASHTO) == ["en", "fa", "ps"]


@pytest.mark.parametrize("apostrophe", ["'", "‘", "’", "ʼ", "`", "ʻ"])
def test_uzbek_is_named_whatever_stands_for_its_turned_comma(apostrophe: str) -> None:
    uzbek = "Barcha odamlar erkin, qadr-qimmat va huquqlarda teng boʻlib tugʻiladilar. Ular aql va vijdon sohibidirlar."
    text = uzbek.replace("ʻ", apostrophe)
    assert named("x", text, text.upper(), SENTENCES["en"]) == ["und", "uz", "uz", "en"]


def test_a_language_without_apostrophes_behind_g_is_not_taken_for_uzbek() -> None:
    texts = ["Ua hāno'ohia ke kānaka, ho'okahi ka po'e", "Ma'alahi bo'lib tug'iladilar"]
    assert turns(pa.array(texts, pa.large_string())).to_pylist() == [False, True]


def test_running_text_with_a_title_in_capitals_is_read_as_it_stands() -> None:
    text = "UNIVERSAL DECLARATION\n" + SENTENCES["en"] + " " + SENTENCES["tr"]
    assert not wears(*string_buffer(pa.array([text, PERSIAN, PASHTO, *SENTENCES.values()]))).any()


def test_a_plain_text_is_in_small_letters_of_their_own_without_points() -> None:
    dressed = pa.array(["ＡＢ\u00a0Ⅳ", "إِنَّ ٱلَّذِينَ", "İI", "ﺳﻼﻡ"], pa.large_string())
    assert undress(dressed).to_pylist() == ["ab iv", "إن الذين", "ii", "سلام"]


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(
        st.text(st.one_of(st.sampled_from("aA éÉжЖ\u00a0\u202fアｱＡﻡم"), st.characters(codec="utf-8")), max_size=30)
    )
)
def test_what_a_text_wears_is_what_its_letters_and_spaces_say(texts: list[str]) -> None:
    def expected(text: str) -> bool:
        entries = tables().classes[[ord(letter) for letter in text]] if text else np.zeros(0, np.uint8)
        kinds = entries & CLASS_MASK
        letters = entries[(kinds >= UNSPACED_CLASS) & (kinds <= HEBREW)]
        folding = int(((letters & FOLDS) != 0).sum())
        no_break = sum(text.count(space) for space in "\u00a0\u202f")
        return 0 < folding >= len(letters) / 2 or 0 < no_break >= (text.count(" ") + no_break) / 2

    # Of a text of so few bytes all is seen.
    assert wears(*string_buffer(pa.array(texts, pa.string()))).tolist() == [expected(text) for text in texts]
