"""Text that is not worth training on, of many kinds, made from real words of a language.

Every kind takes the units of a real text in their order, a text's lines, and a source of chance. Used by
`benchmarks/quality.py` to see what each rule of the stage `quality` catches.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from curator.text.segment import segment

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo "
    "consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. "
    "Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum."
)
SCRIPT_LINES = (
    "function {0}({1}) {{ return {1} ? {1}.{2} : null; }}",
    "if (window.{0} && !{1}) {{ {2} = document.getElementById('{1}'); }}",
    "var {0} = {{ {1}: {3}, {2}: {4} }};",
    "$('#{0}').on('click', function(e) {{ e.preventDefault(); {1}({3}); }});",
    ".{0} {{ margin: {3}px; padding: {4}px; color: #{3}; }}",
)


@dataclass(frozen=True)
class Material:
    """What garbage is made from: the units of a text, those that occur once in it (names of things, hardly any function
    words), its lines, and what parts words."""

    words: list[str]
    rare: list[str]
    lines: list[str]
    space: str


def material(text: str) -> Material:
    """The words and lines of a real text."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    units = segment(data, np.array([0, len(data)]))
    words = [data[begin:end].tobytes().decode() for begin, end in zip(units.starts, units.ends, strict=True)]
    times = Counter(units.hashes.tolist())
    rare = [word for word, value in zip(words, units.hashes.tolist(), strict=True) if times[value] == 1]
    spaced = text.count(" ") * 20 > len(text)
    return Material(words, rare, [line for line in text.splitlines() if line.strip()], " " if spaced else "")


def _run(given: Material, chance: random.Random, count: int) -> str:
    """`count` words as they follow each other somewhere in the text."""
    begin = chance.randrange(max(1, len(given.words) - count))
    return given.space.join(given.words[begin : begin + count])


def _numbers(chance: random.Random) -> str:
    return "\t".join(str(chance.randint(0, 99999)) for _ in range(5))


def _code(given: Material, chance: random.Random) -> str:
    names = [f"{chance.choice('abcdefgh')}{chance.randint(1, 99)}" for _ in range(3)]
    return chance.choice(SCRIPT_LINES).format(*names, chance.randint(0, 999), chance.randint(0, 999))


Kind = Callable[[Material, random.Random], str]

KINDS: Mapping[str, Kind] = {
    "keywords, no sentence": lambda m, c: ", ".join(c.choices(m.rare, k=300)),
    "a menu": lambda m, c: "\n".join(_run(m, c, c.randint(1, 3)) for _ in range(120)),
    "snippets cut short": lambda m, c: "\n".join(_run(m, c, c.randint(6, 12)) + " …" for _ in range(30)),
    "hashtags": lambda m, c: " ".join("#" + word for word in c.choices(m.words, k=200)),
    "a list": lambda m, c: "\n".join("• " + _run(m, c, c.randint(4, 8)) for _ in range(40)),
    "a table of numbers": lambda m, c: "\n".join(_numbers(c) for _ in range(60)),
    "one sentence over and over": lambda m, c: (c.choice(m.lines) + " ") * 30,
    "one line over and over": lambda m, c: "\n".join([c.choice(m.lines)] * 20),
    "the same paragraphs thrice": lambda m, c: "\n\n".join(c.sample(m.lines, min(4, len(m.lines))) * 3),
    "one line between all others": lambda m, c: "\n".join(f"{line}\n{m.lines[1]}" for line in m.lines[2:14]),
    "one phrase between words": lambda m, c: m.space.join(
        f"{m.space.join(m.words[:4])}{m.space}{word}" for word in c.choices(m.words, k=80)
    ),
    "letters apart": lambda m, c: " ".join("".join(_run(m, c, 100).split())),
    "words run together": lambda m, c: " ".join("".join(c.choices(m.words, k=5)) for _ in range(80)),
    "code": lambda m, c: "\n".join(_code(m, c) for _ in range(40)),
    "lorem ipsum": lambda m, c: LOREM,
    "a stub": lambda m, c: _run(m, c, 20),
}
