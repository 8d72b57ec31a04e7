"""WordNet's nouns and their siblings, against the files read from the first line to the last; and English plurals."""

from __future__ import annotations

import random

import pytest

from stages.augmentation.substitution.nouns import Number, article_before, base_of, plural_of
from stages.augmentation.substitution.wordnet import PLACE, WordNet
from tests.stages.augmentation.substitution.programs import needs_wordnet

pytestmark = needs_wordnet
WORDNET = WordNet()


def lines_of(name: str, count: int) -> list[list[str]]:
    """Fields of some lines of a file, drawn."""
    lines = [line for line in (PLACE / name).read_text().splitlines() if not line.startswith("  ")]
    return [line.split() for line in random.Random(0).sample(lines, count)]


def test_every_noun_of_the_index_is_found() -> None:
    assert all(WORDNET.is_noun(fields[0]) for fields in lines_of("index.noun", 3000))
    assert not WORDNET.is_noun("hors")
    assert not WORDNET.is_noun("zzzz")
    assert not WORDNET.is_noun("")


def test_every_exception_is_found() -> None:
    for plural, *_ in lines_of("noun.exc", 300):
        assert WORDNET.irregular_singulars(plural)
    assert WORDNET.irregular_singulars("men") == ("man",)
    assert WORDNET.irregular_singulars("man") == ()


def test_siblings_are_single_words_below_the_same_hypernym() -> None:
    assert {"brook", "creek", "rivulet"} & set(WORDNET.siblings("river"))
    assert WORDNET.siblings("umbrella") == ("sunshade",)
    assert WORDNET.siblings("house")
    assert all(word.islower() and word.isalpha() for word in WORDNET.siblings("house"))


def test_a_noun_has_no_siblings_where_its_sense_is_not_clear() -> None:
    assert WORDNET.is_noun("bank")
    assert WORDNET.siblings("bank") == ()
    assert WORDNET.siblings("zzzz") == ()


def test_a_noun_is_no_sibling_of_itself_nor_are_its_synonyms() -> None:
    for noun in ("village", "car", "child", "city", "apple"):
        assert noun not in WORDNET.siblings(noun)
    assert "automobile" not in WORDNET.siblings("car")


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("horse", "horses"),
        ("mouse", "mice"),
        ("city", "cities"),
        ("box", "boxes"),
        ("child", "children"),
        ("key", "keys"),
    ],
)
def test_numbers_of_nouns(singular: str, plural: str) -> None:
    assert base_of(plural, WORDNET) == (singular, Number.PLURAL)
    assert base_of(singular, WORDNET) == (singular, Number.SINGULAR)
    assert plural_of(singular, WORDNET) == plural


def test_what_may_be_either_number_or_is_no_noun_has_no_base() -> None:
    assert [base_of(word, WORDNET) for word in ("days", "men", "xyzzies", "quickly", "")] == [None] * 5


def test_articles() -> None:
    assert [article_before(noun) for noun in ("hour", "university", "umbrella", "pear", "heir", "eulogy", "urn")] == [
        "an",
        "a",
        "an",
        "a",
        "an",
        "a",
        "an",
    ]
