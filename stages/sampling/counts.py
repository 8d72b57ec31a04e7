"""Tokens by language and source, for a plan that is made before a run: of a table, or of a finished run."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curator.errors import UserError
from curator.language.tags import is_valid, list_language
from curator.recipe.model import Recipe
from curator.run.directory import RunDirectory
from curator.run.manifest import load_manifest
from curator.sources import group_metadata, group_sources
from curator.storage.path import matching, readable
from curator.text.tokens import UNIT
from stages.sampling.stage import OTHER, SUMMARY_SCHEMA, Sampling

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("language", "tokens", "source", "documents")
"""The columns of a table of counts; the first two have to be there."""

MOST_TOKENS = 1 << 53
"""Of a table in all, as `sampling.total` takes at most."""


def counts_of_table(path: Path, stage: Sampling) -> pa.Table:
    """The summary of a CSV or TSV file with a row a language, or a row a language and source. UserError that names the
    line where one is wrong."""
    try:
        # Spreadsheets write a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            lines.seek(0)
            reader = csv.DictReader(lines, delimiter="\t" if "\t" in first else ",")
            names = reader.fieldnames or []
            if not {"language", "tokens"} <= set(names) or not set(names) <= set(COLUMNS):
                expected = "a header with language and tokens, and with source and documents where they are known"
                raise UserError(f"columns {', '.join(names) or 'none'}", file=str(path), hint=f"expected {expected}")
            rows = list(_table_rows(reader, path))
    except UnicodeDecodeError as error:
        raise UserError("is not UTF-8 text", file=str(path), hint="expected a CSV or TSV file") from error
    if sum(documents for *_, documents, _ in rows) > MOST_TOKENS or sum(row[-1] for row in rows) > MOST_TOKENS:
        raise UserError(f"counts add up to more than {MOST_TOKENS:,}", file=str(path), hint="is a number wrong?")
    return _summary(iter(rows), stage)


def _table_rows(reader: csv.DictReader[str], path: Path) -> Iterator[tuple[str, str, int, int]]:
    for row in reader:
        numbers = [row.get(name) or "0" for name in ("documents", "tokens")]
        if not row["language"] or not all(number.isascii() and number.isdecimal() for number in numbers):
            raise UserError(
                "a row has no language, or a count that is no whole number",
                file=str(path),
                hint=f"line {reader.line_num}",
            )
        if not is_valid(row["language"]):
            raise UserError(
                f"{row['language']!r} is no language tag",
                file=str(path),
                hint=f"line {reader.line_num}; a tag of BCP 47 such as en or pt-BR, und for none",
            )
        yield row["language"], row.get("source") or OTHER, int(numbers[0]), int(numbers[1])


def counts_of_run(
    directory: RunDirectory, stage: Sampling, token: str, groups: Mapping[str, Sequence[str]]
) -> pa.Table:
    """The summary of a finished run: of what entered its stage `sampling`, or where it has none, of its shards, whose
    sources are mapped to `groups`.

    UserError where the run counted other tokens than `token` (as `curator.text.tokens` names them), or was sampled
    without telling apart the sources that `stage` mixes."""
    manifest = load_manifest(directory.manifest)
    counted = manifest.get("token", UNIT)
    if counted != token:
        raise UserError(
            f"it counted tokens by another measure than the recipe does: {counted}, not {token}",
            file=str(directory.root),
            hint="give a run with the same `tokenizer`, or a table of counts",
        )
    facts = cast("Mapping[str, Mapping[str, object]]", manifest["facts"]).get("sampling")
    if facts is None:
        return _summary(_shard_rows(directory, groups), stage)
    cells = cast("Sequence[Mapping[str, object]]", facts.get("cells", ()))
    told_apart = {
        cast("str", row["source"]) for row in cast("Sequence[Mapping[str, object]]", facts.get("sources", ()))
    }
    wanted = set(stage.parameters.source_shares)
    hint = "give a run of a recipe without `sampling`, or a table of counts"
    if not wanted <= told_apart:
        missing = ", ".join(sorted(wanted - told_apart))
        raise UserError(f"its sampling did not tell apart {missing}", file=str(directory.root), hint=hint)
    theirs = Recipe.model_validate(manifest["recipe"]).input.source_groups
    if wanted and group_metadata(theirs) != group_metadata(groups):
        told = "its sampling told sources apart by other input.source_groups"
        raise UserError(told, file=str(directory.root), hint=hint)
    rows = cells if wanted else cast("Sequence[Mapping[str, object]]", facts["languages"])
    return _summary(
        (
            (
                cast("str", row["language"]),
                cast("str", row.get("source", OTHER)),
                cast("int", row["documents"]),
                cast("int", row["tokens"]),
            )
            for row in rows
        ),
        stage,
    )


def _shard_rows(directory: RunDirectory, groups: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, int, int]]:
    metadata = group_metadata(groups)
    for path in matching(directory.shards, "part-*.parquet"):
        with pq.ParquetFile(readable(path)) as file:
            for batch in file.iter_batches(columns=["lang", "source", "tokens", "parent"], use_threads=False):
                grouped = group_sources(batch["source"], metadata)
                table = pa.table([batch["lang"], grouped, batch["tokens"]], ["lang", "source", "tokens"])
                sums = (
                    table.filter(pc.is_null(batch["parent"]))
                    .group_by(["lang", "source"])
                    .aggregate([("tokens", "sum"), ("tokens", "count")])
                )
                for row in sums.to_pylist():
                    yield row["lang"], row["source"], row["tokens_count"], row["tokens_sum"]


def _summary(rows: Iterator[tuple[str, str, int, int]], stage: Sampling) -> pa.Table:
    named = stage.parameters.source_shares
    found = [
        (list_language(language), source if source in named else OTHER, 0, None, documents, tokens)
        for language, source, documents, tokens in rows
    ]
    columns = list(zip(*found, strict=True)) or [()] * len(SUMMARY_SCHEMA)
    table = pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, SUMMARY_SCHEMA, strict=True)], SUMMARY_SCHEMA
    )
    return stage.merge([table])
