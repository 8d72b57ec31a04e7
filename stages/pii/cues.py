"""Cue words: what a number near one of them is, by language. The table is `data/cues.tsv`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

from curator.text.pattern import pattern

PHONE: Final = "phone"
CONTACT: Final = "contact"
ID: Final = "id"
CARD: Final = "card"
IP: Final = "ip"
MAC: Final = "mac"
PASSPORT: Final = "passport"
VERSION: Final = "version"
NUMBER: Final = "number"
COUNT: Final = "count"

_WORDS: Final = pattern(r"[^\W\d_]+")
_NO_LETTERS: Final = {code: " " for code in range(128) if not chr(code).isalpha()}
_SPACED_ALPHABETS: Final = pattern(r"[\u0000-\u052f\u1e00-\u1fff'.\-]+")
"""Latin, Greek and Cyrillic: scripts in which a cue is a whole word or the beginning of one."""


@dataclass(frozen=True)
class _Cues:
    words: dict[str, frozenset[str]]
    prefixes: tuple[str, ...]
    prefix_kinds: tuple[frozenset[str], ...]
    pieces: tuple[tuple[str, frozenset[str]], ...]
    ascii_pieces: tuple[tuple[str, frozenset[str]], ...]
    counting_pieces: tuple[str, ...]


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, frozenset[str]]]:
    """For each language (and `*`) the kinds of each cue, as written in the data file."""
    table: dict[str, dict[str, frozenset[str]]] = {}
    text = resources.files("stages.pii").joinpath("data", "cues.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        kinds, languages, words = line.split("\t")
        for language in languages.split(","):
            entries = table.setdefault(language, {})
            for word in words.split(","):
                cue = _lower(word.strip())
                entries[cue] = entries.get(cue, frozenset()) | frozenset(kinds.split(","))
    return table


def cue_languages() -> frozenset[str]:
    """Languages that have cue words of their own."""
    return frozenset(_table()) - {"*"}


@lru_cache(maxsize=256)
def _cues(language: str) -> _Cues:
    words: dict[str, frozenset[str]] = {}
    prefixes: dict[str, frozenset[str]] = {}
    pieces: dict[str, frozenset[str]] = {}
    for cue, kinds in _entries(language):
        if " " in cue or _SPACED_ALPHABETS.fullmatch(cue) is None or _WORDS.fullmatch(cue.rstrip("*")) is None:
            place, key = pieces, cue.rstrip("*")
        elif cue.endswith("*"):
            place, key = prefixes, cue[:-1]
        else:
            place, key = words, cue
        place[key] = place.get(key, frozenset()) | kinds
    listed = tuple(pieces.items())
    ascii_pieces = tuple(entry for entry in listed if entry[0].isascii())
    counting = tuple(piece for piece, kinds in listed if COUNT in kinds)
    return _Cues(words, tuple(prefixes), tuple(prefixes.values()), listed, ascii_pieces, counting)


@lru_cache(maxsize=1 << 14)
def _word_kinds(word: str, language: str) -> frozenset[str]:
    """The kinds of one word, as a whole and by its beginning. The same words stand near numbers again and again."""
    cues = _cues(language)
    found = set(cues.words.get(word, ()))
    if word.startswith(cues.prefixes):
        for prefix, kinds in zip(cues.prefixes, cues.prefix_kinds, strict=True):
            if word.startswith(prefix):
                found |= kinds
    return frozenset(found)


def _entries(language: str) -> Iterator[tuple[str, frozenset[str]]]:
    table = _table()
    yield from table["*"].items()
    yield from table.get(language, {}).items()


def _lower(text: str) -> str:
    """The text without case; İ, which is i with a mark to `casefold`, is the i that Turkish has there."""
    return text.replace("İ", "i").casefold()


def _words(text: str) -> list[str]:
    """The runs of letters in a text. In ASCII a translation finds them in half of the time."""
    return text.translate(_NO_LETTERS).split() if text.isascii() else _WORDS.findall(text)


def is_counted(before: str, after: str, language: str) -> bool:
    """Whether the last word before a number or the first one after it says that it counts something."""
    cues = _cues(language)
    words = _words(_lower(before))
    last, first = words[-1] if words else "", _lower(after).lstrip()
    word = _WORDS.match(first)
    if COUNT in _word_kinds(last, language) or (word is not None and COUNT in _word_kinds(word.group(), language)):
        return True
    return first.startswith(cues.counting_pieces) or last.endswith(cues.counting_pieces)


def find_cues(before: str, after: str, language: str) -> frozenset[str]:
    """The kinds of the cues in the text before and after a number, in this language and in none."""
    cues = _cues(language)
    window = _lower(f"{before} | {after}")
    found: set[str] = set()
    for word in _words(window):
        found |= _word_kinds(word, language)
    for piece, kinds in cues.ascii_pieces if window.isascii() else cues.pieces:
        if piece in window:
            found |= kinds
    return frozenset(found)
