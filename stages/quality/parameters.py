"""Parameters of the stage `quality`: a threshold for each rule, and where its default comes from.

- Gopher: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix A.1.1;
  of repetition, table A1.
- FineWeb: Penedo et al. 2024, "The FineWeb Datasets", section 3.6.
- C4: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2.
- Curator: `min_stop_level`, measured (benchmarks/quality.py). Of clean text in languages with stop words one piece in
  470 has under a quarter of the usual share of its language, of strings of rare words 93 in 100.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from curator.stage import Parameters
from curator.thresholds import ListLanguage


class Thresholds(Parameters):
    """Thresholds of a source or a language; those that are not given stay as they were."""

    min_words: float | None = Field(default=None, ge=0)
    max_words: float | None = Field(default=None, ge=0)
    min_word_length: float | None = Field(default=None, ge=0)
    max_word_length: float | None = Field(default=None, ge=0)
    max_symbols: float | None = Field(default=None, ge=0)
    max_bullets: float | None = Field(default=None, ge=0, le=1)
    max_ellipses: float | None = Field(default=None, ge=0, le=1)
    min_alphabetic: float | None = Field(default=None, ge=0, le=1)
    min_stop_words: float | None = Field(default=None, ge=0)
    min_stop_level: float | None = Field(default=None, ge=0)
    max_repeated_lines: float | None = Field(default=None, ge=0, le=1)
    max_repeated_line_characters: float | None = Field(default=None, ge=0, le=1)
    max_repeated_paragraphs: float | None = Field(default=None, ge=0, le=1)
    max_repeated_paragraph_characters: float | None = Field(default=None, ge=0, le=1)
    max_top_2_grams: float | None = Field(default=None, ge=0, le=1)
    max_top_3_grams: float | None = Field(default=None, ge=0, le=1)
    max_top_4_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_5_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_6_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_7_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_8_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_9_grams: float | None = Field(default=None, ge=0, le=1)
    max_repeated_10_grams: float | None = Field(default=None, ge=0, le=1)
    min_terminals: float | None = Field(default=None, ge=0, le=1)
    max_short_lines: float | None = Field(default=None, ge=0, le=1)
    max_braces: float | None = Field(default=None, ge=0)
    max_lorem_ipsum: float | None = Field(default=None, ge=0)
    max_javascript: float | None = Field(default=None, ge=0, le=1)


class SourceThresholds(Thresholds):
    """Thresholds of a source, and those of single languages in it."""

    languages: Mapping[ListLanguage, Thresholds] = Field(
        default_factory=dict, description="other thresholds by list language"
    )


class QualityParameters(Thresholds):
    """The thresholds of the papers; null turns a rule off. For single languages they are another number or off where
    clean text would fall (`data/languages.tsv`, measured by benchmarks/quality.py)."""

    min_words: float | None = Field(default=50, ge=0, description="words (Gopher)")
    max_words: float | None = Field(default=100_000, ge=0, description="words (Gopher)")
    min_word_length: float | None = Field(default=3, ge=0, description="mean characters of a word (Gopher)")
    max_word_length: float | None = Field(default=10, ge=0, description="mean characters of a word (Gopher)")
    max_symbols: float | None = Field(
        default=0.1, ge=0, description="hash signs, or ellipses if they are more, a word (Gopher)"
    )
    max_bullets: float | None = Field(
        default=0.9, ge=0, le=1, description="share of lines that begin with a bullet (Gopher)"
    )
    max_ellipses: float | None = Field(
        default=0.3, ge=0, le=1, description="share of lines that end with an ellipsis (Gopher)"
    )
    min_alphabetic: float | None = Field(
        default=0.8, ge=0, le=1, description="share of words with an alphabetic character (Gopher)"
    )
    min_stop_words: float | None = Field(default=2, ge=0, description="different stop words (Gopher)")
    min_stop_level: float | None = Field(
        default=0.25, ge=0, description="share of stop words, by what running text of the language has (Curator)"
    )
    max_repeated_lines: float | None = Field(
        default=0.3, ge=0, le=1, description="share of lines that occurred before (Gopher)"
    )
    max_repeated_line_characters: float | None = Field(
        default=0.1, ge=0, le=1, description="share of characters in them (FineWeb; Gopher has 0.2)"
    )
    max_repeated_paragraphs: float | None = Field(
        default=0.3, ge=0, le=1, description="share of paragraphs that occurred before (Gopher)"
    )
    max_repeated_paragraph_characters: float | None = Field(
        default=0.2, ge=0, le=1, description="share of characters in them (Gopher)"
    )
    max_top_2_grams: float | None = Field(
        default=0.2, ge=0, le=1, description="share of characters in the most frequent sequence of 2 words (Gopher)"
    )
    max_top_3_grams: float | None = Field(default=0.18, ge=0, le=1, description="the same of 3 words (Gopher)")
    max_top_4_grams: float | None = Field(default=0.16, ge=0, le=1, description="the same of 4 words (Gopher)")
    max_repeated_5_grams: float | None = Field(
        default=0.15,
        ge=0,
        le=1,
        description="share of characters in sequences of 5 words that occurred before (Gopher)",
    )
    max_repeated_6_grams: float | None = Field(default=0.14, ge=0, le=1, description="the same of 6 words (Gopher)")
    max_repeated_7_grams: float | None = Field(default=0.13, ge=0, le=1, description="the same of 7 words (Gopher)")
    max_repeated_8_grams: float | None = Field(default=0.12, ge=0, le=1, description="the same of 8 words (Gopher)")
    max_repeated_9_grams: float | None = Field(default=0.11, ge=0, le=1, description="the same of 9 words (Gopher)")
    max_repeated_10_grams: float | None = Field(default=0.1, ge=0, le=1, description="the same of 10 words (Gopher)")
    min_terminals: float | None = Field(
        default=0.12, ge=0, le=1, description="share of lines that end with a sign that ends a sentence (FineWeb)"
    )
    max_short_lines: float | None = Field(
        default=0.67, ge=0, le=1, description="share of lines of less than 30 characters (FineWeb)"
    )
    max_braces: float | None = Field(default=None, ge=0, description="opening braces (C4: 0)")
    max_lorem_ipsum: float | None = Field(default=None, ge=0, description="mentions of lorem ipsum (C4: 0)")
    max_javascript: float | None = Field(
        default=None, ge=0, le=1, description="share of lines that mention JavaScript (C4 removes such lines)"
    )
    sources: Mapping[str, SourceThresholds] = Field(
        default_factory=dict, description="other thresholds by source group"
    )
    languages: Mapping[ListLanguage, Thresholds] = Field(
        default_factory=dict, description="other thresholds by list language"
    )
