"""Generate `data/signs.tsv`, the signs at which lines begin and end.

    python -m stages.quality.build_signs [PATH]

Sentence_Terminal, Sentence_Break=Close, White_Space and Bidi_Control are properties of the Unicode Character Database
(UAX #44, UAX #29), read from the `regex` package (Unicode 17.0 in 2026.11.15). Only this script needs it.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

from stages.quality.signs import KINDS, SIGNS_PATH

TERMINALS_BESIDE = (0x0F0D, 0x0F0E, 0x0F11, 0x2026)
"""Sentence ends that Unicode does not list as such: the shads of Tibetan (The Unicode Standard, 13.4), which close
phrases and sentences alike, and the ellipsis, since three full stops end a sentence as well."""

BULLETS = (0x2A, 0x2D, 0xB7, *(ord(sign) for sign in "•‣⁃∙◦▪▫■□▸►▶●○◆◇◉➔➢➤✓✔✦★☆・"))
"""Signs that typists and word processors set before an item of a list. Dashes other than the hyphen are left out: they
begin direct speech in many languages."""

WITHOUT_WIDTH = (0x200B, 0x2060, 0xFEFF)
"""Zero width space, word joiner, byte order mark: nobody sees them at the end of a line."""


def build() -> list[str]:
    """The lines of the table: kind, code point in hexadecimal, name."""
    import regex

    everything = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF)
    terminals = {ord(sign) for sign in regex.findall(r"\p{Sentence_Terminal}", everything)}
    closers = {ord(sign) for sign in regex.findall(r"\p{Sentence_Break=Close}", everything)}
    blanks = {ord(sign) for sign in regex.findall(r"[\p{White_Space}\p{Bidi_Control}]", everything)}
    kinds = zip(
        KINDS, (terminals.union(TERMINALS_BESIDE), closers, set(BULLETS), blanks.union(WITHOUT_WIDTH)), strict=True
    )
    return [
        f"{kind}\t{point:04X}\t{unicodedata.name(chr(point), '')}" for kind, points in kinds for point in sorted(points)
    ]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else SIGNS_PATH
    target.write_text("\n".join(build()) + "\n", encoding="utf-8")
