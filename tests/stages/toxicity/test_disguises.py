"""Disguised spellings: what is seen through, what is left alone, and the kernel against a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.toxicity.disguises import compile_disguises, disguise_table, match_disguises, skeleton, skeletons
from stages.toxicity.terms import compile_terms, read_terms
from tests.stages.toxicity.helpers import make_batch
from tests.stages.toxicity.plain_disguises import count_disguises

TERMS = ("zorblax", "quill", "boob", "mopsat", "зубал", "ზუბალ", "ߞߟߡߣ", "t1lta")
"""Invented words, so that the tests need none of the list."""
LETTERS = "zorblaxquimpst зубалоахрზუბალߞߟߡߣ𝐳𝐨𝐫𝟎🄾🅾🅞⒪🄞🅰🅩🇴01378459@$!|€2.-\u200b\u00ad\u0301"


def count(text: str, language: str = "en") -> int:
    languages, severities = ["en"] * len(TERMS), [1] * len(TERMS)
    batch = make_batch([(language, text)])
    found = match_disguises(
        *batch.text_buffer,
        batch.languages,
        compile_disguises(languages, list(TERMS), severities),
        compile_terms(languages, list(TERMS), severities),
    )
    return int(found.counts[0, 0])


@pytest.mark.parametrize(
    "text",
    [
        "z0rblax",
        "zorb1ax",
        "zorbl@x!",
        "m0p$at",
        "mop$at",
        "zzzorblax",
        "zorblaaaaax",
        "ZORBLAAAX",
        "quiiill",
        "qu1ll",
        "b00b",
        "boooob",
        "zоrblax",
        "зyбал",
        "зубааал",
        "ზუბაააალ",
        "ߞߟߟߟߡߣ",
        "𝐳𝐨𝐨𝐨𝐫𝐛𝐥𝐚𝐱",
        "zo\U0001d428\U0001d5c8rblax",
        "z\U0001d7cerblax",
        "🅩🅞🅡🅑🅛🅐🅧",
        "🆉🅾🆁🅱🅻🅰🆇",
        "z🅾rblax",
        "⒵⒪⒭⒝⒧⒜⒳",
        "🄩🄞🄡🄑🄛🄐🄧",
        "z⒪rblax",
        "🅉🄾🅁🄱🄻🄰🄰🄰🅇",
        "🅱00b",
        "zor\u200bblax",
        "zor\u200bb1ax",
        "say z0rblax.",
    ],
)
def test_a_disguised_term_is_found(text: str) -> None:
    assert count(text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "zorblax",
        "zorblax!",
        "Zorblax!!!",
        "t1lta",
        "t1lta!",
        "(|t1lta!!)",
        "zor\u00adblax",
        "z0rblaxen",
        "b0b",
        "8008",
        "2orblax",
        "🅉🄾🅁🄱🄻🄰🅇 z🄾rblax ⓩⓞⓡⓑⓛⓐⓧ",
        "🇿🇴🇷🇧🇱🇦🇽",
        "🅰 🅱🅾🅱 ⒜ 🆗",
        "utf8 x86_64 mp3 10km H2O v1.2 A55 www",
        "0123456789" * 30,
        "",
    ],
)
def test_a_term_as_it_is_written_and_other_words_are_not_counted(text: str) -> None:
    assert count(text) == 0


def test_a_letter_behind_all_that_are_alike_stands_for_itself() -> None:
    batch = make_batch([("en", "\u2c65\u2c6a\u2c61xxx"), ("en", "\u2c65\u2c61\u2c6axxx")])
    table = compile_disguises(["en"], ["\u2c65\u2c6a\u2c61x"], [1])
    plain = compile_terms(["en"], ["\u2c65\u2c6a\u2c61x"], [1])
    assert match_disguises(*batch.text_buffer, batch.languages, table, plain).counts[0].tolist() == [1, 0]


def test_a_term_is_found_in_its_language_alone() -> None:
    assert (count("z0rblax", "en"), count("z0rblax", "de"), count("z0rblax", "und")) == (1, 0, 0)


@pytest.mark.slow
@given(text=st.text(st.sampled_from(LETTERS + "AZÉß"), max_size=80))
@example("mop$at mop$$at zzorblaax zorblaaaxx qu11l !!z0rblax|| z\u200bo rblax")
def test_the_kernel_finds_what_the_plain_reference_finds(text: str) -> None:
    assert count(text) == count_disguises(text, TERMS)


@pytest.mark.slow
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *TERMS,
                *["z0rblax", "z🅾rblax", "⒵orblax", "zorb|ax", "zоrblax", "quiiill", "зyбaл", "ზუუუბალ", "b00b"],
                "!",
                " ",
                "a",
                "€",
                "\u200b",
            ]
        ),
        max_size=12,
    )
)
def test_the_kernel_finds_what_the_plain_reference_finds_among_terms(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert count(text) == count_disguises(text, TERMS)


@pytest.mark.slow
@given(text=st.text(max_size=60))
def test_any_text_is_read_to_its_end(text: str) -> None:
    assert count(f"{text} z0rblax") == count(text) + 1


def test_texts_do_not_touch_each_other() -> None:
    batch = make_batch([("en", "z0rb"), ("en", "lax"), ("en", "z0rblax"), ("en", "")])
    table = compile_disguises(["en"], ["zorblax"], [3])
    found = match_disguises(*batch.text_buffer, batch.languages, table, compile_terms(["en"], ["zorblax"], [3]))
    assert found.counts.tolist() == [[0, 0, 1, 0], [0, 0, 3, 0]]


def test_a_text_without_spaces_or_of_brackets_is_read_once() -> None:
    assert count("z0" * 500_000) == 0
    assert count("(" * 10_000 + "z0rblax" + ")" * 10_000) == 1


@pytest.mark.parametrize(
    ("term", "expected"),
    [("Zorblax", "zorbiax"), ("t1lta", "tiita"), ("two words", None), ("ab", None), ("a*cd", None)],
)
def test_the_skeleton_of_a_term(term: str, expected: str | None) -> None:
    assert skeleton(term) == expected


@given(st.lists(st.text(st.sampled_from(LETTERS + "ABßﬁİ\n") | st.characters(codec="utf-8"), max_size=6), max_size=6))
def test_the_skeletons_of_a_list_are_those_of_its_words(words: list[str]) -> None:
    assert skeletons(words) == [skeleton(word) or "" for word in words]


def test_of_terms_with_one_skeleton_the_most_severe_counts() -> None:
    languages, terms = ["en", "en", "de", "en"], ["zorblax", "z0rblax", "zorblax", "zorbiax"]
    table = compile_disguises(languages, terms, [1, 3, 2, 1])
    assert sorted(table.severities[table.keys != 0].tolist()) == [2, 3]


def test_every_shipped_term_of_one_word_is_found_when_a_letter_is_stretched() -> None:
    rows = [row for row in read_terms().to_pylist() if row["language"] == "en" and row["tier"] < 3]
    terms = [str(row["term"]) for row in rows if str(row["term"]).isalpha() and len(str(row["term"])) > 3]
    batch = make_batch([("en", term[:-1] + term[-1] * 4) for term in terms])
    plain = compile_terms(["en"], ["xyzzy"], [1])
    found = match_disguises(*batch.text_buffer, batch.languages, disguise_table(2), plain)
    assert np.mean(found.counts[0] == 1) > 0.95
