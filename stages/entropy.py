"""Entropy: drops text that says too little (boilerplate, one sentence over and over) or nothing at all (noise).

Measures of a document, each by itself (`annotate`):

- `bits`: Shannon entropy of the distribution of its units, log2 N - (1/N) sum c log2 c, plus the Miller-Madow
  correction (K - 1) / (2 N ln 2) for K distinct of N units (Miller 1955): a sample shows less than there is.
- `normalised`: bits / log2 min(N, NORMALISING_UNITS), cut to 0..1.
- `characters`: the same entropy of its code points.
- `order`: how much a character inside a word tells of the next: mutual information of neighbours in bits, over 64
  classes of characters. Running text of 500 languages in all scripts has over 0.55; random letters, digits, base64,
  random ideographs have under 0.25, whatever their distribution. Corrected for sample size as `bits` is, with the
  number of pairs that exist estimated from those seen once and twice (Chao 1984).
- `compression`: compressed by raw size of COMPRESSED_BYTES from the middle, by a codec that finds repeats and codes no
  single letters, so that letters without repeats don't shrink at all.
- `repetition`: share of its units that stand in a sequence of 5 units (10 where units are characters), or in a line,
  that occurred before. Sequences catch repeated sentences, lines catch menus; either alone misses the other.

What decides (`cuts`): a text of N units cannot have more than log2 N bits, and running text has about three quarters
of that. Where log2 N is not at least the usual `min_bits` of its language / ATTAINABLE, the text is short, and is
judged by `normalised`; another `min_bits` does not move this line, so that it can be fitted to the texts that it
judges. Where most units are characters of a script without spaces there are few kinds of unit (Thai has 5.8 bits, Khmer
6.8, Japanese 7.1), and `min_bits_unspaced` stands in for `min_bits`.

Thresholds cascade (see `curator.thresholds`); what the stage itself knows of languages is FEW_FORMS_BITS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from curator.kernel import inline_kernel, kernel
from curator.stage import Column, Columns, Cut, Parameters, Stage, State
from curator.text.segment import read_only
from curator.thresholds import ListLanguage, as_scores, thresholds_of
from curator.verdict import VerdictBuilder, Verdicts, round_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

_Scalar = TypeVar("_Scalar", bound=np.generic)

NORMALISING_UNITS = 1024
"""`normalised` compares with a text of this many units at most: beyond, entropy grows slower than log2 N anywhere."""

ATTAINABLE = 0.7
"""Running text of 200 to 1000 units reaches at least this share of log2 N (98 of 100 texts of a corpus of manuals)."""

JUDGED_UNITS = 16
"""A text of fewer units is judged by no measure of its units."""

EXCESS_UNITS = 128
EXCESS_FALLS_FROM = 512
EXCESS_PER_DOUBLING = 0.25
"""From EXCESS_UNITS units on, text in which hardly a word occurs twice is no running text. The longer a text, the more
words recur in it: from 512 units on, `max_excess` falls by a quarter of a bit for each doubling. Of 7,000 texts in 500
languages the nearest (in Finnish, Telugu, Malayalam) stay 0.17 bits below."""

MEASURED_UNITS = 1 << 17
"""Of a longer text, so many units from its middle are measured."""

ORDER_PAIRS = 200
ORDER_PAIRS_PER_CLASS = 8
"""Pairs of neighbours that `order` needs, in all and for each class of character that occurs (about 230 in Latin
letters, 500 in ideographs); with fewer, chance and structure cannot be told apart, and it is null."""

COMPRESSED_BYTES = 4096
COMPRESSION_LEVEL = -1
"""Of zstd. Negative levels leave literals as they are: clean text has 0.92 at most and random letters have 1. At level
1 clean text has up to 0.77 and random letters 0.6."""

COMPARABLE_BYTES = 1000
"""The ratio of a shorter text says more of the codec than of the text: it is null."""

SEQUENCE_UNITS = 5
SEQUENCE_CHARACTERS = 10

_FEW_FORMS = (
    "ada bci bi chj dga fj guu haw ktu ln maz mi niu nku ote pau rar sg sm tca tdt tji to tpi ty wwa zam zro ztu"
)
FEW_FORMS_BITS = dict.fromkeys(_FEW_FORMS.split(), 5.0)
"""Languages with few word forms, in which even the Universal Declaration of Human Rights has under 6.7 bits (Tahitian
6.2, Hawaiian 6.3; English has 7.5), so that the common `min_bits` would remove good text."""

MIN_BITS = 6.2
MIN_BITS_UNSPACED = 4.8

_CLASSES = 64
_CODE_POINTS = 0x110000
_LINE_FEED = 10
_TABULATED = 4096
_ZERO, _ONE, _SIX, _SEVEN = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(7)
_LOW_4, _LOW_5, _LOW_6, _LOW_15 = np.uint64(0x0F), np.uint64(0x1F), np.uint64(0x3F), np.uint64(0x7FFF)
_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = np.uint64(0xC0), np.uint64(0xE0), np.uint64(0xF0)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FREE = np.uint32(0xFFFFFFFF)
_UNSPACED = 8
"""`curator.text.segment.UNSPACED`."""


class Thresholds(Parameters):
    """Thresholds of a source or a language; those that are not given stay as they were."""

    min_bits: float | None = Field(default=None, ge=0)
    min_bits_unspaced: float | None = Field(default=None, ge=0)
    min_normalised: float | None = Field(default=None, ge=0, le=1)
    max_excess: float | None = None
    min_order: float | None = None
    min_characters: float | None = Field(default=None, ge=0)
    max_characters: float | None = Field(default=None, ge=0)
    min_compression: float | None = Field(default=None, ge=0)
    max_compression: float | None = Field(default=None, ge=0)
    max_repetition: float | None = Field(default=None, ge=0, le=1)


class SourceThresholds(Thresholds):
    """Thresholds of a source, and those of single languages in it."""

    languages: Mapping[ListLanguage, Thresholds] = Field(
        default_factory=dict, description="other thresholds by list language"
    )


class EntropyParameters(Thresholds):
    """The thresholds of the entropy stage. 6.2 bits is the product's own figure for `source: web`; the others are set
    so that less than one clean text in fifty falls in any language (benchmarks/entropy.py)."""

    min_bits: float | None = Field(default=MIN_BITS, ge=0, description="bits of the distribution of words")
    min_bits_unspaced: float | None = Field(
        default=MIN_BITS_UNSPACED,
        ge=0,
        description="bits of the distribution of units, where most of them are characters",
    )
    min_normalised: float | None = Field(default=0.55, ge=0, le=1, description="share of log2 N, for short texts")
    max_excess: float | None = Field(
        default=0.6, description="bits over log2 N, which words that never recur would reach"
    )
    min_order: float | None = Field(default=0.35, description="bits that a character tells of the next")
    min_characters: float | None = Field(default=2.5, ge=0, description="bits of the distribution of characters")
    max_characters: float | None = Field(default=10.5, ge=0, description="bits of the distribution of characters")
    min_compression: float | None = Field(default=0.08, ge=0, description="compressed by raw size")
    max_compression: float | None = Field(default=0.97, ge=0, description="compressed by raw size")
    max_repetition: float | None = Field(default=0.7, ge=0, le=1, description="share of units that occurred before")
    sources: Mapping[str, SourceThresholds] = Field(
        default_factory=dict, description="other thresholds by source group"
    )
    languages: Mapping[ListLanguage, Thresholds] = Field(
        default_factory=dict, description="other thresholds by list language"
    )


@dataclass(frozen=True)
class _Measures:
    bits: NDArray[np.float64]
    unspaced: NDArray[np.float64]
    repetition: NDArray[np.float64]
    characters: NDArray[np.float64]
    order: NDArray[np.float64]


def _column(
    name: str, about: str, threshold: str | None = None, drops: Literal["below", "above"] | None = None
) -> Column:
    return Column(f"entropy.{name}", pa.float64(), about, threshold=threshold, drops=drops)


class Entropy(Stage[EntropyParameters]):
    """See the module."""

    name = "entropy"
    about = "Drops boilerplate and noise by the entropy of words and characters, compression and repetition"
    parameters_type = EntropyParameters
    columns = (
        _column("bits", "entropy of the units in bits, corrected for sample size", "min_bits", "below"),
        _column("normalised", "bits as a share of what so many units can have", "min_normalised", "below"),
        _column("unspaced", "share of the units that are characters of a script without spaces"),
        _column("characters", "entropy of the code points in bits, corrected likewise", "max_characters", "above"),
        _column("order", "bits that a character tells of the next; null for a short text", "min_order", "below"),
        _column("compression", "compressed by raw size; null for a text under 1000 bytes", "min_compression", "below"),
        _column(
            "repetition", "share of the units in sequences or lines that occurred before", "max_repetition", "above"
        ),
    )
    rules: ClassVar[Mapping[str, str]] = {
        "entropy.low": "Its words are too few and too often the same: {score} bits of entropy, {threshold} are needed.",
        "entropy.low_normalised": (
            "For so short a text its words repeat too often: {score} of the possible entropy, {threshold} is needed."
        ),
        "entropy.high": (
            "Its words hardly ever recur, as they do in any running text: {score} bits of entropy, where a text of its "
            "length has at most {threshold}."
        ),
        "entropy.noise": (
            "Its characters follow each other at random: one tells {score} bits of the next, {threshold} are needed."
        ),
        "entropy.characters": "Its characters are too uniform or too varied: {score} bits, the limit is {threshold}.",
        "entropy.compression": "It compresses to {score} of its size, the limit is {threshold}.",
        "entropy.repetition": "A share of {score} of it is repeated, at most {threshold} is allowed.",
    }
    packages = ("zstandard",)

    def annotate(self, batch: Batch) -> Columns:
        """All measures of every document."""
        data, offsets = batch.text_buffer
        measures = _measure(batch, data, offsets)
        counts = batch.units.counts
        possible = np.log2(np.clip(counts, 2, NORMALISING_UNITS))
        normalised = np.clip(measures.bits / possible, 0.0, 1.0)
        compression = compression_ratios(data, offsets)
        values = {
            "entropy.bits": (measures.bits, None),
            "entropy.normalised": (normalised, counts < 2),
            "entropy.unspaced": (measures.unspaced, None),
            "entropy.characters": (measures.characters, None),
            "entropy.order": (measures.order, np.isnan(measures.order)),
            "entropy.compression": (compression, np.diff(offsets) < COMPARABLE_BYTES),
            "entropy.repetition": (measures.repetition, None),
        }
        return {name: pa.array(round_score(value), mask=mask) for name, (value, mask) in values.items()}

    def cuts(self, batch: Batch, columns: Columns) -> Sequence[Cut]:
        """Each threshold with the documents that it judges, in the order of `rules`."""
        units = columns["units"].to_numpy()
        score = {column.name: as_scores(columns, column.name) for column in self.columns}
        unspaced = score["entropy.unspaced"] > 0.5
        judged = units >= JUDGED_UNITS
        usual = np.full(len(batch), MIN_BITS)
        for language in set(batch.languages.names) & set(FEW_FORMS_BITS):
            usual[batch.languages.mask(language)] = FEW_FORMS_BITS[language]
        long = np.log2(np.maximum(units, 1)) >= np.where(unspaced, MIN_BITS_UNSPACED, usual) / ATTAINABLE
        bits = score["entropy.bits"]
        excess = round_score(bits - _log2_of_running_text(units))
        every = np.ones_like(judged)
        found: tuple[tuple[str, Literal["below", "above"], NDArray[np.float64], NDArray[np.bool_]], ...] = (
            ("min_bits", "below", bits, judged & long & ~unspaced),
            ("min_bits_unspaced", "below", bits, judged & long & unspaced),
            ("min_normalised", "below", score["entropy.normalised"], judged & ~long),
            ("max_excess", "above", excess, units >= EXCESS_UNITS),
            ("min_order", "below", score["entropy.order"], every),
            ("min_characters", "below", score["entropy.characters"], judged),
            ("max_characters", "above", score["entropy.characters"], judged),
            ("min_compression", "below", score["entropy.compression"], every),
            ("max_compression", "above", score["entropy.compression"], every),
            ("max_repetition", "above", score["entropy.repetition"], judged),
        )
        known = {"min_bits": FEW_FORMS_BITS}
        return [
            Cut(
                name,
                drops,
                np.where(looks, value, np.nan),
                thresholds_of(batch, self.parameters, name, known.get(name)),
            )
            for name, drops, value, looks in found
        ]

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """A drop for each document that a threshold rules out; the first rule in the order of `rules` is named."""
        builder = VerdictBuilder(len(batch))
        for cut in self.cuts(batch, columns):
            score, limit = cut.score, cut.limit
            if cut.parameter == "max_excess":  # told in bits, as people know them
                running = _log2_of_running_text(columns["units"].to_numpy())
                score, limit = as_scores(columns, "entropy.bits"), running + limit
            builder.drop(cut.outside(), _RULE_OF[cut.parameter], score, limit)
        return builder.build()


_RULE_OF = {
    "min_bits": "entropy.low",
    "min_bits_unspaced": "entropy.low",
    "min_normalised": "entropy.low_normalised",
    "max_excess": "entropy.high",
    "min_order": "entropy.noise",
    "min_characters": "entropy.characters",
    "max_characters": "entropy.characters",
    "min_compression": "entropy.compression",
    "max_compression": "entropy.compression",
    "max_repetition": "entropy.repetition",
}


def _log2_of_running_text(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The bits over which `max_excess` counts: log2 N, less what a longer text repeats of itself: float64[rows]."""
    doublings = np.log2(np.maximum(units, EXCESS_FALLS_FROM) / EXCESS_FALLS_FROM)
    running: NDArray[np.float64] = np.log2(np.maximum(units, 1)) - EXCESS_PER_DOUBLING * doublings
    return running


def compression_ratios(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compressed by raw size of the middle of each text: float64[texts], 1 for an empty one."""
    import zstandard

    sizes = np.diff(offsets)
    ratios = np.ones(len(sizes), dtype=np.float64)
    rows = np.flatnonzero(sizes > 0)
    if len(rows) == 0:
        return ratios
    lengths = np.minimum(sizes[rows], COMPRESSED_BYTES)
    begins = offsets[rows] + (sizes[rows] - lengths) // 2
    # Segments are pairs of uint64, offset and length (python-zstandard, BufferWithSegments).
    segments = np.stack([begins, lengths], axis=1).astype(np.uint64).tobytes()
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_content_size=False)
    compressed = compressor.multi_compress_to_buffer(zstandard.BufferWithSegments(data.data, segments))
    ratios[rows] = np.array([len(compressed[row]) for row in range(len(rows))], dtype=np.float64) / lengths
    return ratios


def _measure(batch: Batch, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> _Measures:
    units = batch.units
    data, offsets = read_only(data), read_only(offsets)
    table, classes = _tables()
    measures = _Measures(*(np.zeros(len(batch), dtype=np.float64) for _ in range(5)))
    _measure_units(
        data,
        units.offsets,
        units.hashes,
        units.starts,
        units.ends,
        units.kinds,
        table,
        measures.bits,
        measures.unspaced,
        measures.repetition,
    )
    _measure_characters(data, offsets, classes, table, measures.characters, measures.order)
    return measures


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """c log2 c for small c, and the class of each ASCII character in `order`: letters by their place in the alphabet,
    each digit its own, 64 (none) for what is not inside a word. Other code points have that of their last six bits."""
    counts = np.arange(_TABULATED, dtype=np.float64)
    counts[1:] *= np.log2(counts[1:])
    classes = np.full(128, _CLASSES, dtype=np.uint8)
    for code in range(128):
        if chr(code).isalpha():
            classes[code] = code & 31
        elif chr(code).isdigit():
            classes[code] = 32 + code - ord("0")
    return counts, classes


@inline_kernel
def _table_size(entries: int) -> int:
    """A power of two that is at least twice `entries`."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@kernel
def _measure_units(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    table: NDArray[np.float64],
    bits: NDArray[np.float64],
    unspaced: NDArray[np.float64],
    repetition: NDArray[np.float64],
) -> None:
    texts = offsets.shape[0] - 1
    longest = 0
    for text in range(texts):
        longest = max(longest, min(offsets[text + 1] - offsets[text], MEASURED_UNITS))
    slots = np.empty(_table_size(longest), dtype=np.uint32)
    seen = np.empty(_table_size(longest), dtype=np.uint64)
    counts = np.empty(longest, dtype=np.uint32)
    covered = np.empty(longest, dtype=np.uint8)
    breaks = np.empty(longest, dtype=np.uint8)
    for text in range(texts):
        total = offsets[text + 1] - offsets[text]
        if total == 0:
            continue
        # Unsigned where an array is looked into: Numba tests a signed index for being negative.
        measured = min(total, MEASURED_UNITS)
        count = np.uint64(measured)
        first = np.uint64(offsets[text] + (total - measured) // 2)
        size = _table_size(measured)
        mask = np.uint64(size - 1)

        # Occurrences of each unit, kept at the place of its first. A free slot seems to be held by the unit at hand, so
        # that one comparison ends the search, whether the unit is known or new.
        for slot in range(size):
            slots[slot] = _FREE
        characters = 0
        distinct = 0
        last = count - _ONE
        for place in range(count):
            value = hashes[first + place]
            slot = value & mask
            holder = min(slots[slot], place)
            while hashes[first + holder] != value:
                slot = (slot + _ONE) & mask
                holder = min(slots[slot], place)
            slots[slot] = holder
            counts[place] = 0
            counts[holder] += 1
            distinct += 1 if holder == place else 0
            characters += 1 if kinds[first + place] & _UNSPACED else 0
            byte = np.uint64(ends[first + place])
            stop = np.uint64(starts[first + place + _ONE]) if place < last else byte
            while byte < stop and data[byte] != _LINE_FEED:
                byte += _ONE
            breaks[place] = 1 if byte < stop or place == last else 0

        # What has a unit that occurs once occurs once itself. Sequences and lines without one are counted, and looked
        # up where there are two.
        length = np.uint64(SEQUENCE_CHARACTERS if 2 * characters > count else SEQUENCE_UNITS)
        weighted = 0.0
        sequences = 0
        lines = 0
        run = _ZERO
        recurs = np.uint8(1)
        for place in range(count):
            covered[place] = 0
            times = counts[place]
            weighted += table[times] if times < _TABULATED else times * np.log2(times)
            run = run + _ONE if times != 1 else _ZERO
            sequences += 1 if run >= length else 0
            recurs &= np.uint8(times != 1)
            lines += recurs & breaks[place]
            recurs |= breaks[place]
        correction = (distinct - 1) / (2.0 * count * np.log(2.0))
        bits[text] = np.log2(count) - weighted / count + correction if distinct > 1 else 0.0
        unspaced[text] = characters / count

        # Sequences that occurred before: a polynomial of the hashes, rolled along.
        if sequences > 1:
            size = _table_size(sequences)
            mask = np.uint64(size - 1)
            for slot in range(size):
                seen[slot] = 0
            leading = np.uint64(1)
            for _ in range(length):
                leading *= _MULTIPLIER
            value = np.uint64(0)
            run = _ZERO
            until = _ZERO
            for place in range(count):
                value = value * _MULTIPLIER + hashes[first + place]
                if place >= length:
                    value -= leading * hashes[first + place - length]
                run = run + _ONE if counts[place] != 1 else _ZERO
                if run >= length and _insert(value, seen, mask):
                    for unit in range(max(place + _ONE - length, until), place + _ONE):
                        covered[unit] = 1
                    until = place + _ONE

        # Lines that occurred before.
        if lines > 1:
            size = _table_size(lines)
            mask = np.uint64(size - 1)
            for slot in range(size):
                seen[slot] = 0
            value = np.uint64(0)
            begin = _ZERO
            recurs = np.uint8(1)
            for place in range(count):
                value = (value + hashes[first + place]) * _MULTIPLIER
                recurs &= np.uint8(counts[place] != 1)
                if breaks[place] > 0:
                    if recurs and _insert(value, seen, mask):
                        for unit in range(begin, place + _ONE):
                            covered[unit] = 1
                    begin = place + _ONE
                    value = np.uint64(0)
                    recurs = np.uint8(1)
        repeated = 0
        for place in range(count):
            repeated += covered[place]
        repetition[text] = repeated / count


@inline_kernel
def _insert(value: np.uint64, seen: NDArray[np.uint64], mask: np.uint64) -> bool:
    """Put a value into the set; whether it was there. 0 marks a free slot."""
    value ^= value >> np.uint64(32)
    value *= _MULTIPLIER
    value ^= value >> np.uint64(29)
    value |= np.uint64(1)
    slot = (value >> np.uint64(1)) & mask
    while seen[slot] != 0:
        if seen[slot] == value:
            return True
        slot = (slot + np.uint64(1)) & mask
    seen[slot] = value
    return False


@kernel
def _measure_characters(
    data: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    classes: NDArray[np.uint8],
    table: NDArray[np.float64],
    bits: NDArray[np.float64],
    order: NDArray[np.float64],
) -> None:
    texts = offsets.shape[0] - 1
    longest = 0
    for text in range(texts):
        longest = max(longest, min(offsets[text + 1] - offsets[text], _CODE_POINTS))
    counts = np.zeros(_CODE_POINTS, dtype=np.uint32)
    met = np.empty(longest, dtype=np.uint32)
    # A pair is former * 128 + latter. Those of class 64, which is none, seem to be known from the first, so that they
    # are never among those that are met.
    pairs = np.zeros((_CLASSES + 1) * 128, dtype=np.uint32)
    for index in range(_CLASSES + 1):
        pairs[index * 128 + _CLASSES] = 1
        pairs[_CLASSES * 128 + index] = 1
    met_pairs = np.empty(_CLASSES * _CLASSES + 1, dtype=np.uint16)
    formers = np.zeros(_CLASSES, dtype=np.uint32)
    latters = np.zeros(_CLASSES, dtype=np.uint32)
    for text in range(texts):
        # Unsigned throughout: Numba lets a negative index count from the end, and tests each signed one for it.
        place, end = np.uint64(offsets[text]), np.uint64(offsets[text + 1])
        distinct = _ZERO
        pair_kinds = _ZERO
        former = np.uint64(_CLASSES)
        while place < end:
            code = np.uint64(data[place])
            if code < _TWO_BYTES:
                found = np.uint64(classes[code])
                place += _ONE
            else:
                if code < _THREE_BYTES:
                    code = (code & _LOW_5) << _SIX | (np.uint64(data[place + _ONE]) & _LOW_6)
                    place += _ONE + _ONE
                else:
                    second = (np.uint64(data[place + _ONE]) & _LOW_6) << _SIX
                    code = (code & _LOW_4) << _SIX << _SIX | second | (np.uint64(data[place + _ONE + _ONE]) & _LOW_6)
                    place += _ONE + _ONE + _ONE
                    if data[place - _ONE - _ONE - _ONE] >= _FOUR_BYTES:
                        code = (code & _LOW_15) << _SIX | (np.uint64(data[place]) & _LOW_6)
                        place += _ONE
                found = code & _LOW_6
            times = counts[code]
            if times == 0:
                met[distinct] = code
                distinct += _ONE
            counts[code] = times + 1
            pair = former << _SEVEN | found
            times = pairs[pair]
            # Most kinds of pairs are met once or twice, so that a branch would often be foretold wrongly.
            met_pairs[pair_kinds] = pair
            pair_kinds += _ONE if times == 0 else _ZERO
            pairs[pair] = times + 1
            former = found

        characters = 0
        weighted = 0.0
        for index in range(distinct):
            code = met[index]
            times = counts[code]
            counts[code] = 0
            characters += times
            weighted += table[times] if times < _TABULATED else times * np.log2(times)
        if distinct > 1:
            correction = (distinct - 1) / (2.0 * characters * np.log(2.0))
            bits[text] = np.log2(characters) - weighted / characters + correction

        total = 0
        once = 0
        twice = 0
        weighted = 0.0
        for index in range(pair_kinds):
            pair = np.uint64(met_pairs[index])
            times = pairs[pair]
            pairs[pair] = 0
            total += times
            once += 1 if times == 1 else 0
            twice += 1 if times == 2 else 0
            weighted += table[times] if times < _TABULATED else times * np.log2(times)
            formers[pair >> _SEVEN] += times
            latters[pair & _LOW_6] += times
        former_kinds = 0
        latter_kinds = 0
        for index in range(_CLASSES):
            times = formers[index]
            formers[index] = 0
            former_kinds += 1 if times > 0 else 0
            weighted -= table[times] if times < _TABULATED else times * np.log2(times)
        for index in range(_CLASSES):
            times = latters[index]
            latters[index] = 0
            latter_kinds += 1 if times > 0 else 0
            weighted -= table[times] if times < _TABULATED else times * np.log2(times)
        order[text] = np.nan
        if total >= max(ORDER_PAIRS, ORDER_PAIRS_PER_CLASS * former_kinds):
            kinds = np.int64(pair_kinds)
            possible = min(kinds + once * (once - 1) / (2.0 * (twice + 1)), 1.0 * former_kinds * latter_kinds)
            bias = (possible - former_kinds - latter_kinds + 1) / (2.0 * total * np.log(2.0))
            order[text] = np.log2(total) + weighted / total - bias
