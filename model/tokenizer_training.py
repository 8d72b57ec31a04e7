"""Trains a SentencePiece tokenizer on the shards of runs.

What it sees is a sample with a quota of bytes for each language, by an exponent over their sizes, so that a language
with little text still gets tokens. Which documents are in it is a hash of seed and key: the same runs give the same
bytes. Text comes out of it as it went in: no normalisation, no spaces removed, bytes for characters without a token.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.errors import UserError
from curator.keys import random_words
from curator.training import TokenizerSection
from model.data.shards import Corpus, RowGroup

LINE_BYTES = 1 << 14
"""A longer line is cut: SentencePiece's time for a sentence is not linear in its length."""
CHARACTER_COVERAGE = 0.9995
"""Share of the text whose characters get tokens: what SentencePiece recommends for large character sets."""
CHARACTER_SHARE = 0.5
"""At most this share of the vocabulary goes to single characters; the others are spelled in bytes."""
RESERVED = 259
"""256 bytes, and the tokens unknown, begin and end."""


@dataclass(frozen=True)
class TrainedTokenizer:
    """A SentencePiece model, and how many bytes of each language it was trained on."""

    data: bytes
    sample_bytes: dict[str, int]


def train_tokenizer(corpora: Sequence[Corpus], section: TokenizerSection, seed: int) -> TrainedTokenizer:
    """Train on a sample of the corpora. UserError when the package is missing or there is too little text."""
    try:
        from sentencepiece import SentencePieceTrainer
    except ModuleNotFoundError as error:
        hint = "pip install 'curator-corpora[tokenizer]'"
        raise UserError("the package sentencepiece is not installed", hint=hint) from error
    texts, sample_bytes = _sample(corpora, section, seed)
    lines = list(_covered(list(_lines(texts)), section.vocabulary))
    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=section.vocabulary,
            model_type=section.kind,
            byte_fallback=True,
            # SentencePiece covers 0.98 of the characters at least; how many get tokens is decided before.
            character_coverage=1.0,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            split_digits=True,
            max_sentence_length=2 * LINE_BYTES,
            shuffle_input_sentence=False,
            # More threads sum floats in another order, and another vocabulary comes out.
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"{sum(sample_bytes.values()):,} bytes of text are too little for a tokenizer of {section.vocabulary:,}",
            hint="make tokenizer.vocabulary smaller, or give more text",
        ) from error
    return TrainedTokenizer(model.getvalue(), dict(sorted(sample_bytes.items())))


def quotas(sizes: dict[str, int], alpha: float, total: int) -> dict[str, int]:
    """Bytes of each language: in proportion to size^alpha, none above its size; what that leaves goes to the others."""
    left, budget = dict(sizes), total
    found: dict[str, int] = {}
    while left:
        scale = sum(size**alpha for size in left.values())
        full = [name for name, size in left.items() if size <= budget * size**alpha / scale]
        if not full:
            return found | {name: int(budget * size**alpha / scale) for name, size in left.items()}
        for name in full:
            found[name] = left.pop(name)
            budget -= found[name]
    return found


def _sample(corpora: Sequence[Corpus], section: TokenizerSection, seed: int) -> tuple[list[str], dict[str, int]]:
    """The documents of the sample in the order of the shards, and the bytes of each language."""
    groups = [(corpus, group) for corpus in corpora for group in corpus.groups]
    ranks, sizes, languages, owners = [], [], [], []
    names: dict[str, int] = {}
    for number, (corpus, group) in enumerate(groups):
        table = _originals(corpus, group)
        ranks.append(random_words(seed, "tokenizer", corpus.keys_of(table)))
        sizes.append(pc.binary_length(table["text"]).to_numpy())
        languages.append(np.array([names.setdefault(name, len(names)) for name in table["lang"].to_pylist()], np.int64))
        owners.append(np.full(len(table), number))
    rank, size, language, owner = (np.concatenate([*arrays, []]) for arrays in (ranks, sizes, languages, owners))
    total = np.bincount(language.astype(np.int64), size, len(names))
    quota = quotas({name: int(total[place]) for name, place in names.items()}, section.alpha, section.sample_bytes)
    chosen = np.zeros(len(rank), bool)
    for name, place in names.items():
        rows = np.flatnonzero(language == place)
        rows = rows[np.argsort(rank[rows], kind="stable")]
        before = np.cumsum(size[rows]) - size[rows]
        chosen[rows[before < quota[name]]] = True
    texts: list[str] = []
    for number, (corpus, group) in enumerate(groups):
        mask = chosen[owner == number]
        if mask.any():
            texts.extend(_originals(corpus, group)["text"].filter(pa.array(mask)).to_pylist())
    sampled = np.bincount(language[chosen].astype(np.int64), size[chosen], len(names))
    return texts, {name: int(sampled[place]) for name, place in names.items() if sampled[place]}


def _originals(corpus: Corpus, group: RowGroup) -> pa.Table:
    """The documents of a row group without copies: a tokenizer learns nothing from a text that it has seen."""
    table = corpus.read(group, ("key", "text", "lang", "copy"))
    return table.filter(pc.equal(table["copy"], 0))


def _lines(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for line in text.split("\n"):
            for begin in range(0, len(line), LINE_BYTES // 4):
                piece = line[begin : begin + LINE_BYTES // 4]
                if piece.strip():
                    yield piece


def _covered(lines: Sequence[str], vocabulary: int) -> Iterator[str]:
    """The lines, cut where a character stands that gets no token, so that single characters leave room for others."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    room = int(CHARACTER_SHARE * max(vocabulary - RESERVED, 2))
    left = CHARACTER_COVERAGE * counts.total()
    rare = {}
    for place, (character, count) in enumerate(sorted(counts.items(), key=lambda item: (-item[1], item[0]))):
        if place >= room or left <= 0:
            rare[ord(character)] = "\n"
        left -= count
    for line in lines:
        yield from (piece for piece in line.translate(rare).split("\n") if piece.strip())
