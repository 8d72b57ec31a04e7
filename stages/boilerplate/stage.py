"""Stage `boilerplate`: lines and paragraphs that stand in many documents of one source are removed, or noted.

Menus, headers, cookie notices: what a site puts onto every page says nothing of any page. A line is boilerplate when at
least `min_documents` documents of its source group have it (as in CCNet, Wenzek et al. 2020, 3.1, but counted by
source, and with a number that a site reaches and prose does not). See `stages.boilerplate.lines` for what a line is
compared by, and why short ones count in company alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curator.document import Batch
from curator.run.corpus import Corpus
from curator.run.relation import scaling_with_answers
from curator.scaling import Scaling
from curator.stage import Column, Columns, Parameters, Stage, State
from curator.text.spans import cut_spans, settle_spans, span_points
from curator.thresholds import ListLanguage
from curator.verdict import Spans, VerdictBuilder, Verdicts
from stages.boilerplate.lines import Measure
from stages.boilerplate.relate import COUNT, KEYS, SPAN, find_boilerplate

LINES, EMPTY = "boilerplate.lines", "boilerplate.empty"


class Thresholds(Parameters):
    """Thresholds of a source or a language; those that are not given stay as they were."""

    min_documents: int | None = Field(default=None, ge=2)
    min_share: float | None = Field(default=None, gt=0, le=1)


class BoilerplateParameters(Thresholds):
    """Parameters of `boilerplate`."""

    min_documents: int | None = Field(100, ge=2, description="documents of a source group that have such a line")
    min_share: float | None = Field(None, gt=0, le=1, description="and the share of its documents that have it")
    by: Literal["line", "paragraph"] = Field("line", description="what is compared and removed")
    action: Literal["remove", "flag"] = Field("remove", description="remove it, or note where it stands")
    keep: Literal["none", "first"] = Field("none", description="which document keeps it")
    min_units: int = Field(8, ge=1, le=1000, description="units of a line that counts by itself")
    min_characters: int = Field(16, ge=1, le=1000, description="the same, in scripts without spaces")
    min_units_left: int = Field(10, ge=0, description="a document of which fewer units are left is dropped")
    sources: Mapping[str, Thresholds] = Field(default_factory=dict, description="other thresholds by source group")
    languages: Mapping[ListLanguage, Thresholds] = Field(
        default_factory=dict, description="other thresholds by list language"
    )

    @property
    def measure(self) -> Measure:
        """How long a line is that counts by itself."""
        return Measure(self.min_units, self.min_characters)


class Boilerplate(Stage[BoilerplateParameters]):
    """Removes lines that stand in many documents of a source."""

    name: ClassVar[str] = "boilerplate"
    about: ClassVar[str] = "remove lines or paragraphs that stand in many documents of a source"
    parameters_type: ClassVar[type[Parameters]] = BoilerplateParameters
    relates: ClassVar[bool] = True
    edits_text = True
    rules: ClassVar[Mapping[str, str]] = {
        LINES: "its lines here stand in {score} or more documents of its source, where {threshold} are enough",
        EMPTY: "without what stands in many documents of its source it has {score} units, fewer than {threshold}",
    }
    scored: tuple[Column, ...] = (
        Column("boilerplate.units", pa.int64(), "units in lines that stand in many documents of the source"),
    )
    relation: tuple[Column, ...] = (
        Column("boilerplate.spans", pa.list_(SPAN), "boilerplate, in bytes of the text", internal=True),
    )

    def relate(self, corpus: Corpus) -> Path:
        """Find the boilerplate of each document."""
        return find_boilerplate(corpus, self.parameters)

    def scaling(self) -> Scaling:
        """See `Stage.scaling`."""
        return scaling_with_answers(self.name, KEYS, COUNT.limit("row"))

    def score(self, batch: Batch, columns: Columns, state: State) -> Columns:
        """Units in boilerplate."""
        return {"boilerplate.units": pa.array(_units(_Found(columns["boilerplate.spans"]), len(batch)))}

    def decide(self, batch: Batch, columns: Columns, state: State) -> Verdicts:
        """Cut boilerplate, or flag it; drop a document of which too little is left."""
        verdicts = VerdictBuilder(len(batch))
        found = _Found(columns["boilerplate.spans"])
        if len(found.rows) == 0:
            return verdicts.build()
        data, offsets = batch.text_buffer
        begins, ends = offsets[found.rows] + found["begin"], offsets[found.rows] + found["end"]
        keep = np.ones(len(found.rows), dtype=np.bool_)
        if self.parameters.action == "remove":
            left = columns["units"].to_numpy() - _units(found, len(batch))
            empty = np.isin(np.arange(len(batch)), found.rows) & (left < self.parameters.min_units_left)
            verdicts.drop(empty, EMPTY, left.astype(np.float64), self.parameters.min_units_left)
            keep = ~empty[found.rows]
            begins, ends = settle_spans(data, offsets, found.rows, begins, ends)
        rows, begins, ends = found.rows[keep], begins[keep], ends[keep]
        spans = Spans(
            rows,
            *span_points(data, offsets, rows, begins, ends),
            scores=found["documents"][keep].astype(np.float64),
            thresholds=found["threshold"][keep].astype(np.float64),
            keepers=found.spans.field("keeper").filter(pa.array(keep)),
        )
        if self.parameters.action == "flag":
            verdicts.flag_spans(spans, LINES, self.parameters.by)
            return verdicts.build()
        edited = np.unique(rows)
        cut = cut_spans(data, offsets, rows, begins, ends, np.zeros(len(rows), dtype=np.bool_))
        verdicts.edit_spans(edited, cut.take(pa.array(edited)), spans, LINES, self.parameters.by)
        return verdicts.build()


class _Found:
    """The spans of a batch: `rows` they are in, and their fields."""

    def __init__(self, column: pa.ListArray) -> None:
        lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        self.rows = np.repeat(np.arange(len(column)), lengths)
        self.spans = column.flatten()

    def __getitem__(self, name: str) -> NDArray[np.int64]:
        values: NDArray[np.int64] = self.spans.field(name).to_numpy(zero_copy_only=False).astype(np.int64)
        return values


def _units(found: _Found, rows: int) -> NDArray[np.int64]:
    return np.bincount(found.rows, weights=found["units"], minlength=rows).astype(np.int64)
