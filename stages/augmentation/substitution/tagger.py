"""Words with their morphology, by the first programs of an Apertium pair, run one after the other (GPL).

A pair's mode file names the programs of its pipeline. Those up to `apertium-tagger` find the lemma and the tags of each
word in its place (Apertium wiki, "Apertium stream format"); the tagger is told to keep the word as it stands. Nothing
that comes back is trusted: lines are numbered as in `stages.augmentation.stream`, and the words and blanks of a line
must give the line back.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blake3 import blake3

from curator.errors import TransientError, UserError
from stages.augmentation.apertium import Apertium
from stages.augmentation.stream import encode, is_safe, split_lines

_TAGGER = "apertium-tagger"
_PROGRAMS = frozenset({"lt-proc", "cg-proc", _TAGGER})
"""What may stand in a mode file up to the tagger; another program is not run."""
_BATCH_LINES = 2000
_WORD = re.compile(r"\^((?:[^/$\\]|\\.)*)/((?:[^$\\]|\\.)*)\$")
_BLANK = re.compile(r"\[((?:[^\]\\]|\\.)*)\]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TAGS = re.compile(r"<([^>]*)>")


@dataclass(frozen=True)
class Word:
    """A word as it stands, the blank before it, and its lemma and tags; without tags where it is unknown, or where
    several words are written as one."""

    before: str
    surface: str
    lemma: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """The words of a line, and what stands behind the last one."""

    words: tuple[Word, ...]
    after: str


class Tagger:
    """Tags text of the source language of a pair."""

    def __init__(self, mode: str, package: str, data_directory: Path = Path("/usr/share/apertium")) -> None:
        self.mode = mode
        self.package = package
        self.path = data_directory / "modes" / f"{mode}.mode"
        self.timeout_s = 120.0

    @property
    def version(self) -> str:
        """The version of Apertium and the pair."""
        return f"apertium {Apertium().version} {self.mode}"

    def problem(self) -> str | None:
        """What is missing, and what to do; None where all is there."""
        if not self.path.is_file():
            return f"no pair {self.mode} in {self.path.parent} (Debian: apt-get install {self.package})"
        if not self._commands:
            return f"{self.path} does not begin with {', '.join(sorted(_PROGRAMS))}"
        missing = [command[0] for command in self._commands if shutil.which(command[0]) is None]
        return f"the programs {', '.join(missing)} are not installed ({self.package} needs them)" if missing else None

    @cached_property
    def digest(self) -> str:
        """A BLAKE3 of the programs' arguments and of the data that they name."""
        digest = blake3(repr(self._commands).encode())
        for path in sorted({Path(word) for command in self._commands for word in command if word.startswith("/")}):
            digest.update(path.read_bytes())
        return digest.hexdigest(length=16)

    def tag(self, lines: Sequence[str]) -> list[Line | None]:
        """The words of each line, None for one that does not come back as it was. UserError where something is missing,
        TransientError where a program does not answer in time."""
        problem = self.problem()
        if problem is not None:
            raise UserError(problem)
        found: dict[str, Line | None] = {}
        safe = [line for line in dict.fromkeys(lines) if is_safe(line)]
        for begin in range(0, len(safe), _BATCH_LINES):
            some = safe[begin : begin + _BATCH_LINES]
            pieces = split_lines(self._run(encode(some)), len(some))
            if pieces is not None:
                found |= {line: _line(line, piece) for line, piece in zip(some, pieces, strict=True)}
        return [found.get(line) for line in lines]

    @cached_property
    def _commands(self) -> list[list[str]]:
        commands: list[list[str]] = []
        for part in self.path.read_text(encoding="utf-8").split("|"):
            words = [word for word in shlex.split(part) if not word.startswith("$")]
            if not words or words[0] not in _PROGRAMS:
                return []
            if words[0] == _TAGGER:
                return [*commands, [words[0], "-p", *words[1:]]]
            commands.append(words)
        return []

    def _run(self, stream: bytes) -> bytes:
        for command in self._commands:
            try:
                stream = subprocess.run(  # noqa: S603  # programs of a closed list, no shell
                    command,
                    input=stream,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "LC_ALL": "C.UTF-8"},
                    timeout=self.timeout_s,
                    check=False,
                ).stdout
            except subprocess.TimeoutExpired:
                raise TransientError(
                    f"{command[0]} of {self.mode} did not answer in time", hint="is the machine very busy?"
                ) from None
        return stream


def _line(line: str, raw: bytes) -> Line | None:
    """The words of a line; the full stop that `encode` put behind it is taken off."""
    stream = raw.decode(errors="replace")
    words = []
    at = 0
    for found in _WORD.finditer(stream):
        analysis = _ESCAPE.sub(r"\1", found[2])
        is_one = "+" not in analysis and not analysis.startswith("*")
        words.append(
            Word(
                _plain(stream[at : found.start()]),
                _ESCAPE.sub(r"\1", found[1]),
                analysis.partition("<")[0].casefold(),
                tuple(_TAGS.findall(analysis)) if is_one else (),
            )
        )
        at = found.end()
    after = _plain(stream[at:])
    if after.endswith("."):
        after = after[:-1]
    elif not after and words and words[-1].surface.endswith("."):  # `..` is one word
        last = words.pop()
        after = last.before + last.surface[:-1]
    else:
        return None
    whole = "".join(f"{word.before}{word.surface}" for word in words) + after
    return Line(tuple(words), after) if whole == line else None


def _plain(stream: str) -> str:
    return _ESCAPE.sub(r"\1", _BLANK.sub(lambda blank: blank[1], stream))
