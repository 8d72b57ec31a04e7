"""The size of a corpus: as it is told, or measured on the first pieces of its files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from curator.errors import UserError
from curator.estimate.machines import CorpusSize
from curator.estimate.rates import Rates
from curator.readers.base import InputFile
from curator.readers.registry import load_reader
from curator.recipe.model import Recipe
from curator.run.execution import MIN_SPLIT_BYTES
from curator.run.options import read_options
from curator.sizes import format_size

LARGEST_READ = 8
PIECES_READ = 2
"""Of the largest files, the first pieces of MIN_SPLIT_BYTES are read."""

OTHERS_READ = 64
OTHERS_BYTES = 32 << 20
"""Of the other files, these many, spread evenly over the input, or fewer where so many bytes are enough: the first
piece of each."""


@dataclass
class _Found:
    """What was read: bytes of files as they lie, the same bytes decompressed, text, documents, bytes of ids."""

    stored: float = 0.0
    plain: float = 0.0
    text: float = 0.0
    documents: float = 0.0
    ids: float = 0.0

    def add(self, other: _Found) -> None:
        self.stored += other.stored
        self.plain += other.plain
        self.text += other.text
        self.documents += other.documents
        self.ids += other.ids

    def times(self, factor: float) -> _Found:
        """So many times as much."""
        return _Found(*(getattr(self, each.name) * factor for each in fields(self)))


def told_size(text_bytes: float | None, documents: float | None, rates: Rates, *, compressed: bool) -> CorpusSize:
    """A corpus of so many bytes of text, or documents, or both: what is not told is as in the corpus of the rates."""
    mean = rates.document_bytes
    if text_bytes is None and documents is None:
        raise UserError("the corpus has no size", hint="give --size, --documents or files")
    size = text_bytes if text_bytes is not None else (documents or 0.0) * mean
    count = documents if documents is not None else max(1.0, size / mean)
    if size < count:
        raise UserError(f"{format_size(size)} of text are too little for {count:,.0f} documents")
    plain = size * rates.input_bytes_per_text_byte
    known = "" if text_bytes is not None and documents is not None else f"; documents of {mean:,.0f} bytes on average"
    return CorpusSize(size, count, plain, plain, float(compressed), rates.id_bytes, f"as told{known}")


def measured_size(files: Sequence[InputFile], recipe: Recipe, rates: Rates) -> CorpusSize:
    """The corpus of these files, told from the first pieces of the largest and of some of the others. UserError where
    they have no text."""
    by_size = sorted(files, key=lambda file: (-file.size, file.name))
    largest, others = by_size[:LARGEST_READ], sorted(by_size[LARGEST_READ:], key=lambda file: file.name)
    found, read, stream = _Found(), _Found(), 0.0
    count = 0
    for group, chosen, pieces in ((largest, largest, PIECES_READ), (others, _spread(others), 1)):
        seen, in_streams = _Found(), 0.0
        for file in chosen:
            begun, is_stream = _read_begin(file, recipe, pieces)
            seen.add(begun)
            in_streams += begun.plain if is_stream else 0.0
        if seen.stored:
            factor = sum(file.size for file in group) / seen.stored
            found.add(seen.times(factor))
            stream += in_streams * factor
        read.add(seen)
        count += len(chosen)
    if found.documents == 0 or found.stored == 0:
        raise UserError("no text was found in the input", hint="give --size or --documents instead of files")
    return CorpusSize(
        found.text,
        found.documents,
        found.plain,
        found.stored,
        stream / found.plain,
        found.ids / found.documents or rates.id_bytes,
        f"from the first {format_size(read.plain)} of {count:,} of {len(files):,} files",
        float(len(files)),
    )


def _spread(files: Sequence[InputFile]) -> list[InputFile]:
    """Some of the files, evenly spread."""
    if not files:
        return []
    mean = sum(min(file.size, MIN_SPLIT_BYTES) for file in files) / len(files)
    count = min(len(files), OTHERS_READ, int(OTHERS_BYTES // max(mean, 1.0)))
    return [files[(2 * place + 1) * len(files) // (2 * count)] for place in range(count)]


def _read_begin(file: InputFile, recipe: Recipe, pieces: int) -> tuple[_Found, bool]:
    """The first pieces of a file, and whether it is a stream."""
    options = read_options(recipe)
    reader = load_reader(file.format)
    splits = reader.splits(file, options, MIN_SPLIT_BYTES)
    read = list(itertools.islice(splits, pieces))
    found = _Found()
    for split in read:
        for records in reader.read(split, options):
            text, ids = records.records.column("text"), records.records.column("id")
            found.documents += len(text)
            found.text += _bytes(text)
            found.ids += _bytes(ids)
    if not read:
        return found, False
    last = read[-1]
    is_stream = last.data is not None
    if is_stream and last.consumed is None:
        raise UserError("is read as a stream of unknown place", file=file.name, hint="give --size or --documents")
    if last.consumed is not None:
        found.stored = float(min(file.size, last.consumed))
        found.plain = float(last.end)
    else:  # row groups: the share of them that was read is the share of the file
        end = max((split.end for split in splits), default=last.end)
        found.stored = file.size * last.end / end if end else 0.0
        found.plain = found.text
    return found, is_stream


def _bytes(column: pa.Array) -> float:
    return float(pc.sum(pc.binary_length(column)).as_py() or 0)
