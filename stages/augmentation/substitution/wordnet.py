"""Nouns that are alike, from WordNet (Miller 1995), as Debian's `wordnet-base` and `wordnet-sense-index` have it.

The files are described in WordNet's manual, wndb(5WN) and senseidx(5WN): text, sorted, a synset found by the byte at
which its line begins. NLTK's reader wants one more file, `lexnames`, that Debian does not have, and its own place.

A sibling of a noun is a noun in another synset below the same hypernym. Nothing here knows in which sense a text uses a
word, so only words are replaced, and put in their place, that almost always have their first sense: by the counts of
WordNet's own tagged texts.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blake3 import blake3

FILES = ("data.noun", "index.noun", "index.sense", "noun.exc")
PLACE = Path("/usr/share/wordnet")
DEBIAN_PACKAGES = "wordnet-base wordnet-sense-index"

LEAST_SHARE = 0.6
"""Share of a noun's tagged occurrences in its first sense from which it is taken to have that sense."""
LEAST_TAGGED = 2
"""Times that a noun of a text must have been met in its first sense: with fewer its shares say nothing. A sibling must
have been met once."""
MOST_HYPONYMS = 100
"""Below a hypernym with more of them (`person` has 400) siblings have little in common."""

_WORD = re.compile(r"[a-z]{3,}")
_VERSION = re.compile(rb"WordNet ([0-9]+\.[0-9]+)")


@dataclass(frozen=True)
class Synset:
    """A set of synonyms: the lexicographer's file (`05` are animals), words, and the places of what is above and
    below it."""

    topic: str
    words: tuple[str, ...]
    hypernyms: tuple[int, ...]
    hyponyms: tuple[int, ...]


class WordNet:
    """The nouns of a WordNet. Its files are mapped, not read."""

    def __init__(self, folder: Path = PLACE) -> None:
        self.folder = folder

    def missing(self) -> list[str]:
        """The files that are not there."""
        return [name for name in FILES if not (self.folder / name).is_file()]

    @cached_property
    def version(self) -> str:
        """The version that the head of its data states."""
        found = _VERSION.search(self._files["data.noun"][:4096])
        return found[1].decode() if found else "unknown"

    @cached_property
    def digest(self) -> str:
        """A BLAKE3 of its files."""
        digest = blake3()
        for name in FILES:
            digest.update(self._files[name])
        return digest.hexdigest(length=16)

    def is_noun(self, word: str) -> bool:
        """Whether this is the base form of a noun."""
        return bool(self._senses(word))

    def irregular_singulars(self, plural: str) -> tuple[str, ...]:
        """The base forms that the list of exceptions has for a form."""
        line = _line_of(self._files["noun.exc"], plural.encode() + b" ")
        return () if line is None else tuple(line.decode().split()[1:])

    @cached_property
    def irregular_plurals(self) -> dict[str, str]:
        """The irregular plural of each base form that has one; of several the first."""
        pairs = [line.split() for line in self._files["noun.exc"][:].decode().splitlines()]
        plurals: dict[str, str] = {}
        for plural, *singulars in pairs:
            for singular in singulars:
                plurals.setdefault(singular, plural)
        return plurals

    def siblings(self, noun: str) -> tuple[str, ...]:
        """Single words that are siblings of a noun, sorted; none where its sense is not clear."""
        senses = self._senses(noun)
        if not senses or not self._has_first_sense(noun, senses, LEAST_TAGGED):
            return ()
        own = self._synset(senses[0])
        found: set[str] = set()
        for above in own.hypernyms:
            below = self._synset(above).hyponyms
            if len(below) > MOST_HYPONYMS:
                continue
            for place in below:
                synset = self._synset(place)
                if place != senses[0] and synset.topic == own.topic:
                    found.update(word for word in synset.words if self._stands_for(word, place))
        return tuple(sorted(found - set(own.words)))

    def _stands_for(self, word: str, place: int) -> bool:
        if not _WORD.fullmatch(word):
            return False
        senses = self._senses(word)
        return bool(senses) and senses[0] == place and self._has_first_sense(word, senses, 1)

    def _has_first_sense(self, noun: str, senses: tuple[int, ...], least: int) -> bool:
        counts = self._counts(noun)
        first = counts.get(senses[0], 0)
        return first >= least and first >= LEAST_SHARE * sum(counts.values())

    def _senses(self, noun: str) -> tuple[int, ...]:
        """The places of a noun's synsets, the most frequent first."""
        if not noun:
            return ()
        line = _line_of(self._files["index.noun"], noun.encode() + b" ")
        if line is None:
            return ()
        fields = line.decode().split()
        count, pointers = int(fields[2]), int(fields[3])
        return tuple(map(int, fields[6 + pointers : 6 + pointers + count]))

    def _counts(self, noun: str) -> dict[int, int]:
        """How often each synset of a noun was met in the tagged texts."""
        file = self._files["index.sense"]
        prefix = f"{noun}%1:".encode()
        begin = _first_from(file, prefix)
        counts = {}
        while file[begin : begin + len(prefix)] == prefix:
            end = file.find(b"\n", begin)
            _, place, _, count = file[begin:end].decode().split()
            counts[int(place)] = int(count)
            begin = end + 1
        return counts

    def _synset(self, place: int) -> Synset:
        file = self._files["data.noun"]
        fields = file[place : file.find(b"\n", place)].decode().partition(" | ")[0].split()
        words = int(fields[3], 16)
        pointers = fields[4 + 2 * words :]
        kinds = [(pointers[1 + 4 * row], int(pointers[2 + 4 * row])) for row in range(int(pointers[0]))]
        return Synset(
            topic=fields[1],
            words=tuple(fields[4 + 2 * row] for row in range(words)),
            hypernyms=tuple(target for kind, target in kinds if kind == "@"),
            hyponyms=tuple(target for kind, target in kinds if kind == "~"),
        )

    @cached_property
    def _files(self) -> dict[str, mmap.mmap]:
        found = {}
        for name in FILES:
            with (self.folder / name).open("rb") as file:
                found[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return found


def _first_from(file: mmap.mmap, prefix: bytes) -> int:
    """Where the first line begins that is not below `prefix`; lines that begin with a space stand before all."""
    low, high = 0, len(file)
    while low < high:
        middle = (low + high) // 2
        begin = file.rfind(b"\n", 0, middle) + 1
        end = file.find(b"\n", middle)
        end = len(file) if end < 0 else end
        if file[begin:end] < prefix:
            low = end + 1
        else:
            high = begin
    return low


def _line_of(file: mmap.mmap, prefix: bytes) -> bytes | None:
    begin = _first_from(file, prefix)
    if file[begin : begin + len(prefix)] != prefix:
        return None
    end = file.find(b"\n", begin)
    return file[begin : len(file) if end < 0 else end]
