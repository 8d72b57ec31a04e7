"""The rules for names, read plainly: what the name kernels must find, word by word, with strings and sets.

Nothing is fast here, and nothing is shared with the kernels but the units and the data files. Each function states one
rule of `stages.pii.names` or of a kernel's docstring.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stages.pii import name_kernels as manners
from stages.pii.gazetteer import WIDESPREAD_LANGUAGES
from stages.pii.spaced_kernels import MAX_KEPT
from tests.stages.pii.plain_unspaced import unspaced_names
from tests.stages.pii.plain_words import (
    KNOWN_FOLLOWS,
    NAME_FOLLOWS,
    NOTHING,
    Manner,
    Word,
    introduced,
    joint,
    manner_of,
    read_words,
    roles_of,
)


def plain_names(text: str, language: str) -> list[tuple[int, int]]:
    """The names in a text, as bytes, in order."""
    manner = manner_of(language)
    if manner.mode == manners.SKIP:
        return []
    words = read_words(text, language)
    found = [(words[first].begin, without_possessive(words[stop - 1])) for first, stop in spaced_names(words, manner)]
    return sorted(found + unspaced_names(words, manner))


def without_possessive(word: Word) -> int:
    """Where a word ends, in bytes, without `'s`."""
    return word.end - len(word.text.encode()) + len(re.sub(r"(?<=.)['’]s$", "", word.text).encode())


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
    rules = (
        after_a_cue,
        given_and_surname,
        given_and_unknown,
        two_given,
        surname_among_given,
        followed_or_surname_first,
    )
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
            stop += not given.count("weak", "foreign") and is_surname(words, stop)
            return given_end if manner.nouns else stop
    alone = manner.cased and family is not None and family.kind == "unknown" and given.count("weak", "foreign") == 0
    labelled = level > NOTHING and joint(words[at].before) == "colon"
    if level > NOTHING and alone and not strong and manner.nouns and not labelled and is_surname(words, stop):
        return stop + 1
    if level == KNOWN_FOLLOWS:
        alone = words[at].is_any("last") and family is not None and family.kind == "known"
        if strong or alone or (given.count("weak", "foreign") and listed):
            return stop if listed else given_end
    return 0


def is_surname(words: list[Word], at: int) -> bool:
    """Whether what follows an unknown word behind a cue is a surname of any language, or a name that is a word in its
    own language alone; one that is a word here where no capital follows, as in a headline."""
    if at >= len(words) or not words[at].capital or words[at].is_any("stop", "title"):
        return False
    word = words[at]
    listed = word.is_any("last") or word.is_known("last") or (word.is_word_elsewhere and not word.is_any("word"))
    headline = word.is_any("word") and at + 1 < len(words) and words[at + 1].capital
    return listed and not headline and joint(word.before) in ("space", "hyphen")


def given_and_surname(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    """A known given name and a known surname, one of which may be a word; or initials and a known surname."""
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
    return 0


def two_given(words: list[Word], at: int, given: Given, family: Family | None, manner: Manner) -> int:
    return at + len(given.words) if given.count("strong", "patronymic") >= 2 else 0


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
    following = words[family.stop].before if family.stop < len(words) else ""
    widespread = len(named.languages_of("first")) >= WIDESPREAD_LANGUAGES
    sure = strong or widespread or manner.language == "en" or following == " <"
    english_word = "word" in roles_of((named.key,), "en")
    if given.joint == "hyphen" or english_word or ends_capital(words[at]) or not sure:
        return 0
    if not is_name_like(surname.text):
        return 0
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
