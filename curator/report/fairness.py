"""The report of tokenizers as a page: what each language costs in tokens, in the look of the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from curator.report import charts
from curator.report.html import ROWS_AT_FIRST, clean, language_attribute, make_environment


@dataclass(frozen=True)
class LanguageRow:
    """A language with a tokenizer: what `curator tokenizer report` tells of it. `unknown` and `parts` are shares of the
    tokens; `against_english` is None where no line is in both."""

    tag: str
    name: str
    words: int
    tokens_per_word: float
    tokens_per_character: float
    against_english: float | None
    unknown: float
    parts: float


@dataclass(frozen=True)
class TokenizerRows:
    """A tokenizer and its languages, the dearest first."""

    name: str
    vocabulary: int
    mean_tokens_per_word: float
    rows: tuple[LanguageRow, ...]

    @property
    def most_fertile(self) -> LanguageRow:
        """The language with the most tokens per word."""
        return max(self.rows, key=lambda row: row.tokens_per_word)

    @property
    def dearest(self) -> LanguageRow | None:
        """The language with the most tokens by those of English; None where nothing is compared with English."""
        compared = [row for row in self.rows if row.against_english is not None]
        return max(compared, key=lambda row: row.against_english or 0.0, default=None)


@dataclass(frozen=True)
class FairnessPage:
    """What the page shows: the name of the aligned text, and each tokenizer on the same languages."""

    text: str
    tokenizers: tuple[TokenizerRows, ...]


def render_fairness(page: FairnessPage) -> str:
    """The page, whole and without anything that is loaded. Texts are escaped."""
    compares = any(tokenizer.dearest is not None for tokenizer in page.tokenizers)
    axis = max(_length(row, compares) for tokenizer in page.tokenizers for row in tokenizer.rows) or 1.0
    widest = max(row.tokens_per_word for tokenizer in page.tokenizers for row in tokenizer.rows) or 1.0
    return clean(
        make_environment()
        .get_template("fairness.html.j2")
        .render(
            page=page,
            rows_at_first=ROWS_AT_FIRST,
            bar=lambda row: _bar(_length(row, compares), axis, compares),
            axis=charts.linear_axis(axis, "Tokens by those of English" if compares else "Tokens per word"),
            compares=compares,
            comparison=_comparison(page.tokenizers),
            colours=[f"s{place % charts.COLOURS}" for place in range(len(page.tokenizers))],
            dots=lambda rows: charts.dots([row.tokens_per_word for row in rows], widest),
            dots_axis=charts.linear_axis(widest, "Tokens per word"),
            language_attribute=language_attribute,
        )
    )


def _length(row: LanguageRow, compares: bool) -> float:
    """What a bar shows: tokens by those of English, none for a language without; on a text without English tokens per
    word."""
    return (row.against_english or 0.0) if compares else row.tokens_per_word


def _bar(length: float, axis: float, compares: bool) -> Markup:
    """The bar of a language; the line marks English."""
    return charts.stacked_bar([charts.Part(length, "kept", f"{length:.3f}")], axis, 1 / axis if compares else None)


def _comparison(tokenizers: Sequence[TokenizerRows]) -> list[tuple[LanguageRow, list[LanguageRow]]]:
    """For each language its rows, a tokenizer each; where they differ the most in tokens per word comes first."""
    by_tag = [{row.tag: row for row in tokenizer.rows} for tokenizer in tokenizers]
    rows = [(row, [own[row.tag] for own in by_tag]) for row in tokenizers[0].rows]

    def spread(entry: tuple[LanguageRow, list[LanguageRow]]) -> tuple[float, str]:
        rates = [row.tokens_per_word for row in entry[1]]
        return (min(rates) - max(rates), entry[0].tag)

    return sorted(rows, key=spread)
