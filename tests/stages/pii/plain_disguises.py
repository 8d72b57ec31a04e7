"""Texts in disguise, read plainly: what `stages.pii.disguises` changes, by regular expressions over characters."""

from __future__ import annotations

import re

Change = tuple[int, int, str]
"""begin, end, what is meant"""

HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
JOINING = re.compile(r"[0-9A-Za-z@.+\-_()]")
WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a％＋－．／：＝＠＿﹫]")
TELLING = re.compile("[\uff21-\uff3a\uff41-\uff5a＠﹫]|．(?=[0-9A-Za-z\uf000-\uffff])")
NAMED = r"[0-9A-Za-z\x80-\U0010ffff]"
AT = re.compile(
    rf"(?<={NAMED})(?: ?[(\[{{<](?:@|[aA][tT]|ä[tT]|(?i:arroba|arobase))[)\]}}>] ?|%40)(?=[^.]|\Z)"
    rf"|(?<=[0-9a-z\x80-\U0010ffff]) AT (?![A-Z]|\Z)"
)
DOT_WORD = r"(?:\.|[dD][oO][tT]|(?i:punkt|punto|ponto|point))"
DOT = re.compile(rf" ?[(\[{{<]{DOT_WORD}[)\]}}>] ?| {DOT_WORD} ")
CAPITAL_DOT = re.compile(r" ?[(\[{<](?i:\.|dot|punkt|punto|ponto|point)[)\]}>] ?| (?:DOT|PUNKT|PUNTO|PONTO|POINT) ")
DOT_BEFORE = re.compile(r"(?<! ) ?[(\[{<](?i:\.|dot|punkt|punto|ponto|point)[)\]}>] ?\Z")
LABEL = re.compile(rf"(?:{NAMED}|-)+")
LABEL_BEFORE = re.compile(rf"(?:{NAMED}|[-_.])+\Z")


def plain_changes(text: str) -> list[Change]:
    """The changes of a text, in its order; none where only digits and signs are in full width."""
    found = addresses(text)
    dropped = -1
    for match in HIDDEN.finditer(text):
        begin, end = match.span()
        beside = begin == dropped or JOINING.match(text[begin - 1 : begin]) or JOINING.match(text, end)
        if beside:
            found.append((begin, end, ""))
            dropped = end
    if not found and TELLING.search(text) is None:
        return []
    return sorted([*found, *((match.start(), match.end(), folded(match.group())) for match in WIDE.finditer(text))])


def folded(sign: str) -> str:
    return "@" if sign == "﹫" else chr(ord(sign) - 0xFEE0)


def addresses(text: str) -> list[Change]:
    """Words for `@` before a name with a dot, with the words for dots around them."""
    found: list[Change] = []
    place = 0
    while (match := AT.search(text, place)) is not None:
        behind = domain(text, match.end(), spelled=match.group() == " AT ")
        if behind is None:
            # The next one may begin at the blank or bracket that ends this.
            place = match.start() + 1
            continue
        place = match.end()
        before = dots_before(text, match.start(), max((end for _, end, _ in found), default=0))
        found += [*before, (*match.span(), "@"), *behind]
    return found


def domain(text: str, place: int, *, spelled: bool) -> list[Change] | None:
    changes: list[Change] = []
    dotted = False
    while (label := LABEL.match(text, place)) is not None:
        place = label.end()
        if text[place : place + 1] == "." and not spelled and place + 1 < len(text):
            place += 1
            dotted = dotted or re.match(NAMED, text[place:]) is not None
            continue
        word = (CAPITAL_DOT if spelled else DOT).match(text, place)
        if word is None or re.match(NAMED, text[word.end() :]) is None:
            break
        changes.append((*word.span(), "."))
        place, dotted = word.end(), True
    return changes if dotted else None


def dots_before(text: str, place: int, floor: int) -> list[Change]:
    changes: list[Change] = []
    while (label := LABEL_BEFORE.search(text[floor:place])) is not None:
        word = DOT_BEFORE.search(text[floor : floor + label.start()])
        if word is None or word.start() == 0 or re.match(NAMED, text[floor + word.start() - 1]) is None:
            break
        place = floor + word.start()
        changes.append((place, floor + word.end(), "."))
    return changes[::-1]
