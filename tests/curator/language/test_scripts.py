"""The script of letters, and the scripts of languages."""

from __future__ import annotations

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.document import string_buffer
from curator.language.identifier import Identifier, load_identifier
from curator.language.scripts import ALONE, count_scripts, script_shares, script_table, scripts_of


def script_of(character: str) -> str:
    table = script_table()
    code = ord(character)
    return table.names[int(table.cells[256 * int(table.blocks[code >> 8]) + (code & 255)])]


@pytest.mark.parametrize(
    ("prefix", "script"),
    [
        ("LATIN SMALL LETTER", "Latn"),
        ("GREEK SMALL LETTER", "Grek"),
        ("CYRILLIC", "Cyrl"),
        ("HEBREW LETTER", "Hebr"),
        ("ARABIC LETTER", "Arab"),
        ("DEVANAGARI LETTER", "Deva"),
        ("BENGALI LETTER", "Beng"),
        ("THAI CHARACTER", "Thai"),
        ("GEORGIAN", "Geor"),
        ("ETHIOPIC SYLLABLE", "Ethi"),
        ("HANGUL SYLLABLE", "Hang"),
        ("HIRAGANA LETTER", "Hira"),
        ("KATAKANA LETTER", "Kana"),
        ("CJK UNIFIED IDEOGRAPH", "Hani"),
        ("CHEROKEE", "Cher"),
    ],
)
def test_letters_have_the_script_that_their_unicode_names_say(prefix: str, script: str) -> None:
    named = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)).startswith("L") and unicodedata.name(chr(code), "").startswith(prefix)
    ]
    assert named
    # A few letters with such a name are shared by scripts in Unicode's eyes (Arabic tatweel, letters borrowed by IPA).
    assert sum(script_of(character) == script for character in named) > 0.97 * len(named)


@pytest.mark.parametrize("character", list("0٣७ .,-_()\n\u0301\u200d€∑→😀"))
def test_digits_marks_and_punctuation_have_no_script(character: str) -> None:
    assert script_of(character) == "Zyyy"


TEXT = st.text(st.one_of(st.characters(codec="utf-8"), st.characters(codec="ascii")), max_size=40)


@pytest.mark.slow
@given(st.lists(TEXT | st.text(st.characters(codec="ascii"), max_size=200), min_size=1, max_size=5), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_kernel_counts_the_letters_that_the_table_has(texts: list[str], weighed: bool) -> None:
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    names = script_table().names
    weights = np.arange(1, len(names) + 1, dtype=np.int32) if weighed else None
    counts = count_scripts(data, offsets[:-1], offsets[1:], np.arange(len(texts)), len(texts), weights)
    for row, text in enumerate(texts):
        expected = np.zeros(len(names), dtype=np.int32)
        for character in text:
            script = script_of(character)
            if script != "Zyyy":
                weight = 1 + names.index(script) if weighed else 1
                expected[names.index(script)] += weight
                expected[0] += weight
        np.testing.assert_array_equal(counts[row], expected)


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=1, max_size=6), st.data())
@settings(max_examples=100, deadline=None)
def test_the_share_of_scripts_is_that_of_the_letters_in_them(letters: list[list[int]], data: st.DataObject) -> None:
    scripts = np.array([[sum(row), *row] for row in letters], dtype=np.int32)
    written = np.array([[False, True, False, True, False], [True, False, False, True, True]])
    rows = data.draw(st.lists(st.integers(0, len(letters) - 1), max_size=5))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(rows), max_size=len(rows)))
    shares = script_shares(scripts, np.array(rows, dtype=np.int64), written, np.array(labels, dtype=np.int32))
    expected = []
    for row, label in zip(rows, labels, strict=True):
        inside = sum(count for count, counts in zip(letters[row], written[label, 1:], strict=True) if counts)
        expected.append(inside / sum(letters[row]) if sum(letters[row]) else 1.0)
    assert shares.tolist() == expected


@pytest.mark.parametrize(
    ("tag", "scripts"),
    [
        ("en", {"Latn"}),
        ("ru", {"Cyrl"}),
        ("sr", {"Cyrl", "Latn"}),
        ("sr-Latn", {"Latn"}),
        ("ja", {"Hira", "Kana", "Hani"}),
        ("ko", {"Hang", "Hani"}),
        ("zh-Hant", {"Hani", "Bopo"}),
        ("azb", {"Arab"}),
        ("xal", {"Cyrl"}),
        ("udhr-abc", set()),
        ("und-Cyrl", {"Cyrl"}),
        *((tag, set()) for tag in ("und", "mul", "zxx", "x-mine", "qaa")),
        # Nogai, Selkup, Assyrian and Min Dong, of which CLDR's likely subtags say nothing.
        *((tag, set()) for tag in ("nog", "sel-RU", "aii", "cdo")),
    ],
)
def test_a_language_is_written_in_its_scripts(tag: str, scripts: set[str]) -> None:
    assert scripts_of(tag) == scripts


def tags(identifier: Identifier) -> list[str]:
    return [identifier.names[number] for number in identifier.name_of]


@pytest.mark.parametrize(
    ("tag", "scripts"),
    [
        ("az", {"Latn", "Cyrl", "Arab"}),
        ("uz", {"Latn", "Cyrl", "Arab"}),
        ("kk", {"Cyrl", "Arab", "Latn"}),
        ("mn", {"Cyrl", "Mong"}),
        ("pa", {"Guru", "Arab"}),
        ("ks", {"Arab", "Deva"}),
        ("sd", {"Arab", "Deva"}),
        ("tt", {"Cyrl", "Latn"}),
        ("ms", {"Latn", "Arab"}),
        ("jv", {"Latn", "Java"}),
        ("uz-Cyrl", {"Cyrl"}),
        ("zh-Hans", {"Hani", "Bopo"}),
    ],
)
def test_a_language_of_several_scripts_is_written_in_each_and_a_script_in_the_tag_leaves_one(
    tag: str, scripts: set[str]
) -> None:
    assert scripts_of(tag) == scripts


def test_every_label_of_the_packaged_model_has_a_script() -> None:
    identifier = load_identifier()
    assert not identifier.written.all(axis=1).any()
    assert {tags(identifier)[row] for row in identifier.alone.tolist() if row >= 0} == set(ALONE.values())


def test_a_script_that_decides_by_itself_is_the_script_of_one_label() -> None:
    identifier = load_identifier()
    names = script_table().names
    for script, language in ALONE.items():
        writers = {tags(identifier)[row] for row in np.flatnonzero(identifier.written[:, names.index(script)])}
        assert writers == {language}
