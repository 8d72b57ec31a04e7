"""The code point tables: the committed file is what the generator makes, and agrees with the standard."""

from __future__ import annotations

import time
import unicodedata

import numpy as np
import pytest
import regex

from curator.text import build_tables
from curator.text.tables import CLASS_MASK, CODE_POINTS, DATA_PATH, EXTEND, LETTER_CLASS, UNSPACED_CLASS, tables

same_unicode = pytest.mark.skipif(
    tables().versions[0] != unicodedata.unidata_version or not regex.match(r"\p{L}", "\U0001e6c0"),
    reason="made with another version of Unicode",
)


@same_unicode
@pytest.mark.slow
def test_the_committed_tables_are_what_the_generator_makes() -> None:
    fresh = build_tables.build()
    with np.load(DATA_PATH, allow_pickle=False) as stored:
        assert set(stored.files) == set(fresh)
        for name, values in fresh.items():
            assert np.array_equal(stored[name], values), name


def test_tables_load_in_no_time() -> None:
    seconds = []
    for _ in range(5):
        tables.cache_clear()
        begin = time.process_time()
        tables()
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.1


def test_every_table_has_an_entry_for_every_code_point() -> None:
    table = tables()
    for values in (table.classes, table.folds, table.normalisation, table.combining):
        assert values.shape == (CODE_POINTS,)


@pytest.mark.parametrize(
    ("characters", "expected"),
    [
        ("aéяবཀ한ⅧⒶ", LETTER_CLASS),
        ("中〇々ひカーｶแລខမꦗꆈ𠀀", UNSPACED_CLASS),
        ("\u0301\u093f\u200d\u00ad\ufe0f\u3099ﾞ\u3164", EXTEND),
    ],
)
def test_classes_are_those_that_the_segmentation_needs(characters: str, expected: int) -> None:
    assert {character: int(tables().classes[ord(character)] & CLASS_MASK) for character in characters} == dict.fromkeys(
        characters, expected
    )


def test_every_letter_that_is_a_unit_by_itself_has_three_bytes_or_more() -> None:
    # On this stands the bound of two bytes a unit in `segment`.
    assert np.flatnonzero((tables().classes & CLASS_MASK) == UNSPACED_CLASS).min() >= 0x800
