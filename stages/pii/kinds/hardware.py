"""MAC addresses (EUI-48), which belong to one device: six pairs of hex digits with colons or hyphens, or three groups
of four with dots.

Group addresses (the lowest bit of the first octet, IEEE 802, section 8.2.2), the ranges of RFC 7042 (documentation and
protocols: 00-00-5E), zeros and counted examples (`00:11:22:33:44:55`) are nobody's and stay. Pairs of digits alone are
a time until a word near them says that they are an address: 0.4% of addresses have no letter.
"""

from __future__ import annotations

import re
from typing import Final

from curator.text.pattern import pattern
from stages.pii.context import Context, Span
from stages.pii.cues import MAC as MAC_CUE

MAC: Final = "mac"

_COLONS: Final = pattern(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_LABEL: Final = pattern(r"[A-Za-z]{3}:\Z")
_RESERVED: Final = "00005e"  # RFC 7042, section 2.1
_EXAMPLES: Final = frozenset(
    ("001122334455", "112233445566", "aabbccddeeff", "1234567890ab", "123456789abc", "0123456789ab")
)


def find(context: Context) -> list[Span]:
    """The address that the body is, less a colon or full stop after it."""
    text = context.body.rstrip(":.")
    digits = re.sub("[:.-]", "", text).lower()
    if len(digits) != 12 or (":" in text and _COLONS.fullmatch(text) is None):
        return []
    labelled = _LABEL.search(context.before[-4:]) is not None
    if (context.previous and context.previous in "-.:%$&#/\\_" and not labelled) or context.after[:1] in ("-", "_"):
        return []
    if digits.isdigit() and MAC_CUE not in context.cues:
        return []
    if int(digits[1], 16) & 1 or digits.startswith(_RESERVED) or digits in _EXAMPLES or len(set(digits)) <= 2:
        return []
    return [Span(0, len(text), MAC, 3)]
