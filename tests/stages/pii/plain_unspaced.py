"""The rules for names in scripts without spaces, and in Korean, read plainly."""

from __future__ import annotations

from stages.pii import name_kernels as manners
from stages.pii.gazetteer import MAX_UNITS
from tests.stages.pii.plain_words import (
    NAME_FOLLOWS,
    NOTHING,
    Manner,
    Word,
    introduced,
    joint,
    roles_of,
)


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
