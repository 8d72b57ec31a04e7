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
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa

from curator.document import UNDETERMINED
from curator.stage import Column, Columns, Cut, Stage, State
from curator.thresholds import as_scores, thresholds_of
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.entropy.characters import measure_characters
from stages.entropy.compression import compression_ratios
from stages.entropy.parameters import FEW_FORMS_BITS, MIN_BITS, MIN_BITS_UNSPACED, UNDETERMINED_BITS, EntropyParameters
from stages.entropy.units import measure_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch

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
            "Its words hardly ever recur, as those of running text do: {score} bits of entropy, where a text of its "
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
        bits, unspaced, repetition = measure_units(batch.units, data)
        characters, order = measure_characters(data, offsets)
        counts = batch.units.counts
        possible = np.log2(np.clip(counts, 2, NORMALISING_UNITS))
        normalised = np.clip(bits / possible, 0.0, 1.0)
        compression = compression_ratios(data, offsets)
        values = {
            "entropy.bits": (bits, None),
            "entropy.normalised": (normalised, counts < 2),
            "entropy.unspaced": (unspaced, None),
            "entropy.characters": (characters, None),
            "entropy.order": (order, np.isnan(order)),
            "entropy.compression": (compression, np.isnan(compression)),
            "entropy.repetition": (repetition, None),
        }
        return {name: pa.array(round_score(value), mask=mask) for name, (value, mask) in values.items()}

    def cuts(self, batch: Batch, columns: Columns) -> Sequence[Cut]:
        """Each threshold with the documents that it judges, in the order of `rules`."""
        units = columns["units"].to_numpy()
        score = {column.name: as_scores(columns, column.name) for column in self.columns}
        unspaced = score["entropy.unspaced"] > 0.5
        judged = units >= JUDGED_UNITS
        usual = np.full(len(batch), MIN_BITS)
        for language, fewer in _known_bits(MIN_BITS).items():
            if language in batch.languages.names:
                usual[batch.languages.mask(language)] = fewer
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
        known = {"min_bits": _known_bits(self.parameters.min_bits or 0.0)}
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


def _known_bits(min_bits: float) -> dict[str, float]:
    """`min_bits` of languages with few word forms, and of documents whose language is not known."""
    return {**FEW_FORMS_BITS, UNDETERMINED: max(round(min_bits - UNDETERMINED_BITS, 6), 0.0)}


def _log2_of_running_text(units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The bits over which `max_excess` counts: log2 N, less what a longer text repeats of itself: float64[rows]."""
    doublings = np.log2(np.maximum(units, EXCESS_FALLS_FROM) / EXCESS_FALLS_FROM)
    running: NDArray[np.float64] = np.log2(np.maximum(units, 1)) - EXCESS_PER_DOUBLING * doublings
    return running
