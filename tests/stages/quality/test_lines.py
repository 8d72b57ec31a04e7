"""Counts of lines: the kernel against plain Python, and what counts as what."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.quality.lines import JAVASCRIPT, SHORT_LINE, SHORT_LINE_IDEOGRAPHS, count_lines
from stages.quality.signs import BLANK, BULLET, CLOSER, TERMINAL, sign_table
from tests.stages.quality.helpers import TEXT, batch_of

SIGNS = sign_table()


def counts_of(texts: list[str]) -> list[dict[str, int]]:
    batch = batch_of(texts)
    found = dataclasses.asdict(count_lines(*batch.text_buffer, batch.units))
    return [{name: int(values[row]) for name, values in found.items()} for row in range(len(texts))]


def signs(kind: int) -> str:
    return "".join(map(chr, np.flatnonzero(SIGNS & kind)))


BLANKS, BULLETS, CLOSERS, TERMINALS = signs(BLANK), signs(BULLET), signs(CLOSER), signs(TERMINAL)


def is_bullet(line: str) -> bool:
    return line[0] in BULLETS and (line[0] not in "*-" or line[1:2] in ("", " ", "\t"))


def repeated(items: list[str]) -> list[str]:
    return [item for place, item in enumerate(items) if item in items[:place]]


def plain(text: str) -> dict[str, int]:
    """The same counts, line by line in plain Python."""
    stripped = [line.strip(BLANKS) for line in text.split("\n")]
    lines = [line for line in stripped if line]
    paragraphs = [part.strip("\n") for part in re.split(r"\n\n+", "\n".join(stripped)) if part.strip("\n")]
    ends = [line.rstrip(CLOSERS + BLANKS) for line in lines]
    return {
        "lines": len(lines),
        "characters": sum(map(len, lines)),
        "repeated_lines": len(repeated(lines)),
        "repeated_line_characters": sum(map(len, repeated(lines))),
        "paragraphs": len(paragraphs),
        "repeated_paragraphs": len(repeated(paragraphs)),
        "repeated_paragraph_characters": sum(len(part.replace("\n", "")) for part in repeated(paragraphs)),
        "bullets": sum(map(is_bullet, lines)),
        "ellipses": sum(end.endswith(("...", "…")) for end in ends),
        "terminals": sum(end[-1:] in TERMINALS for end in ends if end),
        "short": sum(len(line) < SHORT_LINE for line in lines),
        "short_ideographs": sum(len(line) < SHORT_LINE_IDEOGRAPHS for line in lines),
        "javascript": sum(JAVASCRIPT in batch_of([line]).units.hashes for line in lines),
        "hash_signs": text.count("#"),
        "ellipsis_signs": len(re.findall(r"\.{3,}|…+", text)),
        "braces": text.count("{"),
    }


@pytest.mark.slow
@given(texts=st.lists(TEXT, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_every_count_equals_its_plain_reference(texts: list[str]) -> None:
    assert counts_of(texts) == [plain(text) for text in texts]


@given(texts=st.lists(TEXT, min_size=2, max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_text_has_the_same_counts_alone_and_in_any_batch(texts: list[str]) -> None:
    assert counts_of(texts) == [counts_of([text])[0] for text in texts]


@pytest.mark.parametrize(
    "line",
    [
        "It ends here.",
        "Does it end?",
        'He said: "it ends."',
        "(It ends!)",
        "它在这里结束。",
        "यह यहाँ समाप्त होता है।",
        "ይህ እዚህ ያበቃል።",
        "այստեղ ավարտվում է։",
        "یہ یہاں ختم ہوتا ہے۔",
        "ဒီမှာ ပြီးပါပြီ။",
        "འདིར་མཇུག་རྫོགས།",
        "And so on…",
        "وهكذا؟»",
        "« Elle finit ici.\u00a0»",
        "“ It ends here! ”",
        "هل تنتهي هنا؟\u200f",
        '\u202b"זה נגמר כאן.\u200f"\u202c',
    ],
)
def test_sentences_end_in_every_script(line: str) -> None:
    assert counts_of([line])[0]["terminals"] == 1


@pytest.mark.parametrize("line", ["Contact us", "Home >", "one, two,", "—", "👍", "item;", '"'])
def test_what_does_not_end_a_sentence(line: str) -> None:
    assert counts_of([line])[0]["terminals"] == 0


@pytest.mark.parametrize(
    ("line", "bullet"),
    [
        ("• one", True),
        ("- one", True),
        ("* one", True),
        ("▪one", True),
        ("-5 degrees", False),
        ("*bold* word", False),
        ("— Come in, she said.", False),
        ("– Idź stąd!", False),
        ("1. one", False),
    ],
)
def test_a_bullet_is_no_dash_of_direct_speech(line: str, bullet: bool) -> None:
    assert counts_of([f"  {line}"])[0]["bullets"] == bullet
    assert counts_of([f"\u200f{line}"])[0]["bullets"] == bullet, "a mark of direction is not seen"


def test_blank_lines_part_paragraphs_and_white_space_at_the_ends_of_lines_does_not_matter() -> None:
    (found,) = counts_of(["one\ntwo\n \t\n one \u3000\ntwo\n\n\nthree\n"])
    assert (found["lines"], found["repeated_lines"], found["repeated_line_characters"]) == (5, 2, 6)
    assert (found["paragraphs"], found["repeated_paragraphs"], found["repeated_paragraph_characters"]) == (3, 1, 6)


def test_no_text_and_no_texts_have_no_lines() -> None:
    assert counts_of([]) == []
    assert set(counts_of([""])[0].values()) == {0}
