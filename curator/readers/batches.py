"""Records as Arrow batches, and the sums over bytes that every reader needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow as pa

from curator.readers.base import RECORD_SCHEMA, Failure, Note, Records


class RecordBuilder:
    """Collects records column by column. A text is str, or bytes that may not be UTF-8; an empty id, source or lang
    counts as missing."""

    def __init__(self) -> None:
        self.texts: list[str | bytes] = []
        self.ids: list[str | None] = []
        self.sources: list[str | None] = []
        self.langs: list[str | None] = []
        self.positions: list[int] = []
        self.metadata: list[str | None] = []
        self.failures: list[Failure] = []
        self.notes: list[Note] = []

    def add(
        self,
        position: int,
        text: str | bytes,
        *,
        id: str | None = None,  # noqa: A002 (the name of the column)
        source: str | None = None,
        lang: str | None = None,
        metadata: str | None = None,
    ) -> None:
        """One record."""
        self.positions.append(position)
        self.texts.append(text)
        self.ids.append(id or None)
        self.sources.append(source or None)
        self.langs.append(lang or None)
        self.metadata.append(metadata)

    def fail(self, position: int, line: int | None, code: str, record: bytes) -> None:
        """One record that could not be read: `record` is hashed, not kept."""
        self.failures.append(Failure(position, line, code, digest_record(record)))

    def note(self, position: int, code: str) -> None:
        """Something about a record that was added."""
        self.notes.append(Note(position, code))

    def build(self) -> Records:
        """What was collected, as a batch of `RECORD_SCHEMA` in the order of addition."""
        return make_records(
            self.texts,
            self.ids,
            self.sources,
            self.langs,
            self.positions,
            self.metadata,
            tuple(self.failures),
            tuple(self.notes),
        )


def make_records(
    texts: Sequence[object],
    ids: Sequence[str | None],
    sources: Sequence[str | None],
    langs: Sequence[str | None],
    positions: Sequence[int],
    metadata: Sequence[str | None],
    failures: tuple[Failure, ...] = (),
    notes: tuple[Note, ...] = (),
) -> Records:
    """Records of columns of equal length."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(texts, pa.binary()),
            pa.array(ids, pa.string()),
            pa.array(sources, pa.string()),
            pa.array(langs, pa.string()),
            pa.array(positions, pa.int64()),
            pa.array(metadata, pa.string()),
        ],
        schema=RECORD_SCHEMA,
    )
    return Records(batch, failures, notes)


def only_failures(failures: Sequence[Failure]) -> Records:
    """No record, only failures."""
    return make_records((), (), (), (), (), (), tuple(failures))


def digest_record(record: bytes) -> str:
    """SHA-256 (hex) of a record's bytes."""
    return hashlib.sha256(record).hexdigest()
