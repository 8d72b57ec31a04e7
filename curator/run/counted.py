"""What tasks count, on its way to the driver: in the commit record, or in a file beside it where it is much.

A part of documents that each name a source of their own has thousands of rows. The records of a phase are all in memory
at once; files are read one after the other.
"""

from __future__ import annotations

from typing import cast

import msgspec

from curator.run.pipeline import Pipeline
from curator.run.store import Commit, Outputs
from curator.run.tally import ALL, LANGUAGE, MOST_SOURCES, MOST_TAGS, SOURCE, Tally

ROWS_IN_RECORD = 256

_SUFFIX = "tally"


def put_tally(tally: Tally, outputs: Outputs) -> list[list[object]]:
    """What the commit record says of a tally. Where that is not all of it, the rest goes into a file of the task."""
    rows = tally.rows()
    if len(rows) <= ROWS_IN_RECORD:
        return rows
    outputs.path(_SUFFIX).write_bytes(msgspec.json.encode(rows))
    return [row for row in rows if row[0] == ALL]


def tally_rows(commit: Commit) -> list[list[object]]:
    """What a task counted, as `Tally.rows` gives it."""
    if _SUFFIX in commit.files:
        return msgspec.json.decode(commit.path(_SUFFIX).read_bytes(), type=list[list[object]])
    return cast("list[list[object]]", commit.result["tally"])


def totals(commit: Commit) -> Tally | None:
    """What a task counted of all documents together; None for a task that counts nothing."""
    rows = cast("list[list[object]] | None", commit.result.get("tally"))
    return None if rows is None else Tally(row for row in rows if row[0] == ALL)


def run_tally(pipeline: Pipeline) -> Tally:
    """The empty tally of a run: with counts for as many source groups and wrong tags as it can hold, and for the groups
    that the recipe names in any case."""
    named = {
        source
        for stage in pipeline.stages
        for mapping in ("sources", "source_shares")
        for source in getattr(stage.parameters, mapping, ())
    }
    named.update(pipeline.recipe.input.source_groups)
    return Tally(limits={SOURCE: MOST_SOURCES, LANGUAGE: MOST_TAGS}, named=named)
