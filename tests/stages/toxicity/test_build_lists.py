"""Building of the table of terms from small lists of the published form."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stages.toxicity.build_lists import is_own_script, is_usable, main, merge, read_ordinary
from stages.toxicity.terms import TERMS_PATH
from stages.toxicity.training_data import read_udhr

ARTICLE = '<html lang="en"><body><h1>Title</h1><article><h2>One</h2><p>All pages are green.</p></article></body></html>'


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Invented lists: `frobnitz` and `glorp` stand for abuse, `green` and `penguins` are ordinary."""
    naughty = tmp_path / "naughty"
    safetext = tmp_path / "safetext" / "safetext" / "languages" / "en"
    declaration = tmp_path / "udhr" / "declaration"
    translated = tmp_path / "translated" / "data"
    for folder in (naughty, safetext, translated, declaration):
        folder.mkdir(parents=True)
    lists = {"en": ["zork", "abandon", "ballbag"], "cy": ["ballbag", "gwrach"], "ru": ["гнуц"]}
    (translated / "build.json").write_text(json.dumps(lists))
    (naughty / "en.json").write_text(json.dumps(["Frobnitz", "glorp glorp", "green", "penguins"]))
    (naughty / "package.json").write_text(json.dumps({"name": "naughty"}))
    (naughty / "ru.json").write_text(json.dumps(["гнуц", "gnuz"]))
    (safetext / "words.txt").write_text("frobnitz\nzork\nfr0b$\nz.*k\nx\n12\nmanual\n", encoding="utf-8")
    (declaration / "eng.html").write_text(ARTICLE, encoding="utf-8")
    (tmp_path / "severity.csv").write_text("text,severity_rating\nFrobnitz,2.6\n", encoding="utf-8")
    (tmp_path / "clean.jsonl").write_text(json.dumps({"text": "Read the manual.", "lang": "en-GB"}) + "\n")
    row = {
        "text": "I like penguins.",
        "lang": "en",
        "label": 0,
        "functionality": "ident_pos_nh",
        "template": 1,
    }
    (tmp_path / "neutral.jsonl").write_text(json.dumps(row) + "\n")
    names = {
        "naughty-words": "naughty",
        "safetext": "safetext",
        "washyourmouthoutwithsoap": "translated",
        "severity": "severity.csv",
        "clean": "clean.jsonl",
        "udhr": "udhr",
        "neutral": "neutral.jsonl",
    }
    return [argument for option, name in names.items() for argument in (f"--{option}", str(tmp_path / name))]


def test_lists_are_merged_with_tiers_severity_and_sources(
    tmp_path: Path, sources: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "terms.parquet"
    main([*sources, "--output", str(output)])
    rows = {(row["language"], row["term"]): row for row in pq.read_table(output).to_pylist()}
    found = {name: (row["tier"], row["severity"], row["source"]) for name, row in rows.items()}
    assert found == {
        ("cy", "gwrach"): (4, None, "washyourmouthoutwithsoap"),
        ("en", "abandon"): (4, None, "washyourmouthoutwithsoap"),
        ("en", "ballbag"): (4, None, "washyourmouthoutwithsoap"),
        ("en", "frobnitz"): (1, 3, "naughty-words+safetext"),
        ("en", "glorp glorp"): (1, None, "naughty-words"),
        ("en", "green"): (3, None, "naughty-words"),
        ("en", "manual"): (3, None, "safetext"),
        ("en", "penguins"): (3, None, "naughty-words"),
        ("en", "zork"): (2, None, "safetext+washyourmouthoutwithsoap"),
        ("ru", "gnuz"): (3, None, "naughty-words"),
        ("ru", "гнуц"): (1, None, "naughty-words+washyourmouthoutwithsoap"),
    }
    assert "tier 3: 4 terms" in capsys.readouterr().out


def test_building_twice_gives_the_same_bytes(
    tmp_path: Path, sources: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for output in outputs:
        main([*sources, "--output", str(output)])
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("language", "term", "usable"),
    [
        ("en", "word", True),
        ("en", "two words", True),
        ("en", "well-worn", True),
        ("en", "w0rd", True),
        ("en", "x", False),
        ("en", "12", False),
        ("en", "w@rd", False),
        ("en", "wor*", False),
        ("zh", "字", False),
        ("zh", "文字", True),
        ("th", "กข", False),
        ("th", "กขค", True),
        ("en", "one two three four five six seven eight nine ten eleven twelve thirteen", False),
        ("en", "", False),
    ],
)
def test_a_term_is_usable_if_its_units_mean_it_alone(language: str, term: str, usable: bool) -> None:
    assert is_usable(language, term) is usable


def test_a_romanised_term_is_not_of_the_script_of_its_language() -> None:
    assert not is_own_script("ru", "slovo")
    assert is_own_script("ru", "слово")
    assert is_own_script("de", "Wort")


def test_terms_with_the_same_units_are_one_entry() -> None:
    entries = merge([("en", "Two-Words", "a"), ("en", "two words", "b"), ("fr", "two words", "a")])
    assert [(entry.language, sorted(entry.sources)) for entry in entries] == [("en", ["a", "b"]), ("fr", ["a"])]


def test_every_ordinary_term_is_in_the_shipped_table_in_the_last_tier() -> None:
    tiers = {(row["language"], row["term"]): row["tier"] for row in pq.read_table(TERMS_PATH).to_pylist()}
    assert {tiers.get(name) for name in read_ordinary()} == {3}


def test_the_articles_of_a_declaration_are_read_without_its_title(tmp_path: Path, sources: list[str]) -> None:
    (text,) = read_udhr(tmp_path / "udhr")
    assert (text.lang, text.text) == ("en", "One All pages are green.")
