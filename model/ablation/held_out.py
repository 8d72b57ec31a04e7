"""What recipes are compared on: documents drawn once from the raw input, before any recipe; and the raw input without
them and without what is nearly the same, which every arm begins with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curator.errors import CuratorError, UserError
from curator.keys import random_fractions
from curator.readers.detect import discover
from curator.recipe import load_recipe_text
from curator.recipe.model import Recipe
from curator.run.driver import Request, run
from curator.run.store import put
from curator.storage.parquet import parquet_table
from curator.storage.path import as_path, matching
from model.ablation.reading import with_metadata
from model.data.shards import Corpus, open_corpus

RAW = "raw"
"""The arm that no recipe touches."""
SIMILAR = 0.5
"""Jaccard similarity from which a document counts as nearly the same as a held-out one: lower than a recipe's own
threshold, since here a document too many costs little and one too few is a test that was seen before."""
READ_BY_RECIPES = "say in the recipes how their input is read, as with input: {fields: {text: NAME}}"
"""What to do about an input that cannot be read: options of `curator process` are none of a comparison."""
_EARLIER = ("dedup.exact_earlier", "dedup.near_earlier")


@dataclass(frozen=True)
class Split:
    """Files of the raw input and of the held-out documents, in JSON lines, and how many documents went where."""

    raw: Path
    held_out: Path
    raw_documents: int
    held_out_documents: int
    too_similar: int


def split_input(inputs: tuple[str, ...], output: Path, reading: Recipe, share: float, seed: int, workers: int) -> Split:
    """Read the input by the recipe `reading`, hold out a share of every language, and remove from the rest what is
    similar to it.

    What was done already in `output` is not done again. UserError when nothing is held out or nothing is left.
    """
    record = output / "split.json"
    split = Split(output / "raw.jsonl", output / "held-out.jsonl", 0, 0, 0)
    if record.exists():
        counts: dict[str, int] = json.loads(record.read_bytes())
        return Split(split.raw, split.held_out, **counts)
    work = output / "work"
    with _told_of_recipes():
        _run(inputs, work / "read", reading, workers)
    if not any(matching(work / "read" / "shards", "*.parquet")):
        raise UserError("there is no document", file=", ".join(inputs), hint="give text to compare the recipes on")
    corpus = open_corpus(str(work / "read"))
    drawn = _draw(corpus, share, seed)
    if not drawn:
        raise UserError("no document is held out: no language has two", file=", ".join(inputs), hint="give more input")
    _write(work / "drawn.jsonl", (row for row in _rows(corpus) if row["id"] in drawn))
    _write(work / "rest.jsonl", (row for row in _rows(corpus) if row["id"] not in drawn))
    # The draw may hold a text twice; the run with the index keeps one of them.
    index = load_recipe_text(f"name: held-out\nstages:\n  - dedup: {{index: true, threshold: {SIMILAR}}}\n", "held-out")
    _run((str(work / "drawn.jsonl"),), work / "held-out", index, workers)
    against = json.dumps([str(work / "held-out")])
    recipe = f"name: rest\nstages:\n  - dedup: {{against: {against}, threshold: {SIMILAR}}}\n"
    _run((str(work / "rest.jsonl"),), work / "rest", load_recipe_text(recipe, "rest"), workers)
    similar = _dropped_by_held_out(work / "rest")
    kept = {row["id"] for row in _rows(open_corpus(str(work / "held-out")), own_ids=True)}
    _write(split.held_out, (row for row in _rows(corpus) if row["id"] in kept))
    raw = _write(split.raw, (row for row in _rows(corpus) if row["id"] not in drawn and row["id"] not in similar))
    if not kept or not raw:
        raise UserError(
            f"{len(kept)} documents are held out and {raw} are left", hint="give more input, or another --held-out"
        )
    counts = {"raw_documents": raw, "held_out_documents": len(kept), "too_similar": len(similar)}
    put(record, json.dumps(counts).encode())
    return Split(split.raw, split.held_out, **counts)


def check_input(inputs: tuple[str, ...], reading: Recipe) -> None:
    """UserError for an input that is not there, or whose format cannot be told."""
    with _told_of_recipes():
        discover(inputs, reading.input.format)


@contextmanager
def _told_of_recipes() -> Iterator[None]:
    """What to do about the input, in words of `curator ablate`."""
    try:
        yield
    except CuratorError as error:
        if error.hint is not None and "--set" in error.hint:
            error.hint = READ_BY_RECIPES
        raise


def _run(inputs: tuple[str, ...], output: Path, recipe: Recipe, workers: int) -> None:
    run(Request(inputs, as_path(str(output)), recipe, workers=workers, resume=True))


def _draw(corpus: Corpus, share: float, seed: int) -> set[str]:
    """The ids of the documents that are held out: of each language its share, rounded up, by a hash of the key."""
    ids: list[str] = []
    languages: list[str] = []
    ranks = []
    for group in corpus.groups:
        table = corpus.read(group, ("key", "lang"))
        keys = corpus.keys_of(table)
        ids.extend(key.tobytes().hex() for key in keys)
        languages.extend(table["lang"].to_pylist())
        ranks.append(random_fractions(seed, "ablation", keys))
    rank = np.concatenate(ranks)
    found: set[str] = set()
    tags = np.array(languages)
    for language in sorted(set(languages)):
        rows = np.flatnonzero(tags == language)
        chosen = rows[np.argsort(rank[rows], kind="stable")][: int(np.ceil(share * len(rows)))]
        # A language of one document is all test or all training: it is left to training.
        found.update(ids[row] for row in chosen if len(rows) > 1)
    return found


def _rows(corpus: Corpus, *, own_ids: bool = False) -> Iterator[dict[str, object]]:
    """The documents, each under its key, which alone is unique; or under the ids that they came with."""
    for group in corpus.groups:
        for row in corpus.read(group, ("id", "key", "text", "lang", "source", "provenance.metadata")).to_pylist():
            name = row["id"] if own_ids else row["key"].hex()
            document = {"id": name, "text": row["text"], "lang": row["lang"], "source": row["source"]}
            yield with_metadata(document, row["provenance"]["metadata"])


def _write(path: Path, rows: Iterator[Mapping[str, object]]) -> int:
    beside = path.with_name(f".{path.name}")
    count = 0
    with beside.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    beside.replace(path)
    return count


def _dropped_by_held_out(directory: Path) -> set[str]:
    """The ids that were dropped for a held-out document."""
    found: set[str] = set()
    for path in sorted((directory / "decisions").glob("*.parquet")):
        table = parquet_table(path, ["id", "rule"])
        found.update(row["id"] for row in table.to_pylist() if row["rule"] in _EARLIER)
    return found
