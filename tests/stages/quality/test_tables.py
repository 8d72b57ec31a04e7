"""The tables that the stage carries: signs, stop words, languages; and how they are made."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import regex

from curator.text.build_tables import REGEX_UNICODE_VERSION
from curator.text.fold import hash_terms, hash_unit
from stages.quality import build_signs
from stages.quality.build_stop_words import JUSTEXT, LEAST_WORDS, WORDS, build, main, usable
from stages.quality.languages import Language, read_languages, write_languages
from stages.quality.parameters import QualityParameters
from stages.quality.rules import RULES
from stages.quality.signs import SIGNS_PATH
from stages.quality.stop_words import compile_lists, read_lists, stop_words


def test_the_table_of_signs_is_what_its_script_makes_under_this_unicode() -> None:
    if regex.__version__ != "2026.11.15" or REGEX_UNICODE_VERSION != "17.0":
        pytest.skip("another version of Unicode")
    made = {tuple(line.split("\t")[:2]) for line in build_signs.build()}
    assert made == {tuple(line.split("\t")[:2]) for line in SIGNS_PATH.read_text(encoding="utf-8").splitlines()}


def test_every_stop_word_is_one_unit_with_a_letter_and_found_in_its_own_list() -> None:
    lists, table = read_lists(), stop_words()
    assert len(lists) > 95
    for language, words in lists.items():
        assert len(words) >= LEAST_WORDS
        assert all(len(hashes) == 1 for hashes in hash_terms(words)), language
        row = set(table.table[table.numbers[language]].tolist()) - {0}
        assert row == {hash_unit(word) for word in words}
        assert all(unicodedata.category(word[0])[0] in "LM" for word in words)


@pytest.mark.parametrize("language", ["en", "de", "ru", "ar", "hi", "ko", "he", "ja", "zh", "sw", "vi"])
def test_lists_are_in_the_script_of_their_language(language: str) -> None:
    own = {"ru": "CYRILLIC", "ar": "ARABIC", "hi": "DEVANAGARI", "ko": "HANGUL", "he": "HEBREW", "ja": "HIRAGANA"}
    name = own.get(language, "CJK" if language == "zh" else "LATIN")
    words = read_lists()[language]
    assert sum(unicodedata.name(word[0]).startswith(name) for word in words) > 0.8 * len(words)


def test_a_list_takes_the_first_words_that_can_be_found_as_one_unit() -> None:
    assert usable(["The", "the", "of.", "don't", "in 1990", "1990", "-", "a/b", "être"]) == [
        "the",
        "of",
        "don't",
        "être",
    ]


def test_lists_of_justext_come_first_and_short_ones_are_left_out() -> None:
    many = [f"{first}{second}" for first in "abcdefghijkl" for second in "abcdefghijkl"]
    lines = build({"en": many, "la": many[:3]}, {"en": ["x"], "zu": many[:9]})
    assert [line.split("\t")[:2] for line in lines] == [["en", "jusText"], ["zu", "stopwordsiso"]]
    assert lines[0].split("\t")[2].split(" ") == many[:WORDS]


def test_the_script_writes_the_table_from_unpacked_wheels(tmp_path: Path) -> None:
    folder = tmp_path / "justext" / "justext" / "stoplists"
    folder.mkdir(parents=True)
    for name in JUSTEXT:
        (folder / f"{name}.txt").write_text("one two three four five six seven eight nine\n", encoding="utf-8")
    iso = tmp_path / "iso" / "stopwordsiso"
    iso.mkdir(parents=True)
    (iso / "stopwords-iso.json").write_text(json.dumps({"zu": ["la"] * 20, "xh": [f"w{sign}" for sign in "abcdefgh"]}))
    arguments = ["--justext", str(tmp_path / "justext"), "--stopwordsiso", str(tmp_path / "iso")]
    main([*arguments, "--output", str(tmp_path / "words.tsv")])
    lists = read_lists(tmp_path / "words.tsv")
    assert len(lists) == len(JUSTEXT) + 1
    assert lists["xh"] == ["wa", "wb", "wc", "wd", "we", "wf", "wg", "wh"]


def test_no_lists_make_an_empty_table() -> None:
    assert compile_lists({}).table.shape[0] == 0


def test_every_threshold_of_a_language_is_looser_than_the_default_or_off() -> None:
    parameters = QualityParameters()
    rules = {rule.parameter: rule for rule in RULES}
    assert len(read_languages()) > 300
    for language, known in read_languages().items():
        for name, value in known.thresholds.items():
            usual = getattr(parameters, name)
            assert usual is not None
            looser = value is None or (value > usual if rules[name].drops == "above" else value < usual)
            assert looser, (language, name)


def test_the_table_of_languages_is_read_as_it_was_written(tmp_path: Path) -> None:
    languages = {"aa": Language(3, 0.25, {"min_words": 20.0, "min_terminals": None}), "bb": Language(9, None, {})}
    write_languages(languages, tmp_path / "languages.tsv")
    assert read_languages(tmp_path / "languages.tsv") == languages


def test_tables_are_small_and_have_no_empty_row() -> None:
    table = stop_words().table
    assert table.nbytes < 1 << 20
    assert np.all(np.count_nonzero(table, axis=1) >= LEAST_WORDS)
