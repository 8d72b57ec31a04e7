"""The text of a sample as distinct words and how often each counts, for SentencePiece's unigram.

Unigram looks for its first pieces in a suffix array of the text in which every line stands as often as it counts: 14
bytes of memory a byte (SentencePiece 0.2.3). A piece never holds a space but at its begin, so words tell it all that
lines do. What they count is scaled down until the text of all of them keeps to a budget; that is a sample of the text,
in which a word that counts less than once is there or not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from model.vocabulary.sample import LINE_BYTES, Sample, rare_characters

WORDS_BYTES = 32_000_000
"""Text that SentencePiece sees, each word as often as it counts: half a gigabyte there."""


def words_of(sample: Sample, vocabulary: int, budget_bytes: int = WORDS_BYTES) -> Iterator[str]:
    """What SentencePiece reads in its format `tsv`: a word, a tab, how often it counts; in their order.

    A word that stands for less than one is left out, in such a way that among neighbours in the order the sum is kept.
    """
    counts = _count_words(sample, vocabulary)
    words = sorted(counts)
    until = np.cumsum(np.array([counts[word] for word in words], dtype=np.int64))
    size = sum(count * (len(word.encode()) + 1) for word, count in counts.items())
    step = -(-size // budget_bytes) or 1
    for word, count in zip(words, np.diff(until // step, prepend=0).tolist(), strict=True):
        if count:
            yield f"{word}\t{count}"


def _count_words(sample: Sample, vocabulary: int) -> Counter[str]:
    """How often each word counts. Words end at spaces, and where lines are cut: at tabs, line feeds and characters that
    get no token."""
    separator = re.compile(f"[ \n\t{rare_characters(sample, vocabulary)}]+")
    own: dict[str, Counter[str]] = {name: Counter() for name in sample.counts_of}
    for text, name in zip(sample.texts, sample.languages, strict=True):
        own[name].update(separator.split(text))
    longest = LINE_BYTES // 4
    total: Counter[str] = Counter()
    for name, words in own.items():
        for word, times in words.items():
            for begin in range(0, len(word), longest):
                total[word[begin : begin + longest]] += times * sample.counts_of[name]
    return total
