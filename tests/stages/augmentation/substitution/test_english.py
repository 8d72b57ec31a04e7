"""Substitution in English: the real parser where it is installed, and a program that misbehaves."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from curator.errors import TransientError, UserError
from stages.augmentation.substitution.english import EnglishSubstitution
from stages.augmentation.substitution.link_grammar import LinkGrammar
from stages.augmentation.substitution.wordnet import WordNet
from tests.stages.augmentation.substitution.programs import install_parser, needs_english, needs_wordnet

pytest.importorskip("nltk")

TEXTS = [
    "The old farmer eats an apple near the river.\nA child sleeps in the house, and 3 < 4.\n\n\tThe Guide is here.",
    "The apples fell into the river.",
    "!exit\n% a comment\n[REDACTED_NAME] saw the river (and more).",
    "",
]
KEYS = np.arange(2 * len(TEXTS), dtype=np.uint64).reshape(-1, 2)


@pytest.fixture(scope="module")
def substituted() -> list[str | None]:
    return EnglishSubstitution().substitute(TEXTS, KEYS, 0)


def words(text: str) -> list[str]:
    return text.replace(".", " .").replace(",", " ,").split()


@needs_english
def test_nouns_give_way_to_siblings_of_the_same_number_and_the_rest_stays(substituted: list[str | None]) -> None:
    wordnet = WordNet()
    text = substituted[0]
    assert text is not None
    changed = [(old, new) for old, new in zip(words(TEXTS[0]), words(text), strict=True) if old != new]
    nouns = [pair for pair in changed if pair[0] not in ("a", "an")]
    assert nouns
    assert all(new in wordnet.siblings(old) for old, new in nouns)
    assert text.endswith(", and 3 < 4.\n\n\tThe Guide is here.")
    assert text.split()[:2] == ["The", "old"]


@needs_english
def test_a_plural_gives_way_to_a_plural(substituted: list[str | None]) -> None:
    text = substituted[1]
    assert text is not None
    assert text.startswith("The ")
    assert text.split()[1].endswith("s")


@needs_english
def test_what_the_parser_would_take_for_commands_or_marks_stays(substituted: list[str | None]) -> None:
    assert substituted[2:] == [None, None]


@needs_english
def test_an_article_fits_the_noun_after_it() -> None:
    found = EnglishSubstitution().substitute(["He bought an umbrella.", "An umbrella is here."], KEYS[:2], 0)
    assert found == ["He bought a sunshade.", "A sunshade is here."]


@needs_english
def test_a_text_has_one_substitution_whatever_stands_beside_it(substituted: list[str | None]) -> None:
    alone = [EnglishSubstitution().substitute([text], KEYS[row : row + 1], 0)[0] for row, text in enumerate(TEXTS)]
    assert alone == substituted


@needs_english
def test_another_seed_draws_other_siblings() -> None:
    keys = np.arange(16, dtype=np.uint64).reshape(-1, 2)
    drawn = [EnglishSubstitution().substitute([TEXTS[1]] * 8, keys, seed) for seed in range(2)]
    assert drawn[0] != drawn[1]
    assert len(set(drawn[0])) > 1


@needs_english
@pytest.mark.slow
def test_a_sentence_has_one_parse_whatever_stands_before_it() -> None:
    sentences = [
        "The old farmer sold his two horses to a neighbour in the village.",
        "Children play near the river when the weather is good.",
        "He said that the man with the dog who lives in the house near the river saw the boat with a telescope.",
    ]
    parser = LinkGrammar()
    forwards = parser.parse(sentences)
    backwards = parser.parse(sentences[::-1])[::-1]
    assert None not in forwards
    assert forwards == backwards == [parser.parse([sentence])[0] for sentence in sentences]


def substitution_by(folder: Path, timeout_s: float = 20.0) -> EnglishSubstitution:
    return EnglishSubstitution(LinkGrammar(install_parser(folder), timeout_s))


def test_a_parser_that_dies_or_loses_lines_leaves_the_rest_untouched(tmp_path: Path) -> None:
    parser = LinkGrammar(install_parser(tmp_path))
    parses = parser.parse(["Near the river.", "LOSE the river.", "By the river."])
    assert parses[0] is not None
    assert parses[1:] == [None, None]
    parses = parser.parse(["Near the river.", "DIE in the river.", "By the river."])
    assert [parse is not None for parse in parses] == [True, False, False]


def test_a_tree_that_is_broken_or_not_of_the_sentence_counts_as_none(tmp_path: Path) -> None:
    parser = LinkGrammar(install_parser(tmp_path))
    assert parser.parse(["BROKEN by the river.", "MORE by the river."]) == [None, None]
    (parse,) = parser.parse(["By the river."])
    assert parse is not None
    assert [("By the river."[noun.begin : noun.end], noun.before) for noun in parse.nouns] == [("river", (3, 6))]


@pytest.mark.slow
def test_a_parser_that_hangs_is_ended_and_the_task_may_be_tried_again(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TransientError, match="did not answer in time"):
        LinkGrammar(install_parser(tmp_path), timeout_s=0.5).parse(["HANG the river."])
    assert time.monotonic() - began < 30


@needs_wordnet
def test_a_substitution_that_changes_the_tree_is_not_taken(tmp_path: Path) -> None:
    # The program's tree has a leaf a word; a new noun of two words would have another shape.
    found = substitution_by(tmp_path).substitute(["By the river."], KEYS[:1], 0)
    assert found[0] is not None
    assert found[0].startswith("By the ")
    assert len(found[0].split()) == 3


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    missing = EnglishSubstitution(LinkGrammar("no-such-parser")).requirement()
    assert "no-such-parser is not installed (Debian: apt-get install link-grammar)" in str(missing.problem)
    with pytest.raises(UserError, match="is not installed"):
        LinkGrammar("no-such-parser").parse(["A dog."])
    incomplete = EnglishSubstitution(LinkGrammar(install_parser(tmp_path)), WordNet(tmp_path)).requirement()
    assert "no data.noun, index.noun, index.sense, noun.exc in" in str(incomplete.problem)
    assert "apt-get install wordnet-base wordnet-sense-index" in str(incomplete.problem)
