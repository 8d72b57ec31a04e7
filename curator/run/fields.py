"""Fields that a recipe names and no document has: misspelt, or of another input. Nothing else would tell.

Looked for in the documents that were read, part by part, up to the first that has them: as a rule the first of all. Of
a document that has a language it cannot be told whether the field or its text said so: tasks that read tell it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from curator.recipe.model import FieldNames, Input
from curator.run.corpus import Corpus
from curator.run.part import Part
from curator.run.store import Outputs

_READ = ("id", "file", "position", "source", "metadata")

_WARC_HEADERS = "warc-"
"""How names of headers begin that some records have and others have not (ISO 28500, section 5)."""


@dataclass(frozen=True)
class Wanted:
    """A field by the name that the recipe has for it, and what it is wanted for."""

    use: Literal["id", "source", "lang", "metadata"]
    name: str

    def describe(self, source: str) -> str:
        """That no document has it, in one line without a stop; `source` is what documents have that name none."""
        if self.use == "metadata":
            return f"no document has anything in the field {self.name!r}, which input.metadata names"
        what = {"id": "an id", "source": f"a source other than {source!r}", "lang": "a language"}[self.use]
        return f"no document has {what} in the field {self.name!r}, which input.fields.{self.use} names"


def wanted_fields(given: Input) -> list[Wanted]:
    """The fields that somebody chose: further ones, but for headers of WARC, and those that are called otherwise than
    by default."""
    usual, chosen = FieldNames(), given.fields
    named = [Wanted("metadata", name) for name in given.metadata if not name.lower().startswith(_WARC_HEADERS)]
    if chosen.id != usual.id:
        named.append(Wanted("id", chosen.id))
    if chosen.source != usual.source:
        named.append(Wanted("source", chosen.source))
    if chosen.lang != usual.lang:
        named.append(Wanted("lang", chosen.lang))
    return named


def has_language(given: pa.StringArray) -> bool:
    """Whether one of these records says its language."""
    if given.null_count == len(given):
        return False
    return bool(pc.any(pc.not_equal(pc.utf8_trim_whitespace(given), "")).as_py())


def describe_absent_fields(corpus: Corpus, given: Input, *, has_languages: bool) -> list[str]:
    """A line for each field that somebody chose and no document of a corpus has; `has_languages` is whether a record
    said its language."""
    chosen = wanted_fields(given)
    languages = [field for field in chosen if field.use == "lang"]
    wanted = [field for field in chosen if field.use != "lang"]
    parts = [part for part in corpus.parts if part.rows]
    if not parts:
        return []
    for step, asked in (("first", parts[:1]), ("others", parts[1:])):
        if wanted and asked:
            commits = corpus.map(step, _Look(tuple(wanted), given.source), asked)
            found = {place for commit in commits for place in cast("list[int]", commit.result["found"])}
            wanted = [field for place, field in enumerate(wanted) if place not in found]
    absent = wanted if has_languages else wanted + languages
    return [field.describe(given.source) for field in absent]


@dataclass(frozen=True)
class _Look:
    """Finds which of the fields a document of a part has, as places in `wanted`."""

    wanted: Sequence[Wanted]
    source: str

    def __call__(self, part: Part, outputs: Outputs) -> Mapping[str, object]:
        found: set[int] = set()
        for documents in part.documents(_READ):
            for place, field in enumerate(self.wanted):
                if place not in found and self._is_in(documents, field):
                    found.add(place)
            if len(found) == len(self.wanted):
                break
        return {"found": sorted(found)}

    def _is_in(self, documents: pa.RecordBatch, field: Wanted) -> bool:
        if field.use == "metadata":
            return _has_value(documents.column("metadata"), field.name)
        if field.use == "source":
            return bool(pc.any(pc.not_equal(documents.column("source"), self.source)).as_py())
        position = documents.column("position").cast(pa.string())
        place = pc.binary_join_element_wise(documents.column("file"), position, ":")
        return bool(pc.any(pc.not_equal(documents.column("id"), place)).as_py())


def _has_value(metadata: pa.StringArray, name: str) -> bool:
    """Whether one of these JSON objects has something under this name: neither null nor an empty string."""
    key = msgspec.json.encode(name).decode()
    decode = msgspec.json.Decoder(dict[str, object]).decode
    named = metadata.filter(pc.match_substring(metadata, f"{key}:"))
    return any(decode(text.as_py()).get(name) not in (None, "") for text in named)
