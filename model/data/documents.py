"""Documents to be asked about: those of files of any format that Curator reads, or what a run keeps from its models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curator.readers.base import Fields, ReadOptions
from curator.readers.detect import discover
from curator.readers.registry import load_reader
from model.data.order import Selection, held
from model.data.shards import Corpus

UNKNOWN = "und"
"""The tag of a document that has none."""
SPLIT_BYTES = 8 << 20


@dataclass(frozen=True)
class TextDocument:
    """A text and the tag of its language. `name` tells it from the others."""

    name: str
    lang: str
    text: str


def documents_of_files(paths: Sequence[str]) -> tuple[list[TextDocument], int]:
    """The documents of files, in order, and how many records could not be read. UserError when there is no file."""
    options = ReadOptions(fields=Fields())
    documents: list[TextDocument] = []
    failed = 0
    for file in discover(paths):
        reader = load_reader(file.format)
        for split in reader.splits(file, options, SPLIT_BYTES):
            failed += len(split.failures)
            for found in reader.read(split, options):
                read = list(_documents(found.records, file.name))
                failed += len(found.failures) + found.records.num_rows - len(read)
                documents.extend(read)
    return documents, failed


def _documents(records: pa.RecordBatch, file: str) -> Iterator[TextDocument]:
    columns = (records.column(name).to_pylist() for name in ("text", "id", "lang", "position"))
    for text, given, lang, position in zip(*columns, strict=True):
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError:
            continue
        yield TextDocument(given or f"{file}:{position}", lang or UNKNOWN, decoded)


def documents_of_run(corpus: Corpus, validation_share: float | None) -> Iterator[TextDocument]:
    """The documents of a run, without copies; with a share only those that a model trained on it never sees."""
    for group in corpus.groups:
        table = corpus.read(group, ("id", "key", "text", "lang", "copy"))
        chosen = [not copy for copy in table["copy"].to_pylist()]
        if validation_share is not None:
            kept = held(corpus, table, Selection(validation_share=validation_share))
            chosen = [first and bool(row) for first, row in zip(chosen, kept, strict=True)]
        for row in table.filter(pa.array(chosen, pa.bool_())).select(["id", "lang", "text"]).to_pylist():
            yield TextDocument(row["id"], row["lang"], row["text"])


def is_run(place: str) -> bool:
    """Whether a place is a finished run, and not a file."""
    return (Path(place) / "manifest.json").is_file()
