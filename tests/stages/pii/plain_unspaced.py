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
    return is_adjacent(words, at) and longest(words, at, "after", "rank") > 0


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


def is_word(words: list[Word], at: int, count: int) -> bool:
    """Whether a term of so many units is an ordinary word, too."""
    return "word" in roles_of(tuple(word.key for word in words[at : at + count]), words[at].language)


def is_han(word: Word) -> bool:
    """Whether a word begins with what is no kana."""
    return word.text.encode()[0] >= 0xE4


def has_title(words: list[Word], surname: int, stop: int) -> bool:
    """Whether a title or a rank joins a name. Behind a surname of one character, a title
    of one is none where another Han character or 々 follows it."""
    if stop >= len(words) or words[stop].before:
        return False
    title = longest(words, stop, "after")
    following = words[stop + 1] if stop + 1 < len(words) else None
    goes_on = following is not None and not following.before and (is_han(following) or following.text[0] == "々")
    if title and not (title == 1 and surname == 1 and goes_on):
        return True
    return longest(words, stop, "rank") > 0


def east_asian_end(words: list[Word], at: int, level: int) -> int:
    if words[at].is_any("stop"):
        return 0
    surname = longest(words, at, "last")
    after = at + surname
    if surname:
        glued = at > 0 and not words[at].before and words[at - 1].character and is_han(words[at - 1])
        word = surname == 1 and words[at].is_any("word")
        given = longest(words, after, "first") if is_adjacent(words, after) else 0
        if given:
            # Kana names are words, too, unless a space parts them. One character needs a second sign.
            parted = bool(words[after].before) or words[at].text >= "\u4000"
            begun = surname == 1 and is_word(words, at, 2)  # `祖国` in `祖国强大`
            plain = given >= 2 and parted and not begun and not (glued and (word or is_word(words, after, given)))
            titled = titled_at(words, after + given) and not (word and glued and given == 1)
            if level > NOTHING or titled or plain:
                return after + given
        # Any one or two Han between a surname and a title at once after them; Han or kana after an introduction.
        free = characters_from(words, after, 2)
        free = next((place for place in range(free) if words[after + place].is_any("stop")), free)
        for length in range(free, -1, -1):
            stop = after + length
            three_bytes = all(len(unit.text.encode()) == 3 for unit in words[at:stop])
            han = all(is_han(unit) for unit in words[after:stop])
            doubtful = word and (glued or length > 0)
            if three_bytes and han and not doubtful and has_title(words, surname, stop):
                return stop
        if level > NOTHING and free:
            return after + free
    # A given name alone: after an introduction, or with a title at once after it.
    given = longest(words, at, "first")
    stop = at + given
    titled = stop < len(words) and not words[stop].before and longest(words, stop, "after", "rank") > 0
    sure = level == NAME_FOLLOWS or (titled and not is_word(words, at, given))
    return stop if given >= 2 and sure else 0


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
    title = following is not None and joint(following.before) == "space" and following.is_any("after", "rank")
    titled = title or level == NAME_FOLLOWS
    name = word.begin, word.begin + 9, at + 1
    given = roles_of((text[1:3],), word.language)
    if titled and len(text) == 3 and "first" not in given:
        return None if level < NAME_FOLLOWS and "stop" in roles_of((text[2],), word.language) else name
    if "first" not in given:
        return None
    verb = text[2:4] == "하는"
    also_word = "word" in given | surname | roles_of((text[:3],), word.language)
    if (also_word or verb) and not titled and level == NOTHING:
        return None
    rest = roles_of((text[3:],), word.language)
    return name if not text[3:] or not rest.isdisjoint(("particle", "after")) else None
