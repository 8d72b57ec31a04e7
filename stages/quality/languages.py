"""What is known of single languages: the rules by which clean text would fall there, looser or off.

`data/languages.tsv` has a line for each language in which the rules were measured (`benchmarks/quality.py --fit`): the
list language, on how many texts, the share of stop words in the median of them (`-` without a list), and the thresholds
that differ, `NAME=NUMBER` or `NAME=off`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.quality.rules import RULES, Rule
from stages.quality.stop_words import stop_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from curator.document import Batch, Codes
    from stages.quality.parameters import QualityParameters

LANGUAGES_PATH = Path(__file__).parent / "data" / "languages.tsv"
OFF, NONE = "off", "-"
STOP_WORD_RULES = frozenset({"min_stop_words", "min_stop_level"})


@dataclass(frozen=True)
class Language:
    """On how many texts the rules were measured, the share of units that are stop words in the median of them (None
    without a list), and the thresholds that differ (None is off)."""

    texts: int
    stop_share: float | None
    thresholds: Mapping[str, float | None]


def write_languages(languages: Mapping[str, Language], path: Path = LANGUAGES_PATH) -> None:
    """Write the table, by language."""
    lines = []
    for name, language in sorted(languages.items()):
        given = (f"{key}={OFF if value is None else f'{value:g}'}" for key, value in language.thresholds.items())
        share = NONE if language.stop_share is None else f"{language.stop_share:g}"
        lines.append(f"{name}\t{language.texts}\t{share}\t{' '.join(given)}\n")
    path.write_text("".join(lines), encoding="utf-8")


@cache
def read_languages(path: Path = LANGUAGES_PATH) -> Mapping[str, Language]:
    """The table, read once a process."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, texts, share, given = line.split("\t")
        pairs = (item.split("=") for item in given.split())
        thresholds = {key: None if value == OFF else float(value) for key, value in pairs}
        found[name] = Language(int(texts), None if share == NONE else float(share), thresholds)
    return found


def usual_stop_shares(languages: Codes) -> NDArray[np.float64]:
    """For each text the share of stop words that running text of its language has, NaN where it was not measured:
    float64[texts]."""
    table = read_languages()
    shares = [table[name].stop_share if name in table else None for name in languages.names]
    return languages.lookup([np.nan if share is None else share for share in shares])


def loosen(limit: NDArray[np.float64], rule: Rule, batch: Batch, parameters: QualityParameters) -> NDArray[np.float64]:
    """The threshold of each document (NaN: off) once what is known of its language is applied: float64[rows].

    Never tighter than `limit`, and never on where that is off. A language for which the parameters name this threshold
    has what they say.
    """
    table = read_languages()
    loosest = np.maximum if rule.drops == "above" else np.minimum
    limit = limit.copy()
    for name in batch.languages.names:
        if name in table and rule.parameter in table[name].thresholds and not _is_given(name, rule, parameters):
            value = table[name].thresholds[rule.parameter]
            rows = batch.languages.mask(name)
            # The looser of NaN and a number is NaN: a rule that is off stays off.
            limit[rows] = loosest(limit[rows], np.nan if value is None else value)
    return limit


def describe(language: str, parameters: QualityParameters) -> str | None:
    """What differs in a language, in a few words; None where all rules judge with their thresholds."""
    table = read_languages()
    parts = [] if language in table else ["thresholds not measured"]
    rules = [rule for rule in RULES if getattr(parameters, rule.parameter) is not None]
    if language not in stop_words().numbers and any(rule.parameter in STOP_WORD_RULES for rule in rules):
        parts.append("no stop words")
    known = table[language].thresholds if language in table else {}
    differ = [rule for rule in rules if rule.parameter in known and not _is_given(language, rule, parameters)]
    for word, is_off in ((OFF, True), ("looser", False)):
        names = [rule.name for rule in differ if (known[rule.parameter] is None) is is_off]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    return "; ".join(parts) or None


def _is_given(language: str, rule: Rule, parameters: QualityParameters) -> bool:
    return language in parameters.languages and rule.parameter in parameters.languages[language].model_fields_set
