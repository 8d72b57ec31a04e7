"""Text as sentences, and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.augmentation.sentences import cut, distinct

LETTERS = st.text(alphabet='ab .!?。！\n\t[]_É日12"”', max_size=60)


@given(LETTERS)
def test_joined_as_they_are_sentences_give_the_text_back(text: str) -> None:
    pieces = cut(text)
    assert pieces.joined({sentence: sentence for sentence in pieces.sentences}) == text


@given(LETTERS)
def test_every_sentence_has_a_letter_and_no_space_around_it(text: str) -> None:
    for sentence in cut(text).sentences:
        assert sentence == sentence.strip()
        assert any(character.isalpha() for character in sentence)
        assert "\n" not in sentence


def test_sentences_end_where_they_do() -> None:
    text = "One. Two?! “Three.” four 3.5 five\n\n- 12 -\n  今日は。明日は！ "
    assert cut(text).sentences == ("One.", "Two?!", "“Three.”", "four 3.5 five", "今日は。", "明日は！")


def test_sentences_end_with_the_marks_of_their_script() -> None:
    assert cut("ចូល។ ទៅ។").sentences == ("ចូល។", "ទៅ។")
    assert cut("သွားသည်။လာသည်။").sentences == ("သွားသည်။", "လာသည်။")
    assert cut("ང་འགྲོ། ཁྱོད་ཤོག །").sentences == ("ང་འགྲོ།", "ཁྱོད་ཤོག །")
    assert cut("ᱤᱧ ᱪᱟᱞᱟᱜ ᱠᱟᱱᱟ᱾ ᱟᱢ ᱦᱮᱡ ᱢᱮ᱾").sentences == ("ᱤᱧ ᱪᱟᱞᱟᱜ ᱠᱟᱱᱟ᱾", "ᱟᱢ ᱦᱮᱡ ᱢᱮ᱾")


def test_what_is_no_sentence_comes_through() -> None:
    pieces = cut("  a b.  c\n--\n\td ")
    assert pieces.joined({"a b.": "x", "c": "y", "d": "z"}) == "  x  y\n--\n\tz "


def test_a_sentence_without_a_translation_leaves_none() -> None:
    pieces = cut("a. b.")
    assert pieces.joined({"a.": "x", "b.": None}) is None
    assert pieces.joined({"a.": "x", "b.": "  "}) is None


def test_a_sentence_that_stands_twice_is_translated_once() -> None:
    assert distinct([cut("a. b. a."), cut("b. c.")]) == ["a.", "b.", "c."]
