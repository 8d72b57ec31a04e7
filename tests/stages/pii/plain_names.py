"""The rules for names, read plainly: what the name kernels must find, word by word, with strings and sets.

Nothing is fast here, and nothing is shared with the kernels but the units and the data files. Each function states one
rule of `stages.pii.names` or of a kernel's docstring.
"""

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
from stages.pii.gazetteer import MAX_UNITS, WIDESPREAD_LANGUAGES
from stages.pii.names import mode_of, traits_of
from stages.pii.spaced_kernels import MAX_KEPT

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
                found[tuple(units)][language].add("title." if role == "title" and word.endswith(".") else role)
    return {
        term: {language: frozenset(roles) for language, roles in entry.items()} for term, entry in found.items() if term
    }


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
        mode,
        # Latin names in Chinese text are told by their capitals too, and have the surname last.
        cased=mode != manners.CASELESS,
        nouns=bool(traits & manners.NOUNS),
        surname_first=bool(traits & manners.SURNAME_FIRST) and spaced,
        patronymics=bool(traits & manners.PATRONYMICS),
        headlines=bool(traits & manners.HEADLINES),
    )


def plain_names(text: str, language: str) -> list[tuple[int, int]]:
    """The names in a text, as bytes, in order."""
    manner = manner_of(language)
    if manner.mode == manners.SKIP:
        return []
    words = read_words(text, language)
    found = [(words[first].begin, words[stop - 1].end) for first, stop in spaced_names(words, manner)]
    return sorted(found + unspaced_names(words, manner))


# Scripts with spaces.


def spaced_names(words: list[Word], manner: Manner) -> list[tuple[int, int]]:
    """The names, as (first word, word after the last): first those in full, then their parts where they stand alone."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(words):
        stop = name_end(words, at, manner) if may_begin(words, at, manner) else 0
        if stop > 0:
            found.append((at, stop))
        at = max(at + 1, stop)
    return found + (alone(words, found) if manner.cased else [])


def may_belong(word: Word, manner: Manner) -> bool:
    return word.capital if manner.cased else True


def may_begin(words: list[Word], at: int, manner: Manner) -> bool:
    """A capitalised word (any word in scripts without capitals) that is no stop word, nor a title of what follows."""
    word = words[at]
    if not (word.capital if manner.cased else word.letter) or word.is_any("stop"):
        return False
    if at + 1 == len(words):
        return True
    between = joint(words[at + 1].before)
    if word.is_any("title", "office") and may_belong(words[at + 1], manner) and between in ("space", "dot"):
        return False
    return not (word.is_any("title.") and between == "dot")


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
    titled = "title" in roles and between != "colon"
    dotted = "title." in roles and between == "dot"
    phrased = "phrase" in roles and between != "dot"
    if titled or dotted or phrased:
        return NAME_FOLLOWS
    known = ("office" in roles and between != "colon") or ("field" in roles and between == "colon")
    return KNOWN_FOLLOWS if known else NOTHING


@dataclass(frozen=True)
class Given:
    """The given names and initials at the beginning of what may be a name, and what joins the next word to them."""

    words: list[Word]
    kinds: list[str]
    abbreviated: bool
    """Whether an initial has a dot, and a word after it."""
    goes_on: bool
    joint: str

    def count(self, *kinds: str) -> int:
        return sum(kind in kinds for kind in self.kinds)

    @property
    def last_listed(self) -> Word | None:
        """The last of them that is in a list of given names."""
        return next(
            (
                word
                for word, kind in reversed(list(zip(self.words, self.kinds, strict=True)))
                if kind in ("strong", "weak", "foreign")
            ),
            None,
        )


def read_given(words: list[Word], at: int, manner: Manner) -> Given:
    """At most five given names and initials, joined by spaces and hyphens; after an initial a dot joins too."""
    kinds: list[str] = []
    abbreviated = False
    goes_on = True
    between = ""
    place = at
    while goes_on and place < len(words) and len(kinds) < 5 and may_belong(words[place], manner):
        kind = given_kind(words[place], kinds, manner)
        if kind == "":
            break
        kinds.append(kind)
        place += 1
        if place < len(words):
            between = joint(words[place].before)
            dotted = kind == "initial" and between == "dot"
            abbreviated = abbreviated or dotted
            goes_on = between in ("space", "hyphen") or dotted
    return Given(words[at:place], kinds, abbreviated, goes_on, between)


def given_kind(word: Word, former: list[str], manner: Manner) -> str:
    """`initial`; a given name of this language that is no word (`strong`), or is one (`weak`); a patronymic after
    either; a given name of another language (`foreign`); nothing."""
    if manner.cased and len(word.text) == 1:
        return "initial"
    if word.is_any("stop") or (word.is_any("particle") and former):
        return ""
    if word.is_any("first"):
        return "weak" if word.is_any("word") else "strong"
    if manner.patronymics and is_patronymic(word.text) and not {"strong", "weak", "patronymic"}.isdisjoint(former):
        return "patronymic"
    if manner.cased and word.is_known("first") and not word.is_any("word", "particle"):
        return "foreign"
    return ""


def is_patronymic(text: str) -> bool:
    """-ович, -евич, perhaps with a case ending of at most two letters; -овна, -евна, -ична, of which the last letter
    may be another or two others; seven letters at least."""
    if len(text.encode()) < 14:
        return False
    masculine = [text[: len(text) - tail] for tail in range(3) if is_cyrillic(text[len(text) - tail :])]
    if any(stem.endswith(("ович", "евич")) for stem in masculine):
        return True
    return any(stem.endswith(("овн", "евн", "ичн")) for stem in masculine[1:])


def is_cyrillic(text: str) -> bool:
    return all("\u0400" <= letter <= "\u047f" for letter in text)


@dataclass(frozen=True)
class Family:
    """The surname: its place, whether it is `known`, `also a word` or `unknown`, and where the name ends with it."""

    place: int
    kind: str
    stop: int
    particles: int


def read_family(words: list[Word], at: int, given: Given, manner: Manner) -> Family | None:
    """The surname after given names, initials, and at most three particles."""
    if not given.goes_on:
        return None
    first = place = at + len(given.words)
    while place + 1 < len(words) and place - first < 3 and place > at and words[place].is_any("particle"):
        if joint(words[place + 1].before) != "space":
            break
        place += 1
    if place >= len(words) or not words[place].letter or not may_belong(words[place], manner):
        return None
    kind = family_kind(words[place], manner)
    if kind == "":
        return None
    stop = place + 1
    if kind != "unknown":
        # More surnames: any after a hyphen, those of the language after a space; three in all.
        while stop < len(words) and stop < place + 3 and may_belong(words[stop], manner):
            between = joint(words[stop].before)
            double = between == "hyphen" and manner.cased
            another = between == "space" and words[stop].is_any("last") and not words[stop].is_any("word", "stop")
            if not double and not another:
                break
            stop += 1
    return Family(place, kind, stop, place - first)


def family_kind(word: Word, manner: Manner) -> str:
    if word.is_any("stop", "title") or len(word.text) == 1:
        return ""
    if word.is_any("last"):
        return "also a word" if word.is_any("word") else "known"
    if manner.cased and word.is_known("last") and not word.is_any("word"):
        return "known"
    return "unknown" if manner.cased and not word.is_any("office") else ""


def name_end(words: list[Word], at: int, manner: Manner) -> int:
    """The word after the name that begins here, 0 if none does."""
    given = read_given(words, at, manner)
    family = read_family(words, at, given, manner)
    rules = (after_a_cue, given_and_surname, given_and_unknown, surname_among_given, followed_or_surname_first)
    return next((stop for rule in rules if (stop := rule(words, at, given, family, manner)) > 0), 0)


def ends_capital(word: Word) -> bool:
    return "A" <= word.text[-1] <= "Z" and word.size > 1


def after_a_cue(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """A title or an introduction and a name; an office or a label and a known name."""
    level = introduced(words, at)
    given_end = at + len(given.words)
    listed = family is not None and family.kind != "unknown"
    stop = family.stop if family is not None else given_end
    strong = given.count("strong", "patronymic")
    if level == NAME_FOLLOWS:
        if strong or listed:
            return stop
        # `MS Office`: a title in capitals may be something else. German nouns have capitals, too.
        unknown = family is not None and family.kind == "unknown" and not ends_capital(words[at - 1])
        if given.count("weak", "foreign") or (unknown and not manner.nouns):
            return given_end if manner.nouns else stop
    if level == KNOWN_FOLLOWS:
        alone = words[at].is_any("last") and family is not None and family.kind == "known"
        if strong or alone or (given.count("weak", "foreign") and listed):
            return stop if listed else given_end
    return 0


def given_and_surname(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """A known given name and a known surname, one of which may be a word; initials and a known surname; or two given
    names."""
    strong = given.count("strong", "patronymic")
    weak = given.count("weak") > 0
    if family is not None and family.kind != "unknown":
        surname = words[family.place]
        foreign = given.last_listed
        same_language = (
            given.count("foreign") > 0
            and foreign is not None
            and any("last" in roles_of((surname.key,), language) for language in foreign.languages_of("first"))
        )
        initials = given.abbreviated and (given.count("initial") >= 2 or (family.kind == "known" and surname.size >= 4))
        if strong or same_language or initials or (family.kind == "known" and weak):
            return family.stop
        if weak and manner.cased and not manner.nouns and not manner.headlines:
            # Both are words: only inside a sentence.
            return family.stop if standing(words, at, family.stop) != "first" else 0
    return at + len(given.words) if strong >= 2 else 0


def given_and_unknown(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """A given name and a capitalised word that is in no list: joined by a particle, in a list, or inside a sentence
    whose other words have no capitals."""
    strong = given.count("strong", "patronymic") > 0
    named = given.last_listed
    if family is None or family.kind != "unknown" or named is None or not (strong or given.count("foreign")):
        return 0
    surname = words[family.place]
    if strong and family.particles and not surname.is_any("word"):
        return family.stop
    widespread = len(named.languages_of("first")) >= WIDESPREAD_LANGUAGES
    english_word = "word" in roles_of((named.key,), "en")
    if given.joint == "hyphen" or english_word or ends_capital(words[at]) or not (strong or widespread):
        return 0
    if not is_name_like(surname.text):
        return 0
    following = words[family.stop].before if family.stop < len(words) else ""
    proper = not manner.nouns and standing(words, at, family.stop) == "apart"
    sentence = strong and not manner.nouns and not manner.headlines and stands_out(words, at, family.stop)
    return family.stop if ends_item(following, manner) or proper or sentence else 0


def is_name_like(text: str) -> bool:
    """Four bytes at least, no digits, and no capital after a small letter past the fifth byte (`MacKenzie`), or after O
    (`OpenGL`)."""
    raw = text.encode()
    inner = [
        place for place in range(1, len(raw)) if raw[place : place + 1].isupper() and raw[place - 1 : place].islower()
    ]
    digits = any(48 <= byte <= 57 for byte in raw)
    return len(raw) >= 4 and not digits and not any(place > 4 or raw[:1] == b"O" for place in inner)


def ends_item(gap: str, manner: Manner) -> bool:
    """A bracket after the name, a comma, or the end of the line, where other words do not have capitals as well."""
    first = gap[1:2] if gap[:1] == " " and len(gap) > 1 else gap[:1]
    if first == ",":
        return not manner.nouns
    if first == "\n":
        return not manner.nouns and not manner.headlines
    return first in ("<", "(")


def standing(words: list[Word], at: int, stop: int) -> str:
    """`first` in a line or sentence; `after` another word or a comma; `apart`, with no capitals beside it."""
    if at == 0:
        return "first"
    gap = words[at].before
    comma = len(gap.encode()) == 2 and gap[0] == ","
    if not comma and joint(gap) != "space":
        return "first"
    if words[at - 1].capital and not comma:
        return "after"
    followed = stop < len(words) and words[stop].capital and joint(words[stop].before) == "space"
    return "after" if followed else "apart"


def stands_out(words: list[Word], at: int, stop: int) -> bool:
    """A small word follows, and no capital stands before but that of a sentence."""
    if stop >= len(words) or words[stop].capital or not words[stop].letter or joint(words[stop].before) != "space":
        return False
    if at == 0 or not words[at - 1].capital or joint(words[at].before) == "apart":
        return True
    return at == 1 or joint(words[at - 1].before) in ("apart", "dot")


def surname_among_given(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """The last given name is a surname, too: the others are the given names."""
    if len(given.words) < 2:
        return 0
    last, kinds = given.words[-1], given.kinds[:-1]
    if not last.is_any("last") and not last.is_known("last"):
        return 0
    sure = last.is_known("last") and not last.is_any("word")
    strong = "strong" in kinds or "patronymic" in kinds
    less = "weak" in kinds or "foreign" in kinds
    initials = given.abbreviated and (sure or given.count("initial") >= 2)
    return at + len(given.words) if strong or (less and sure) or initials else 0


def followed_or_surname_first(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """A known name and what stands after names (`Bey`); or a surname and up to three given names or patronymics, where
    the surname comes first."""
    if at + 1 >= len(words) or not words[at].is_any("first", "last") or joint(words[at + 1].before) != "space":
        return 0
    if words[at + 1].is_any("after"):
        return at + 1
    both_words = words[at].is_any("word") and words[at + 1].is_any("word")
    if not manner.surname_first or not words[at].is_any("last") or not words[at + 1].is_any("first") or both_words:
        return 0
    stop = at + 1
    while stop < len(words) and stop < at + 4 and may_belong(words[stop], manner):
        patronymic = manner.patronymics and is_patronymic(words[stop].text)
        if not (words[stop].is_any("first") or patronymic) or joint(words[stop].before) != "space":
            break
        stop += 1
    return stop if stop > at + 1 else 0


def alone(words: list[Word], found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Where a part of a name that was given in full stands alone with a capital, no other capital right beside it."""
    kept: list[str] = []
    for first, stop in found:
        for word in words[first:stop]:
            named = word.is_known("first") or word.is_known("last")
            if named and not word.is_any("word", "stop", "particle") and word.size >= 4 and word.key not in kept:
                kept.append(word.key)
    inside = {place for first, stop in found for place in range(first, stop)}
    again = []
    for place, word in enumerate(words):
        beside = place > 0 and words[place - 1].capital and len(word.before.encode()) == 1
        following = words[place + 1] if place + 1 < len(words) else None
        beside = beside or (following is not None and following.capital and len(following.before.encode()) == 1)
        if word.capital and place not in inside and word.key in kept[:MAX_KEPT] and not beside:
            again.append((place, place + 1))
    return again


# Scripts without spaces, and Korean.


def unspaced_names(words: list[Word], manner: Manner) -> list[tuple[int, int]]:
    """The names, as bytes."""
    readers = {manners.KOREAN: korean, manners.UNSPACED: east_asian, manners.TITLED_ONLY: titled_only}
    if manner.mode not in readers:
        return []
    found = []
    at = 0
    while at < len(words):
        name = readers[manner.mode](words, at)
        if name is not None:
            begin, end, following = name
            found.append((begin, end))
            at = following
        else:
            at += 1
    return found


def is_adjacent(words: list[Word], at: int) -> bool:
    """Whether a word follows the one before at once, or after a space."""
    return at < len(words) and joint(words[at].before) in ("joined", "space")


def longest(words: list[Word], at: int, *roles: str) -> int:
    """Units of the longest term with such a role that begins here, its units joined; 0 if there is none."""
    best = 0
    for count in range(1, min(MAX_UNITS, len(words) - at) + 1):
        if count > 1 and words[at + count - 1].before:
            break
        term = tuple(word.key for word in words[at : at + count])
        if not roles_of(term, words[at].language).isdisjoint(roles):
            best = count
    return best


def titled_at(words: list[Word], at: int) -> bool:
    """Whether what stands after names follows, at once or after a space."""
    return is_adjacent(words, at) and longest(words, at, "after") > 0


def characters_from(words: list[Word], at: int, count: int) -> int:
    """How many of the next words are single characters, each joined to the one before."""
    taken = 0
    while taken < count and at + taken < len(words):
        word = words[at + taken]
        if word.before or not word.character:
            break
        taken += 1
    return taken


def east_asian(words: list[Word], at: int) -> tuple[int, int, int] | None:
    """A Chinese or Japanese name."""
    if not words[at].character:
        return None
    stop = east_asian_end(words, at, introduced(words, at))
    return (words[at].begin, words[stop - 1].end, stop) if stop else None


def east_asian_end(words: list[Word], at: int, level: int) -> int:
    surname = longest(words, at, "last")
    after = at + surname
    if surname:
        given = longest(words, after, "first") if is_adjacent(words, after) else 0
        if given:
            # Kana names are words, too, unless a space parts them. One character needs a second sign.
            parted = bool(words[after].before) or words[at].text >= "\u4000"
            if level > NOTHING or titled_at(words, after + given) or (given >= 2 and parted):
                return after + given
        # Any one or two Han or kana between a surname and a title at once after them, or after an introduction.
        free = characters_from(words, after, 2)
        for length in range(free, -1, -1):
            stop = after + length
            han = all(len(word.text.encode()) == 3 for word in words[at:stop])
            if han and stop < len(words) and not words[stop].before and longest(words, stop, "after"):
                return stop
        if level > NOTHING:
            stops = [place for place in range(free) if words[after + place].is_any("stop")]
            free = min([free, *stops])
            if free:
                return after + free
    # A given name alone: after an introduction, or with a title at once after it.
    given = longest(words, at, "first")
    stop = at + given
    titled = stop < len(words) and not words[stop].before and longest(words, stop, "after") > 0
    return stop if given >= 2 and (level == NAME_FOLLOWS or titled) else 0


def titled_only(words: list[Word], at: int) -> tuple[int, int, int] | None:
    """A Thai name: a title, a known given name, and a known surname after a space. The title stays."""
    title = longest(words, at, "title", "phrase")
    first = at + title
    if not title or first >= len(words) or joint(words[first].before) in ("apart", "hyphen"):
        return None
    given = longest(words, first, "first")
    if given < 2:
        return None
    stop = first + given
    if stop < len(words) and joint(words[stop].before) == "space":
        stop += longest(words, stop, "last")
    return words[first].begin, words[stop - 1].end, stop


def korean(words: list[Word], at: int) -> tuple[int, int, int] | None:
    """A surname of one syllable and a given name of two, at the beginning of a word of Hangul syllables alone."""
    word = words[at]
    text = word.text
    if not 3 <= len(text) <= 8 or not all("\uac00" <= letter <= "\ud7a3" for letter in text):
        return None
    surname = roles_of((text[0],), word.language)
    if "last" not in surname:
        return None
    level = introduced(words, at)
    following = words[at + 1] if at + 1 < len(words) else None
    titled = level == NAME_FOLLOWS
    titled = titled or (following is not None and joint(following.before) == "space" and following.is_any("after"))
    name = word.begin, word.begin + 9, at + 1
    if titled and len(text) == 3:
        return name
    given = roles_of((text[1:3],), word.language)
    if "first" not in given or ("word" in given | surname and not titled and level == NOTHING):
        return None
    rest = roles_of((text[3:],), word.language)
    return name if not text[3:] or not rest.isdisjoint(("particle", "after")) else None
