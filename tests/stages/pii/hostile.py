"""Pieces of text which, repeated, are what a pattern that goes back would go back over."""

from __future__ import annotations

PIECES = (
    *("x", "X", "1", "a1", "A1", "@", "a@", "a@b.", "1.", "1-", ":", "a:", "://a:", "+", "(", "[", "1 ", "é", "٣"),
    *("AB12 ", "DE89 3704 ", "::1 ", "4111 1111 1111 1111 ", "a@b.cd ", "030 1234567 ", "00:1B:44:", "00-1B-44-"),
    *("ab12 ", "gb82 west 1234 ", "DNI1.2", "DNI54362315K ", "PESEL44051401359", "nie1234567l-", "A123456(3) "),
    *("eyJa1", "eyJhbGciOiJIUzI1NiJ9.", "eyJhbGciOiJIUzI1NiJ9-", "ghp_a1B2c3D4e5F6g7H8_", "AKIAIOSFODNN7EXAMPLE "),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n" + "Ab1" * 20 + "\n", "xoxb-1-"),
    *("http://x.com/", "http://github.com/a/", "http://a/@", "http://", "passport A", "passport 1234567 "),
    *("born ", "born on ", "born May ", "date of birth", "geb. 1.1.", "plate ", "plate A1 ", "plate A 1-"),
    *("Address: ", "Address: A 1 12345 ", "address:A, ", "12 A Street ", "1 A A A A Street, A ", "5 Street, "),
    *("12 rue de la ", "rue A A A A ", "Calle A A A A 5, ", "ul. A A ", "Hauptstraße 5, ", "Straße 5-", "路5号"),
    *("Mr. ", "Anna Miller ", "Anna ", "J. ", "van "),
)

_LANGUAGES = {"r": "fr", "C": "es", "u": "pl", "H": "de", "S": "de", "路": "zh", "g": "de"}


def language_of(piece: str) -> str:
    """The language in which a piece is most of a trap."""
    return _LANGUAGES.get(piece[0], "en")


def repeated(piece: str, length: int) -> str:
    """The piece as often as it fits into so many bytes of UTF-8."""
    return piece * (length // len(piece.encode()))
