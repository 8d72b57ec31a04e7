"""Extends a BPE vocabulary for new languages: ids of old tokens stay, new pieces stand behind them.

Text of the new languages is cut by the old tokenizer, and BPE (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909)
goes on from there: again and again the most frequent pair of neighbours becomes a piece. So every new piece is made of
two that are there, and its score is below all old ones: old merges come first, and a text of the old languages is cut
as before or coarser, never elsewhere. Characters that the old vocabulary spells in bytes become pieces before that.

Of unigram models pieces compete by probability: there new pieces would change how old text is cut, so they are refused.
"""

from __future__ import annotations

import heapq
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from curator.errors import UserError
from curator.tokenize import Tokenizer, read_tokenizer
from model.vocabulary.pieces import SPACE, Piece, add_pieces, read_pieces
from model.vocabulary.sample import CHARACTER_COVERAGE, CHARACTER_SHARE

LONGEST_PIECE = 16
"""Characters of a piece at most, as SentencePiece's `max_sentencepiece_length`."""
LEAST_COUNT = 2
"""A pair that occurs once is no piece."""
JOINERS = "\u200c\u200d"
"""Within words of several scripts these stand between letters."""


@dataclass(frozen=True)
class Extension:
    """An extended model, the texts of its new pieces in the order of their ids, and how many are single characters."""

    data: bytes
    added: tuple[str, ...]
    characters: int


def extend_tokenizer(data: bytes, texts: Sequence[str], pieces: int, file: str) -> Extension:
    """Add so many pieces, learned from these texts. UserError where the model is not one of BPE with bytes for what has
    no piece, or the texts have fewer pieces to give."""
    model = read_pieces(data, file)
    if model.algorithm != "bpe":
        hint = "extend one of BPE, or train a new tokenizer"
        raise UserError("is a unigram model, and new pieces would change how old text is cut", file=file, hint=hint)
    if not model.byte_fallback:
        raise UserError(
            "has no bytes for what has no piece", file=file, hint="expected one of `curator tokenizer train`"
        )
    known = {piece.text for piece in model.pieces}
    least = min(piece.score for piece in model.pieces)
    characters = _new_characters(texts, known, int(CHARACTER_SHARE * pieces))
    added = [Piece(text, least - 1 - place) for place, text in enumerate(characters)]
    with_characters = add_pieces(data, added, file)
    learner = _Learner(known | set(characters), count_words(read_tokenizer(with_characters, file), texts))
    least -= len(added)
    for text in learner.learn(pieces - len(added)):
        least -= 1
        added.append(Piece(text, least))
    if len(added) < pieces:
        raise UserError(
            f"the text has {len(added):,} new pieces to give, not {pieces:,}", hint="ask for fewer, or give more text"
        )
    return Extension(add_pieces(data, added, file), tuple(piece.text for piece in added), len(characters))


def count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[tuple[str, ...]]:
    """How often each word occurs, as the pieces that it is cut into; of several pieces, all of letters."""
    pieces = tokenizer.pieces()
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        for line in text.split("\n"):
            word: list[str] = []
            for token in tokenizer.encode([line])[0].tolist():
                piece = pieces[token]
                if word and (piece.startswith(SPACE) or not _is_letters(piece)):
                    counts[tuple(word)] += 1
                    word = []
                if _is_letters(piece):
                    word.append(piece)
            if word:
                counts[tuple(word)] += 1
    return Counter({word: count for word, count in counts.items() if len(word) > 1})


def _is_letters(piece: str) -> bool:
    """Whether a piece may be a part of a longer one: letters and their marks, a space before them or not."""
    inner = piece.removeprefix(SPACE)
    return all(unicodedata.category(letter)[0] in "LM" or letter in JOINERS for letter in inner)


def _new_characters(texts: Iterable[str], known: set[str], room: int) -> list[str]:
    """Letters without a piece, the most frequent first, until the share of the text is covered or there is no room."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    allowed = (1 - CHARACTER_COVERAGE) * counts.total()
    missing = sorted(
        (
            (character, count)
            for character, count in counts.items()
            if character not in known and _is_letters(character)
        ),
        key=lambda item: (-item[1], item[0]),
    )
    left = sum(count for _, count in missing)
    found: list[str] = []
    for character, count in missing[:room]:
        if left <= allowed or count < LEAST_COUNT:
            break
        found.append(character)
        left -= count
    return found


class _Learner:
    """Words as lists of pieces, and the counts of pairs in them, kept up as pairs are merged."""

    def __init__(self, known: set[str], words: Counter[tuple[str, ...]]) -> None:
        self._known = known
        ordered = sorted(words.items())
        self._words = [list(word) for word, _ in ordered]
        self._counts = [count for _, count in ordered]
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._places: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._heap: list[tuple[int, tuple[str, str]]] = []
        for number in range(len(self._words)):
            self._count(number, 1)
        for pair in list(self._pairs):
            self._push(pair)

    def learn(self, pieces: int) -> list[str]:
        """The texts of so many new pieces, in the order in which they are learned; fewer where there are no more."""
        found: list[str] = []
        while self._heap and len(found) < pieces:
            count, pair = heapq.heappop(self._heap)
            text = pair[0] + pair[1]
            if text in self._known:
                # SentencePiece joins whatever neighbours spell a piece.
                self._merge(pair)
                continue
            if -count != self._pairs[pair]:
                # What was counted when this was put here has become another pair in some word.
                self._push(pair)
                continue
            found.append(text)
            self._known.add(text)
            self._merge(pair)
        return found

    def _merge(self, pair: tuple[str, str]) -> None:
        changed: set[tuple[str, str]] = set()
        for number in sorted(self._places.pop(pair, ())):
            self._count(number, -1)
            word = self._words[number]
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == pair:
                    word[place : place + 2] = [pair[0] + pair[1]]
                place += 1
            self._count(number, 1)
            changed.update(pairwise(word))
        for other in changed:
            self._push(other)

    def _count(self, number: int, sign: int) -> None:
        word = self._words[number]
        for pair in pairwise(word):
            self._pairs[pair] += sign * self._counts[number]
            if sign > 0:
                self._places[pair].add(number)

    def _push(self, pair: tuple[str, str]) -> None:
        text = pair[0] + pair[1]
        if text in self._known:
            heapq.heappush(self._heap, (-(2**62), pair))
        elif self._pairs[pair] >= LEAST_COUNT and len(text.removeprefix(SPACE)) <= LONGEST_PIECE:
            heapq.heappush(self._heap, (-self._pairs[pair], pair))
