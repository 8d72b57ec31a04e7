"""The funnel of a finished run as JSON values: what came in, what each rule took, what is left, per language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from curator.run.tally import ALL, LANGUAGE, Tally


def tally_of(manifest: Mapping[str, object]) -> Tally:
    """The funnel of a manifest."""
    return Tally(cast("list[list[object]]", manifest["funnel"]))


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
