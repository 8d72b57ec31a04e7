"""Patterns that are compiled when they are first used do what compiled ones do."""

import re

import pytest

from curator.text.pattern import pattern


def test_a_pattern_finds_what_a_compiled_one_finds() -> None:
    lazy, compiled = pattern(r"(\d)\1", re.ASCII), re.compile(r"(\d)\1", re.ASCII)
    for text in ("1122", "12", "a11", "٣٣"):
        assert lazy.findall(text) == compiled.findall(text)
        assert bool(lazy.match(text, 1)) == bool(compiled.match(text, 1))
    assert lazy.sub("-", "a11b22") == "a-b-"


def test_a_mistake_is_told_by_the_first_use() -> None:
    broken = pattern("(")
    with pytest.raises(re.error, match="unterminated"):
        broken.search("")
