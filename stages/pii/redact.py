"""Replacing spans of a text. All else stays as it is, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

PLACEHOLDERS: Final = {
    "credentials": "[REDACTED_CREDENTIALS]",
    "secret": "[REDACTED_SECRET]",
    "email": "[REDACTED_EMAIL]",
    "iban": "[REDACTED_IBAN]",
    "ip": "[REDACTED_IP]",
    "mac": "[REDACTED_MAC]",
    "card": "[REDACTED_CARD]",
    "passport": "[REDACTED_PASSPORT]",
    "id": "[REDACTED_ID]",
    "phone": "[REDACTED_PHONE]",
    "birthdate": "[REDACTED_BIRTHDATE]",
    "plate": "[REDACTED_PLATE]",
    "address": "[REDACTED_ADDRESS]",
    "username": "[REDACTED_USERNAME]",
    "name": "[REDACTED_NAME]",
}
"""What stands for personal data of each kind."""


def redact(text: str, spans: Iterable[tuple[str, int, int]]) -> str:
    """The text with each span (kind, begin, end; code points, ascending, without overlaps) made a placeholder."""
    return replace(text, spans, lambda kind, _: PLACEHOLDERS[kind])


def replace(text: str, spans: Iterable[tuple[str, int, int]], replacement: Callable[[str, str], str]) -> str:
    """The text with each span (as of `redact`) made what `replacement` gives for its kind and its value."""
    pieces = []
    place = 0
    for kind, begin, end in spans:
        pieces += [text[place:begin], replacement(kind, text[begin:end])]
        place = end
    return "".join([*pieces, text[place:]])
