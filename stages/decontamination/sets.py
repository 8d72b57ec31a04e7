"""Evaluation sets: files whose text has no place in training data, read by the readers that read the corpus.

A set must be whole to be worth anything: a record that cannot be read, a field that is nowhere, or no example at all is
an error before any document is read, never a smaller set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
from blake3 import blake3

from curator.errors import UserError
from curator.readers.base import Failure, Fields, InputFile, ReadOptions
from curator.readers.detect import discover
from curator.readers.registry import load_reader
from curator.run.checks import check_quotes
from curator.run.failures import MEANINGS, Meaning
from curator.text.normalise import normalise
from stages.decontamination.parameters import EvaluationSet

MAX_EXAMPLE_BYTES = 64 << 20
_SPLIT_BYTES = 8 << 20


@dataclass(frozen=True)
class Examples:
    """The examples of a set in the order of its files: `texts` (string, normalised as documents are), and `identity`,
    the BLAKE3 of the file; of several, of their names and BLAKE3."""

    texts: pa.StringArray
    identity: str


def list_files(given: EvaluationSet) -> tuple[InputFile, ...]:
    """The files of a set. UserError when there is none that can be read."""
    files = tuple(discover((given.path,), given.format))
    check_quotes("quotes", given.quotes, files)
    return files


def read_examples(given: EvaluationSet, files: Sequence[InputFile]) -> Examples:
    """The examples of a set. UserError when one cannot be read, when a field is nowhere, when there is none."""
    texts: list[bytes] = []
    missing = set(given.fields[1:])
    for file in files:
        for text, further in _records(given, file):
            missing -= further.keys()
            parts = [text, *(part.encode() for name in given.fields[1:] for part in _strings(further.get(name)))]
            texts.append(b"\n".join(parts))
    if not texts:
        raise UserError("has no example", file=given.path)
    if missing:
        raise UserError(f"no record has a field {min(missing)!r}", file=given.path, hint="name others in `fields`")
    normalised = normalise(pa.array(texts, pa.binary()), repair=True)
    for number, code in enumerate(normalised.codes):
        if code is not None:
            raise UserError(f"example {number}: {_meaning(code).words}", file=given.path)
    return Examples(normalised.text, _identity(files))


def _records(given: EvaluationSet, file: InputFile) -> Iterator[tuple[bytes, dict[str, object]]]:
    """The first field and the others of each record of a file."""
    fields = Fields(text=given.fields[0], metadata=tuple(dict.fromkeys(given.fields[1:])))
    options = ReadOptions(
        fields=fields, sample_by=given.sample_by, quotes=given.quotes, max_document_bytes=MAX_EXAMPLE_BYTES
    )
    reader = load_reader(file.format)
    for split in reader.splits(file, options, _SPLIT_BYTES):
        _refuse(given, file, split.failures)
        for records in reader.read(split, options):
            _refuse(given, file, records.failures)
            metadata = records.records.column("metadata").to_pylist()
            for text, further in zip(records.records.column("text").to_pylist(), metadata, strict=True):
                yield text, {} if further is None else msgspec.json.decode(further, type=dict[str, object])


def _refuse(given: EvaluationSet, file: InputFile, failures: Sequence[Failure]) -> None:
    if failures:
        first = failures[0]
        place = f"at {first.position}" if first.line is None else f"in line {first.line}"
        words = _meaning(first.code).words.replace("text field", f"text field {given.fields[0]!r}")
        raise UserError(f"{place}: {words}", file=file.path, hint="an evaluation set must be read as a whole")


def _meaning(code: str) -> Meaning:
    return MEANINGS.get(code, Meaning(code))


def _strings(value: object) -> Iterator[str]:
    """The strings of a JSON value, in order; numbers and the like say nothing by themselves."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)


def _identity(files: Sequence[InputFile]) -> str:
    digests = []
    for file in files:
        try:
            digests.append(blake3().update_mmap(file.path).hexdigest())
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", file=file.path) from error
    if len(digests) == 1:
        return digests[0]
    named = (f"{file.name}\0{digest}\n" for file, digest in zip(files, digests, strict=True))
    return blake3("".join(named).encode()).hexdigest()
