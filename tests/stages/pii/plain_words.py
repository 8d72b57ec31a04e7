"""What the plain references of names ask of words: their roles in the data files, what stands between them, and how
names are told in their language. Nothing is shared with the kernels but the units and the data files."""

from __future__ import annotations

import functools
import importlib.resources
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curator.document import string_buffer
from curator.text.fold import fold
from curator.text.segment import CAPITAL, LETTER, UNSPACED, segment
from stages.pii import name_kernels as manners
from stages.pii.gazetteer import MAX_UNITS
from stages.pii.names import mode_of, traits_of

Term = tuple[str, ...]
Roles = frozenset[str]

NOTHING, KNOWN_FOLLOWS, NAME_FOLLOWS = range(3)
NO_ROLES: Roles = frozenset()
NO_ENTRY: Mapping[str, Roles] = {}


def unit_texts(texts: Sequence[str]) -> list[list[str]]:
    """The units of each text, folded."""
    data, offsets = string_buffer(pa.array(texts, pa.large_string()))
    units = segment(data, offsets)
    raw = data.tobytes()
    words = [fold(raw[start:end].decode()) for start, end in zip(units.starts, units.ends, strict=True)]
    return [words[low:high] for low, high in zip(units.offsets[:-1], units.offsets[1:], strict=True)]


def data_rows(name: str) -> list[list[str]]:
    text = importlib.resources.files("stages.pii").joinpath("data", name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


@functools.cache
def dictionary() -> Mapping[Term, Mapping[str, Roles]]:
    """For each term its roles in each language; a name that is a place has the role `word` in `*`, all of them."""
    names, cues = data_rows("names.tsv"), data_rows("name_cues.tsv")
    languages = {language for row in names for column in row[1:3] for language in column.split(",")}
    languages |= {language for row in cues for language in row[1].split(",")}
    languages -= {"", "*"}
    found: dict[Term, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row, units in zip(names, unit_texts([row[0] for row in names]), strict=True):
        for role, column in zip(("first", "last", "word"), row[1:], strict=True):
            for language in filter(None, column.split(",")):
                found[tuple(units)][language].add(role)
    listed = [(role, where, word.strip()) for role, where, words in cues for word in words.split(",")]
    terms = unit_texts([word.rstrip(".") for _, _, word in listed])
    for (role, where, word), units in zip(listed, terms, strict=True):
        if 1 <= len(units) <= MAX_UNITS:
            for language in languages if where == "*" else where.split(","):
                found[tuple(units)][language] |= cue_roles(role, word)
    return {
        term: {language: frozenset(roles) for language, roles in entry.items()} for term, entry in found.items() if term
    }


def cue_roles(role: str, word: str) -> set[str]:
    """What a cue is: `title` with a name right behind it, `title.` with a dot between them."""
    if role == "abbreviation":
        return {"title", "title."}
    return {"title." if role == "title" and word.endswith(".") else role}


def roles_of(term: Term, language: str) -> Roles:
    entry = dictionary().get(term, NO_ENTRY)
    everywhere = entry.get("*", NO_ROLES)
    return entry.get(language, NO_ROLES) | everywhere


@functools.cache
def languages_of(key: str, role: str) -> frozenset[str]:
    entry = dictionary().get((key,), NO_ENTRY)
    everywhere = entry.get("*", NO_ROLES)
    named = (
        language
        for language, roles in entry.items()
        if role in roles and "word" not in roles and "word" not in everywhere
    )
    return frozenset(named)


@dataclass(frozen=True)
class Word:
    """A unit of a document with all that the rules ask of it."""

    text: str
    begin: int
    end: int
    before: str
    """What stands between the unit before and this one."""
    capital: bool
    letter: bool
    character: bool
    """A character of a script without spaces."""
    language: str

    @functools.cached_property
    def key(self) -> str:
        return fold(self.text)

    @functools.cached_property
    def roles(self) -> Roles:
        return roles_of((self.key,), self.language)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.begin

    def is_any(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)

    def languages_of(self, role: str) -> frozenset[str]:
        """Where the word is a name of this kind and no ordinary word."""
        return languages_of(self.key, role)

    @property
    def is_word_elsewhere(self) -> bool:
        """Whether the word is a name of some language in which it is also an ordinary word."""
        names = (where for where, roles in dictionary().get((self.key,), NO_ENTRY).items() if roles & {"first", "last"})
        return any("word" in roles_of((self.key,), where) for where in names)

    def is_known(self, role: str) -> bool:
        return bool(self.languages_of(role))


def read_words(text: str, language: str) -> list[Word]:
    data, offsets = string_buffer(pa.array([text], pa.large_string()))
    units = segment(data, offsets)
    raw = data.tobytes()
    words: list[Word] = []
    for start, end, kind in zip(units.starts.tolist(), units.ends.tolist(), units.kinds.tolist(), strict=True):
        gap = raw[words[-1].end if words else 0 : start].decode()
        marks = bool(kind & CAPITAL), bool(kind & LETTER), bool(kind & UNSPACED)
        words.append(Word(raw[start:end].decode(), start, end, gap, *marks, language))
    return words


def joint(gap: str) -> str:
    """What a gap between two units is."""
    kinds = {
        "joined": [""],
        "space": [" ", "\u00a0", "\u202f", "\u3000", "・"],
        "hyphen": ["-", "\u2010", "\u2011"],
        "dot": [".", ". ", ".\u00a0"],
        "colon": [":", ": ", "：", " : ", "： ", "\u00a0: ", "\u00a0:"],
    }
    return next((kind for kind, gaps in kinds.items() if gap in gaps), "apart")


@dataclass(frozen=True)
class Manner:
    """How names are told in a document's language."""

    language: str
    mode: int
    cased: bool
    nouns: bool
    surname_first: bool
    patronymics: bool
    headlines: bool


def manner_of(language: str) -> Manner:
    mode, traits = mode_of(language), traits_of(language)
    spaced = mode in (manners.CASED, manners.CASELESS)
    return Manner(
        language,
        mode,
        # Latin names in Chinese text are told by their capitals too, and have the surname last.
        cased=mode != manners.CASELESS,
        nouns=bool(traits & manners.NOUNS),
        surname_first=bool(traits & manners.SURNAME_FIRST) and spaced,
        patronymics=bool(traits & manners.PATRONYMICS),
        headlines=bool(traits & manners.HEADLINES),
    )


def introduced(words: list[Word], at: int) -> int:
    """What the words before say: nothing, that a known name may follow, or that a name follows."""
    if at == 0 or joint(words[at].before) in ("apart", "hyphen"):
        return NOTHING
    level = NOTHING
    for count in range(1, min(MAX_UNITS, at) + 1):
        if count > 1 and joint(words[at - count + 1].before) == "apart":
            break
        cue = tuple(word.key for word in words[at - count : at])
        level = max(level, announced(roles_of(cue, words[at].language), joint(words[at].before)))
    return level


def announced(roles: Roles, between: str) -> int:
    """What a cue with these roles says of the word after it."""
    titled = "title" in roles and between in ("space", "joined")
    dotted = "title." in roles and between == "dot"
    phrased = "phrase" in roles and between != "dot"
    if titled or dotted or phrased:
        return NAME_FOLLOWS
    known = ("office" in roles and between != "colon") or ("field" in roles and between == "colon")
    return KNOWN_FOLLOWS if known else NOTHING
