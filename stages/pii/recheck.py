"""What is left: a sample of the documents that a run wrote, searched again for personal data.

The sample is the documents of least hash(seed, key), so that two searches of one run read the same ones; copies of a
document count once. What a run put in the place of personal data (`[REDACTED_NAME]`, a keyed hash) is not left over,
and is not reported. A pseudonym cannot be told from what it replaces: kinds that the recipe pseudonymises are found
again, and so are those that it flags.

A share found here is what this search sees, not all there is: a search with a second recogniser sees more than one with
the rules that the run had. Values are in no field of the result.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from curator.document import DOCUMENT_SCHEMA, Batch
from curator.keys import random_words
from curator.storage.parquet import open_parquet, parquet_tables
from curator.storage.path import AnyPath, matching
from stages.pii.stage import Pii

if TYPE_CHECKING:
    from numpy.typing import NDArray

_READ: Final = ["id", "key", "text", "lang", "source"]
_PLACEHOLDER: Final = re.compile(r"\[(?:REDACTED_[A-Z]+|[A-Z]+_[0-9A-F]{16})\]")
_SAMPLE: Final = "recheck"


@dataclass(frozen=True)
class Leftover:
    """Personal data in a document that was written: its kind and place, in code points of the written text."""

    key: str
    language: str
    kind: str
    begin: int
    end: int


@dataclass
class Rechecked:
    """What a search found. `documents` and `characters` are those searched, by list language."""

    documents: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    leftovers: list[Leftover] = field(default_factory=list)

    def with_kind(self) -> Counter[tuple[str, str]]:
        """How many documents of a language have personal data of a kind."""
        pairs = {(left.key, left.language, left.kind) for left in self.leftovers}
        return Counter((language, kind) for _, language, kind in pairs)

    def pieces(self) -> Counter[tuple[str, str]]:
        """How many pieces of a kind there are in a language."""
        return Counter((left.language, left.kind) for left in self.leftovers)


def recheck(shards: AnyPath, stage: Pii, documents: int, seed: int) -> Rechecked:
    """Search `documents` of the documents in a folder of shards, all where there are fewer. Memory follows the sample
    and a row group, not the shards."""
    found = Rechecked()
    files = matching(shards, "*.parquet")
    for table in _sampled(files, _least(files, documents, seed)):
        _search(table, stage, found)
    return found


def _least(files: Sequence[AnyPath], documents: int, seed: int) -> dict[int, NDArray[np.int64]]:
    """The rows of the sample in each file that has any."""
    best = np.zeros((0, 3), dtype=np.uint64)
    for number, path in enumerate(files):
        begin = 0
        for table in parquet_tables(path, ["key", "copy"]):
            keys = np.frombuffer(b"".join(table["key"].to_pylist()), dtype=np.uint64).reshape(-1, 2)
            rows = np.flatnonzero(table["copy"].to_numpy() == 0)
            words = random_words(seed, _SAMPLE, keys[rows])
            places = np.full(len(rows), number, dtype=np.uint64)
            own = np.stack([words, places, (rows + begin).astype(np.uint64)], axis=1)
            best = np.concatenate([best, own])
            best = best[np.lexsort(best.T[::-1])[:documents]]
            begin += table.num_rows
    return {
        number: np.sort(best[best[:, 1] == number, 2]).astype(np.int64) for number in np.unique(best[:, 1]).tolist()
    }


def _sampled(files: Sequence[AnyPath], rows_of: dict[int, NDArray[np.int64]]) -> Iterator[pa.Table]:
    """The chosen rows, a row group at a time."""
    for number, rows in rows_of.items():
        # Not by `parquet_tables`: row groups without a row of the sample are not read.
        with open_parquet(files[number]) as file:
            begin = 0
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                own = rows[(rows >= begin) & (rows < end)] - begin
                if len(own):
                    yield file.read_row_group(group, columns=_READ, use_threads=False).take(pa.array(own))
                begin = end


def _search(table: pa.Table, stage: Pii, found: Rechecked) -> None:
    """Add what is left in these documents."""
    columns = {name: table[name].combine_chunks() for name in _READ}
    columns |= {"file": pa.repeat("", len(table)), "position": pa.array(np.arange(len(table)))}
    columns |= {field.name: pa.nulls(len(table), field.type) for field in DOCUMENT_SCHEMA if field.name not in columns}
    arrays = [columns[field.name].cast(field.type) for field in DOCUMENT_SCHEMA]
    batch = Batch(pa.RecordBatch.from_arrays(arrays, schema=DOCUMENT_SCHEMA))
    languages = [batch.languages.names[code] for code in batch.languages.codes.tolist()]
    spans = stage.annotate(batch)["pii.spans"].to_pylist()
    for text, key, language, own in zip(
        batch.text.to_pylist(), columns["key"].to_pylist(), languages, spans, strict=True
    ):
        found.documents[language] += 1
        found.characters[language] += len(text)
        replaced = [match.span() for match in _PLACEHOLDER.finditer(text)]
        for span in own:
            begin, end = span["begin"], span["end"]
            if _has_more(text, begin, end, replaced):
                found.leftovers.append(Leftover(key.hex(), language, span["kind"], begin, end))


def _has_more(text: str, begin: int, end: int, replaced: Sequence[tuple[int, int]]) -> bool:
    """Whether a span has a letter or a digit outside what the run put there."""
    at = begin
    for low, high in replaced:
        if low >= end:
            break
        if high > at:
            if any(map(str.isalnum, text[at : max(at, low)])):
                return True
            at = max(at, high)
    return any(map(str.isalnum, text[at:end]))
