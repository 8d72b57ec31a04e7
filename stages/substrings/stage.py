"""Stage `substrings`: what stands word for word in an earlier document is removed, or noted.

A repeat is a stretch of at least `min_units` units that stood in an earlier document before (Lee et al. 2022,
"Deduplicating training data makes language models better", 4.1: 50 tokens). Its first occurrence in the order of the
input stays. Units are compared folded; all that stands between them goes with them.

Which stretches are repeats is asked of the texts as they enter the stage, whatever becomes of them. So every unit that
is removed stands in some document that keeps it, but a stretch whose two halves are repeats of two other documents is
removed everywhere but there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curator.document import Batch
from curator.run.corpus import Corpus
from curator.run.relation import scaling_with_answers
from curator.scaling import Scaling
from curator.stage import Column, Columns, Parameters, Stage, State
from curator.text.spans import span_points
from curator.verdict import Spans, VerdictBuilder, Verdicts
from stages.substrings.anchors import Measure, mass_of, unit_values
from stages.substrings.cut import cut_units, join_spans, trim_to_phrases, unit_bytes
from stages.substrings.relate import ANCHORS, PLACE, SPAN, find_repeats

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEAT, EMPTY = "substrings.repeat", "substrings.empty"


class SubstringsParameters(Parameters):
    """Parameters of `substrings`."""

    min_units: int = Field(50, ge=2, le=10_000, description="units of a repeat")
    min_characters: int = Field(100, ge=2, le=10_000, description="the same, in scripts without spaces")
    within: bool = Field(False, description="also what stands twice in one document")
    action: Literal["remove", "flag"] = Field("remove", description="remove it, or note where it stands")
    representatives: int = Field(16, ge=1, le=1000, description="earlier places that a place is compared with, at most")
    min_units_left: int = Field(10, ge=0, description="a document of which fewer units are left is dropped")

    @property
    def measure(self) -> Measure:
        """How long a repeat is."""
        return Measure(self.min_units, self.min_characters)


class Substrings(Stage[SubstringsParameters]):
    """Removes what stands word for word in an earlier document."""

    name: ClassVar[str] = "substrings"
    about: ClassVar[str] = "remove long stretches that stand word for word in an earlier document"
    parameters_type: ClassVar[type[Parameters]] = SubstringsParameters
    relates: ClassVar[bool] = True
    edits_text = True
    relation: tuple[Column, ...] = (
        Column("substrings.spans", pa.list_(SPAN), "repeats, in units, and where they stood", internal=True),
    )
    rules: ClassVar[Mapping[str, str]] = {
        REPEAT: "{score} units here stand word for word in {keeper}, before it; {threshold} are enough",
        EMPTY: "without what stands word for word in earlier documents, such as {keeper}, it has {score} units, fewer "
        "than {threshold}",
    }
    scored: tuple[Column, ...] = (
        Column("substrings.units", pa.int64(), "units in stretches that stand in an earlier document"),
    )

    def relate(self, corpus: Corpus) -> Path:
        """Find the repeats of each document."""
        return find_repeats(corpus, self.parameters)

    def scaling(self) -> Scaling:
        """See `Stage.scaling`."""
        return scaling_with_answers(self.name, ANCHORS, PLACE.limit("row"))

    def score(self, batch: Batch, columns: Columns, state: State) -> Columns:
        """Units in repeats."""
        found = _Repeats(columns["substrings.spans"])
        rows, begins, ends = join_spans(found.rows, found.begins, found.ends)
        return {"substrings.units": pa.array(_sums(rows, ends - begins, len(batch)))}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Cut repeats, or flag them; drop a document of which too little is left."""
        verdicts = VerdictBuilder(len(batch))
        found = _Repeats(columns["substrings.spans"])
        if self.parameters.action == "remove":
            rows, begins, ends = join_spans(found.rows, found.begins, found.ends)
            left = columns["units"].to_numpy() - _sums(rows, ends - begins, len(batch))
            empty = np.isin(np.arange(len(batch)), rows) & (left < self.parameters.min_units_left)
            keepers = found.longest_keepers(np.flatnonzero(empty))
            verdicts.drop(empty, EMPTY, left.astype(np.float64), self.parameters.min_units_left, keepers)
            found.drop(empty)
        if len(found.rows) == 0:
            return verdicts.build()
        # Units are found again, for the documents that have a repeat alone: less than to keep them of all.
        rows, local = np.unique(found.rows, return_inverse=True)
        texts = batch.select(rows)
        data, offsets = texts.text_buffer
        spans = Spans(
            found.rows,
            *span_points(data, offsets, local, *unit_bytes(texts, local, found.begins, found.ends)),
            scores=(found.ends - found.begins).astype(np.float64),
            thresholds=self._enough(texts, local, found),
            keepers=found.keepers,
        )
        if self.parameters.action == "flag":
            verdicts.flag_spans(spans, REPEAT, "repeat")
        else:
            joined, begins, ends = join_spans(local, found.begins, found.ends)
            cut = cut_units(texts, joined, *trim_to_phrases(texts, joined, begins, ends))
            verdicts.edit_spans(rows, cut, spans, REPEAT, "repeat")
        return verdicts.build()

    def _enough(self, texts: Batch, rows: NDArray[np.int64], found: _Repeats) -> NDArray[np.float64]:
        """How many units like those of each repeat are enough: `min_units` of words, `min_characters` of characters."""
        measure, units = self.parameters.measure, texts.units
        mass = mass_of(unit_values(units), measure)
        first = units.offsets[rows]
        share = (mass[first + found.ends] - mass[first + found.begins]) / (found.ends - found.begins)
        enough: NDArray[np.float64] = np.ceil(np.round(measure.whole / share, 6))
        return enough


class _Repeats:
    """The spans of a batch: the row each is in, first unit, unit behind the last, id of the earlier document."""

    def __init__(self, column: pa.ListArray) -> None:
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        spans = column.flatten()
        self.rows = np.repeat(np.arange(len(column)), lengths)
        self.begins = spans.field("begin").to_numpy(zero_copy_only=False).astype(np.int64)
        self.ends = spans.field("end").to_numpy(zero_copy_only=False).astype(np.int64)
        self.keepers = spans.field("keeper")

    def longest_keepers(self, rows: NDArray[np.int64]) -> list[str]:
        """For each of these rows the document that has the longest of its repeats, the first one of equals."""
        order = np.lexsort((self.begins - self.ends, self.rows))
        first = order[np.searchsorted(self.rows[order], rows)]
        keepers: list[str] = self.keepers.take(pa.array(first)).to_pylist()
        return keepers

    def drop(self, rows: NDArray[np.bool_]) -> None:
        """Forget the spans of these rows."""
        kept = ~rows[self.rows]
        self.keepers = self.keepers.filter(pa.array(kept))
        self.rows, self.begins, self.ends = self.rows[kept], self.begins[kept], self.ends[kept]


def _sums(rows: NDArray[np.int64], lengths: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.bincount(rows, weights=lengths, minlength=count).astype(np.int64)
