"""The table of terms as it is shipped, and what a broken one says."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.errors import UserError
from curator.language.tags import list_language
from curator.text.fold import hash_terms
from stages.toxicity.rules import count_terms
from stages.toxicity.terms import (
    FILTER_BITS,
    LEAST_WITHOUT_DOT,
    TERM_SCHEMA,
    TERMS_PATH,
    compile_terms,
    read_terms,
    term_table,
)
from tests.stages.toxicity.helpers import listed_terms, make_batch


def write(path: Path, **values: object) -> Path:
    row = {"language": "en", "term": "word", "severity": 1, "tier": 1, "source": "test"} | values
    pq.write_table(pa.Table.from_pylist([row], schema=TERM_SCHEMA), path)
    return path


def test_the_shipped_table_has_each_term_once_in_normal_form_under_a_list_language() -> None:
    rows = read_terms().to_pylist()
    assert len({(row["language"], row["term"]) for row in rows}) == len(rows) > 10_000
    assert all(unicodedata.is_normalized("NFC", row["term"]) for row in rows)
    assert all(list_language(row["language"]) == row["language"] for row in rows)


def test_the_notice_names_each_source_of_the_shipped_table() -> None:
    notice = (TERMS_PATH.parent / "NOTICE").read_text(encoding="utf-8")
    sources = {name for row in read_terms()["source"].to_pylist() for name in row.split("+")}
    assert sources == {"naughty-words", "safetext", "washyourmouthoutwithsoap"}
    assert all(name in notice for name in sources)


@pytest.mark.parametrize("values", [{"tier": 5}, {"severity": 0}, {"severity": 9}, {"language": ""}, {"term": " "}])
def test_a_row_with_a_bad_value_is_named(tmp_path: Path, values: dict[str, object]) -> None:
    path = write(tmp_path / "terms.parquet", **values)
    with pytest.raises(UserError, match="a row of the table") as caught:
        read_terms(path)
    assert caught.value.position == 0


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "terms.parquet"
    pq.write_table(pa.table({"word": ["a"]}), path)
    with pytest.raises(UserError, match="has the columns"):
        read_terms(path)


@pytest.mark.parametrize("content", [None, b"", b"language,term\n"])
def test_a_missing_or_unreadable_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "terms.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_terms(path)


def test_a_lower_tier_takes_more_terms() -> None:
    sizes = [len(term_table(tier).severities) for tier in (1, 2, 3, 4)]
    assert sizes == sorted(set(sizes))


def test_each_term_is_found_in_the_compiled_table_under_its_first_unit() -> None:
    languages, terms = ["en", "de", "en", "zh"], ["one", "one two", "one two three", "一二三"]
    table = compile_terms(languages, terms, [1, 2, 3, 1])
    for language, hashes in zip(languages, hash_terms(terms), strict=True):
        key = int(hashes[0] ^ table.salts[language])
        bit = key >> (64 - FILTER_BITS)
        assert table.filter[bit // 8] >> (bit % 8) & 1
        slots = [slot for slot, found in enumerate(table.keys.tolist()) if found == key]
        assert len(slots) == 1
        sequences = [
            table.sequences[table.places[term] : table.places[term + 1]].tolist()
            for term in range(table.begins[slots[0]], table.ends[slots[0]])
        ]
        assert hashes.tolist() in sequences
        assert [len(sequence) for sequence in sequences] == sorted(map(len, sequences), reverse=True)


def test_a_table_of_no_terms_can_be_compiled() -> None:
    assert compile_terms([], [], []).salts == {}


def test_turkish_terms_count_in_capitals() -> None:
    terms = [
        term for tier in (1, 2) for term in listed_terms("tr", tier) if "ı" in term and len(term) >= LEAST_WITHOUT_DOT
    ]
    capitals = [term.replace("ı", "I").replace("i", "İ").upper() for term in terms]
    assert len(terms) > 50
    assert count_terms(make_batch([("tr", term) for term in capitals]), 2).matches.tolist() == [1] * len(terms)
    assert count_terms(make_batch([("tr", "Amin, amin ve amik")]), 2).matches.tolist() == [0]
