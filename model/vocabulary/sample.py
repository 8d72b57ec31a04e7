"""The text that a tokenizer is trained on: distinct originals of runs, and how often each language's text counts.

Two things are apart. How much text a language gives is a quota of the sample, so that memory is bounded; how much it
counts is its size before the run's sampling to the power of alpha. Where a language has less text than its share, its
text counts more often; so the exponent acts whatever the sizes, and once: the manifest has the tokens of each language
before the stage `sampling` mixed them.

What is read: rows that are neither a copy nor derived from another document. Memory follows the sample: a row group at
a time, and of each document of the sample a rank, a size and a place.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curator.keys import random_fractions, random_words
from curator.language.tags import list_language
from curator.run.directory import RunDirectory
from curator.run.manifest import load_manifest
from curator.storage.path import as_path
from model.data.shards import Corpus, RowGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE_BYTES = 1 << 14
"""A longer line is cut: SentencePiece's time for a sentence is not linear in its length."""
CHARACTER_COVERAGE = 0.9995
"""Share of the text whose characters get tokens: what SentencePiece recommends for large character sets."""
CHARACTER_SHARE = 0.5
"""At most this share of the vocabulary goes to single characters; the others are spelled in bytes."""
RESERVED = 259
"""256 bytes, and the tokens unknown, begin and end."""
COUNT_STEPS = 16
"""The text that counts least counts so often: others are rounded to whole numbers, by 3% at most."""

_COLUMNS = ("key", "text", "lang", "copy", "parent", "tokens")
_PENDING = 1 << 16


@dataclass(frozen=True)
class LanguageSize:
    """A language in the originals of runs: their bytes, and the bytes that there were before sampling."""

    bytes: int
    bytes_before_sampling: float


@dataclass(frozen=True)
class Sample:
    """Texts in the order of the shards, the language of each, the bytes of each language, how often its text counts."""

    texts: list[str]
    languages: list[str]
    bytes_of: dict[str, int]
    counts_of: dict[str, int]


def _say_nothing() -> None:
    """Who reads row groups need not tell of each."""


def measure_languages(
    corpora: Sequence[Corpus], on_group: Callable[[], None] = _say_nothing
) -> dict[str, LanguageSize]:
    """The size of each language, by primary subtag as the sampling has it. `on_group` is called after each group."""
    found: dict[str, LanguageSize] = {}
    for corpus in corpora:
        size: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for group in corpus.groups:
            table = _originals(corpus, group)
            names = [list_language(tag) for tag in table["lang"].to_pylist()]
            for name, length, units in zip(names, _sizes(table).tolist(), table["tokens"].to_pylist(), strict=True):
                size[name] += length
                tokens[name] += units
            on_group()
        before = _tokens_before_sampling(corpus)
        for name in size:
            # Sampling leaves out documents of large languages: as many times as it left tokens out, there were bytes.
            times = before[name] / tokens[name] if name in before and tokens[name] else 1.0
            old = found.get(name, LanguageSize(0, 0.0))
            found[name] = LanguageSize(old.bytes + size[name], old.bytes_before_sampling + size[name] * times)
    return dict(sorted(found.items()))


def quotas(sizes: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Bytes of each language: in proportion to its weight, none above its size; what that leaves goes to the others."""
    left, budget = dict(sizes), total
    found: dict[str, int] = {}
    while left:
        scale = sum(weights[name] for name in left)
        full = [name for name, size in left.items() if size * scale <= budget * weights[name]]
        if not full:
            return found | {name: int(budget * weights[name] / scale) for name in left}
        for name in full:
            found[name] = left.pop(name)
            budget -= found[name]
    return found


def mix_weights(sizes: Mapping[str, LanguageSize], alpha: float) -> dict[str, float]:
    """The share of each language in the mix: its size before sampling to the power of alpha, 1 in all."""
    powers = {name: size.bytes_before_sampling**alpha if size.bytes else 0.0 for name, size in sizes.items()}
    total = sum(powers.values()) or 1.0
    return {name: power / total for name, power in powers.items()}


def counts_of_text(taken: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    """How often the text of each language counts, so that languages stand in the proportion of their weights."""
    need = {name: weights[name] / size for name, size in taken.items() if size}
    least = min(need.values(), default=1.0) or 1.0
    return {name: round(COUNT_STEPS * value / least) for name, value in need.items()}


@dataclass
class _Chosen:
    """The documents of a language with the lowest ranks, as many as its quota takes."""

    quota: int
    parts: list[tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]] = field(default_factory=list)
    pending: int = 0
    limit: int = 2**64 - 1

    def add(self, ranks: NDArray[np.uint64], sizes: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        mask = ranks <= np.uint64(self.limit)
        self.parts.append((ranks[mask], sizes[mask], places[mask]))
        self.pending += int(mask.sum())
        if self.pending > _PENDING:
            self.cut()

    def cut(self) -> NDArray[np.int64]:
        """Drop what is above the quota; the places (row group, row) of what is left: int64[n, 2]."""
        if not self.parts:
            return np.empty((0, 2), np.int64)
        ranks, sizes, places = (np.concatenate(arrays) for arrays in zip(*self.parts, strict=True))
        order = np.argsort(ranks, kind="stable")
        before = np.cumsum(sizes[order]) - sizes[order]
        order = order[before < self.quota]
        self.parts = [(ranks[order], sizes[order], places[order])]
        self.pending = 0
        if len(order) and sizes[order].sum() >= self.quota:
            self.limit = int(ranks[order[-1]])
        return np.asarray(places[order])


def take_sample(
    corpora: Sequence[Corpus],
    sizes: Mapping[str, LanguageSize],
    *,
    alpha: float,
    sample_bytes: int,
    seed: int,
    held_out: float = 0.0,
    on_group: Callable[[], None] = _say_nothing,
) -> Sample:
    """A sample of about `sample_bytes`: which documents are in it is a hash of seed and key. `on_group` is called twice
    for each row group: when its documents were ranked, and when those of the sample were taken.

    Documents whose hash is in the share `held_out` are left out; `take_held_out` takes them.
    """
    weights = mix_weights(sizes, alpha)
    quota = quotas({name: size.bytes for name, size in sizes.items()}, weights, sample_bytes)
    texts, languages = _take(corpora, quota, seed, held_out, wanted=False, on_group=on_group)
    taken: Counter[str] = Counter()
    for text, name in zip(texts, languages, strict=True):
        taken[name] += len(text.encode())
    return Sample(texts, languages, dict(sorted(taken.items())), counts_of_text(taken, weights))


def take_held_out(
    corpora: Sequence[Corpus], sizes: Mapping[str, LanguageSize], *, each_bytes: int, seed: int, share: float
) -> dict[str, list[str]]:
    """Texts of each language that `take_sample` leaves out for the same seed and share, about `each_bytes` of each."""
    texts, languages = _take(corpora, dict.fromkeys(sizes, each_bytes), seed, share, wanted=True)
    found: dict[str, list[str]] = {}
    for text, name in zip(texts, languages, strict=True):
        found.setdefault(name, []).append(text)
    return dict(sorted(found.items()))


def lines_of(sample: Sample, vocabulary: int) -> Iterator[str]:
    """What SentencePiece reads in its format `tsv`: a line, a tab, how often it counts.

    Lines are cut where a character stands that gets no token, so that single characters leave room for others, and at
    tabs.
    """
    separator = re.compile(f"[\n\t{rare_characters(sample, vocabulary)}]+")
    step = LINE_BYTES // 4
    for text, name in zip(sample.texts, sample.languages, strict=True):
        count = sample.counts_of[name]
        for line in separator.split(text):
            for begin in range(0, len(line), step):
                piece = line[begin : begin + step]
                if piece.strip():
                    yield f"{piece}\t{count}"


def rare_characters(sample: Sample, vocabulary: int) -> str:
    """Characters that get no token, as they stand in a class of a regular expression."""
    own: dict[str, Counter[str]] = {name: Counter() for name in sample.counts_of}
    for text, name in zip(sample.texts, sample.languages, strict=True):
        own[name].update(text)
    counts: Counter[str] = Counter()
    for name, times in sample.counts_of.items():
        counts.update({character: count * times for character, count in own[name].items()})
    room = int(CHARACTER_SHARE * max(vocabulary - RESERVED, 2))
    left = CHARACTER_COVERAGE * counts.total()
    rare = []
    for place, (character, count) in enumerate(sorted(counts.items(), key=lambda item: (-item[1], item[0]))):
        if place >= room or left <= 0:
            rare.append(re.escape(character))
        left -= count
    return "".join(rare)


def _take(
    corpora: Sequence[Corpus],
    quota: Mapping[str, int],
    seed: int,
    held_out: float,
    *,
    wanted: bool,
    on_group: Callable[[], None] = _say_nothing,
) -> tuple[list[str], list[str]]:
    groups = [(corpus, group) for corpus in corpora for group in corpus.groups]
    chosen = {name: _Chosen(size) for name, size in quota.items()}
    for number, (corpus, group) in enumerate(groups):
        table = _originals(corpus, group)
        keys = corpus.keys_of(table)
        ranks, sizes = random_words(seed, "tokenizer", keys), _sizes(table)
        apart = random_fractions(seed, "tokenizer.held_out", keys) < held_out
        names = np.array([list_language(tag) for tag in table["lang"].to_pylist()], object)
        for name in sorted(set(names.tolist()) & set(chosen)):
            rows = np.flatnonzero((names == name) & (apart == wanted))
            chosen[name].add(ranks[rows], sizes[rows], np.stack([np.full(len(rows), number), rows], axis=1))
        on_group()
    places = np.concatenate([np.empty((0, 2), np.int64), *(found.cut() for found in chosen.values())])
    texts: list[str] = []
    languages: list[str] = []
    of_sample = frozenset(places[:, 0].tolist())
    for number, (corpus, group) in enumerate(groups):
        if number in of_sample:
            rows = np.sort(places[places[:, 0] == number, 1])
            table = _originals(corpus, group).select(["text", "lang"]).take(pa.array(rows))
            texts += table["text"].to_pylist()
            languages += [list_language(tag) for tag in table["lang"].to_pylist()]
        on_group()
    return texts, languages


def _originals(corpus: Corpus, group: RowGroup) -> pa.Table:
    """The documents of a row group that are neither copies nor derived: a tokenizer learns nothing from a text that it
    has seen, and the words of a translator are not those of the language."""
    table = corpus.read(group, _COLUMNS)
    return table.filter(pc.and_(pc.equal(table["copy"], 0), pc.is_null(table["parent"])))


def _sizes(table: pa.Table) -> NDArray[np.int64]:
    return np.asarray(pc.binary_length(table["text"]).to_numpy(), np.int64)


def _tokens_before_sampling(corpus: Corpus) -> dict[str, int]:
    """Tokens of each language that entered the stage `sampling` of the run; empty where it has none."""
    manifest = load_manifest(RunDirectory(as_path(corpus.root)).manifest)
    facts = cast("Mapping[str, Mapping[str, object]]", manifest["facts"]).get("sampling", {})
    rows = cast("Sequence[Mapping[str, object]]", facts.get("languages", ()))
    return {cast("str", row["language"]): cast("int", row["tokens"]) for row in rows}
