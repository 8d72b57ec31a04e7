"""Work grows with the text and not with its square: no pattern goes back over what it has read, whatever the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest

from curator.text.pattern import pattern
from stages.pii import kinds
from tests.stages.pii.helpers import assert_grows_linearly, find
from tests.stages.pii.hostile import PIECES, language_of, repeated

pytestmark = pytest.mark.slow

BYTES = 60_000


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text_takes_twice_the_work(piece: str) -> None:
    assert_grows_linearly(lambda text: find(text, language_of(piece)), repeated(piece, BYTES))


@pytest.mark.parametrize("text", ["x" * 1_000_000, "Ab1" * 333_333, "[" * 10_000 + "]" * 10_000, "(+" * 50_000])
def test_a_megabyte_without_a_space_and_nested_brackets_are_read(text: str) -> None:
    assert find(text, "en") == []


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every pattern of the kinds; whoever asks for its text has it compiled."""
    for module in iter_modules(kinds.__path__):
        for name, value in vars(import_module(f"stages.pii.kinds.{module.name}")).items():
            for one in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,):
                if isinstance(one, re.Pattern | type(pattern(""))):
                    yield f"{module.name}.{name}", one


def test_no_pattern_repeats_what_repeats_without_bound() -> None:
    """`(a+)+` and its like, which take time exponential in the text, have two unbounded repeats in each other."""
    found = dict(patterns())
    assert len(found) > 50
    assert [name for name, one in found.items() if _deepest(re._parser.parse(one.pattern)) > 1] == []  # type: ignore[attr-defined]


def test_nested_repeats_are_seen() -> None:
    assert _deepest(re._parser.parse(r"(?:a(?:b|c)*)+")) == 2  # type: ignore[attr-defined]
    assert _deepest(re._parser.parse(r"(?:a(?:b|c)*+)++")) == 0  # type: ignore[attr-defined]


def _deepest(tree: Any) -> int:  # what the parser gives has no public type
    """How many unbounded repeats that may be undone lie one inside the other."""
    if isinstance(tree, tuple) and len(tree) == 2 and str(tree[0]) in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        _, most, inner = tree[1]
        unbounded = str(most) == "MAXREPEAT" and str(tree[0]) != "POSSESSIVE_REPEAT"
        return int(unbounded) + _deepest(inner)
    if isinstance(tree, (tuple, list)) or hasattr(tree, "data"):
        return max((_deepest(part) for part in getattr(tree, "data", tree)), default=0)
    return 0
