"""Terms with stars for letters: what is seen through, what stays, and the kernel against a regular expression."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.toxicity.disguises import compile_disguises, match_disguises
from stages.toxicity.rules import count_terms
from stages.toxicity.starred import LONGEST, StarredTerms
from stages.toxicity.terms import compile_terms
from tests.stages.toxicity.helpers import listed_terms, make_batch

STARRED = re.compile(r"(?<![\w*])[^\W\d_]+(?:\*+[^\W\d_]+)+(?![\w*])")
TERMS = StarredTerms({"zorblax": 3, "zorblix": 1, "quill": 2})


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        ("zorbl*x", 1),
        ("z*rblax", 3),
        ("zo**lax", 3),
        ("z*****x", 1),
        ("q*u*i*l*l", 2),
        ("qu*ll", 2),
        ("q*ll", 0),
        ("qu*llx", 0),
        ("z*rblay", 0),
    ],
)
def test_a_star_is_any_letter_or_stands_between_any_two(word: str, severity: int) -> None:
    assert TERMS.severity(word) == severity


def test_listed_terms_with_a_star_count_as_they_do_without() -> None:
    term = next(term for term in listed_terms("en") if len(term) == 5 and term.isascii())
    masked, again = f"{term[0]}*{term[2:]}", f"{term[0].upper()}**{term[3:]}"
    batch = make_batch(
        [("en", f"so {masked}, {again}!"), ("en", f"2*{term[1:]} {masked}_1 **{masked}**"), ("ja", masked)]
    )
    found = count_terms(batch, 1)
    assert found.matches.tolist() == [2, 0, 0]
    assert found.units.tolist() == [4, 0, 0]
    assert found.severities[0] >= 2


PIECES = st.sampled_from(["*", "**", "a", "Zo", "é", "б", "語", "1", "_", " ", ". ", "z0rb", "-", "𝐳"])


@pytest.mark.slow
@given(st.lists(st.lists(PIECES, max_size=30).map("".join), max_size=4))
@example(["a*b", "*a*b", "a*b*", "*", "a*1 b*c", "é*б*" + "a*" * LONGEST + "a", "x*y" + " " * 70 + "x*y"])
def test_the_kernel_finds_the_words_of_the_expression(texts: list[str]) -> None:
    batch = make_batch([("en", text) for text in texts])
    table, plain = compile_disguises(["en"], ["zorblax"], [1]), compile_terms(["en"], ["zorblax"], [1])
    data, offsets = batch.text_buffer
    found = match_disguises(data, offsets, batch.languages, table, plain).starred
    expected = [
        (number, match.group())
        for number, text in enumerate(texts)
        for match in STARRED.finditer(text)
        if len(match.group().encode()) <= LONGEST
    ]
    assert [(text, bytes(data[begin:end]).decode()) for text, begin, end in found.tolist()] == expected


def test_a_text_of_stars_is_read_once_and_has_room_for_all_its_words() -> None:
    batch = make_batch([("en", "a*" * 500_000), ("en", "a*b " * 10_000)])
    table, plain = compile_disguises(["en"], ["zorblax"], [1]), compile_terms(["en"], ["zorblax"], [1])
    found = match_disguises(*batch.text_buffer, batch.languages, table, plain)
    assert np.bincount(found.starred[:, 0], minlength=2).tolist() == [0, 10_000]
