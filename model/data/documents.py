"""Documents to be asked about: those of files of any format that Curator reads, or what a run keeps from its models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from curator.readers.base import Failure, Fields, ReadOptions
from curator.readers.detect import discover
from curator.readers.registry import load_reader
from curator.run.directory import RunDirectory
from curator.run.failures import Failures, failures_of_records
from curator.storage.path import as_path
from curator.text.normalise import INVALID_UTF8
from model.data.order import Selection, held
from model.data.shards import ORIGIN, Corpus

UNKNOWN = "und"
"""The tag of a document that has none."""
SPLIT_BYTES = 8 << 20


@dataclass(frozen=True)
class TextDocument:
    """A text and the tag of its language. `name` tells it from the others."""

    name: str
    lang: str
    text: str


def documents_of_files(paths: Sequence[str]) -> tuple[list[TextDocument], list[Failures]]:
    """The documents of files, in order, and which records could not be read, and why. UserError when there is no
    file."""
    options = ReadOptions(fields=Fields())
    documents: list[TextDocument] = []
    failed: list[tuple[str, Failure]] = []
    for file in discover(paths):
        reader = load_reader(file.format)
        for split in reader.splits(file, options, SPLIT_BYTES):
            failed += ((file.name, failure) for failure in split.failures)
            for found in reader.read(split, options):
                failed += ((file.name, failure) for failure in found.failures)
                for document in _documents(found.records, file.name):
                    if isinstance(document, Failure):
                        failed.append((file.name, document))
                    else:
                        documents.append(document)
    return documents, failures_of_records(failed)


def _documents(records: pa.RecordBatch, file: str) -> Iterator[TextDocument | Failure]:
    columns = (records.column(name).to_pylist() for name in ("text", "id", "lang", "position"))
    for text, given, lang, position in zip(*columns, strict=True):
        try:
            decoded = text.decode("utf-8")
        except UnicodeDecodeError:
            yield Failure(position, None, INVALID_UTF8, sha256(text).hexdigest())
        else:
            yield TextDocument(given or f"{file}:{position}", lang or UNKNOWN, decoded)


def documents_of_run(corpus: Corpus, validation_share: float | None) -> Iterator[TextDocument]:
    """The documents of a run, without copies and what was made of documents; with a share only those that a model
    trained on it never sees."""
    for group in corpus.groups:
        table = corpus.read(group, (*ORIGIN, "id", "text", "lang", "copy"))
        chosen = pc.and_(pc.equal(table["copy"], 0), pc.is_null(table["parent"]))
        if validation_share is not None:
            kept = held(corpus, table, Selection(validation_share=validation_share))
            chosen = pc.and_(chosen, pa.chunked_array([kept]))
        for row in table.filter(chosen).select(["id", "lang", "text"]).to_pylist():
            yield TextDocument(row["id"], row["lang"], row["text"])


def is_run(place: str) -> bool:
    """Whether a place is a finished run, and not a file."""
    return RunDirectory(as_path(place)).manifest.is_file()
