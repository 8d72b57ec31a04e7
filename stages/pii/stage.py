"""`pii`: personal data is found, checked and replaced, by a placeholder unless the recipe wants something else.

One scan finds candidates for what has a shape (addresses, numbers, keys), a second one words beside which something
stands (birth dates, plates, streets); a candidate counts only when a validator agrees; lists and regions are those of
the document's language. Names are found by cue words and lists, and by a model where the recipe names one. The record
holds kinds and places, never values.

What stays in the text on purpose: private, loopback and documentation IP addresses, numbers that only look like
personal data (years, amounts, versions, ISBNs), `user:password` as such, single given names without a second sign.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self, cast, get_args

import numpy as np
import pyarrow as pa
from blake3 import blake3
from pydantic import Field, model_validator

from curator.document import Batch
from curator.stage import Column, Columns, Parameters, Requirement, Stage, State, together
from curator.verdict import Redaction, VerdictBuilder, Verdicts
from stages.pii.actions import Action, KeySource, hashed
from stages.pii.kind import CALLED, Kind
from stages.pii.ner import NerParameters
from stages.pii.pseudonyms import PSEUDONYMISED, pseudonym
from stages.pii.recogniser import Recogniser, RecogniserChoice, create
from stages.pii.redact import PLACEHOLDERS, replace

if TYPE_CHECKING:
    from stages.pii.detect import Recognised

SPAN_TYPE: Final = pa.struct([("kind", pa.string()), ("begin", pa.int32()), ("end", pa.int32())])

HASH, PSEUDONYM, DROP, FLAG = "pii.hash", "pii.pseudonym", "pii.drop", "pii.flag"
_RULE_OF: Final = {kind: f"pii.{kind}" for kind in PLACEHOLDERS}


class PiiParameters(Parameters):
    """Parameters of `pii`."""

    kinds: tuple[Kind, ...] = Field(
        default=get_args(Kind),
        min_length=1,
        description="Kinds of personal data that are looked for.",
    )
    actions: dict[Kind, Action] = Field(
        default_factory=dict,
        description="What becomes of a kind: `redact` (where none is given), `hash`, `pseudonymise`, `flag`, or"
        " `drop` (the document).",
    )
    key: KeySource | None = Field(
        None, description="Where the key of hashes and pseudonyms is; needed for them, and for nothing else."
    )
    pseudonyms: Literal["document", "run"] = Field(
        "document", description="Within what a value keeps its pseudonym: a document, or all of the run."
    )

    ner: NerParameters | None = Field(
        None, description="A model that finds names, beside the rules; it reads only documents that are kept so far."
    )
    recognisers: tuple[RecogniserChoice, ...] = Field(
        (),
        description="Recognisers of other packages, beside the rules; they read only documents that are kept so far.",
    )

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        strangers = sorted(self.actions.keys() - set(self.kinds))
        if strangers:
            raise ValueError(f"`actions` names {', '.join(strangers)}, not among `kinds`: nothing would look for it")
        without = sorted(
            kind for kind, action in self.actions.items() if action == "pseudonymise" and kind not in PSEUDONYMISED
        )
        if without:
            known = ", ".join(sorted(PSEUDONYMISED))
            raise ValueError(f"{', '.join(without)}: no value is surely nobody's; pseudonyms exist for {known}")
        keyed = any(action in ("hash", "pseudonymise") for action in self.actions.values())
        if keyed and self.key is None:
            raise ValueError("`hash` and `pseudonymise` need `key`: {environment: NAME} or {file: PATH}")
        if self.key is not None and not keyed:
            raise ValueError("`key` is given, and no action is `hash` or `pseudonymise`: nothing would use it")
        if self.ner is not None and "name" not in self.kinds:
            raise ValueError("`ner` is given, and `kinds` has no `name`: nothing would use it")
        return self


class Pii(Stage[PiiParameters]):
    """Replaces personal data."""

    name = "pii"
    about = "Replaces names, addresses, numbers and credentials of persons by placeholders."
    parameters_type = PiiParameters
    columns = (
        Column("pii.spans", pa.list_(SPAN_TYPE), "Personal data: kind and place, in code points.", internal=True),
        Column("pii.count", pa.int32(), "Pieces of personal data that were found."),
    )
    rules: ClassVar[Mapping[str, str]] = {
        **{_RULE_OF[kind]: f"{called} was replaced by {PLACEHOLDERS[kind]}" for kind, called in CALLED.items()},
        HASH: "personal data ({kind}) was replaced by a keyed hash",
        PSEUDONYM: "personal data ({kind}) was replaced by a pseudonym",
        DROP: "it has personal data ({kind}), of which the recipe wants no document",
        FLAG: "it has personal data ({kind}), which the recipe leaves in place",
    }
    edits_text = True
    packages: tuple[str, ...] = ("phonenumbers", "python-stdnum")

    def __init__(self, parameters: PiiParameters, seed: int = 0) -> None:
        super().__init__(parameters, seed)
        named = {"hash": HASH, "pseudonymise": PSEUDONYM}
        self._actions: Mapping[str, Action] = dict(parameters.actions.items())
        self._recognisers: list[Recogniser] = [] if parameters.ner is None else [parameters.ner.recogniser()]
        self._recognisers += map(create, parameters.recognisers)
        if self._recognisers:
            self.costly = True
            needs = together(each.resources for each in self._recognisers)
            # Whatever it says of itself, making it anew for each task would take long.
            self.resources = dataclasses.replace(needs, holds_model=True)
            of_recognisers = [name for each in self._recognisers for name in each.packages]
            owners = [owner for choice in parameters.recognisers if (owner := choice.package()) is not None]
            self.packages = tuple(dict.fromkeys((*self.packages, *of_recognisers, *owners)))
        self._rule_of = _RULE_OF | {kind: named[action] for kind, action in self._actions.items() if action in named}

    def requirements(self) -> Sequence[Requirement]:
        """The key, and what each recogniser needs that the recipe names."""
        key = self.parameters.key
        return [
            *(() if key is None else (key.requirement(),)),
            *(self._needed(recogniser) for recogniser in self._recognisers),
        ]

    def _needed(self, recogniser: Recogniser) -> Requirement:
        requirement = recogniser.requirement()
        if requirement.problem is not None or recogniser.kinds & set(self.parameters.kinds):
            return requirement
        found = ", ".join(sorted(recogniser.kinds))
        return dataclasses.replace(requirement, problem=f"finds {found}, not among `kinds`: nothing would use it")

    def recorded(self) -> Mapping[str, object]:
        """The parameters; paths among the options of recognisers, which they alone know, by their names too."""
        values = dict(super().recorded())
        values["recognisers"] = [
            {**choice, "options": {name: _named(value) for name, value in choice["options"].items()}}
            for choice in cast("list[dict[str, dict[str, object]]]", values["recognisers"])
        ]
        return values

    def annotate(self, batch: Batch) -> Columns:
        """`pii.spans` and `pii.count` of each document."""
        from stages.pii.detect import KINDS, detect

        kinds = self.parameters.kinds
        hits = detect(*batch.text_buffer, batch.languages, lambda: batch.units, kinds, self._recognised(batch))
        counts = np.bincount(hits.documents, minlength=len(batch)).astype(np.int32)
        offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
        kinds = pa.DictionaryArray.from_arrays(pa.array(hits.kinds), pa.array(KINDS)).cast(pa.string())
        spans = pa.StructArray.from_arrays([kinds, pa.array(hits.begins), pa.array(hits.stops)], fields=list(SPAN_TYPE))
        return {"pii.spans": pa.ListArray.from_arrays(pa.array(offsets), spans), "pii.count": pa.array(counts)}

    def _recognised(self, batch: Batch) -> list[Recognised]:
        """What recognisers find, each in the documents of its languages."""
        languages = batch.languages
        begins = batch.text_buffer[1].tolist()
        found: list[Recognised] = []
        for recogniser in self._recognisers:
            read = np.array([name in recogniser.languages for name in languages.names], dtype=np.bool_)
            rows = np.flatnonzero(read[languages.codes]).tolist()
            texts = [batch.text[row].as_py() for row in rows]
            for row, text, findings in zip(rows, texts, recogniser.find(texts) if texts else [], strict=True):
                points = sorted({point for begin, end, _ in findings for point in (begin, end)})
                byte_of = dict(zip(points, _bytes_before(text, points), strict=True))
                found += [
                    (row, begins[row] + byte_of[begin], begins[row] + byte_of[end], kind)
                    for begin, end, kind in findings
                ]
        return found

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """For each document that has personal data an edit, a drop for the first piece that calls for one, or flags."""
        builder = VerdictBuilder(len(batch))
        spans = columns["pii.spans"]
        offsets = spans.offsets.to_pylist()
        kinds, begins, ends = (spans.values.field(name).to_pylist() for name in ("kind", "begin", "end"))
        actions, rule_of = self._actions, self._rule_of
        dropped: list[tuple[int, Redaction]] = []
        flagged: list[tuple[int, Redaction]] = []
        for row in np.flatnonzero(columns["pii.count"].to_numpy(zero_copy_only=False)).tolist():
            own = slice(offsets[row], offsets[row + 1])
            found = list(zip(kinds[own], begins[own], ends[own], strict=True))
            if actions:
                fatal = next((span for span in found if actions.get(span[0]) == "drop"), None)
                if fatal is not None:
                    dropped.append((row, _redaction(fatal)))
                    continue
                flagged += [(row, _redaction(span)) for span in found if actions.get(span[0]) == "flag"]
                found = [span for span in found if actions.get(span[0]) != "flag"]
                if not found:
                    continue
            text = replace(batch.text[row].as_py(), found, self._replacement(batch, row))
            builder.edit(row, text, [_redaction(span) for span in found], rule_of)
        for verdict, rule, pieces in ((builder.drop, DROP, dropped), (builder.flag, FLAG, flagged)):
            if pieces:
                rows = np.array([row for row, _ in pieces], dtype=np.int64)
                verdict(rows, rule, spans=[redaction for _, redaction in pieces])
        return builder.build()

    def _replacement(self, batch: Batch, row: int) -> Callable[[str, str], str]:
        """What stands for a value of a kind in a document."""
        actions = self._actions
        if not actions:
            return lambda kind, _: PLACEHOLDERS[kind]
        language = batch.languages.names[batch.languages.codes[row]]

        def replacement(kind: str, value: str) -> str:
            match actions.get(kind):
                case "hash":
                    return hashed(kind, value, self._key)
                case "pseudonymise":
                    return pseudonym(kind, value, language, self._pseudonym_key(batch, row))
            return PLACEHOLDERS[kind]

        return replacement

    def _pseudonym_key(self, batch: Batch, row: int) -> bytes:
        if self.parameters.pseudonyms == "run":
            return self._key
        return blake3(batch.keys[row].tobytes(), key=self._key).digest()

    @cached_property
    def _key(self) -> bytes:
        if self.parameters.key is None:
            raise ValueError("hashes and pseudonyms need a key")
        return self.parameters.key.read()

    def coverage(self, language: str) -> str | None:
        """What is not looked for in a language: names, or national forms of numbers."""
        from stages.pii.kinds.ids import id_languages
        from stages.pii.kinds.phone import REGIONS
        from stages.pii.names import name_coverage

        missing = []
        kinds = self.parameters.kinds
        read = any(language in each.languages and "name" in each.kinds for each in self._recognisers)
        names = name_coverage(language) if "name" in kinds and not read else None
        if names is not None:
            missing.append(names)
        if "phone" in kinds and language not in REGIONS:
            missing.append("telephone numbers in international form only")
        if "id" in kinds and language not in id_languages():
            missing.append("national identity numbers only of other countries")
        return "; ".join(missing) or None


def _named(value: object) -> object:
    """The path of something that is there as its last part, whatever else as it is."""
    if isinstance(value, str) and os.sep in value and Path(value).exists():
        return Path(value).name
    return value


def _bytes_before(text: str, points: Sequence[int]) -> list[int]:
    """Bytes of UTF-8 before each of these code points, which ascend."""
    found = []
    done = size = 0
    for point in points:
        size += len(text[done:point].encode())
        done = point
        found.append(size)
    return found


def _redaction(span: tuple[str, int, int]) -> Redaction:
    kind, begin, end = span
    return Redaction(kind=kind, begin=begin, end=end)
