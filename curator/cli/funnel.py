"""The funnel as a table: what came in, what each stage took, what is left, per language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from curator.cli.output import print_line, print_table
from curator.run.funnel import language_label, tally_of
from curator.run.tally import (
    COPIES,
    CREATED,
    ERASED,
    FAILED,
    HELD,
    IN,
    KEPT,
    LANGUAGE,
    Tally,
    parse_event,
)
from curator.verdict import DROP

LANGUAGES_SHOWN = 40


def print_funnel(manifest: Mapping[str, object]) -> None:
    """Print the funnel: in all, then per language."""
    tally = tally_of(manifest)
    recipe = cast("Mapping[str, object]", manifest["recipe"])
    stages = [cast("str", stage["name"]) for stage in cast("list[Mapping[str, object]]", recipe["stages"])]
    events = tally.events()
    rows: list[list[object]] = [["in", "", *_numbers(events, IN)]]
    if FAILED in events:
        rows.append(["  could not be read", "", events[FAILED][0], ""])
    for stage in stages:
        if stage == "augmentation" and CREATED in events:
            rows.append(["  created", "", *_numbers(events, CREATED)])
        for event, numbers in events.items():
            verdict = parse_event(event)
            if verdict and verdict[0] == stage:
                sign = "-" if verdict[1] == DROP else ""
                rows.append([f"  {verdict[2]}", verdict[1], f"{sign}{numbers[0]:,}", f"{sign}{numbers[1]:,}"])
    rows.append(["kept", "", *_numbers(events, KEPT)])
    if ERASED in events:
        rows.append(["  erased since", "", *_numbers(events, ERASED)])
    if COPIES in events:
        rows.append(["  and copies", "", *_numbers(events, COPIES)])
    if HELD in events:
        rows.append(["held out", "", *_numbers(events, HELD)])
    print_table(["", "", "documents", "tokens"], rows, left=2)
    print_line()
    _print_languages(tally, stages)


def _numbers(events: Mapping[str, tuple[int, int, int]], event: str) -> tuple[int, int]:
    return events.get(event, (0, 0, 0))[:2]


def _print_languages(tally: Tally, stages: list[str]) -> None:
    names = sorted(tally.names(LANGUAGE), key=lambda name: (-tally.documents(IN, LANGUAGE, name), name))
    dropping = [
        stage
        for stage in stages
        if any((verdict := parse_event(event)) and verdict[:2] == (stage, DROP) for event in tally.events())
    ]
    rows: list[list[object]] = []
    for name in names[:LANGUAGES_SHOWN]:
        events = tally.events(LANGUAGE, name)
        came = _numbers(events, IN)[0] + _numbers(events, CREATED)[0]
        kept = _numbers(events, KEPT)[0]
        dropped = [
            sum(
                numbers[0]
                for event, numbers in events.items()
                if (verdict := parse_event(event)) and verdict[:2] == (stage, DROP)
            )
            for stage in dropping
        ]
        share = f"{100 * (kept + _numbers(events, HELD)[0]) / came:.1f}%" if came else ""
        tokens = _numbers(events, IN)[1] + _numbers(events, CREATED)[1]
        rows.append([language_label(name), came, tokens, *dropped, kept, share, _numbers(events, COPIES)[0]])
    print_table(["lang", "documents", "tokens", *dropping, "kept", "share", "copies"], rows)
    if len(names) > LANGUAGES_SHOWN:
        print_line(f"and {len(names) - LANGUAGES_SHOWN} more languages (all are in the report)")
