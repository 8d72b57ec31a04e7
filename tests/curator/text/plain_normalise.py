"""What each text needs, read plainly: the marks of `curator.text.normalise.scan` from Python's own Unicode data."""

from __future__ import annotations

import functools
import itertools
import unicodedata

from curator.text.normalise import (
    BYTES_OF_PAIR,
    LEAST_PAIRS,
    MARK_CODE_PAGE,
    MARK_CONTROL,
    MARK_INVALID,
    MARK_MOJIBAKE,
    MARK_NFC,
    MASK_POINTS,
    MISREADINGS,
    PUNCTUATION,
    WINDOWS_1252,
    Misreading,
)

CONTROLS = {*range(0x20), *range(0x7F, 0xA0), *range(0xFDD0, 0xFDF0)} - {0x09, 0x0A}


def plain_marks(raw: bytes) -> int:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return MARK_INVALID
    marks = 0
    if text.startswith("\ufeff") or any(ord(c) in CONTROLS or ord(c) & 0xFFFE == 0xFFFE for c in text):
        marks |= MARK_CONTROL
    if needs_composition(text):
        marks |= MARK_NFC
    if any("\x80" <= c <= "\x9f" for c in text) or any(is_misread(text, encoding) for encoding in MISREADINGS):
        marks |= MARK_MOJIBAKE
    high = [0x80 <= ord(c) < 0x100 or ord(c) in WINDOWS_1252 for c in text]
    pairs = sum(first and second for first, second in itertools.pairwise(high))
    if pairs >= LEAST_PAIRS and pairs * BYTES_OF_PAIR >= len(raw):
        marks |= MARK_CODE_PAGE
    return marks


@functools.cache
def composites() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Characters that compose with those before them; that take a mark after them; that take a letter."""
    seconds: set[str] = set()
    take_mark: set[str] = set()
    take_letter: set[str] = set()
    pairs = [(chr(0x1100), chr(vowel)) for vowel in range(0x1161, 0x1176)]
    pairs += [(chr(lead), chr(0x1161)) for lead in range(0x1100, 0x1113)]
    pairs += [(chr(syllable), chr(0x11A8)) for syllable in range(0xAC00, 0xD7A4, 28)]
    pairs += [("\uac00", chr(tail)) for tail in range(0x11A8, 0x11C3)]
    for point in range(0x110000):
        parts = unicodedata.decomposition(chr(point)).split()
        if len(parts) == 2 and "<" not in parts[0] and unicodedata.is_normalized("NFC", chr(point)):
            pairs.append((chr(int(parts[0], 16)), chr(int(parts[1], 16))))
    for first, second in pairs:
        seconds.add(second)
        (take_mark if unicodedata.combining(second) else take_letter).add(first)
    composed = map(chr, range(0x110000))
    # A composed letter comes apart before a mark, and the mark may compose with its beginning.
    take_mark |= {whole for whole in composed if take_mark & beginnings(whole)}
    return frozenset(seconds), frozenset(take_mark), frozenset(take_letter)


def beginnings(whole: str) -> set[str]:
    """What a character that is NFC composes from: the composed beginnings of its decomposition."""
    parts = unicodedata.normalize("NFD", whole)
    if len(parts) == 1 or not unicodedata.is_normalized("NFC", whole):
        return set()
    return {unicodedata.normalize("NFC", parts[:end]) for end in range(1, len(parts))}


def needs_composition(text: str) -> bool:
    """The quick check of UAX #15, section 9, where a character that may compose counts only after one that it can
    compose with: after the last starter, and if it is a starter itself, right after it."""
    seconds, take_mark, take_letter = composites()
    starter, former = "\0", 0
    for character in text:
        combining = unicodedata.combining(character)
        takers = take_mark if combining else take_letter if former == 0 else frozenset()
        if not unicodedata.is_normalized("NFC", character) or former > combining > 0:
            return True
        if character in seconds and starter in takers:
            return True
        former = combining
        starter = starter if combining else character
    return False


@functools.cache
def sequences(misreading: Misreading) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """The characters of the encoding that count as the first byte of two, of three or four, and as a later byte."""
    read = {byte: bytes([byte]).decode(misreading.encoding, "ignore") or chr(byte) for byte in range(0x80, 0xF5)}
    read = {byte: character for byte, character in read.items() if ord(character) < MASK_POINTS}
    firsts = {byte: character for byte, character in read.items() if byte >= 0xC2 and character not in PUNCTUATION}
    tails = {character for byte, character in read.items() if byte < 0xC0}
    if misreading.symbols:
        tails -= {character for character in tails if character.isalpha() or character in PUNCTUATION}
    pairs = {c for byte, c in firsts.items() if byte < 0xE0 and (misreading.pairs is None or c in misreading.pairs)}
    triples = {
        c for byte, c in firsts.items() if byte >= 0xE0 and (misreading.triples is None or c in misreading.triples)
    }
    return frozenset(pairs), frozenset(triples), frozenset(tails)


def is_misread(text: str, misreading: Misreading) -> bool:
    """Whether a sequence of the encoding stands in the text; with `in_runs`, one after another, with nothing between
    them but first bytes whose sequence is not at its end."""
    pairs, triples, tails = sequences(misreading)

    def is_open(place: int) -> bool:
        """Whether one more byte would end a sequence."""
        return text[place] in pairs or (place > 0 and text[place - 1] in triples and text[place] in tails)

    ended = [place for place in range(1, len(text)) if is_open(place - 1) and text[place] in tails]
    if not misreading.in_runs:
        return bool(ended)
    return any(all(is_open(between) for between in range(first + 1, last)) for first, last in itertools.pairwise(ended))
