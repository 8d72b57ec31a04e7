"""Records that could not be read: how many, where, what each error code means and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from curator.readers.base import Failure
from curator.run.journal import CRASH
from curator.storage.parquet import batches_of_run
from curator.storage.path import AnyPath

SHOWN = 3
"""Kinds of failures that a message names; the others are counted."""


@dataclass(frozen=True)
class Meaning:
    """An error code in words, and what to do."""

    words: str
    advice: str = ""


_CONVERT = "convert the file to UTF-8 with iconv"
_AGAIN = "get the file again"

MEANINGS: Mapping[str, Meaning] = {
    "json.invalid": Meaning(
        "the line is not valid JSON", "mend the line, or name the format with --set input.format=NAME"
    ),
    "json.not_object": Meaning("the line is JSON, but not an object", "write one JSON object a line"),
    "json.encoding": Meaning("a field other than the text is not valid UTF-8", _CONVERT),
    "field.missing": Meaning("there is no text field", "say where the text is with --set input.fields.text=NAME"),
    "field.type": Meaning("the text field is not a string", "say where the text is with --set input.fields.text=NAME"),
    "encoding.invalid_utf8": Meaning("the text is not valid UTF-8, and could not surely be repaired", _CONVERT),
    "document.too_large": Meaning("the document is longer than input.max_document_bytes", "split it, or allow more"),
    "stream.truncated": Meaning("the compressed stream ends too early", _AGAIN),
    "stream.corrupt": Meaning("the compressed stream is damaged", _AGAIN),
    "csv.columns": Meaning("the row has another number of columns than the header", "mend the row"),
    "csv.quote": Meaning(
        "a quote is not closed where its field ends",
        "mend the row, or, where quotes are letters, say so with --set input.quotes=letters",
    ),
    "csv.encoding": Meaning("a field other than the text is not valid UTF-8", _CONVERT),
    "html.malformed": Meaning("the page is nested deeper than any browser takes", "leave it out"),
    "parquet.invalid": Meaning("the file is not valid Parquet", _AGAIN),
    "parquet.row_group": Meaning("a row group is damaged", _AGAIN),
    "parquet.encoding": Meaning("a field other than the text is not valid UTF-8", "write the file again as UTF-8"),
    CRASH: Meaning("the process that worked on it ended each time", "look at the record; it is left out"),
    "warc.record": Meaning("the WARC record is damaged", _AGAIN),
}


@dataclass(frozen=True)
class Failures:
    """The failures of one code in one file: how many, and where the first is."""

    code: str
    file: str
    records: int
    position: int
    line: int | None

    @property
    def meaning(self) -> Meaning:
        """The code in words."""
        return MEANINGS.get(self.code, Meaning(self.code))

    def describe(self) -> str:
        """One line without a stop: `2 in a.jsonl, the first in line 7: the line is not valid JSON`."""
        place = f"at {self.position}" if self.line is None else f"in line {self.line}"
        where = f"{self.file} {place}" if self.records == 1 else f"{self.records:,} in {self.file}, the first {place}"
        return f"{where}: {self.meaning.words}"


def failures_of(folder: AnyPath) -> list[Failures]:
    """The failures in `failed/` of a run, the most frequent first. DataError where a file there is damaged."""
    batches = list(batches_of_run(folder, ["code", "file", "position", "line"]))
    return count_failures([pa.Table.from_batches(batches)] if batches else [])


def count_failures(tables: Sequence[pa.Table]) -> list[Failures]:
    """The failures of tables with the columns `code`, `file`, `position` and `line`, the most frequent first."""
    if not tables:
        return []
    groups = pa.concat_tables(tables).group_by(["code", "file"], use_threads=False)
    counted = groups.aggregate([("position", "count"), ("position", "min"), ("line", "min")])
    found = [
        Failures(row["code"], row["file"], row["position_count"], row["position_min"], row["line_min"])
        for row in counted.to_pylist()
    ]
    return sorted(found, key=lambda failures: (-failures.records, failures.file, failures.code))


def failures_of_records(found: Sequence[tuple[str, Failure]]) -> list[Failures]:
    """The failures that readers told, each with the name of its file, the most frequent first."""
    columns = {
        "code": pa.array([failure.code for _, failure in found], pa.string()),
        "file": pa.array([file for file, _ in found], pa.string()),
        "position": pa.array([failure.position for _, failure in found], pa.int64()),
        "line": pa.array([failure.line for _, failure in found], pa.int64()),
    }
    return count_failures([pa.table(columns)])


def describe_failures(found: Sequence[Failures]) -> str:
    """What failed where, in one line without a stop."""
    told = [failures.describe() for failures in found[:SHOWN]]
    more = [f"and {len(found) - SHOWN} more kinds"] if len(found) > SHOWN else []
    return "; ".join(told + more)
