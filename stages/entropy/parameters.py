"""Thresholds of the entropy stage, and what it knows itself of languages and lengths."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from curator.stage import Parameters
from curator.thresholds import ListLanguage

_FEW_FORMS = (
    "ada bci bi chj dga fj guu haw ktu ln maz mi niu nku ote pau rar sg sm tca tdt tji to tpi ty wwa zam zro ztu"
)
FEW_FORMS_BITS = dict.fromkeys(_FEW_FORMS.split(), 5.0)
"""Languages with few word forms, in which even the Universal Declaration of Human Rights has under 6.7 bits (Tahitian
6.2, Hawaiian 6.3; English has 7.5), so that the common `min_bits` would remove good text."""

MIN_BITS = 6.2
MIN_BITS_UNSPACED = 4.8
UNDETERMINED_BITS = 1.2
"""How much less than `min_bits` a document needs whose language nobody knows: it may be one of those with few forms,
most of which no identification names."""


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
