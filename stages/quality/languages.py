"""What is known of single languages: the rules by which clean text would fall there, looser or off.

`data/languages.tsv` has a line for each language in which the rules were measured (`benchmarks/quality.py --fit`): the
list language, on how many texts, the share of stop words in the median of them (`-` without a list), and the thresholds
that differ, `NAME=NUMBER` or `NAME=off`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    from stages.quality.parameters import QualityParameters, Thresholds

LANGUAGES_PATH = Path(__file__).parent / "data" / "languages.tsv"
OFF, LOOSER, NONE = "off", "looser", "-"
SOURCES_SHOWN = 3
"""So many sources are named one by one."""
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

    Never tighter than `limit`, and never on where that is off. Where the parameters name this threshold for the
    language, or for the language in the document's source group, it is what they say.
    """
    table = read_languages()
    loosest = np.maximum if rule.drops == "above" else np.minimum
    limit = limit.copy()
    for name in batch.languages.names:
        if name in table and rule.parameter in table[name].thresholds and not _names(parameters.languages, name, rule):
            value = table[name].thresholds[rule.parameter]
            rows = batch.languages.mask(name)
            for source in _sources_naming(name, rule, parameters):
                rows &= ~batch.source_groups.mask(source)
            # The looser of NaN and a number is NaN: a rule that is off stays off.
            limit[rows] = loosest(limit[rows], np.nan if value is None else value)
    return limit


def describe(language: str, parameters: QualityParameters) -> str | None:
    """What differs in a language, in a few words; None where all rules judge with their thresholds."""
    table = read_languages()
    parts = [] if language in table else ["thresholds not measured"]
    stop_rules = [rule for rule in RULES if rule.parameter in STOP_WORD_RULES]
    if language not in stop_words().numbers and any(_replaced(rule, parameters) for rule in stop_rules):
        parts.append("no stop words")
    differ: dict[str, list[str]] = {}
    for word in (OFF, LOOSER):
        for rule in RULES:
            if word == _difference(language, rule, parameters):
                sources = _sources_naming(language, rule, parameters)
                differ.setdefault(word + _except_in(sources), []).append(rule.name)
    parts += [f"{where}: {', '.join(names)}" for where, names in differ.items()]
    return "; ".join(parts) or None


def _difference(language: str, rule: Rule, parameters: QualityParameters) -> str | None:
    """Whether a rule is off or looser in a language, at least in some source; None where it is neither."""
    table = read_languages()
    known = table[language].thresholds if language in table else {}
    if rule.parameter not in known or _names(parameters.languages, language, rule):
        return None
    value, limits = known[rule.parameter], _replaced(rule, parameters)
    if value is None:
        return OFF if limits else None
    is_looser = any(value > limit if rule.drops == "above" else value < limit for limit in limits)
    return LOOSER if is_looser else None


def _replaced(rule: Rule, parameters: QualityParameters) -> list[float]:
    """The thresholds of a rule of which a looser one may take the place: what holds everywhere or in a source."""
    groups = [group for group in parameters.sources.values() if rule.parameter in group.model_fields_set]
    return [limit for group in (parameters, *groups) if (limit := getattr(group, rule.parameter)) is not None]


def _except_in(sources: Sequence[str]) -> str:
    if not sources:
        return ""
    return f" except in {', '.join(sources) if len(sources) <= SOURCES_SHOWN else f'{len(sources)} sources'}"


def _sources_naming(language: str, rule: Rule, parameters: QualityParameters) -> list[str]:
    """The source groups in which the parameters name a threshold for a language."""
    return sorted(name for name, given in parameters.sources.items() if _names(given.languages, language, rule))


def _names(groups: Mapping[str, Thresholds], language: str, rule: Rule) -> bool:
    return language in groups and rule.parameter in groups[language].model_fields_set
