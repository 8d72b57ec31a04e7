"""What a text costs in tokens, language by language: how fair a tokenizer is.

Against English is the tokens of a language by those of English for the same lines (the premium of Petrov et al. 2023,
https://arxiv.org/abs/2305.15425). Tokens per word, the fertility, can be compared between tokenizers in one language;
between languages it says as much of their words. A word is a unit of Curator: in scripts without spaces a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from curator.document import string_buffer
from curator.errors import UserError
from curator.text.segment import segment
from curator.tokenize import Tokenizer
from model.vocabulary.parallel import ParallelText

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cost:
    """Counts over texts: tokens, units, code points, tokens that are unknown, tokens that are parts of characters."""

    tokens: int
    words: int
    characters: int
    unknown: int
    parts: int

    @property
    def tokens_per_word(self) -> float:
        """The fertility; 0 without a word."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def tokens_per_character(self) -> float:
        """0 without a character."""
        return self.tokens / self.characters if self.characters else 0.0

    @property
    def unknown_share(self) -> float:
        """Of the tokens those that are unknown."""
        return self.unknown / self.tokens if self.tokens else 0.0

    @property
    def parts_share(self) -> float:
        """Of the tokens those that are parts of characters."""
        return self.parts / self.tokens if self.tokens else 0.0


@dataclass(frozen=True)
class LanguageCost:
    """What a language costs with a tokenizer. `against_english` is None where no line is in both."""

    language: str
    cost: Cost
    against_english: float | None


@dataclass(frozen=True)
class TokenizerCost:
    """What each language costs with a tokenizer, the dearest against English first."""

    tokenizer: str
    vocabulary: int
    languages: tuple[LanguageCost, ...]

    @property
    def most_fertile(self) -> LanguageCost:
        """The language with the most tokens per word."""
        return max(self.languages, key=lambda row: row.cost.tokens_per_word)

    @property
    def mean_tokens_per_word(self) -> float:
        """The mean of the languages, each counting once."""
        return sum(row.cost.tokens_per_word for row in self.languages) / len(self.languages)


def measure_cost(tokenizer: Tokenizer, texts: Sequence[str]) -> Cost:
    """What texts cost, without the tokens at their ends."""
    return _cost(tokenizer, texts, tokenizer.parts_of_characters())


def compare_languages(tokenizer: Tokenizer, name: str, text: ParallelText, only: Sequence[str] = ()) -> TokenizerCost:
    """What the languages of an aligned text cost, all or those of these tags. UserError where one is not in it."""
    unknown = sorted(set(only) - set(text.lines))
    if unknown:
        raise UserError(f"has no {', '.join(unknown)}", file=text.name, hint=f"it has {', '.join(text.lines)}")
    parts = tokenizer.parts_of_characters()
    english = text.english
    rows = []
    for tag in only or text.lines:
        premium = None
        if english is not None:
            own, reference = (_cost(tokenizer, lines, parts) for lines in text.shared(tag, english))
            premium = own.tokens / reference.tokens if reference.tokens else None
        rows.append(LanguageCost(tag, _cost(tokenizer, text.texts(tag), parts), premium))
    rows.sort(key=lambda row: (-(row.against_english or 0), -row.cost.tokens_per_word, row.language))
    return TokenizerCost(name, tokenizer.vocabulary, tuple(rows))


def _cost(tokenizer: Tokenizer, texts: Sequence[str], parts: NDArray[np.bool_]) -> Cost:
    if not texts:
        return Cost(0, 0, 0, 0, 0)
    ids = np.concatenate(tokenizer.encode(texts))
    data, offsets = string_buffer(pa.array(texts, pa.string()))
    return Cost(
        tokens=len(ids),
        words=int(segment(data, offsets).counts.sum()),
        characters=sum(map(len, texts)),
        unknown=0 if tokenizer.unknown is None else int((ids == tokenizer.unknown).sum()),
        parts=int(parts[ids].sum()),
    )
