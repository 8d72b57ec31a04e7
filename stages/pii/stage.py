"""`pii`: personal data is found, checked and replaced by a placeholder.

Names, e-mail addresses, telephone numbers, bank accounts, payment cards, national identity numbers, IP addresses and
credentials in URLs. One scan finds candidates; a candidate counts only when a validator (libphonenumber, python-stdnum)
agrees; lists and regions are those of the document's language. The record holds kinds and places, never values.

What stays in the text on purpose: private, loopback and documentation IP addresses, numbers that only look like
personal data (years, amounts, versions, ISBNs), `user:password` as such, single given names without a second sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curator.document import Batch
from curator.stage import Column, Columns, Parameters, Stage, State
from curator.verdict import Redaction, VerdictBuilder, Verdicts
from stages.pii.redact import PLACEHOLDERS, redact

Kind = Literal["credentials", "email", "iban", "ip", "card", "id", "phone", "name"]

SPAN_TYPE: Final = pa.struct([("kind", pa.string()), ("begin", pa.int32()), ("end", pa.int32())])

_CALLED: Final = {
    "credentials": "a user name and password in a URL",
    "email": "an e-mail address",
    "iban": "a bank account number",
    "ip": "an IP address",
    "card": "a payment card number",
    "id": "an identity number",
    "phone": "a telephone number",
    "name": "the name of a person",
}
_RULE_OF: Final = {kind: f"pii.{kind}" for kind in PLACEHOLDERS}


class PiiParameters(Parameters):
    """Parameters of `pii`."""

    kinds: tuple[Kind, ...] = Field(
        default=("credentials", "email", "iban", "ip", "card", "id", "phone", "name"),
        min_length=1,
        description="Kinds of personal data that are replaced.",
    )


class Pii(Stage[PiiParameters]):
    """Replaces personal data."""

    name = "pii"
    about = "Replaces names, addresses, numbers and credentials of persons by placeholders."
    parameters_type = PiiParameters
    columns = (
        Column("pii.spans", pa.list_(SPAN_TYPE), "Personal data: kind and place, in code points.", internal=True),
        Column("pii.count", pa.int32(), "Pieces of personal data that were replaced."),
    )
    rules: ClassVar[Mapping[str, str]] = {
        _RULE_OF[kind]: f"{called} was replaced by {PLACEHOLDERS[kind]}" for kind, called in _CALLED.items()
    }
    edits_text = True
    packages = ("phonenumbers", "python-stdnum")

    def annotate(self, batch: Batch) -> Columns:
        """`pii.spans` and `pii.count` of each document."""
        from stages.pii.detect import KINDS, detect

        hits = detect(*batch.text_buffer, batch.languages, lambda: batch.units, self.parameters.kinds)
        counts = np.bincount(hits.documents, minlength=len(batch)).astype(np.int32)
        offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
        kinds = pa.DictionaryArray.from_arrays(pa.array(hits.kinds), pa.array(KINDS)).cast(pa.string())
        spans = pa.StructArray.from_arrays([kinds, pa.array(hits.begins), pa.array(hits.stops)], fields=list(SPAN_TYPE))
        return {"pii.spans": pa.ListArray.from_arrays(pa.array(offsets), spans), "pii.count": pa.array(counts)}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """An edit for each document that has personal data."""
        builder = VerdictBuilder(len(batch))
        spans = columns["pii.spans"]
        offsets = spans.offsets.to_pylist()
        kinds, begins, ends = (spans.values.field(name).to_pylist() for name in ("kind", "begin", "end"))
        for row in np.flatnonzero(columns["pii.count"].to_numpy(zero_copy_only=False)).tolist():
            own = slice(offsets[row], offsets[row + 1])
            found = list(zip(kinds[own], begins[own], ends[own], strict=True))
            text = redact(batch.text[row].as_py(), found)
            redactions = [Redaction(kind=kind, begin=begin, end=end) for kind, begin, end in found]
            builder.edit(row, text, redactions, _RULE_OF)
        return builder.build()

    def coverage(self, language: str) -> str | None:
        """What is not looked for in a language: names, or national forms of numbers."""
        from stages.pii.kinds.ids import id_languages
        from stages.pii.kinds.phone import REGIONS
        from stages.pii.names import name_coverage

        missing = []
        kinds = self.parameters.kinds
        names = name_coverage(language) if "name" in kinds else None
        if names is not None:
            missing.append(names)
        if "phone" in kinds and language not in REGIONS:
            missing.append("telephone numbers in international form only")
        if "id" in kinds and language not in id_languages():
            missing.append("national identity numbers only of other countries")
        return "; ".join(missing) or None
