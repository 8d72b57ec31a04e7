"""Quality: rules that Gopher, FineWeb and C4 state for English, each where a script and language allow it.

Optional: no packaged recipe but `web-quality` has it. Every rule is a measure (`annotate`), a threshold and a sentence;
see `stages.quality.rules` and, for the sources of the thresholds, `stages.quality.parameters`. What keeps them right
outside of English:

- Words are units (`curator.text.segment`). Where most are characters of a script without spaces, several count as a
  word, and the length of words is null. Where most are ideographs or syllables, lines are short under half the length.
- Sentences end as Unicode says, in all scripts; stop words are those of the document's own language, and a language
  without a list is not judged by them. Points and accents that some texts leave out make no difference. Beside
  Gopher's number of them, their share is held against what running text of the language has: half of the words in
  English, a fifth in Turkish.
- `data/languages.tsv` has, for each language in which clean text was measured, the rules that are off or looser there;
  `coverage` tells them, and which languages were not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from curator.stage import Column, Columns, Cut, Requirement, Stage, State
from curator.thresholds import as_scores, thresholds_of
from curator.verdict import VerdictBuilder, Verdicts, round_score
from stages.quality.languages import LANGUAGES_PATH, describe, loosen, usual_stop_shares
from stages.quality.lines import count_lines
from stages.quality.parameters import QualityParameters
from stages.quality.rules import MEASURES, RULES
from stages.quality.sequences import REPEATED_LENGTHS, TOP_LENGTHS
from stages.quality.signs import SIGNS_PATH
from stages.quality.stop_words import STOP_WORDS_PATH, stop_words
from stages.quality.words import CHARACTERS_PER_WORD, LETTERS_PER_WORD, count_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch


SEQUENCES = (
    *(f"top_{length}_grams" for length in TOP_LENGTHS),
    *(f"repeated_{length}_grams" for length in REPEATED_LENGTHS),
)


def _column(measure: str, about: str) -> Column:
    # The report draws one threshold a column: of two, the first.
    rules = [rule for rule in RULES if rule.measure == measure]
    if not rules:
        return Column(f"quality.{measure}", pa.float64(), about)
    return Column(f"quality.{measure}", pa.float64(), about, threshold=rules[0].parameter, drops=rules[0].drops)


class Quality(Stage[QualityParameters]):
    """See the module."""

    name = "quality"
    about = "drops text by the rules of Gopher, FineWeb and C4, each where the language allows it"
    parameters_type = QualityParameters
    columns = tuple(_column(measure.name, measure.about) for measure in MEASURES)
    rules: ClassVar[Mapping[str, str]] = {f"quality.{rule.name}": rule.sentence for rule in RULES}

    def requirements(self) -> Sequence[Requirement]:
        """The tables of signs, stop words and languages, by BLAKE3 of their bytes."""
        from blake3 import blake3

        return [
            Requirement("table", path.name, blake3(path.read_bytes()).hexdigest())
            for path in (SIGNS_PATH, STOP_WORDS_PATH, LANGUAGES_PATH)
        ]

    def annotate(self, batch: Batch) -> Columns:
        """All measures of every document; null where one says nothing."""
        return {
            f"quality.{name}": pa.array(round_score(values), mask=np.isnan(values))
            for name, values in measure(batch).items()
        }

    def cuts(self, batch: Batch, columns: Columns) -> Sequence[Cut]:
        """The threshold of each rule, in the order of `rules`: two where a measure has a rule on either side."""
        return [
            Cut(
                rule.parameter,
                rule.drops,
                as_scores(columns, f"quality.{rule.measure}"),
                loosen(thresholds_of(batch, self.parameters, rule.parameter), rule, batch, self.parameters),
            )
            for rule in RULES
        ]

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """A drop for each document that a threshold rules out; the first rule in the order of `rules` is named."""
        builder = VerdictBuilder(len(batch))
        for rule, cut in zip(RULES, self.cuts(batch, columns), strict=True):
            builder.drop(cut.outside(), f"quality.{rule.name}", cut.score, cut.limit)
        return builder.build()

    def coverage(self, language: str) -> str | None:
        """Which rules are off or looser in a language, that it has no stop words, or that it was not measured."""
        return describe(language, self.parameters)


def measure(batch: Batch) -> dict[str, NDArray[np.float64]]:
    """Every measure of every document, NaN where it says nothing: float64[rows] by name."""
    data, offsets = batch.text_buffer
    lists = stop_words()
    numbers = lists.lists(batch.languages)
    words = count_words(data, batch.units, lists, numbers)
    lines = count_lines(data, offsets, batch.units)
    units = batch.units.counts
    unspaced = 2 * words.unspaced > units
    ideographic = unspaced & (2 * words.ideographs > words.unspaced)
    length = (
        units
        - words.unspaced
        + words.ideographs / CHARACTERS_PER_WORD
        + (words.unspaced - words.ideographs) / LETTERS_PER_WORD
    )
    listed = (numbers >= 0) & (units > 0) & (2 * words.in_script >= words.lettered)
    stop_share = np.where(listed, _share(words.stops, words.in_script), np.nan)
    short = np.where(ideographic | (2 * words.hangul > units), lines.short_ideographs, lines.short)
    return {
        "words": length,
        "word_length": np.where(unspaced, np.nan, _share(words.spaced_characters, units - words.unspaced)),
        "symbols": _share(np.maximum(lines.hash_signs, lines.ellipsis_signs), length),
        "bullets": _share(lines.bullets, lines.lines),
        "ellipses": _share(lines.ellipses, lines.lines),
        "alphabetic": _share(words.lettered, units),
        "stop_words": np.where(listed, words.distinct_stops, np.nan),
        "stop_share": stop_share,
        "stop_level": stop_share / usual_stop_shares(batch.languages),
        "repeated_lines": _share(lines.repeated_lines, lines.lines),
        "repeated_line_characters": _share(lines.repeated_line_characters, lines.characters),
        "repeated_paragraphs": _share(lines.repeated_paragraphs, lines.paragraphs),
        "repeated_paragraph_characters": _share(lines.repeated_paragraph_characters, lines.characters),
        **{name: _share(counts, words.measured) for name, counts in zip(SEQUENCES, words.sequences.T, strict=True)},
        "terminals": _share(lines.terminals, lines.lines),
        "short_lines": _share(short, lines.lines),
        "braces": lines.braces.astype(np.float64),
        "lorem_ipsum": words.lorem_ipsum.astype(np.float64),
        "javascript": _share(lines.javascript, lines.lines),
    }


def _share(part: NDArray[np.int64], whole: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """`part / whole`, NaN where there is nothing to share."""
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return shares
