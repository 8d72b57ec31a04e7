"""Text as sentences for translators that were trained on single ones, and back.

What is no sentence comes through as it is: line feeds, space at either end of a line, lines without a letter, and
placeholders of redaction (`[REDACTED_EMAIL]`) that stand alone. A sentence ends after a full stop, question or
exclamation mark (Latin, CJK, Devanagari, Arabic, Armenian, Ethiopic, Khmer, Burmese, Tibetan, Ol Chiki) and what closes
it; save in Chinese, Japanese and Burmese a space must follow. An abbreviation may be cut off: a translator then sees
two pieces in place of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_END = re.compile(r"""(?:[.!?…।॥؟۔։።។៕།༎᱾᱿]+["'”’»)\]]*(?=\s)|[。！？｡။]+[」』”’）]*)""")
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Pieces:
    """A text cut up: `sentences`, and what stands before each and after the last (`between`, one more)."""

    sentences: tuple[str, ...]
    between: tuple[str, ...]

    def joined(self, translated: Mapping[str, str | None]) -> str | None:
        """The text with its sentences replaced; None where one of them has no translation."""
        parts = [self.between[0]]
        for sentence, after in zip(self.sentences, self.between[1:], strict=True):
            found = translated[sentence]
            if found is None or not found.strip():
                return None
            parts += [found.strip(), after]
        return "".join(parts)


def cut(text: str) -> Pieces:
    """The sentences of a text; joined as they are, they give it back."""
    sentences: list[str] = []
    between = [""]
    for piece, is_sentence in _pieces(text):
        if is_sentence:
            sentences.append(piece)
            between.append("")
        else:
            between[-1] += piece
    return Pieces(tuple(sentences), tuple(between))


def has_letter(text: str) -> bool:
    """Whether there is anything to translate."""
    return any(character.isalpha() for character in text)


def distinct(texts: Sequence[Pieces]) -> list[str]:
    """The different sentences of several texts, each once, in their order."""
    return list(dict.fromkeys(sentence for text in texts for sentence in text.sentences))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    for line in re.split(r"(\n)", text):
        begin = 0
        for end in (*(found.end() for found in _END.finditer(line)), len(line)):
            piece = line[begin:end]
            core = piece.strip()
            if has_letter(core):
                head = piece.index(core)
                yield piece[:head], False
                yield core, True
                yield piece[head + len(core) :], False
            else:
                yield piece, False
            begin = end
