"""Postal addresses: a street with a house number, with what follows of it (a flat, postal code and town), and what
stands behind a label (`Address:`) with a postal code.

A street without a number, a town, a postal code alone stay. The words that make a street, and on which side of its name
the number stands, are in `data/anchors.tsv`, by language.
"""

from __future__ import annotations

import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Span

ADDRESS: Final = "address"

_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-џґα-ώΐάέήίΰ]"
_NAME: Final = rf"(?:\d{{1,3}}(?:st|nd|rd|th)|{_CAPITAL}[\w'’.-]{{0,24}}+)"
_NUMBER: Final = r"\d{1,5}(?: ?[A-Za-z](?!\w))?(?:[-–/]\d{1,4}(?: ?[A-Za-z](?!\w))?)?(?![\d%°])(?![.,:]\d)"
_WORD: Final = rf"{_CAPITAL}(?:[^\W\d]|['’.-]){{1,24}}+(?!\w)"
_LINKS: Final = r"(?:(?:am|an|der|de|del|la|le|les|sur|di|da|do|den|upon|of) ){0,2}"
_TOWN: Final = rf"{_WORD}(?: {_LINKS}{_WORD}){{0,3}}"
_POSTCODE: Final = (
    r"(?:[A-Z]{1,2}[- ])?(?:\d{3} \d{2}|\d{4} ?[A-Z]{2}(?!\w)|\d{5}-\d{3,4}|\d{4}-\d{3}|\d{2}-\d{3}|\d{4,6})(?![\d.:%])"
)
_BRITISH: Final = r"[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?!\w)"
_TAIL: Final = pattern(rf"(?:,? {_POSTCODE}(?:,? {_TOWN})?|, {_TOWN}(?:,? {_POSTCODE})?)")
_ENGLISH_TAIL: Final = pattern(
    rf"\.?(?: [NSEW]{{1,2}}(?!\w))?(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|#)\.? ?#?[\w-]{{1,6}})?"
    rf"(?:, {_TOWN}){{0,2}}"
    rf"(?:,? (?:[A-Z]{{2}} )?\d{{5}}(?:-\d{{4}})?(?!\d)|,? {_BRITISH}|,? [A-Z]{{2,3}} \d{{4}}(?!\d))?"
)
_ENGLISH_BEFORE: Final = pattern(rf"(?<![\w.,/:-])({_NUMBER},? (?:[NSEW]\.? )?(?:{_NAME} ){{1,4}})\Z")
_COMMON_WORDS: Final = frozenset(("place", "way", "close", "court", "drive", "square", "street", "road", "terrace"))
_GOES_ON: Final = pattern(" [a-z]")
"""`5 Golden Place settings`: a phrase that goes on is no street."""
_FRENCH_BEFORE: Final = pattern(r"(?<![\w.,/:-])(\d{1,4}(?: ?(?:bis|ter|quater))?,? )\Z")
_FRENCH_LINKS: Final = r"(?:(?:de|du|des|la|le|les|et|l['’]|d['’]) ?){0,3}"
_FRENCH_NAME: Final = pattern(rf" {_FRENCH_LINKS}{_NAME}(?: {_FRENCH_LINKS}{_NAME}){{0,4}}")
_STREET_NAME: Final = pattern(
    rf"(?:\.? |/ ?)(?:(?:de|del|la|las|los|da|do|dos|das|di|della|dei|delle|dell['’]|d['’]|i|gen|św|ks)\.? ?){{0,3}}"
    rf"{_NAME}(?: (?:(?:de|del|la|las|los|y|da|do|dos|das|e|di|della|dei|delle|i) ){{0,2}}{_NAME}){{0,4}}"
    rf"(?:,? (?i:n[º°o.]{{1,2}} ?|nº |núm\. ?|№ ?|nr\.? ?|д\. ?|дом |буд\. ?)?){_NUMBER}"
    rf"(?:,? (?i:кв\.|квартира|м\.|m\.|lok\.|piso|int\.|scala) ?\d{{1,4}})?"
)
_AFTER_ENDING: Final = pattern(rf"\.? ?(?:N[oO]:? ?)?{_NUMBER}")
_CHINESE: Final = pattern(
    r"(?:\d{1,4}[巷弄]){0,2}\d{1,5}(?:-\d{1,4})?[号號](?:[\u4e00-\u9fff]{0,8}\d{1,4}[号號室楼樓栋棟幢单元层層]{1,2}){0,4}"
)
_CHINESE_BEFORE: Final = pattern(r"[\u4e00-\u9fff]{1,20}\Z")
_KOREAN_BEFORE: Final = pattern(
    r"(?<!\w)(?:[가-힣]{1,10}[시도] (?:[가-힣]{1,10}[시군구읍면동] ){1,3}"
    r"|[가-힣]{2,10}[군구] (?:[가-힣]{1,10}[읍면동] ){0,2})\Z"
)
_KOREAN_AFTER: Final = pattern(
    r" ?\d{1,4}(?:번길 ?\d{1,4})?(?:-\d{1,4})?(?!\d|[%°]|[.,:]\d)(?:번지|호)?(?:(?=에서|이[다며]|입니)|(?![가-힣]{2}))"
)
_CASELESS: Final = r"[^\W\d_]+(?:['\"׳״’\u200c-][^\W\d_]+)*+"
_COMMA: Final = r" ?[,،]? "
_CASELESS_NUMBER: Final = r"\d{1,4}(?:[/-]\d{1,4})?(?![\d%°]|[.,:/-]\d)"
_ENDS: Final = r"(?= ?(?:[,،.;؛)\n]|\Z))"
_HEBREW: Final = pattern(
    rf"(?: {_CASELESS}){{1,4}}{_COMMA}(?:מס(?:פר|['׳]) )?{_CASELESS_NUMBER}"
    rf"(?:{_COMMA}(?:דירה|קומה|כניסה) \w{{1,4}}){{0,3}}"
    rf"(?:,(?: {_CASELESS}){{1,3}},? \d{{7}}(?!\d)|{_ENDS})"
)
_ARABIC: Final = pattern(
    rf"(?: {_CASELESS}){{1,5}}{_COMMA}(?:رقم|مبنى|بناية|عمارة|منزل|بيت|فيلا)(?: رقم)?:? {_CASELESS_NUMBER}"
    rf"(?:{_COMMA}(?:شقة|الطابق|طابق|الدور)(?: رقم)? \w{{1,8}}){{0,2}}"
)
_ARABIC_AFTER: Final = pattern(rf" ال{_CASELESS}(?: {_CASELESS}){{0,3}}{_ENDS}")
_ARABIC_BEFORE: Final = pattern(r"(?<![\w.,/:-])(\d{1,4} )\Z")
_PERSIAN: Final = pattern(
    rf"(?:{_COMMA}{_CASELESS}){{1,9}}{_COMMA}(?:پلاک|شماره پلاک) ?:? ?{_CASELESS_NUMBER}"
    rf"(?:{_COMMA}(?:طبقه|واحد|زنگ) ?:? ?\w{{1,6}}){{0,3}}"
)
_CASELESS_STREETS: Final = {"ar": _ARABIC, "fa": _PERSIAN, "he": _HEBREW}
_LABELLED: Final = pattern(r" ?[:：] ?(?P<line>[^\n;；|]{8,120})")
_NO_ADDRESS: Final = pattern(r"://|@|0x|\.\d+\.\d|[<>{}=\\\[\]]|\bwww\.")
_HAS_POSTCODE: Final = pattern(rf"(?<!\w)(?:{_POSTCODE}|{_BRITISH}|\d{{7,8}}(?!\d)|\d{{10}}(?!\d))")
_POSTCODE_AND_TOWN: Final = pattern(rf", {_POSTCODE} {_TOWN}")
_HAS_NUMBER: Final = pattern(r"\d{1,5}")
_SENTENCE_END: Final = pattern(r"(?<=\w\w\w\w)[.。](?: |\Z)")
_UNSPACED: Final = pattern(r"[\u3040-\u9fff가-힣]{4}")


def find_label(after: str, offset: int) -> list[Span]:
    """The line behind a label and its colon, if it has a postal code and another number and nothing technical."""
    match = _LABELLED.match(after)
    if match is None:
        return []
    line = match["line"]
    line = line[: stop.start()] if (stop := _SENTENCE_END.search(line)) is not None else line.rstrip(" .。")
    unspaced = _UNSPACED.search(line) is not None
    if _NO_ADDRESS.search(line) or (_HAS_POSTCODE.search(line) is None and not unspaced):
        return []
    if len(_HAS_NUMBER.findall(line)) < (1 if unspaced else 2) and _POSTCODE_AND_TOWN.search(line) is None:
        return []
    begin = offset + match.start("line")
    return [Span(begin, begin + len(line), ADDRESS, 3)]


def find_before(before: str, word: str, after: str, language: str) -> list[Span]:
    """A street whose number stands before its name: `12 Baker Street`, `12 rue de la Paix`. `word` makes it one."""
    if language == "fr":
        match, name = _FRENCH_BEFORE.search(before), _FRENCH_NAME.match(after)
        if match is None or name is None:
            return []
        end = name.end()
        tail = _TAIL.match(after, end)
    else:
        match = _ENGLISH_BEFORE.search(before) if word[:1].isupper() else None
        if match is None:
            return []
        end = 0
        tail = _ENGLISH_TAIL.match(after)
    end = tail.end() if tail is not None else end
    if word.lower() in _COMMON_WORDS and _GOES_ON.match(after, end):
        return []
    return [Span(-len(match.group(1)), len(word) + end, ADDRESS, 2)]


def find_street(before: str, word: str, after: str, language: str) -> list[Span]:
    """A street whose name and number follow the word: `Calle Mayor 5`, `ul. Długa 3/5`, `C/ Mayor 5`; in Hebrew where
    the number ends the phrase, in Arabic and Persian where a word says that it is that of a house."""
    caseless = _CASELESS_STREETS.get(language)
    if caseless is not None:
        if (match := caseless.match(after)) is not None:
            return [Span(0, len(word) + match.end(), ADDRESS, 2)]
        if language != "ar" or (number := _ARABIC_BEFORE.search(before)) is None:
            return []
        name = _ARABIC_AFTER.match(after)
        return [] if name is None else [Span(-len(number.group(1)), len(word) + name.end(), ADDRESS, 2)]
    match = _STREET_NAME.match(after) if len(word) > 1 or after.startswith("/") else None
    return [] if match is None else [Span(0, len(word) + _with_tail(after, match.end()), ADDRESS, 2)]


def find_ending(before: str, word: str, after: str, language: str) -> list[Span]:
    """A street by the end of its name, before a number: `Hauptstraße 5`; in Chinese as far back as characters go."""
    if language == "zh":
        chinese, back = _CHINESE.match(after), _CHINESE_BEFORE.search(before)
        if chinese is None or back is None:
            return []
        return [Span(-len(back.group()), len(word) + chinese.end(), ADDRESS, 2)]
    if language in ("tr", "hu"):
        # The word stands apart from the name: `Atatürk Caddesi No: 5`, `Fő utca 5`.
        name = re.search(rf"(?:{_NAME} ){{1,3}}\Z", before)
        if name is None:
            return []
        begin = -len(name.group())
    elif language == "ko":
        # `로` is a particle as well: the city with its district before it tells, or the district by itself.
        place, number = _KOREAN_BEFORE.search(before), _KOREAN_AFTER.match(after)
        if place is None or number is None:
            return []
        return [Span(-len(place.group()), len(word) + number.end(), ADDRESS, 2)]
    elif word[:1].isupper():
        begin = 0
    else:
        return []
    match = _AFTER_ENDING.match(after)
    return [] if match is None else [Span(begin, len(word) + _with_tail(after, match.end()), ADDRESS, 2)]


def _with_tail(after: str, end: int) -> int:
    tail = _TAIL.match(after, end)
    return end if tail is None else tail.end()
