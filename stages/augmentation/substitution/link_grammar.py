"""Phrase structure of English sentences by link-grammar, run as an external process (Sleator and Temperley 1993; LGPL).

Debian has the program in `link-grammar`, with its dictionary. It reads a sentence a line, repeats it, and prints the
constituents of its best linkage as brackets, which `nltk.Tree` reads. Nothing that comes back is trusted: each sentence
must be repeated, in order, and a tree that cannot be read or laid over the sentence counts as none.

A line that begins with `!` or `%` would be a command or a comment, and brackets are the program's own marks: sentences
with any of them are not parsed, nor are those that are too long to be parsed in a moment.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from curator.errors import TransientError, UserError

if TYPE_CHECKING:
    from nltk.tree import Tree

DEBIAN_PACKAGE = "link-grammar"

MOST_WORDS = 30
"""Longer sentences can take seconds, and their best linkage is seldom the right one."""
_MOST_LINKAGES = 100
_SENTENCE_S = 60
"""After which the program gives a sentence up; those of MOST_WORDS took 0.7 s at most on a busy machine."""
_BATCH = 500

_READABLE = re.compile(r"[A-Za-z0-9\"“'‘][^\x00-\x1f(){}\[\]<>]*")
_SUBSCRIPT = re.compile(r"(?<=.)\.([a-z][a-z0-9+=~-]*)$")
_NOUNS = ("n", "p", "s")
"""Subscripts of common nouns in the dictionary of English: any, plural, singular."""
_GUESS = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Noun:
    """A noun at the end of an innermost noun phrase: where it stands in the sentence, and what stands directly before
    it in the phrase."""

    begin: int
    end: int
    before: tuple[int, int] | None


@dataclass(frozen=True)
class Parse:
    """A sentence that was parsed: labels and brackets of its tree as one string, its words, and its nouns."""

    shape: str
    words: tuple[str, ...]
    nouns: tuple[Noun, ...]
    guessed: frozenset[int]


class LinkGrammar:
    """Parses English."""

    def __init__(self, program: str = "link-parser", timeout_s: float = 120.0) -> None:
        self.program = program
        self.timeout_s = timeout_s

    @cached_property
    def path(self) -> str | None:
        """Where the program is; None where it is not installed."""
        return shutil.which(self.program)

    @cached_property
    def version(self) -> str:
        """What `link-parser --version` says; `unknown` where it is not installed."""
        if self.path is None:
            return "unknown"
        said = subprocess.run(  # noqa: S603  # a program that was looked up, no shell
            [self.path, "--version"], capture_output=True, timeout=self.timeout_s, check=False
        )
        found = re.search(rb"link-grammar-([0-9.]+[0-9])", said.stdout + said.stderr)
        return found[1].decode() if found else "unknown"

    def parse(self, sentences: Sequence[str]) -> list[Parse | None]:
        """The parse of each sentence, None for one that has none, or that cannot be given to the program.

        UserError where the program is missing, TransientError where it does not answer in time."""
        readable = list(dict.fromkeys(filter(_is_readable, sentences)))
        found: dict[str, Parse | None] = {}
        for begin in range(0, len(readable), _BATCH):
            some = readable[begin : begin + _BATCH]
            found.update(zip(some, self._batch(some), strict=True))
        return [found.get(sentence) for sentence in sentences]

    def _batch(self, sentences: Sequence[str]) -> list[Parse | None]:
        blocks = _blocks(self._run("".join(f"{sentence}\n" for sentence in sentences)), sentences)
        return [
            None if block is None else _parse(sentence, block)
            for sentence, block in zip(sentences, blocks, strict=True)
        ]

    def _run(self, text: str) -> str:
        if self.path is None:
            raise UserError(
                f"the program {self.program} is not installed", hint=f"Debian: apt-get install {DEBIAN_PACKAGE}"
            )
        options = ("constituents=3", "graphics=0", "echo=1", "verbosity=0", "null=0", "panic=0", "spell=0")
        limits = (f"limit={_MOST_LINKAGES}", f"timeout={_SENTENCE_S}")
        with subprocess.Popen(  # noqa: S603  # a program that was looked up, no shell
            [self.path, "en", *(f"-{option}" for option in (*options, *limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(text.encode(), timeout=self.timeout_s + 2 * text.count("\n"))
            except subprocess.TimeoutExpired:
                raise TransientError(
                    f"{self.program} did not answer in time", hint="is the machine very busy?"
                ) from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return output.decode(errors="replace")


def _is_readable(sentence: str) -> bool:
    return bool(_READABLE.fullmatch(sentence)) and len(sentence.split()) <= MOST_WORDS


def _blocks(output: str, sentences: Sequence[str]) -> list[str | None]:
    """What stands behind each sentence, from its first bracket on; None for all from the first one that is not
    repeated."""
    blocks: list[str | None] = [None] * len(sentences)
    number = -1
    for line in output.split("\n"):
        if number + 1 < len(sentences) and line == sentences[number + 1]:
            number += 1
        elif number >= 0 and line.startswith("(S") and blocks[number] is None:
            blocks[number] = line
    return blocks


def _parse(sentence: str, block: str) -> Parse | None:
    from nltk.tree import Tree

    try:
        tree = Tree.fromstring(block)
    except ValueError:
        return None
    places: list[tuple[int, int]] = []
    words, guessed = [], set()
    at = 0
    for number, leaf in enumerate(tree.leaves()):
        word = _SUBSCRIPT.sub("", _GUESS.sub("", leaf))
        begin = at + len(sentence[at:]) - len(sentence[at:].lstrip())
        if not word or sentence[begin : begin + len(word)].casefold() != word.casefold():
            return None
        at = begin + len(word)
        places.append((begin, at))
        words.append(word.casefold())
        if "{" in leaf:
            guessed.add(number)
    if sentence[at:].strip():
        return None
    positions = tree.treepositions("leaves")
    nouns = [
        Noun(*place, places[number - 1] if position[-1] else None)
        for number, (position, place) in enumerate(zip(positions, places, strict=True))
        if _ends_phrase(tree, position)
    ]
    return Parse(_shape(tree), tuple(words), tuple(nouns), frozenset(guessed))


def _ends_phrase(tree: Tree, position: tuple[int, ...]) -> bool:
    """Whether the word at this place is a noun that the dictionary has, at the end of an innermost noun phrase."""
    phrase, leaf = tree[position[:-1]], tree[position]
    innermost = phrase.label() == "NP" and all(isinstance(child, str) for child in phrase)
    subscript = _SUBSCRIPT.search(leaf)
    if not innermost or position[-1] != len(phrase) - 1 or subscript is None:
        return False
    return subscript[1].partition("-")[0] in _NOUNS


def _shape(tree: Tree) -> str:
    from nltk.tree import Tree

    return f"({tree.label()}{''.join(_shape(child) if isinstance(child, Tree) else '.' for child in tree)})"
