"""Work grows with the text and not with its square: no pattern goes back over what it has read, whatever the text.

What is compared are CPU times of a text and of one twice as long, in the same process: of quadratic work the second is
four times the first, and of linear work twice. The smallest of several turns is taken, which noise cannot lower.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest

from stages.pii import kinds
from tests.stages.pii.helpers import find

pytestmark = pytest.mark.slow

BYTES = 60_000
MOST_GROWTH = 3.0
TURNS = 3
"""A busy machine may slow one of the two down; work that grows faster is slower in every turn."""

LEAST_SECONDS = 0.01
"""Below this a clock tells little, and there is nothing to fear."""

PIECES = (
    *("x", "X", "1", "a1", "A1", "@", "a@", "a@b.", "1.", "1-", ":", "a:", "://a:", "+", "(", "[", "1 ", "é", "٣"),
    *("AB12 ", "DE89 3704 ", "::1 ", "4111 1111 1111 1111 ", "a@b.cd ", "030 1234567 ", "00:1B:44:", "00-1B-44-"),
    *("eyJa1", "eyJhbGciOiJIUzI1NiJ9.", "eyJhbGciOiJIUzI1NiJ9-", "ghp_a1B2c3D4e5F6g7H8_", "AKIAIOSFODNN7EXAMPLE "),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n" + "Ab1" * 20 + "\n", "xoxb-1-"),
    *("http://x.com/", "http://github.com/a/", "http://a/@", "http://", "passport A", "passport 1234567 "),
    *("born ", "born on ", "born May ", "date of birth", "geb. 1.1.", "plate ", "plate A1 ", "plate A 1-"),
    *("Address: ", "Address: A 1 12345 ", "address:A, ", "12 A Street ", "1 A A A A Street, A ", "5 Street, "),
    *("12 rue de la ", "rue A A A A ", "Calle A A A A 5, ", "ul. A A ", "Hauptstraße 5, ", "Straße 5-", "路5号"),
    *("Mr. ", "Anna Miller ", "Anna ", "J. ", "van "),
)


def seconds(text: str, language: str) -> float:
    """CPU seconds of reading a text for every kind: the least of three turns."""
    least = float("inf")
    for _ in range(3):
        begin = time.process_time()
        find(text, language)
        least = min(least, time.process_time() - begin)
    return least


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_text_takes_twice_the_work(piece: str) -> None:
    language = {"r": "fr", "C": "es", "u": "pl", "H": "de", "S": "de", "路": "zh", "g": "de"}.get(piece[0], "en")
    text = piece * (BYTES // len(piece.encode()))
    found: list[tuple[float, float]] = []
    for _ in range(TURNS):
        once, twice = seconds(text, language), seconds(text * 2, language)
        found.append((once, twice))
        if twice < max(MOST_GROWTH * once, LEAST_SECONDS):
            return
    pytest.fail(f"CPU seconds of a text and of one twice as long: {found}")


@pytest.mark.parametrize("text", ["x" * 1_000_000, "Ab1" * 333_333, "[" * 10_000 + "]" * 10_000, "(+" * 50_000])
def test_a_megabyte_without_a_space_and_nested_brackets_are_read(text: str) -> None:
    assert find(text, "en") == []


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every pattern of the kinds."""
    for module in iter_modules(kinds.__path__):
        for name, value in vars(import_module(f"stages.pii.kinds.{module.name}")).items():
            for one in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else (value,):
                if isinstance(one, re.Pattern):
                    yield f"{module.name}.{name}", one


def test_no_pattern_repeats_what_repeats_without_bound() -> None:
    """`(a+)+` and its like, which take time exponential in the text, have two unbounded repeats in each other."""
    found = dict(patterns())
    assert len(found) > 50
    assert [name for name, pattern in found.items() if _deepest(re._parser.parse(pattern.pattern)) > 1] == []  # type: ignore[attr-defined]


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
