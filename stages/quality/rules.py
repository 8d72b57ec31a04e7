"""The rules of the stage `quality`: which measure each looks at, which threshold cuts it, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS


@dataclass(frozen=True)
class Measure:
    """What is measured: the column `quality.NAME`, and what it says."""

    name: str
    about: str


@dataclass(frozen=True)
class Rule:
    """A document falls by `quality.NAME` if its measure is on the side `drops` of the threshold `parameter`; `source`
    states the rule (see `stages.quality.parameters`)."""

    name: str
    source: str
    measure: str
    parameter: str
    drops: Literal["below", "above"]
    sentence: str


GOPHER, FINEWEB, C4, OWN = "Gopher", "FineWeb", "C4", "Curator"


MEASURES = (
    Measure("words", "words; of scripts without spaces two ideographs or syllables, or four letters, count as one"),
    Measure(
        "word_length",
        "mean characters of a word, a syllable of Hangul as two; null where most are characters of a script without "
        "spaces",
    ),
    Measure("symbols", "hash signs, or ellipses if they are more, by words"),
    Measure("bullets", "share of lines that begin with a bullet"),
    Measure("ellipses", "share of lines that end with an ellipsis"),
    Measure("alphabetic", "share of units with an alphabetic character"),
    Measure("stop_words", "different stop words of the language; null without a list"),
    Measure("stop_share", "share of units in the script of the language that are its stop words; null without a list"),
    Measure("stop_level", "stop_share by what running text of the language has; null where that was not measured"),
    Measure("repeated_lines", "share of lines that occurred before"),
    Measure("repeated_line_characters", "share of characters in lines that occurred before"),
    Measure("repeated_paragraphs", "share of paragraphs that occurred before"),
    Measure("repeated_paragraph_characters", "share of characters in paragraphs that occurred before"),
    *(
        Measure(f"top_{length}_grams", f"share of characters in the most frequent sequence of {length} words")
        for length in TOP_LENGTHS
    ),
    *(
        Measure(f"repeated_{length}_grams", f"share of characters in sequences of {length} words that occurred before")
        for length in REPEATED_LENGTHS
    ),
    Measure("terminals", "share of lines that end with a sign that ends a sentence"),
    Measure(
        "short_lines",
        "share of lines of less than 30 characters, of 15 where most units are ideographs or syllables (Han, Kana, Yi, "
        "Hangul)",
    ),
    Measure("braces", "opening braces"),
    Measure("lorem_ipsum", "mentions of lorem ipsum"),
    Measure("javascript", "share of lines that mention JavaScript"),
)


def _at_most(name: str, source: str, what: str) -> Rule:
    sentence = f"{what}: a share of {{score}}, at most {{threshold}} is allowed."
    return Rule(name, source, name, f"max_{name}", "above", sentence)


RULES = (
    Rule("few_words", GOPHER, "words", "min_words", "below", "It has {score} words, {threshold} are needed."),
    Rule("many_words", GOPHER, "words", "max_words", "above", "It has {score} words, at most {threshold} are allowed."),
    Rule(
        "short_words",
        GOPHER,
        "word_length",
        "min_word_length",
        "below",
        "Its words have {score} characters on average, {threshold} are needed.",
    ),
    Rule(
        "long_words",
        GOPHER,
        "word_length",
        "max_word_length",
        "above",
        "Its words have {score} characters on average, at most {threshold} are allowed.",
    ),
    Rule(
        "symbols",
        GOPHER,
        "symbols",
        "max_symbols",
        "above",
        "It has {score} hash signs or ellipses a word, at most {threshold} are allowed.",
    ),
    _at_most("bullets", GOPHER, "Too many of its lines begin with a bullet"),
    _at_most("ellipses", GOPHER, "Too many of its lines end with an ellipsis"),
    Rule(
        "alphabetic",
        GOPHER,
        "alphabetic",
        "min_alphabetic",
        "below",
        "Too few of its words have a letter: a share of {score}, {threshold} is needed.",
    ),
    Rule(
        "stop_words",
        GOPHER,
        "stop_words",
        "min_stop_words",
        "below",
        "It has {score} different stop words of {lang}, {threshold} are needed.",
    ),
    Rule(
        "stop_level",
        OWN,
        "stop_level",
        "min_stop_level",
        "below",
        "It has {score} times the stop words that text in {lang} has, {threshold} times are needed.",
    ),
    _at_most("repeated_lines", GOPHER, "Too many of its lines occurred before"),
    _at_most("repeated_line_characters", FINEWEB, "Too much of it stands in lines that occurred before"),
    _at_most("repeated_paragraphs", GOPHER, "Too many of its paragraphs occurred before"),
    _at_most("repeated_paragraph_characters", GOPHER, "Too much of it stands in paragraphs that occurred before"),
    *(
        _at_most(f"top_{length}_grams", GOPHER, f"Too much of it is one sequence of {length} words, over and over")
        for length in TOP_LENGTHS
    ),
    *(
        _at_most(
            f"repeated_{length}_grams",
            GOPHER,
            f"Too much of it stands in sequences of {length} words that occurred before",
        )
        for length in REPEATED_LENGTHS
    ),
    Rule(
        "terminals",
        FINEWEB,
        "terminals",
        "min_terminals",
        "below",
        "Too few of its lines end as sentences do: a share of {score}, {threshold} is needed.",
    ),
    _at_most("short_lines", FINEWEB, "Too many of its lines are short"),
    Rule(
        "braces", C4, "braces", "max_braces", "above", "It has {score} opening braces, at most {threshold} are allowed."
    ),
    Rule(
        "lorem_ipsum",
        C4,
        "lorem_ipsum",
        "max_lorem_ipsum",
        "above",
        "It has lorem ipsum {score} times, at most {threshold} are allowed.",
    ),
    _at_most("javascript", C4, "Too many of its lines mention JavaScript"),
)
