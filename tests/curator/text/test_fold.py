"""Folding: what compares as equal, and that list terms are hashed as documents are."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from curator.text.build_tables import GREEK, SAME_LETTERS
from curator.text.fold import fold, hash_terms, hash_unit
from curator.text.segment import segment
from curator.text.tables import POINTS, tables


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Straße", "STRASSE"),
        ("ﬁnal", "final"),
        ("Ｆｕｌｌ", "full"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("don’t", "don't"),
        ("п’ять", "пʼять"),
        ("co\u00adoperate", "cooperate"),
        ("می\u200cخواهم", "میخواهم"),
        ("צה״ל", 'צה"ל'),
        ("㌔", "キロ"),
        ("İSTİKLÂL", "istiklâl"),
        ("Țara și oraşul", "ţara şi orașul"),
        ("Ὅλοι οἱ ἄνθρωποι ἔχουν προϊόντα", "ΟΛΟΙ ΟΙ ΑΝΘΡΩΠΟΙ ΕΧΟΥΝ ΠΡΟΪΟΝΤΑ"),
        ("کتابی ﮐﯽ", "كتابي كي"),
        ("അവൻ", "അവന്\u200d"),
        ("উৎসব", "উত্\u200dসব"),
        ("Oʻzbek", "o‘zbek"),
        ("צ׳ק", "צ'ק"),
        ("שָׁלוֹם", "שלום"),
        ("ٱلرَّحْمَٰنِ", "الرحمن"),
        ("شكرًا", "شكرا"),
        ("مـــرحبا", "مرحبا"),
    ],
)
def test_equal_in_comparison(left: str, right: str) -> None:
    assert fold(left) == fold(right)
    assert hash_unit(left) == hash_unit(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("resume", "résumé"),
        ("μαϊου", "μαιου"),
        ("قرآن", "قران"),
        ("سأل", "سال"),
        ("we're", "were"),
        ("ab", "ba"),
        ("1", "l"),
    ],
)
def test_different_in_comparison(left: str, right: str) -> None:
    assert fold(left) != fold(right)
    assert hash_unit(left) != hash_unit(right)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.skipif(tables().versions[0] != unicodedata.unidata_version, reason="the tables are of another Unicode")
@given(st.characters(exclude_categories=["Cs"]).filter(lambda letter: ord(letter) not in GREEK))
def test_a_character_folds_as_nfkc_casefold_says(character: str) -> None:
    invisible = regex.compile(r"\p{Default_Ignorable_Code_Point}")
    points = regex.compile("[" + "".join(rf"\u{first:04x}-\u{last:04x}" for first, last in POINTS) + "]")
    expected = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    expected = invisible.sub("", unicodedata.normalize("NFKC", expected.casefold())).translate(SAME_LETTERS)
    if points.search(expected):
        expected = points.sub("", expected).strip()
    if character not in "‘’‛ʻʼ՚׳״İ":
        assert fold(character) == expected


def test_terms_are_hashed_as_they_stand_in_documents() -> None:
    terms = ["Don’t", "zwei Wörter", "東京", "", "…"]
    text = " ".join(terms).encode()
    document = segment(np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)]))
    hashed = hash_terms(terms)
    assert [len(term) for term in hashed] == [1, 2, 2, 0, 0]
    assert np.concatenate(hashed).tolist() == document.hashes.tolist()


def test_no_terms_have_no_hashes() -> None:
    assert hash_terms([]) == []
