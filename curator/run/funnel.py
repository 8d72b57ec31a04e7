"""The funnel as JSON values: what came in, what each rule took, what is left, per language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from curator.language.tags import short_tag
from curator.run.tally import ALL, ALL_OTHERS, FILE, LANGUAGE, OTHERS, Tally


def rows_without_files(manifest: Mapping[str, object]) -> list[list[object]]:
    """The rows of a manifest's funnel, without those of each file, of which there may be a million."""
    return [row for row in cast("list[list[object]]", manifest["funnel"]) if row[0] != FILE]


def tally_of(manifest: Mapping[str, object]) -> Tally:
    """The funnel of a manifest, without what it says of each file."""
    return Tally(rows_without_files(manifest))


def language_label(name: str) -> str:
    """What tables call a name of the funnel's languages."""
    return ALL_OTHERS if name == OTHERS else short_tag(name)


def funnel_json(manifest: Mapping[str, object]) -> dict[str, object]:
    """Documents and tokens: in, created, dropped per stage and rule, kept, copies, failed; in all and per language."""
    tally = tally_of(manifest)
    return {
        "all": _events(tally, ALL, ""),
        "languages": {name: _events(tally, LANGUAGE, name) for name in tally.names(LANGUAGE)},
    }


def _events(tally: Tally, dimension: str, name: str) -> dict[str, dict[str, int]]:
    return {
        event: {"documents": numbers[0], "tokens": numbers[1]}
        for event, numbers in tally.events(dimension, name).items()
    }


def event_counts(tally: Tally, dimension: str = ALL, name: str = "") -> dict[str, list[int]]:
    """Documents and tokens of every event: what the events of a run tell while it works."""
    return {event: [numbers[0], numbers[1]] for event, numbers in tally.events(dimension, name).items()}


def language_counts(tally: Tally) -> dict[str, dict[str, list[int]]]:
    """The same for each language."""
    return {name: event_counts(tally, LANGUAGE, name) for name in tally.names(LANGUAGE)}
